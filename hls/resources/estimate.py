"""`estimate`: what a quantised graph takes as firmware, layer by layer and in all, each number with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from hls.allocation.costs import layer_bops
from hls.resources.adders import Datapath, reused, unrolled
from hls.resources.calibration import CONFIDENCE, LUTS_PER_DSP, Calibration, vivado
from hls.resources.layers import FixedLayer, fixed_layers
from hls.resources.timing import IoType, LayerTiming, Strategy, depth, layer_timing, network_cycles
from model_ir.errors import InputError
from model_ir.graph import Graph

Setting = TypeVar("Setting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and the interval that holds it in `CONFIDENCE` of all cases, as far as the calibration's rows tell."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerResources:
    """One layer: what it computes with, its LUTs, flip-flops and DSPs, cycles of a sample and between samples."""

    name: str
    activation_bits: int
    weight_bits: int
    reuse: int
    strategy: Strategy
    bops: float
    weight_bytes: float
    nonzero: float
    lut: float
    ff: float
    dsp: int
    latency_cycles: int
    interval_cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The whole network. `bops` and `weight_bytes` are counted, the others estimated by the model named in
    `calibration`; `notes` say what it does not know."""

    layers: tuple[LayerResources, ...]
    bops: float
    weight_bytes: float
    lut: Estimate
    ff: Estimate
    dsp: Estimate
    latency_cycles: Estimate
    interval_cycles: int
    clock_ns: float
    io: IoType
    calibration: str
    notes: tuple[str, ...]

    @property
    def latency_ns(self) -> float:
        """Time of one sample in nanoseconds at `clock_ns`."""
        return self.latency_cycles.value * self.clock_ns


def estimate(
    graph: Graph,
    *,
    reuse: int | Mapping[str, int] = 1,
    strategy: Strategy | Mapping[str, Strategy] = "latency",
    clock_ns: float = 5.0,
    io: IoType = "io_parallel",
    calibration: Calibration | None = None,
) -> Resources:
    """Resources of a quantised `graph` in hls4ml's form, per sample.

    `reuse` and `strategy` are one for all layers or by layer name; layers that are left out get 1 and "latency".
    `calibration` is fitted to published Vivado rows unless given. Raises InputError for names of no layer, a reuse
    factor below 1 or above a layer's products, a clock that is not positive, and what `fixed_layers` refuses.
    """
    layers = fixed_layers(graph)
    names = [layer.name for layer in layers]
    factors = _by_layer("reuse factor", reuse, names, 1)
    strategies: dict[str, Strategy] = _by_layer("strategy", strategy, names, "latency")
    if clock_ns <= 0:
        raise InputError("clock", "must be positive", value=f"{clock_ns:g} ns")
    for layer in layers:
        most = layer.weights.size
        if not 1 <= factors[layer.name] <= most:
            raise InputError(
                f"reuse factor of {layer.name!r}", "outside its products", value=factors[layer.name], limit=most
            )
    model = calibration or vivado()
    rows, timings, paths = [], [], []
    for layer in layers:
        path = datapath(layer, factors[layer.name], strategies[layer.name], model)
        cycles = depth(path.levels, model.level_ns, clock_ns)
        timing = layer_timing(layer, cycles, factors[layer.name], io)
        timings.append(timing)
        paths.append(path)
        rows.append(_layer_resources(layer, path, timing, factors[layer.name], strategies[layer.name], model))
    latency, interval = network_cycles(layers, timings, io, [strategies[name] for name in names])
    return Resources(
        layers=tuple(rows),
        bops=sum(row.bops for row in rows),
        weight_bytes=sum(row.weight_bytes for row in rows),
        lut=_luts(paths, model),
        ff=_scaled(sum(row.ff for row in rows), model.registers.reach),
        dsp=_dsps(sum(row.dsp for row in rows), model),
        latency_cycles=Estimate(
            value=latency,
            low=max(1.0, latency - model.cycle_reach),
            high=latency + model.cycle_reach,
        ),
        interval_cycles=interval,
        clock_ns=clock_ns,
        io=io,
        calibration=model.name,
        notes=_notes(factors, io, clock_ns),
    )


def datapath(layer: FixedLayer, reuse: int, strategy: Strategy, model: Calibration) -> Datapath:
    """The arithmetic of `layer`: constants in hardware of their own, or shared multipliers that read a memory."""
    bits = {"activation_bits": layer.activation_bits, "weight_bits": layer.weight_bits}
    if reuse == 1 and strategy == "latency":
        return unrolled(layer.weights, dsp_bits=model.dsp_bits, **bits)
    nonzero = int((layer.weights != 0).sum())
    return reused(layer.outputs, layer.terms, reuse=reuse, nonzero=nonzero, **bits)


def luts(path: Datapath, factor: float, *, off: float = 1.0) -> float:
    """LUTs of a datapath: adders not done by its DSPs, at least those of its sums, and its multipliers. `off` is by how
    much all of it is scaled before the DSPs are taken off."""
    adders = max(factor * off * path.sum_bits, factor * off * path.adder_bits - LUTS_PER_DSP * path.dsps)
    return adders + off * path.multiplier_luts


def _layer_resources(
    layer: FixedLayer, path: Datapath, timing: LayerTiming, reuse: int, strategy: Strategy, model: Calibration
) -> LayerResources:
    passed_on = (layer.terms + layer.outputs) * layer.activation_bits
    size, share = layer.weights.size, path.nonzero / layer.weights.size
    return LayerResources(
        name=layer.name,
        activation_bits=layer.activation_bits,
        weight_bits=layer.weight_bits,
        reuse=reuse,
        strategy=strategy,
        bops=layer_bops(size * layer.positions, layer.terms, layer.activation_bits, layer.weight_bits, share),
        weight_bytes=layer.stored_bits / 8,
        nonzero=share,
        lut=luts(path, model.area.factor),
        ff=model.registers.factor * passed_on * timing.depth_cycles,
        dsp=path.dsps,
        latency_cycles=timing.latency_cycles,
        interval_cycles=timing.interval_cycles,
    )


def _luts(paths: list[Datapath], model: Calibration) -> Estimate:
    low, value, high = (
        sum(luts(path, model.area.factor, off=off) for path in paths)
        for off in (1 / model.area.reach, 1.0, model.area.reach)
    )
    return Estimate(value=value, low=low, high=high)


def _scaled(value: float, reach: float) -> Estimate:
    return Estimate(value=value, low=value / reach, high=value * reach)


def _dsps(value: int, model: Calibration) -> Estimate:
    """Where no product takes one, as many as published networks show for what is not a layer."""
    if value == 0:
        return Estimate(value=0, low=0, high=model.other_dsps)
    return _scaled(value, model.dsps.reach)


def _notes(factors: Mapping[str, int], io: IoType, clock_ns: float) -> tuple[str, ...]:
    notes = [f"intervals hold {CONFIDENCE:.0%}, judged by the published rows, whose weights are assumed"]
    if max(factors.values()) > 1:
        notes.append("no published row has a reuse factor above 1: those layers' numbers are structure only")
    if io == "io_stream":
        notes.append("FIFOs and line buffers of streams are not counted; no published row is a stream")
    if clock_ns != 5.0:
        notes.append("all published rows are at 5 ns")
    return tuple(notes)


def _by_layer(
    what: str, given: Setting | Mapping[str, Setting], names: list[str], default: Setting
) -> dict[str, Setting]:
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, given)
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InputError(what, "of no layer", value=repr(unknown[0]), limit=", ".join(names))
    return {name: given.get(name, default) for name in names}
