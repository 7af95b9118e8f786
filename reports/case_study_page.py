"""The case study as one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from reports.case_study import CaseRow, CaseStudy
from reports.case_study_figures import Figure, figures_of
from reports.case_study_text import ABOUT, SOURCE, difference_text, headline, value_text, verdict_text
from reports.page_frame import filled, framed, list_items
from reports.tables import Cell, escaped, table

_FIGURES = {
    "breakdown": ("baseline", "Where the time goes, on the host's machine and with integer units."),
    "area": (
        "integer units",
        "Area of the accelerator with its units, from operators counted in the RTL and SRAM by bits.",
    ),
    "memory": ("memory", "Utilisation of the array under nine pairs of memories."),
    "fusion": ("fusion", "Change of latency when a matmul and the normalisation after it run as one."),
    "search": (
        "architecture search",
        "Architectures of the space on the analytical model. Perplexity is not measured.",
    ),
    "gains": ("headline", "Every gain, ours beside the printed one."),
}
"""The step under which a figure stands, and what it shows."""


def render_case_study(study: CaseStudy) -> str:
    """The whole page."""
    figures = figures_of(study)
    cards = [_card(step, list(rows), figures) for step, rows in groupby(study.rows, key=lambda row: row.step)]
    body = filled(
        "case_study.html",
        headline=escaped(headline(study), 1000),
        source=escaped(SOURCE),
        about=list_items(ABOUT),
        steps="".join(cards),
    )
    return framed(title="The accelerator case study", body=body, figures=figures)


def _card(step: str, rows: list[CaseRow], figures: Mapping[str, Figure]) -> str:
    drawn = "".join(
        f'<p class="hint">{escaped(text)}</p><div class="figure" data-figure="{name}"{_height(figures[name])}></div>'
        for name, (place, text) in _FIGURES.items()
        if place == step and name in figures
    )
    heads = ("", "Ours", "Printed", "Difference", "Bound", "Where and why")
    cells = [
        (
            Cell(shown=f"{row.name}{' *' if row.gated else ''}"),
            Cell(shown=value_text(row.ours, row.unit), value=row.ours),
            Cell(shown=value_text(row.published, row.unit), value=row.published),
            Cell(shown=difference_text(row), value=row.difference),
            Cell(shown=verdict_text(row)),
            Cell(shown=row.where, below=row.reason),
        )
        for row in rows
    ]
    shown = table(heads, cells, numeric=range(1, 4), sortable=False)
    return (
        f'<section class="card reasons"><h2>{escaped(step[0].upper() + step[1:])}</h2>{drawn}'
        f'<div class="scroll">{shown}</div></section>'
    )


def _height(figure: Figure) -> str:
    """The place of a figure that asks for a height of its own."""
    height = figure["layout"].get("height")
    return f' style="height:{height}px"' if height else ""
