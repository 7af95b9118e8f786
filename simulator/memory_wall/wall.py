"""When a network becomes bandwidth-bound: its intensity against ridge points that rise over the years.

A network of intensity I (FLOPs per byte of the outermost memory) is bound by bandwidth on a machine whose ridge point
is above I (Williams et al., CACM 2009). Peaks grow faster than bandwidth, so ridge points rise, and every fixed
intensity is passed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log

from model_ir.errors import InputError
from simulator.memory_wall.trends import Trend
from simulator.rooflines.machine import Machine, ridge_point
from simulator.rooflines.network import NetworkRoofline, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One network on one machine. `crossing_year` is when a machine of this one's line, its peak and bandwidth growing
    as the trends do, has its ridge point at the network's intensity: before `Machine.year` where it is bandwidth-bound
    already, infinite where ridge points do not rise."""

    network: str
    machine: Machine
    number_format: str
    intensity: float
    ridge: float
    bandwidth_bound: bool
    memory_share: float
    """Part of the attainable time that is spent in operators bound by some memory."""
    crossing_year: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """The answer: trends, when each network's compulsory intensity passes the trends' ridge point, and its verdict on
    every machine in the order of their years."""

    trends: Mapping[str, Trend]
    models: Trend
    intensities: Mapping[str, float]
    crossings: Mapping[str, float]
    verdicts: tuple[Verdict, ...]

    def ridge_at(self, year: float) -> float:
        """FLOP per byte: peak over DRAM bandwidth, both from their trends."""
        return self.trends["compute"].at(year) / self.trends["dram"].at(year)

    @property
    def ridge_per_two_years(self) -> float:
        """Factor by which ridge points rise in two years."""
        return self.trends["compute"].per_two_years / self.trends["dram"].per_two_years

    def first_bound(self, network: str) -> Verdict | None:
        """The earliest machine on which the network is bandwidth-bound, None where there is none."""
        return next((one for one in self.verdicts if one.network == network and one.bandwidth_bound), None)


def memory_wall(rooflines: Sequence[NetworkRoofline], trends: Mapping[str, Trend], models: Trend) -> Wall:
    """Raises InputError for a machine without a year and for a network that moves nothing."""
    intensities: dict[str, float] = {}
    for roofline in rooflines:
        (whole,) = rows(roofline, "network")
        if not whole.ideal_bytes or not whole.flops:
            raise InputError(roofline.network, "computes or moves nothing: it has no intensity")
        intensities.setdefault(roofline.network, whole.ideal_intensity)
    growth = trends["compute"].slope - trends["dram"].slope
    verdicts = sorted((_verdict(roofline, growth) for roofline in rooflines), key=_order)
    start = trends["compute"].intercept - trends["dram"].intercept
    crossings = {
        network: 2000 + (log(intensity) - start) / growth if growth > 0 else inf
        for network, intensity in intensities.items()
    }
    return Wall(trends=trends, models=models, intensities=intensities, crossings=crossings, verdicts=tuple(verdicts))


def _verdict(roofline: NetworkRoofline, growth: float) -> Verdict:
    """`growth` of the ridge point's logarithm in a year; the intensity is with the machine's finite memories."""
    machine = roofline.machine
    if machine.year is None:
        raise InputError(f"{machine.name}: year", "the machine's file does not say when it came to market")
    (whole,) = rows(roofline, "network")
    intensity = whole.intensities[0]
    ridge = ridge_point(machine, roofline.number_format, machine.boundaries[0])
    return Verdict(
        network=roofline.network,
        machine=machine,
        number_format=roofline.number_format,
        intensity=intensity,
        ridge=ridge,
        bandwidth_bound=intensity < ridge,
        memory_share=sum(whole.shares[1:]),
        crossing_year=machine.year + log(intensity / ridge) / growth if growth > 0 else inf,
    )


def _order(verdict: Verdict) -> tuple[float, str]:
    return verdict.machine.year or 0.0, verdict.machine.name
