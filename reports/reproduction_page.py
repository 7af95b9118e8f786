"""Reproduced tables as one HTML page that stands alone: ours beside theirs, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from reports.page_frame import filled, framed
from reports.reproduction import CLOSENESS, KINDS, ReproducedRow, ReproducedTable
from reports.tables import escaped
from reports.units import BY, UNMEASURED, percent

_MINUS: Final = "\N{MINUS SIGN}"


def render_reproduction(tables: Sequence[ReproducedTable]) -> str:
    """The whole page."""
    body = filled(
        "reproduction.html",
        headline=escaped(headline(tables), 1000),
        legend="".join(
            f'<li class="{name}"><b>{symbol}</b> {escaped(meaning)}</li>'
            for name, (symbol, meaning) in CLOSENESS.items()
        ),
        overview=_overview(tables),
        tables="".join(map(_card, tables)),
    )
    return framed(title="Published numbers, made again", body=body, figures={})


def reproduction_record(tables: Sequence[ReproducedTable]) -> dict[str, Any]:
    """The tables as plain values for JSON: every row with its difference, its verdict and why it differs."""
    return {
        "tables": [
            {
                "id": table.id,
                "title": table.title,
                "source": table.source,
                "kind": table.kind,
                "command": table.command,
                "note": table.note,
                "seconds": round(table.seconds, 3),
                "rows": [_record(row) for row in table.rows],
            }
            for table in tables
        ]
    }


def headline(tables: Sequence[ReproducedTable]) -> str:
    """How many rows are judged, and how many of them are within their bounds."""
    rows = [row for table in tables for row in table.rows]
    judged, missed = sum(len(table.judged) for table in tables), sum(len(table.outside) for table in tables)
    same = sum(row.closeness == "exact" for row in rows)
    return (
        f"{len(rows)} numbers of {len(tables)} tables and figures: {same} come out the same at print precision or "
        f"within 0.5 %. {judged} have a bound; {'all of them keep it' if not missed else f'{missed} do not keep it'}."
    )


def ours_text(row: ReproducedRow) -> str:
    """Our number with one digit more than was printed, in the notation that was printed."""
    if row.ours is None:
        return UNMEASURED
    mantissa, exponent, _ = row.printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) + 1
    return f"{row.ours:,.{decimals}{'e' if exponent else 'f'}}".replace("-", _MINUS)


def difference_text(row: ReproducedRow) -> str:
    """The relative difference with its sign; a ratio above a factor of ten."""
    if row.difference is None:
        return UNMEASURED
    if row.difference > 9:
        return f"{row.difference + 1:,.0f}{BY}"
    if abs(row.difference) < 0.5e-4:
        return "0.00 %"
    text = f"{100 * row.difference:+.2f} %" if abs(row.difference) < 0.0995 else f"{100 * row.difference:+.0f} %"
    return text.replace("-", _MINUS)


def _record(row: ReproducedRow) -> dict[str, Any]:
    return {
        "what": row.what,
        "unit": row.unit,
        "published": row.published,
        "printed": row.printed,
        "ours": row.ours,
        "difference": row.difference,
        "same_in_print": row.same_in_print,
        "bound": row.bound,
        "closeness": row.closeness,
        "passes": row.passes,
        "reason": row.reason,
    }


def _overview(tables: Sequence[ReproducedTable]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{escaped(table.id)}">{escaped(table.title)}</a><small>{escaped(table.source)}</small></td>'
        f'<td class="strip">{"".join(map(_mark, table.rows))}</td>'
        f'<td class="number{" missed" if table.outside else ""}">{_judged(table)}</td></tr>'
        for table in tables
    )
    heads = "".join(f"<th>{head}</th>" for head in ("Published", "Each of its numbers", "Within bound"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _judged(table: ReproducedTable) -> str:
    judged = len(table.judged)
    if not judged:
        return '<span class="muted">not judged</span>'
    return f"{'✗' if table.outside else '✓'} {judged - len(table.outside)} of {judged}"


def _mark(row: ReproducedRow) -> str:
    hover = f"{row.what}, {row.unit}: {row.printed} printed, {ours_text(row)} ours"
    return f'<b class="{row.closeness}{_missed(row)}" title="{escaped(hover)}">{CLOSENESS[row.closeness][0]}</b>'


def _card(table: ReproducedTable) -> str:
    units = tuple(dict.fromkeys(row.unit for row in table.rows))
    cells = {(row.what, row.unit): row for row in table.rows}
    heads = "".join(f'<th class="number">{escaped(unit)}</th>' for unit in units)
    has_reasons = any(row.reason for row in table.rows)
    body = "".join(
        f"<tr><th>{escaped(what)}</th>{''.join(_cell(cells.get((what, unit))) for unit in units)}"
        f"{_reason(what, units, cells) if has_reasons else ''}</tr>"
        for what in dict.fromkeys(row.what for row in table.rows)
    )
    note = f'<p class="hint">{escaped(table.note, 2000)}</p>' if table.note else ""
    return (
        f'<section class="card" id="{escaped(table.id)}"><h2>{escaped(table.title)}</h2>'
        f'<p class="hint">{escaped(table.source)}; {escaped(KINDS[table.kind])}. '
        f"Made by <code>{escaped(table.command)}</code> in {table.seconds:.1f} s.{_bounds(table)}</p>{note}"
        f'<div class="scroll whole"><table class="beside"><thead><tr><th></th>{heads}'
        f"{'<th>Why it differs</th>' if has_reasons else ''}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _bounds(table: ReproducedTable) -> str:
    bounds = {row.bound for row in table.judged if row.bound is not None}
    if not bounds:
        return " Shown, not judged."
    told = " or ".join("print precision" if bound == 0 else f"± {percent(bound)}" for bound in sorted(bounds))
    judged, units = {row.unit for row in table.judged}, {row.unit for row in table.rows}
    return f" Bound{'' if judged == units else ' of ' + escaped(', '.join(sorted(judged)))}: {told}."


def _cell(row: ReproducedRow | None) -> str:
    if row is None:
        return "<td></td>"
    symbol = CLOSENESS[row.closeness][0]
    verdict = " ✗ outside" if row.passes is False else ""
    return (
        f'<td class="number {row.closeness}{_missed(row)}"><b>{symbol}</b> {escaped(ours_text(row))}'
        f"<small>{escaped(row.printed.replace('-', _MINUS))} printed, "
        f"{escaped(difference_text(row))}{verdict}</small></td>"
    )


def _reason(what: str, units: Sequence[str], cells: dict[tuple[str, str], ReproducedRow]) -> str:
    reasons = dict.fromkeys(cells[what, unit].reason for unit in units if (what, unit) in cells)
    return f'<td class="why">{escaped(" ".join(filter(None, reasons)), 1000)}</td>'


def _missed(row: ReproducedRow) -> str:
    return " missed" if row.passes is False else ""
