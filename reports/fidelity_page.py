"""docs/fidelity.md as text: what was compared, errors by family beside their bounds, the worst rows, their causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.fidelity import (
    ACCEPTED_NEAR_BOUND,
    ACCEPTED_WITHIN_CYCLES,
    FAMILY_BOUNDS,
    STREAM_BOUNDS,
    Bounds,
    FamilySummary,
    FidelityRow,
    summarise,
)
from reports.fidelity_causes import CAUSES, NOT_CHECKED
from reports.units import UNMEASURED, printable

WORST_ROWS: Final = 10
ONNXIM_MEAN_ERROR: Final = 0.0023
"""ONNXim (Ham et al., arXiv 2406.08051): mean absolute error against Gemmini's RTL on its own layers, 8x8 array."""
FAMILIES: Final = {
    "micro": "one effect a row, default configuration",
    "raw_ws": "random mvin, preload, compute, mvout with hazards and bank conflicts, weight-stationary",
    "raw_os": "the same, output-stationary",
    "tiled": "loop_ws programs over random problem and tile sizes, padding, bias, ReLU",
    "layers": "the same for shapes of real layers",
    "chip_micro": "micro-benchmarks of the chip configuration",
    "chip_matmul": "loop_ws programs on the chip configuration",
    "soc_matmul": "the C library's matmuls in a whole SoC: host, L2 and DRAM",
    "soc_conv": "the C library's convolutions in a whole SoC",
}


def fidelity_page(rows: Sequence[FidelityRow], *, command: str, picture: str) -> str:
    """The page, in Markdown; `command` made it, `picture` is the scatter plot's file beside it."""
    families = summarise(rows)
    parts = [
        "# How near the simulator is to the RTL\n",
        f"Made by `{command}`; edit the generator, not this page.\n",
        "Measured: Gemmini's RTL under Verilator, one command stream a row, the same commands under the same memory as"
        " the engine. Errors are of the cycles from the first command accepted to the last busy cycle. No constant is"
        " fitted to a row or a family: every one is a parameter of the accelerator's file, with its source.\n",
        _family_table(families),
        f"*near*: commands accepted within {ACCEPTED_WITHIN_CYCLES} cycles of the measured cycle (at least"
        f" {_percent(ACCEPTED_NEAR_BOUND, 0)} asked). *traffic*: rows whose read and write requests and bytes are all"
        " exact. *values*: rows whose output digest is equal. *bounds*: mean, 95th percentile, worst.\n",
        *(f"- `{family.family}`: {FAMILIES[family.family]}" for family in families if family.family in FAMILIES),
        f"\n![simulated against measured cycles]({picture})\n",
        _worst_part(rows),
        _causes_part(families),
        _others_part(rows),
        _unchecked_part([row for row in rows if row.refused]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _percent(fraction: float, digits: int = 3) -> str:
    return f"{100 * fraction:.{digits}f} %"


def _bounds_text(bounds: Bounds) -> str:
    figures = (bounds.mean, bounds.p95, bounds.worst)
    return " / ".join(UNMEASURED if figure is None else f"{100 * figure:g} %" for figure in figures)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A Markdown table; the first `left` columns are text."""
    ruler = ["---" if column < left else "--:" for column in range(len(heads))]
    lines = [heads, ruler, *[[_cell(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def _family_table(families: Sequence[FamilySummary]) -> str:
    heads = ("family", "rows", "exact", "mean", "p95", "worst", "near", "traffic", "values", "bounds")
    rows = [
        (
            f"`{family.family}`",
            str(family.rows),
            str(family.exact_rows),
            *(_percent(error) for error in (family.mean_error, family.p95_error, family.worst_error)),
            UNMEASURED if family.accepted_near != family.accepted_near else _percent(family.accepted_near, 2),
            *(
                f"{held}/{known}" if known else UNMEASURED
                for held, known in (family.traffic_exact, family.values_exact)
            ),
            _bounds_text(FAMILY_BOUNDS.get(family.family, STREAM_BOUNDS)),
        )
        for family in families
    ]
    return _table(heads, rows, 1)


def _worst_part(rows: Sequence[FidelityRow]) -> str:
    off = sorted((row for row in rows if row.error), key=lambda row: -abs(row.error or 0.0))[:WORST_ROWS]
    title = f"## The worst {len(off)} rows\n"
    if not off:
        return "## The worst rows\n\nEvery row is exact.\n"
    cells = [
        (
            f"`{row.name}`",
            f"`{row.family}`",
            row.departs or UNMEASURED,
            f"{row.measured_cycles or 0:,}",
            f"{row.cycles:,}",
            f"{100 * (row.error or 0.0):+.2f} %",
        )
        for row in off
    ]
    heads = ("row", "family", "first departs at", "measured", "simulated", "error")
    return f"{title}\n{_table(heads, cells, 3)}"


def _causes_part(families: Sequence[FamilySummary]) -> str:
    """The known causes of the families that are not exact."""
    off = {family.family for family in families if family.worst_error > 0}
    known = [cause for cause in CAUSES if off & set(cause.families)]
    if not known:
        return ""
    lines = [
        f"- **{cause.title}** ({', '.join(f'`{family}`' for family in cause.families if family in off)}):"
        f" {cause.text} Source: {cause.source}."
        for cause in known
    ]
    return "## Causes\n\n" + "\n".join(lines) + "\n"


def _others_part(rows: Sequence[FidelityRow]) -> str:
    streams = [abs(row.error) for row in rows if row.error is not None and not row.family.startswith("soc_")]
    mean = sum(streams) / len(streams) if streams else float("nan")
    return (
        "## Beside others\n\n"
        f"The mean absolute error over all {len(streams)} streams that run from the command port is"
        f" {_percent(mean)}. The best published of a Python or C++ simulator against Gemmini's RTL is ONNXim's"
        f" {_percent(ONNXIM_MEAN_ERROR, 2)} (arXiv 2406.08051), over two dozen layers of its own, timing compute only,"
        " on an 8x8 array. The two sets differ; these streams were made to be hard.\n"
    )


def _unchecked_part(refused: Sequence[FidelityRow]) -> str:
    lines = [f"- {line}" for line in NOT_CHECKED]
    lines += [f"- `{row.name}` (`{row.family}`) is refused: {_cell(row.refused)}." for row in refused]
    return "## Not checked against the RTL\n\n" + "\n".join(lines) + "\n"
