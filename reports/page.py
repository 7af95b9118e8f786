"""One run as one HTML page that stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.breakdown import cycles_in_total, solved_nests
from reports.counters import counters_table
from reports.figures import cycles_figure, on_roofline, roofline_figure, solver_figure, traffic_figure
from reports.overview import headline, made_facts, note_items, quality_sentence, solver_sentence, tiles
from reports.page_frame import filled, framed, list_items, tile_cards
from reports.palette import cause_colour, cause_pattern
from reports.record import verified
from reports.schedule_view import schedule_views
from reports.tables import (
    costliest_table,
    escaped,
    facts_table,
    layers_table,
    quality_table,
    solver_table,
    traffic_table,
)
from reports.units import count, percent

if TYPE_CHECKING:
    from reports.record import RunRecord


def render_page(record: RunRecord) -> str:
    """The whole page of a run. Raises InputError as `record.verified` does."""
    record = verified(record)
    return framed(
        title=f"{record.header.network} on {record.header.accelerator.name}",
        body=filled("page.html", **_content(record)),
        figures=_figures(record),
        data={"schedules": schedule_views(record)},
        scripts=("timeline.js", "page.js"),
    )


def _figures(record: RunRecord) -> dict[str, Any]:
    figures = {
        "roofline": roofline_figure(record),
        "cycles": cycles_figure(record),
        "traffic": traffic_figure(record.layers),
    }
    if len(solved_nests(record.layers)):
        figures["solver"] = solver_figure(record.layers)
    return figures


def _content(record: RunRecord) -> dict[str, str]:
    header, layers = record.header, record.layers
    return {
        "network": escaped(header.network, 80),
        "machine": escaped(header.accelerator.name, 80),
        "machine_description": escaped(header.accelerator.description),
        "headline": headline(record),
        "tiles": tile_cards(tiles(record)),
        "breakdown": _breakdown(record),
        "undrawn": count(len(layers) - len(on_roofline(record))),
        "layer_count": count(len(layers)),
        "traffic_table": traffic_table(record),
        "costliest_table": costliest_table(record),
        "layers_table": layers_table(layers),
        "counters": _counters(record),
        "solver_sentence": solver_sentence(record),
        "solver_table": solver_table(layers),
        "quality_sentence": quality_sentence(record),
        "quality_table": quality_table(layers),
        "facts": facts_table(made_facts(record)),
        "notes": list_items(note_items(record)),
    }


def _counters(record: RunRecord) -> str:
    found = counters_table(record)
    if not found:
        return '<p class="hint">No hardware counters were recorded in this run.</p>'
    hint = "Gemmini's own names; hover over one for what it counts. Layers that do not run as commands have none."
    return f'<p class="hint">{hint}</p><div class="scroll wide">{found}</div>'


def _breakdown(record: RunRecord) -> str:
    """The run's cycles as one bar, and the list of its parts: colour, cause, cycles, share."""
    parts = [(cause, cycles) for cause, cycles in cycles_in_total(record) if cycles > 0]
    total = sum(cycles for _, cycles in parts) or 1.0
    bar = "".join(
        f'<span style="flex-grow:{cycles / total:.6f};{_fill(cause)}" title="{escaped(cause)}"></span>'
        for cause, cycles in parts
    )
    rows = "".join(
        f'<tr><td><b style="{_fill(cause)}"></b>{escaped(cause)}</td>'
        f"<td>{count(cycles)}</td><td>{percent(cycles / total)}</td></tr>"
        for cause, cycles in parts
    )
    return f'<div class="bar">{bar}</div><table class="parts"><tbody>{rows}</tbody></table>'


def _fill(cause: str) -> str:
    stripes = "repeating-linear-gradient(135deg,transparent 0 4px,var(--card) 4px 5px)," if cause_pattern(cause) else ""
    return f"background:{stripes}var({cause_colour(cause)})"
