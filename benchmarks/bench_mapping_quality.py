"""How close mappings come to the machine's bound on the cycle-level engine: ours beside the heuristic of Gemmini's
library, over the distinct array layers of ResNet-50 and of BERT-Base at 128 and 512 tokens.

python -m benchmarks.bench_mapping_quality [--write]

The bound of a layer is what no mapping goes below: the larger of its array cycles quantised by the array (one row of
DIM inputs a cycle for every DIM x DIM block of weights, kernel columns packed as tightly as the machine can) and of its
compulsory traffic at the memory port's bandwidth (the roofline's). gap = (cycles - bound) / bound. Printed: one line a
layer, slowest gap first, then the share of the heuristic's gap that ours closes, and how many layers end within 10 % of
the bound; --write puts these into docs/mapping.md.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from time import process_time

from mapper.lower import Layer
from mapper.rerank import fastest
from mapper.schedule import Scheduled
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping
from simulator.roofline import quantised_roofline
from systolic.pipeline import layers_of, schedule
from workloads.catalogue import build

NETWORKS = (("resnet50", None), ("bert-base", 128), ("bert-base", 512))
DOCUMENT = Path(__file__).parent.parent / "docs" / "mapping.md"
SUMMARY_COLUMNS = (
    "",
    "layers",
    "our gap, mean",
    "heuristic's, mean",
    "its gap closed, mean of layers",
    "of the mean gap",
    "within 10 %",
    "slower than the heuristic",
)
LAYER_COLUMNS = (
    "network",
    "layer",
    "times",
    "bound",
    "our cycles",
    "gap",
    "heuristic's cycles",
    "gap",
    "our mapping",
    "the array waits",
)
NEAR = 0.10
"""Layers within this gap of the bound count as near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """One distinct layer: cycles of both mappings on the engine, and what no mapping goes below."""

    network: str
    layer: str
    times: int
    bound_cycles: float
    compute_bound: bool
    ours_cycles: int
    heuristic_cycles: int
    analytical_cycles: float
    mapping: str
    stall_cycles: dict[str, int]

    @property
    def gap(self) -> float:
        """Of our mapping: (cycles - bound) / bound."""
        return self.ours_cycles / self.bound_cycles - 1

    @property
    def heuristic_gap(self) -> float:
        """Of the heuristic's mapping."""
        return self.heuristic_cycles / self.bound_cycles - 1

    @property
    def closed(self) -> float:
        """Share of the heuristic's gap that ours closes; 1 where it leaves none."""
        return 1 - self.gap / self.heuristic_gap if self.heuristic_gap else 1.0


def qualities(network: str, tokens: int | None, accelerator: Accelerator) -> list[Quality]:
    """Every distinct array layer of a network, scheduled and simulated without any cache."""
    layers = [
        layer for layer in layers_of(build(network, seq=tokens), accelerator) if isinstance(layer.work, ArrayNest)
    ]
    distinct: dict[tuple[object, str], list[Layer]] = {}
    for layer in layers:
        distinct.setdefault((layer.work, layer.activation), []).append(layer)
    firsts = tuple(same[0] for same in distinct.values())
    plans = schedule(firsts, accelerator)
    title = network if tokens is None else f"{network} {tokens}"
    return [
        _quality(title, layer, plan, len(same), accelerator)
        for layer, plan, same in zip(firsts, plans, distinct.values(), strict=True)
        if plan is not None
    ]


def _quality(network: str, layer: Layer, plan: Scheduled, times: int, accelerator: Accelerator) -> Quality:
    assert isinstance(layer.work, ArrayNest)
    bound = quantised_roofline(layer.work, accelerator)
    ours = fastest(layer, plan, accelerator)
    assert ours.mapping is not None
    assert ours.heuristic_cycles is not None
    return Quality(
        network=network,
        layer=layer.name,
        times=times,
        bound_cycles=bound.cycles,
        compute_bound=bound.compute_cycles == bound.cycles,
        ours_cycles=ours.result.cycles,
        heuristic_cycles=ours.heuristic_cycles,
        analytical_cycles=plan.cost.cycles,
        mapping=text_of(ours.mapping),
        stall_cycles=ours.result.stall_cycles,
    )


def text_of(mapping: Mapping) -> str:
    """A mapping in one line."""
    sizes = "x".join(str(size) for size in asdict(mapping.tile).values())
    packed = f" {mapping.max_pixels_per_row} a row" if mapping.max_pixels_per_row > 1 else ""
    return f"{mapping.dataflow} {sizes} {mapping.order} A {mapping.a_placement} B {mapping.b_placement}{packed}"


def report(rows: list[Quality]) -> None:
    """One line a layer, furthest from the bound first."""
    for row in sorted(rows, key=lambda row: -row.gap):
        shares = {cause: spent / row.ours_cycles for cause, spent in row.stall_cycles.items()}
        stalls = " ".join(f"{cause} {share:.1%}" for cause, share in shares.items() if share >= 0.001)
        print(
            f"{row.network:14} {row.layer[:34]:34} x{row.times:<3} bound {row.bound_cycles:9.0f}"
            f"{'c' if row.compute_bound else 'm'} ours {row.gap:+7.1%} heuristic {row.heuristic_gap:+7.1%}"
            f" closed {row.closed:7.1%} model {row.analytical_cycles / row.bound_cycles - 1:+6.1%}"
            f" | {row.mapping} | {stalls}"
        )


def summary(title: str, rows: list[Quality]) -> str:
    """The three bars, as a row of a table."""
    near = sum(row.gap <= NEAR for row in rows)
    ours, library = mean(row.gap for row in rows), mean(row.heuristic_gap for row in rows)
    worse = sum(row.ours_cycles > row.heuristic_cycles for row in rows)
    return (
        f"| {title} | {len(rows)} | {ours:.1%} | {library:.1%} | {mean(row.closed for row in rows):.1%} |"
        f" {1 - ours / library:.1%} | {near} ({near / len(rows):.0%}) | {worse} |"
    )


def layer_line(row: Quality) -> str:
    """One layer as a row of a table."""
    stalls = ", ".join(
        f"{cause.replace('_', ' ')} {share:.1%}"
        for cause, spent in row.stall_cycles.items()
        if (share := spent / row.ours_cycles) >= 0.005
    )
    return (
        f"| {row.network} | {row.layer} | {row.times} | {row.bound_cycles:,.0f}{'' if row.compute_bound else ' m'} |"
        f" {row.ours_cycles:,} | {row.gap:.1%} | {row.heuristic_cycles:,} | {row.heuristic_gap:.1%} |"
        f" {row.mapping} | {stalls} |"
    )


def head(columns: tuple[str, ...]) -> tuple[str, str]:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"


def written(text: str, name: str, lines: list[str]) -> str:
    """`text` with what stands between the marks of `name` replaced by `lines`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, rest = text.split(begin)
    return head + begin + "\n".join(lines) + "\n" + rest[rest.index(end) :]


def write(rows: list[Quality], summaries: list[str]) -> None:
    """Put the tables into DOCUMENT."""
    text = written(DOCUMENT.read_text(), "summary", [*head(SUMMARY_COLUMNS), *summaries])
    DOCUMENT.write_text(written(text, "layers", [*head(LAYER_COLUMNS), *(layer_line(row) for row in rows)]))


def main() -> None:
    """Measure and print; with --write also into the document."""
    accelerator = load_accelerator("gemmini")
    everything: list[Quality] = []
    summaries = []
    started = process_time()
    for network, tokens in NETWORKS:
        rows = qualities(network, tokens, accelerator)
        report(rows)
        summaries.append(summary(network if tokens is None else f"{network} {tokens}", rows))
        everything += rows
    summaries.append(summary("all", everything))
    print(*head(SUMMARY_COLUMNS), *summaries, sep="\n")
    print(f"{process_time() - started:.1f} s")
    if sys.argv[1:] == ["--write"]:
        write(everything, summaries)


if __name__ == "__main__":
    main()
