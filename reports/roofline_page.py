"""Rooflines of networks on machines as one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from reports.page_frame import filled, framed, list_items
from reports.roofline_figures import network_figure, overview_figure
from reports.tables import Cell, escaped, number, table
from reports.units import byte_size, percent, shortened, si, three_digits
from simulator.rooflines.machine import Machine, bandwidth_of, peak_of, ridge_point
from simulator.rooflines.network import Grouping, NetworkRoofline, Row, rows

Same = tuple[NetworkRoofline, ...]
"""One network on all machines."""


def render_rooflines(rooflines: Sequence[NetworkRoofline]) -> str:
    """The whole page; every network must be there on the same machines."""
    networks = by_network(rooflines)
    figures = {f"network-{index}": network_figure(same) for index, same in enumerate(networks)}
    overview = ""
    if len(networks) > 1:
        figures["overview"] = overview_figure(networks)
        overview = (
            '<section class="card"><h2>Whole networks</h2><div class="figure roofs" data-figure="overview"></div>'
            "</section>"
        )
    names = ", ".join(same[0].network for same in networks)
    body = filled(
        "roofline.html",
        networks=escaped(shortened(names, 60)),
        links="".join(
            f'<a href="#network-{index}">{escaped(shortened(same[0].network, 24))}</a>'
            for index, same in enumerate(networks)
        )
        if len(networks) > 1
        else "",
        headline=escaped(_headline(networks[0]) if len(networks) == 1 else _count(networks), 2000),
        overview=overview,
        cards="".join(_card(index, same, alone=len(networks) == 1) for index, same in enumerate(networks)),
        precision=escaped(rooflines[0].number_format),
        machines=_machines_table(networks[0]),
        sources=list_items(_sources([roofline.machine for roofline in networks[0]])),
    )
    return framed(title=f"Rooflines of {names}", body=body, figures=figures)


def by_network(rooflines: Sequence[NetworkRoofline]) -> list[Same]:
    """The rooflines of each network together, in their order."""
    groups: dict[str, list[NetworkRoofline]] = {}
    for roofline in rooflines:
        groups.setdefault(roofline.network, []).append(roofline)
    return [tuple(group) for group in groups.values()]


def _headline(same: Same) -> str:
    """The network's work, its time at best on the fastest machine, and which machines its memory holds back."""
    totals = [rows(roofline, "network")[0] for roofline in same]
    whole = totals[0]
    fastest = min(range(len(same)), key=lambda place: totals[place].seconds)
    held: dict[bool, list[str]] = {}
    for roofline, total in zip(same, totals, strict=True):
        share = percent(total.shares[total.bound])
        held.setdefault(total.bound > 0, []).append(f"{roofline.machine.name} {share}")
    sides = (("memory", True), ("compute", False))
    bounds = "; ".join(f"{name} bounds {', '.join(held[key])}" for name, key in sides if key in held)
    return (
        f"{same[0].network}: {si(whole.flops, 'FLOP')}, {byte_size(whole.ideal_bytes)} compulsory,"
        f" {three_digits(whole.ideal_intensity)} FLOP/B, at best {si(totals[fastest].seconds, 's')} on"
        f" {same[fastest].machine.name}. Of the time, {bounds}."
    )


def _count(networks: Sequence[Same]) -> str:
    slowest, fastest = (
        pick(
            (rows(roofline, "network")[0].flops_per_second, f"{roofline.network} on {roofline.machine.name}")
            for same in networks
            for roofline in same
        )
        for pick in (min, max)
    )
    return (
        f"{len(networks)} networks on {len(networks[0])} machines, in {networks[0][0].number_format}: at best from"
        f" {si(slowest[0], 'OP/s')} ({slowest[1]}) to {si(fastest[0], 'OP/s')} ({fastest[1]})."
    )


def _card(index: int, same: Same, *, alone: bool) -> str:
    parts = "".join(_machine_part(index, place, roofline) for place, roofline in enumerate(same))
    identifier = f"operators-{index}"
    headline = "" if alone else f"<p>{escaped(_headline(same), 2000)}</p>"
    return (
        f'<section id="network-{index}" class="card"><h2>{escaped(same[0].network)}</h2>'
        f"{headline}"
        f'<div class="figure roofs" data-figure="network-{index}"></div>'
        '<p class="hint">A symbol is a part of a layer, over all layers; its colour is the machine. Open dots: with '
        "compulsory traffic only, where tiles that fit move more than 5 % beyond it. Dotted roofs: inner memories.</p>"
        f"<h3>By kind</h3>{_side_by_side(same, 'kind', f'kinds-{index}')}"
        f"<h3>By layer</h3>{_side_by_side(same, 'layer', f'layers-{index}')}"
        f"{parts}<h3>All operators</h3>"
        f'<p><input type="search" placeholder="Filter: name, kind …" aria-label="Filter operators" '
        f'data-filter="table-{identifier}" data-noun="operators"> <output data-shown="table-{identifier}"></output></p>'
        f"{_side_by_side(same, 'operator', identifier)}</section>"
    )


def _side_by_side(same: Same, by: Grouping, identifier: str) -> str:
    """A row for every group: its work, and its time, share and bound on every machine."""
    heads = [by.capitalize(), "Kind" if by == "operator" else "Operators", "FLOPs", "Compulsory", "FLOP/B"]
    for roofline in same:
        heads += [f"{roofline.machine.name}: attainable", "time", "bound by"]
    columns = [rows(roofline, by) for roofline in same]
    body = []
    for alike in zip(*columns, strict=True):
        cells = _work_cells(alike[0], shows_kind=by == "operator")
        for row, roofline in zip(alike, same, strict=True):
            cells += [_rate(row), Cell(shown=si(row.seconds, "s"), value=row.seconds), _bound(row, roofline)]
        body.append(cells)
    numeric = [2, 3, 4] + [5 + 3 * place + column for place in range(len(same)) for column in (0, 1)]
    return f'<div class="scroll short wide">{table(heads, body, numeric=numeric, identifier=identifier)}</div>'


def _machine_part(index: int, place: int, roofline: NetworkRoofline) -> str:
    """The parts of a layer on one machine: bytes and intensity at every memory, ideal and real."""
    heads = ["Part of a layer", "Kind", "FLOPs", "Compulsory", "FLOP/B"]
    for memory in roofline.limits[1:]:
        heads += [f"{memory}: bytes", "FLOP/B"]
    heads += ["Attainable", "ideally", "Time", "Share", "Bound by"]
    found = rows(roofline, "part")
    total = sum(row.seconds for row in found) or 1.0
    body = []
    for row in found:
        cells = _work_cells(row)
        for moved, intensity in zip(row.bytes, row.intensities, strict=True):
            cells += [Cell(shown=byte_size(moved), value=moved), Cell(shown=three_digits(intensity), value=intensity)]
        ideal = row.ideal_flops_per_second
        share = row.seconds / total
        cells += [
            _rate(row),
            Cell(shown=si(ideal, "OP/s"), value=ideal),
            Cell(shown=si(row.seconds, "s"), value=row.seconds),
            Cell(shown=percent(share), value=share, share=share),
            _bound(row, roofline),
        ]
        body.append(cells)
    shown = table(heads, body, numeric=range(2, len(heads) - 1), identifier=f"parts-{index}-{place}")
    title = f"On {roofline.machine.name}, {roofline.number_format}"
    return f'<h3>{escaped(title)}</h3><div class="scroll short">{shown}</div>'


def _work_cells(row: Row, *, shows_kind: bool = True) -> list[Cell]:
    return [
        Cell(shown=shortened(row.name, 40), whole=row.name),
        Cell(shown=row.kind) if shows_kind else Cell(shown=str(row.operators), value=row.operators),
        Cell(shown=si(row.flops, ""), value=row.flops),
        Cell(shown=byte_size(row.ideal_bytes), value=row.ideal_bytes),
        Cell(shown=three_digits(row.ideal_intensity), value=row.ideal_intensity),
    ]


def _rate(row: Row) -> Cell:
    return Cell(shown=si(row.flops_per_second, "OP/s"), value=row.flops_per_second)


def _bound(row: Row, roofline: NetworkRoofline) -> Cell:
    if not row.seconds:
        return Cell(shown="free")
    return Cell(shown=f"{roofline.limits[row.bound]} {percent(row.shares[row.bound])}")


def _machines_table(same: Same) -> str:
    heads = ("Machine", "Year", "Format", "Peak", "Memory", "Capacity", "Bandwidth of the one outside", "Ridge, FLOP/B")
    body = []
    for roofline in same:
        machine = roofline.machine
        peak = peak_of(machine, roofline.number_format).operations_per_second
        for level in machine.boundaries:
            size = "unlimited" if level.capacity_bytes == float("inf") else byte_size(level.capacity_bytes)
            bandwidth, ridge = bandwidth_of(level), ridge_point(machine, roofline.number_format, level)
            body.append(
                (
                    Cell(shown=machine.name, whole=machine.description),
                    Cell(shown=str(int(machine.year)) if machine.year else ""),
                    Cell(shown=roofline.number_format),
                    Cell(shown=si(peak, "OP/s"), value=peak),
                    Cell(shown=level.name),
                    Cell(shown=f"{level.instances} x {size}" if level.instances > 1 else size),
                    Cell(shown=si(bandwidth, "B/s"), value=bandwidth),
                    number(ridge) if ridge >= 1000 else Cell(shown=three_digits(ridge), value=ridge),
                )
            )
    return table(heads, body, numeric=(3, 6, 7), identifier="machines")


def _sources(machines: Sequence[Machine]) -> list[str]:
    return [
        f"{machine.name}: "
        + "; ".join(
            dict.fromkeys(
                [
                    *(f"{peak.format}: {peak.source}" for peak in machine.peaks),
                    *(f"{level.name}: {level.source}" for level in machine.levels),
                    f"all else: {machine.vector.source}",
                ]
            )
        )
        for machine in machines
    ]
