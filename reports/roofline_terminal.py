"""Rooflines on a terminal, and as JSON: the same numbers as the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.units import byte_size, percent, printable, shortened, si, three_digits
from simulator.rooflines.machine import peak_of, ridge_point
from simulator.rooflines.network import Grouping, NetworkRoofline, Row, rows

if TYPE_CHECKING:
    from simulator.rooflines.machine import Machine

GROUPINGS: Final[tuple[Grouping, ...]] = ("network", "kind", "layer", "operator")
_STYLE: Final[dict[str, Any]] = {"title_justify": "left", "box": SIMPLE_HEAD, "pad_edge": False}


def roofline_tables(roofline: NetworkRoofline, by: Sequence[Grouping]) -> Iterator[Table]:
    """A table for each grouping: FLOPs, compulsory bytes, bytes and intensity at every boundary of the memory, what is
    attainable and what bounds it."""
    for grouping in by:
        title = f"{roofline.network} on {roofline.machine.name}, {roofline.number_format}, by {grouping}"
        table = Table(title=Text(printable(title)), **_STYLE)
        table.add_column(grouping, no_wrap=True)
        heads = ["FLOPs", "ideal B", "FLOP/B"]
        heads += [head for name in roofline.limits[1:] for head in (name, "FLOP/B")]
        for head in (*heads, "attainable", "ideal", "time", "share"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("bound by", no_wrap=True)
        found = rows(roofline, grouping)
        total = sum(row.seconds for row in found) or 1.0
        for row in found:
            table.add_row(*(Text(printable(cell)) for cell in _cells(row, roofline, row.seconds / total)))
        yield table


def machines_table(machines: Sequence[Machine]) -> Table:
    """One machine a row: peaks by format, memories with what crosses into them, ridge points of the first format."""
    table = Table("machine", "year", "peaks", "memories, from the outside in", "ridge points, FLOP/B", "description")
    for machine in machines:
        memories = [machine.levels[0].name]
        for level in machine.boundaries:
            memories.append(f"{level.name} {_capacity(level.capacity_bytes, level.instances)}")
        rates = [si(level.bandwidth_bytes_per_second or 0.0, "B/s") for level in machine.boundaries]
        first = machine.formats[0]
        ridges = [three_digits(ridge_point(machine, first, level)) for level in machine.boundaries]
        cells = (
            machine.name,
            str(int(machine.year)) if machine.year else "",
            ", ".join(f"{peak.format} {si(peak.operations_per_second, 'OP/s')}" for peak in machine.peaks),
            " > ".join([memories[0], *(f"{rate} > {name}" for rate, name in zip(rates, memories[1:], strict=True))]),
            f"{first}: {', '.join(ridges)}",
            machine.description,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def roofline_json(roofline: NetworkRoofline) -> dict[str, Any]:
    """Everything that the tables show, by names with units."""
    machine, number_format = roofline.machine, roofline.number_format
    return {
        "network": roofline.network,
        "machine": machine.name,
        "format": number_format,
        "peak_operations_per_second": peak_of(machine, number_format).operations_per_second,
        "boundaries": [
            {
                "into": level.name,
                "capacity_bytes": level.capacity_bytes if level.capacity_bytes != float("inf") else None,
                "bandwidth_bytes_per_second": level.bandwidth_bytes_per_second,
                "ridge_flops_per_byte": ridge_point(machine, number_format, level),
            }
            for level in machine.boundaries
        ],
        **{f"by_{grouping}": [_row_json(row, roofline) for row in rows(roofline, grouping)] for grouping in GROUPINGS},
    }


def _row_json(row: Row, roofline: NetworkRoofline) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "operators": row.operators,
        "flops": row.flops,
        "compulsory_bytes": row.ideal_bytes,
        "compulsory_flops_per_byte": row.ideal_intensity,
        "bytes": list(row.bytes),
        "flops_per_byte": list(row.intensities),
        "attainable_flops_per_second": row.flops_per_second,
        "ideal_flops_per_second": row.ideal_flops_per_second,
        "seconds": row.seconds,
        "ideal_seconds": row.ideal_seconds,
        "compute_seconds": row.compute_seconds,
        "bound_by": roofline.limits[row.bound],
        "bound_shares": dict(zip(roofline.limits, row.shares, strict=True)),
    }


def _cells(row: Row, roofline: NetworkRoofline, share: float) -> Iterator[str]:
    yield shortened(row.name, 34) if row.name != "network" else f"{row.operators} operators"
    yield si(row.flops, "")
    yield byte_size(row.ideal_bytes)
    yield three_digits(row.ideal_intensity)
    for moved, intensity in zip(row.bytes, row.intensities, strict=True):
        yield byte_size(moved)
        yield three_digits(intensity)
    yield si(row.flops_per_second, "OP/s")
    yield si(row.ideal_flops_per_second, "OP/s")
    yield si(row.seconds, "s")
    yield percent(share)
    yield f"{roofline.limits[row.bound]} {percent(row.shares[row.bound])}" if row.seconds else "free"


def _capacity(capacity_bytes: float, instances: int) -> str:
    size = "unlimited" if capacity_bytes == float("inf") else byte_size(capacity_bytes)
    return f"{instances} x {size}" if instances > 1 else size
