"""One run as one HTML page that stands alone: no server, no network, nothing beside the file.

The page may run only its own scripts (a content security policy with their hashes) and may fetch nothing at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from reports.breakdown import cycles_in_total, solved_nests
from reports.counters import counters_table
from reports.figures import cycles_figure, on_roofline, roofline_figure, solver_figure, traffic_figure
from reports.overview import headline, made_facts, note_items, quality_sentence, solver_sentence, tiles
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

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:;"


def render_page(record: RunRecord) -> str:
    """The whole page of a run, about 5 MB of which are plotly.js. Raises InputError as `record.verified` does."""
    from plotly.offline import get_plotlyjs

    record = verified(record)
    plotly = get_plotlyjs()
    script = "\n".join(asset(name) for name in ("tables.js", "timeline.js", "figures.js", "page.js"))
    return Template(asset("page.html")).substitute(
        _content(record),
        policy=f"{POLICY} script-src {script_hashes(plotly, script)}",
        style=asset("page.css"),
        data=json_for_html(_data(record)),
        plotly=plotly,
        script=script,
    )


def json_for_html(value: Any) -> str:
    """`value` as JSON that no HTML parser can mistake for markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(record: RunRecord) -> dict[str, Any]:
    figures = {
        "roofline": roofline_figure(record),
        "cycles": cycles_figure(record),
        "traffic": traffic_figure(record.layers),
    }
    if len(solved_nests(record.layers)):
        figures["solver"] = solver_figure(record.layers)
    return {"figures": figures, "schedules": schedule_views(record)}


def _content(record: RunRecord) -> dict[str, str]:
    header, layers = record.header, record.layers
    return {
        "title": escaped(f"{header.network} on {header.accelerator.name}"),
        "network": escaped(header.network, 80),
        "machine": escaped(header.accelerator.name, 80),
        "machine_description": escaped(header.accelerator.description),
        "headline": headline(record),
        "tiles": "".join(_tile(*tile) for tile in tiles(record)),
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
        "notes": "".join(f"<li>{escaped(note, 2000)}</li>" for note in note_items(record)),
    }


def _counters(record: RunRecord) -> str:
    found = counters_table(record)
    if not found:
        return '<p class="hint">No hardware counters were recorded in this run.</p>'
    hint = "Gemmini's own names; hover over one for what it counts. Layers that do not run as commands have none."
    return f'<p class="hint">{hint}</p><div class="scroll wide">{found}</div>'


def _tile(name: str, value: str, detail: str) -> str:
    return f"<div class=tile><h3>{escaped(name)}</h3><p>{escaped(value)}</p><small>{escaped(detail)}</small></div>"


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


def script_hashes(*scripts: str) -> str:
    """CSP source expressions for inline scripts; the template puts a script between its tags without other text."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def asset(name: str) -> str:
    """A file of the folder `assets`."""
    return resources.files("reports").joinpath("assets", name).read_text(encoding="utf-8")
