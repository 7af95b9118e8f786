"""A network on a machine: attainable times of its operators, with finite memories and ideally, added up by operator,
kind and layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.rooflines.attainable import Attained, attained
from simulator.rooflines.formats import FORMAT_BITS
from simulator.rooflines.machine import Machine, bandwidth_of
from simulator.rooflines.work import Operator, stack

Grouping = Literal["operator", "part", "kind", "layer", "network"]
"""By operator; by its name within its layer; by kind; by layer; all together."""

_SAME_RATE = (("fp16", "bf16"),)


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkRoofline:
    """The operators of `network` on `machine`, its matrix unit computing in `number_format`; `finite` and `ideal` are
    arrays (operators,)."""

    network: str
    machine: Machine
    number_format: str
    operators: tuple[Operator, ...]
    finite: Attained
    ideal: Attained

    @cached_property
    def limits(self) -> tuple[str, ...]:
        """What `Attained.bound` counts: compute, then the boundaries by the memory that is read across them."""
        return ("compute", *(level.name for level in self.machine.levels[:-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Operators added up. Bytes and intensities at every boundary, from the outermost in; `shares` is the part of
    `seconds` that each of `NetworkRoofline.limits` bounds."""

    name: str
    operators: int
    kind: str
    flops: float
    ideal_bytes: float
    bytes: tuple[float, ...]
    busy_bytes: tuple[float, ...]
    """As `bytes`, of the busier direction alone where a boundary is duplex: what its bandwidth is divided into."""
    ideal_busy_bytes: float
    """As `busy_bytes` of the outermost boundary, with compulsory traffic."""
    seconds: float
    ideal_seconds: float
    compute_seconds: float
    shares: tuple[float, ...]

    @property
    def ideal_intensity(self) -> float:
        """FLOPs per compulsory byte; 0 where nothing moves."""
        return self.flops / self.ideal_bytes if self.ideal_bytes else 0.0

    @property
    def intensities(self) -> tuple[float, ...]:
        """FLOPs per byte at every boundary."""
        return tuple(self.flops / moved if moved else 0.0 for moved in self.bytes)

    @property
    def flops_per_second(self) -> float:
        """Attainable with finite memories."""
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def ideal_flops_per_second(self) -> float:
        """Attainable with compulsory traffic."""
        return self.flops / self.ideal_seconds if self.ideal_seconds else 0.0

    @property
    def bound(self) -> int:
        """Place in `NetworkRoofline.limits` of what bounds most of the time."""
        return max(range(len(self.shares)), key=self.shares.__getitem__)


def roofline_of(name: str, operators: Sequence[Operator], machine: Machine, number_format: str) -> NetworkRoofline:
    """The roofline of the operators of the network `name`. Raises InputError for a format without a peak and for a
    network that does nothing."""
    if not operators:
        raise InputError(name, "nothing in it costs anything")
    work = stack([operator.work for operator in operators])
    return NetworkRoofline(
        network=name,
        machine=machine,
        number_format=number_format,
        operators=tuple(operators),
        finite=attained(work, machine, number_format),
        ideal=attained(work, machine, number_format, ideal=True),
    )


def usable_format(machine: Machine, wanted: str) -> str:
    """The machine's format that `wanted` computes in: itself, or the other 16-bit one where only that has a peak (both
    run at one rate wherever there are both). Raises InputError where there is neither."""
    if wanted in machine.formats:
        return wanted
    for pair in _SAME_RATE:
        found = [name for name in pair if name in machine.formats]
        if wanted in pair and found:
            return found[0]
    known = "no peak is known for this format" if wanted in FORMAT_BITS else "unknown number format"
    raise InputError(f"{machine.name}: precision", known, value=wanted, limit=", ".join(machine.formats))


def rows(roofline: NetworkRoofline, by: Grouping) -> tuple[Row, ...]:
    """The operators added up, groups in the order of their first operator."""
    names = [_group(operator, by) for operator in roofline.operators]
    order = list(dict.fromkeys(names))
    places = {name: index for index, name in enumerate(order)}
    place = np.array([places[name] for name in names])
    finite, ideal = roofline.finite, roofline.ideal

    def total(values: object) -> npt.NDArray[np.float64]:
        spread = np.broadcast_to(np.asarray(values, float), place.shape)
        sums: npt.NDArray[np.float64] = np.bincount(place, weights=spread).astype(float)
        return sums

    seconds = total(finite.seconds)
    shares = [total(np.where(finite.bound == limit, finite.seconds, 0)) for limit in range(len(roofline.limits))]
    moved = [total(traffic.bytes) for traffic in finite.traffic]
    bandwidths = [bandwidth_of(level) for level in roofline.machine.boundaries]
    busy = [total(each) * rate for each, rate in zip(finite.boundary_seconds, bandwidths, strict=True)]
    ideal_busy = total(ideal.boundary_seconds[0]) * bandwidths[0]
    columns = (
        total(1),
        total(finite.flops),
        total(ideal.traffic[0].bytes),
        seconds,
        total(ideal.seconds),
        total(finite.compute_seconds),
    )
    kinds = dict(zip(reversed(names), (operator.kind for operator in reversed(roofline.operators)), strict=True))
    return tuple(
        Row(
            name=name,
            operators=int(columns[0][index]),
            kind=kinds[name],
            flops=float(columns[1][index]),
            ideal_bytes=float(columns[2][index]),
            bytes=tuple(float(each[index]) for each in moved),
            busy_bytes=tuple(float(each[index]) for each in busy),
            ideal_busy_bytes=float(ideal_busy[index]),
            seconds=float(seconds[index]),
            ideal_seconds=float(columns[4][index]),
            compute_seconds=float(columns[5][index]),
            shares=tuple(float(share[index] / seconds[index]) if seconds[index] else 0.0 for share in shares),
        )
        for index, name in enumerate(order)
    )


def added(name: str, parts: Sequence[Row]) -> Row:
    """Rows of one roofline as one row called `name`, of the first one's kind."""
    seconds = sum(part.seconds for part in parts)
    limits = range(len(parts[0].shares))
    busy_by_limit = [sum(part.shares[limit] * part.seconds for part in parts) for limit in limits]
    return Row(
        name=name,
        operators=sum(part.operators for part in parts),
        kind=parts[0].kind,
        flops=sum(part.flops for part in parts),
        ideal_bytes=sum(part.ideal_bytes for part in parts),
        bytes=tuple(map(sum, zip(*(part.bytes for part in parts), strict=True))),
        busy_bytes=tuple(map(sum, zip(*(part.busy_bytes for part in parts), strict=True))),
        ideal_busy_bytes=sum(part.ideal_busy_bytes for part in parts),
        seconds=seconds,
        ideal_seconds=sum(part.ideal_seconds for part in parts),
        compute_seconds=sum(part.compute_seconds for part in parts),
        shares=tuple(busy / seconds if seconds else 0.0 for busy in busy_by_limit),
    )


def part_of(operator: Operator) -> str:
    """An operator's name within its layer ("attention.query" of "layers.0.attention.query")."""
    return operator.name.removeprefix(operator.layer).lstrip("./") or operator.name


def _group(operator: Operator, by: Grouping) -> str:
    if by == "operator":
        return operator.name
    if by == "part":
        return part_of(operator)
    if by == "kind":
        return operator.kind
    return operator.layer if by == "layer" else "network"
