"""The factors between structure and what Vivado reports, fitted to published rows, with the error of the fit.

One factor a quantity, in logarithms: LUT + 55 DSP over the adders (that sum is what effective bit operations follow
after place and route: pypi.org/project/hgq), flip-flops over the bits that layers pass on, cycle by cycle. No row says
its weights: they are taken as normal with the spread that this network's weights have when trained on our own jets, and
that, as everything else that is assumed of a row, is part of the error. Held-out errors leave one row out.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from math import exp, log, sqrt

import numpy as np

from hls.resources.adders import Datapath, Integers, unrolled
from hls.resources.timing import depth

LUTS_PER_DSP = 55
"""Pypi.org/project/hgq: "BOPs ... is roughly #LUTs + 55#DSPs for actual (post place & route) FPGA resource
consumption"."""

ASSUMED_SPREAD = 0.25
"""Standard deviation of the weights of a published row; those of 16-64-32-32-5 trained here have 0.18 to 0.30."""

CONFIDENCE = 0.9
"""Of prediction intervals."""

LEVELS_NS = tuple(step / 20 for step in range(10, 41))
DSP_BITS = tuple(range(6, 12))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A published implementation: widths of its dense layers, `bits` of weights and activations of which
    `fraction_bits` behind the point, sums of `accumulator_bits`, and what was reported (None: not printed). `fits`
    names the quantities the model is fitted to, `assumed` what the source does not say."""

    name: str
    widths: tuple[int, ...]
    bits: int
    fraction_bits: int
    accumulator_bits: int
    clock_ns: float
    lut: int | None
    ff: int | None
    dsp: int | None
    cycles: int | None
    fits: tuple[str, ...]
    source: str
    assumed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A row's reported value, and the model's when it is fitted to the other rows."""

    row: str
    quantity: str
    reported: float
    estimated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """exp of a mean of logarithms over `rows` rows, their `spread` (standard deviation) and the error when left out."""

    quantity: str
    factor: float
    spread: float
    rows: int
    held_out: tuple[HeldOut, ...] = field(repr=False)

    @property
    def reach(self) -> float:
        """What a prediction may be off by, as a factor, in `CONFIDENCE` of all cases (Student's t)."""
        return exp(_quantile(self.rows - 1) * self.spread * sqrt(1 + 1 / self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The fitted model: `area` LUT + 55 DSP an adder bit, `registers` flip-flops a bit and cycle, DSPs for constants of
    at least `dsp_bits` significant bits (`dsps` its error), adders of `level_ns`; cycles are off by `cycle_reach`.
    `other_dsps`: most DSPs that were reported where no layer's product takes one."""

    name: str
    area: Factor
    registers: Factor
    dsps: Factor
    dsp_bits: int
    level_ns: float
    cycle_reach: float
    cycles: tuple[HeldOut, ...] = field(repr=False)
    other_dsps: int
    rows: tuple[PublishedRow, ...] = field(repr=False)


def published_rows(file: str = "published.csv") -> tuple[PublishedRow, ...]:
    """The rows of a file of this room: published ones, or those of `synthesised.csv`, measured here."""
    text = files("hls.resources").joinpath(file).read_text(encoding="utf-8")
    return tuple(_row(line) for line in csv.DictReader(text.splitlines()))


@lru_cache
def vivado() -> Calibration:
    """The model fitted to all published rows."""
    return fitted(published_rows(), "Vivado, published rows")


def fitted(rows: Sequence[PublishedRow], name: str) -> Calibration:
    """The model fitted to `rows`."""
    dsp_rows = [row for row in rows if "dsp" in row.fits]
    dsp_bits = min(DSP_BITS, key=lambda bits: _spread([_dsp_error(row, bits) for row in dsp_rows], about=0.0))
    timed = [row for row in rows if "cycles" in row.fits]
    level_ns = best_level(timed, dsp_bits)
    cycles = tuple(
        HeldOut(
            row=row.name,
            quantity="cycles",
            reported=float(row.cycles or 0),
            estimated=float(
                row_cycles(row, dsp_bits, best_level([other for other in timed if other != row], dsp_bits))
            ),
        )
        for row in timed
    )
    errors = [row_cycles(row, dsp_bits, level_ns) - float(row.cycles or 0) for row in timed]
    none_expected = [row.dsp or 0 for row in rows if row_dsps(row, dsp_bits) == 0]
    return Calibration(
        name=name,
        area=fitted_factor("lut", rows, lambda row: _area(row) / adder_bits(row, dsp_bits), dsp_bits),
        registers=fitted_factor(
            "ff", rows, lambda row: float(row.ff or 0) / register_bits(row, dsp_bits, level_ns), dsp_bits
        ),
        dsps=fitted_factor("dsp", rows, lambda row: float(row.dsp or 0) / max(1, row_dsps(row, dsp_bits)), dsp_bits),
        dsp_bits=dsp_bits,
        level_ns=level_ns,
        cycle_reach=_quantile(len(timed) - 1) * _spread(errors, about=0.0) * sqrt(1 + 1 / len(timed)),
        cycles=cycles,
        other_dsps=max(none_expected, default=0),
        rows=tuple(rows),
    )


def adder_bits(row: PublishedRow, dsp_bits: int) -> float:
    """Adder bits of a row's layers."""
    return sum(path.adder_bits for path in _datapaths(row, dsp_bits))


def row_dsps(row: PublishedRow, dsp_bits: int) -> int:
    """DSPs of a row's products."""
    return sum(path.dsps for path in _datapaths(row, dsp_bits))


def register_bits(row: PublishedRow, dsp_bits: int, level_ns: float) -> float:
    """Bits that a row's layers pass on, times the cycles they take."""
    paths = _datapaths(row, dsp_bits)
    ends = pairwise(row.widths)
    return float(
        sum(
            (inputs + outputs) * row.bits * depth(path.levels, level_ns, row.clock_ns)
            for (inputs, outputs), path in zip(ends, paths, strict=True)
        )
    )


def row_cycles(row: PublishedRow, dsp_bits: int, level_ns: float) -> int:
    """Cycles of a row's layers."""
    return sum(depth(path.levels, level_ns, row.clock_ns) for path in _datapaths(row, dsp_bits))


def best_level(rows: Sequence[PublishedRow], dsp_bits: int) -> float:
    """The nanoseconds an adder takes that explain the rows' cycles best: the middle of the best."""

    def error(level_ns: float) -> float:
        return sum((row_cycles(row, dsp_bits, level_ns) - float(row.cycles or 0)) ** 2 for row in rows)

    errors = [error(level_ns) for level_ns in LEVELS_NS]
    best = [level_ns for level_ns, value in zip(LEVELS_NS, errors, strict=True) if value == min(errors)]
    return best[len(best) // 2]


@lru_cache
def _datapaths(row: PublishedRow, dsp_bits: int) -> tuple[Datapath, ...]:
    """The layers of a row with assumed weights; computed once for each threshold."""
    return tuple(
        unrolled(
            assumed_weights(outputs, inputs, row.bits, row.fraction_bits),
            activation_bits=row.bits,
            weight_bits=row.bits,
            dsp_bits=dsp_bits,
            accumulator_bits=row.accumulator_bits or None,
        )
        for inputs, outputs in pairwise(row.widths)
    )


def assumed_weights(outputs: int, terms: int, bits: int, fraction_bits: int) -> Integers:
    """Integers (outputs, terms) at the quantiles of the normal law with `ASSUMED_SPREAD`, in a fixed disorder."""
    from scipy.stats import norm

    count = outputs * terms
    values = norm.ppf((np.arange(count) + 0.5) / count) * ASSUMED_SPREAD * 2.0**fraction_bits
    mixed = np.random.default_rng(0).permutation(values)
    limit = 2 ** (bits - 1)
    return np.clip(np.rint(mixed), -limit, limit - 1).astype(np.int64).reshape(outputs, terms)


def fitted_factor(
    quantity: str, rows: Sequence[PublishedRow], ratio: Callable[[PublishedRow], float], dsp_bits: int
) -> Factor:
    """The mean ratio over the rows that fit `quantity`. A row is held out of the mean, not of the choice of
    `dsp_bits`."""
    used = [row for row in rows if quantity in row.fits]
    logs = [log(ratio(row)) for row in used]
    mean = float(np.mean(logs))
    held_out = []
    for place, row in enumerate(used):
        # Without this row the mean moves by its distance from it, shared among the others.
        miss = exp((mean - logs[place]) * len(used) / (len(used) - 1))
        reported = float(getattr(row, quantity))
        estimated = miss * reported
        if quantity == "lut":
            estimated = miss * _area(row) - LUTS_PER_DSP * row_dsps(row, dsp_bits)
        held_out.append(HeldOut(row=row.name, quantity=quantity, reported=reported, estimated=estimated))
    return Factor(
        quantity=quantity, factor=exp(mean), spread=_spread(logs, about=mean), rows=len(used), held_out=tuple(held_out)
    )


def _area(row: PublishedRow) -> float:
    return float(row.lut or 0) + LUTS_PER_DSP * (row.dsp or 0)


def _dsp_error(row: PublishedRow, dsp_bits: int) -> float:
    return log(max(1, row_dsps(row, dsp_bits)) / float(row.dsp or 1))


def _spread(values: Sequence[float], *, about: float) -> float:
    """Root mean square distance from `about`, with one value's freedom taken off."""
    return sqrt(sum((value - about) ** 2 for value in values) / max(1, len(values) - 1))


def _quantile(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def _row(line: dict[str, str]) -> PublishedRow:
    def number(name: str) -> int | None:
        return int(line[name]) if line[name] else None

    return PublishedRow(
        name=line["name"],
        widths=tuple(int(part) for part in line["widths"].split("-")),
        bits=int(line["bits"]),
        fraction_bits=int(line["fraction_bits"]),
        accumulator_bits=int(line["accumulator_bits"]),
        clock_ns=float(line["clock_ns"]),
        lut=number("lut"),
        ff=number("ff"),
        dsp=number("dsp"),
        cycles=number("cycles"),
        fits=tuple(line["fits"].split()),
        source=line["source"],
        assumed=line["assumed"],
    )
