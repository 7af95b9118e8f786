"""The case study in words: how its numbers read, and all of it as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from reports.case_study import CaseRow, CaseStudy, Unit
from reports.units import percent, three_digits, times

_MINUS: Final = "\N{MINUS SIGN}"
SOURCE: Final = "Kim et al., Full Stack Optimization of Transformer Inference (arXiv 2302.14017v1)"
ABOUT: Final = (
    "BERT-Base at 512 tokens. Matmuls are the C library's calls on the simulated SoC (host, L2, DRAM), cycle by cycle; "
    "with the integer units softmax, LayerNorm and residual add are commands on the same engine. The host's operators "
    "cost counted instructions and lines from DRAM. No constant is fitted to a row.",
    "Rows marked * are gated: direction right and within 25 % of what was printed; of a change the factors are "
    "compared (-78 % stands for 0.22), so that -12 % is within the bound of -24 % though it is half of it. The others "
    "say why they differ or cannot be held to a bound.",
    "Fusion and memories are shown twice: on our machine (DRAM of 7.5 to 8 B/cycle), and as far as the survey's own "
    "assumptions are public, above all the 5.75 B/cycle of its laboratory's Gemmini for Timeloop "
    "(ucb-bar/dosa, arch_cosa.yaml; docs/across-layers.md).",
    "The gain end to end depends on the host's kernels, of which nothing is printed: with exp and erf by polynomials, "
    "as in the runtime of Gemmini's stack, it is near the printed one; with libm's it is half as much again. Both are "
    "shown.",
    "The printed numbers of the first steps do not fit each other: shares that add up to 94 %; matmuls 1 % of the time "
    "in one place and 4 % in another; 36 % less latency where their figure 13 allows 24 %.",
    "Perplexity is not measured here. The pick of the search is theirs, table 9; the front stands over the number of "
    "weights, which says nothing about perplexity at their amount of data.",
)


def value_text(value: float, unit: Unit) -> str:
    """A row's number as it reads."""
    if unit == "times":
        return times(value)
    if unit == "share":
        return percent(value)
    if unit == "change":
        return f"{100 * value:+.1f} %".replace("-", _MINUS)
    return three_digits(value)


def difference_text(row: CaseRow) -> str:
    """The relative difference with its sign."""
    return f"{100 * row.difference:+.0f} %".replace("-", _MINUS) if math.isfinite(row.difference) else ""


def verdict_text(row: CaseRow) -> str:
    """Whether the row is within its bound."""
    if row.within:
        return "within"
    return "outside" if row.same_direction else "other direction"


def headline(study: CaseStudy) -> str:
    """How many rows are held to a bound and keep it."""
    gated = [row for row in study.rows if row.gated]
    within = sum(row.within for row in study.rows)
    return (
        f"{within} of {len(study.rows)} numbers have the printed direction and lie within 25 %; "
        f"{len(gated) - len(study.failed)} of the {len(gated)} that are gated."
    )


def case_study_markdown(study: CaseStudy) -> str:
    """The whole study as a Markdown page."""
    return "\n".join(_lines(study)) + "\n"


def _lines(study: CaseStudy) -> Iterator[str]:
    yield "# The accelerator case study\n"
    yield "Made by `systolic case-study`; edit the generator, not this page.\n"
    yield f"Printed: {SOURCE}. {headline(study)}\n"
    yield from (f"{text}\n" for text in ABOUT)
    for step, rows in groupby(study.rows, key=lambda row: row.step):
        yield f"## {step[0].upper()}{step[1:]}\n"
        yield "| | ours | printed | difference | | where, why |"
        yield "| --- | --: | --: | --: | --- | --- |"
        for row in rows:
            name = f"{row.name}{' *' if row.gated else ''}"
            numbers = (
                f"{value_text(row.ours, row.unit)} | {value_text(row.published, row.unit)} | {difference_text(row)}"
            )
            yield f"| {name} | {numbers} | {verdict_text(row)} | {row.where}{': ' if row.reason else ''}{row.reason} |"
        yield ""
    if study.areas:
        whole = sum(um2 for _, um2 in study.areas)
        yield "## Area, 45 nm\n"
        yield "| part | mm2 | share |"
        yield "| --- | --: | --: |"
        yield from (f"| {name} | {um2 / 1e6:.3f} | {percent(um2 / whole)} |" for name, um2 in study.areas)
        yield ""


def case_study_record(study: CaseStudy) -> dict[str, Any]:
    """The study as plain values for JSON."""
    return {
        "rows": [
            {
                "step": row.step,
                "name": row.name,
                "ours": row.ours,
                "published": row.published,
                "unit": row.unit,
                "difference": row.difference,
                "bound": row.bound,
                "within": row.within,
                "gated": row.gated,
                "where": row.where,
                "reason": row.reason,
            }
            for row in study.rows
        ],
        "breakdowns": [
            {"name": one.name, "cycles": {part.name: part.cycles for part in one.parts}} for one in study.breakdowns
        ],
        "area_um2": dict(study.areas),
        "architectures": [
            {
                "features": point.features,
                "heads": point.heads,
                "hidden": point.hidden,
                "latency": point.latency,
                "energy": point.energy,
                "weights": point.weights,
            }
            for point in study.architectures
            if point.on_front
        ],
        "architectures_tried": len(study.architectures),
        "seconds": study.seconds,
    }
