"""Grids for every weight and activation of a network, fitted to its values on data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.data import batch_of, check_inputs
from hls.layers import output_axis, weights_of
from hls.quantise.clip import Width, affine_fit, symmetric_fit
from hls.quantise.grid import Grid
from hls.quantise.places import Places, places_of
from hls.quantise.scheme import FIXED_POINT, Scheme
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.elementwise import Unary
from model_ir.passes.batch_size import with_batch_size

Array = npt.NDArray[Any]
ROWS_AT_ONCE = 1000
SAMPLE_ELEMENTS = 1 << 17
"""Values of a tensor that clips are fitted to: evenly spaced ones of all, with the lowest and the highest."""
MOST_BITS = 16
ADDED_BITS = 16
"""Most bits of a tensor that only additions read; where its partner has no grid either, as many."""


def calibrated(graph: Graph, inputs: Array, bits: Mapping[str, int], scheme: Scheme = FIXED_POINT) -> dict[str, Grid]:
    """A grid for every weight (by parameter) and every activation that layers or additions read (by the output of its
    producer).

    `graph`: prepared (batch norm folded, logits out), one input; `inputs` (samples, ...), whatever the graph's batch.
    `bits`: 1 to 16 for every variable of `hls.allocation.network.quantisable`; groups of a weight's channels
    (`W[0:16]`) get scales of their own. Operands of additions that no layer reads take their partner's scale and as
    many bits as their range needs, unless `bits` has them.

    Raises InputError for bits that are missing, out of range or of no variable, data that do not fit or are not finite,
    weights without values, and operators that have no integer form (`places_of`).
    """
    places = places_of(graph)
    weights = weights_of(graph)
    _check_bits(graph, places, weights, bits)
    grids = {name: weight_grid(graph, name, bits, scheme) for name in weights}
    samples = activation_samples(graph, inputs, places.rounded)
    for name in places.rounded:
        if name in bits:
            grids[name] = activation_grid(graph, name, samples[name], bits[name], scheme)
    for pair in places.additions:
        _add_operands(graph, pair, samples, scheme, grids)
    return grids


def weight_grid(graph: Graph, name: str, bits: Mapping[str, int], scheme: Scheme) -> Grid:
    """The grid of one weight: one scale, one a group of `bits`, or one a channel. Raises InputError where the groups
    are not all of its channels, or its values are not known or not finite."""
    if name not in graph.constants:
        raise InputError(f"weight {name!r}", "has no value")
    values = _finite(f"weight {name!r}", graph.constants[name])
    axis = output_axis(graph, name)
    channels = values.shape[axis] if values.ndim else 1
    widths = _channel_bits(name, channels, bits)
    rows = np.moveaxis(values, axis, 0).reshape(channels, -1)
    grouped = name not in bits
    if scheme.per_channel:
        runs = [(index, index + 1) for index in range(channels)]
    else:
        runs = [(start, stop) for start, stop, _ in _groups(name, bits)] if grouped else [(0, channels)]
    signed, narrow = not scheme.affine_weights, scheme.narrow_weights and not scheme.affine_weights
    scales, zeros = np.empty(channels), np.empty(channels, np.int64)
    for start, stop in runs:
        width = Width(bits=widths[start], signed=signed, narrow=narrow)
        scales[start:stop], zeros[start:stop] = _fit(rows[start:stop].ravel(), width, scheme)
    one = len(runs) == 1
    return Grid(
        bits=max(widths),
        signed=signed,
        narrow=narrow,
        scale=tuple(map(float, scales[:1] if one else scales)),
        zero_point=tuple(map(int, zeros[:1] if one or not zeros.any() else zeros)),
        axis=None if one else axis,
        channel_bits=tuple(widths) if len(set(widths)) > 1 else (),
    )


def activation_samples(graph: Graph, inputs: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Values of the tensors `names` on `inputs`: at most about `SAMPLE_ELEMENTS` float64 numbers each, extremes among
    them. Raises InputError for inputs that do not fit or are not finite."""
    (name, *others) = graph.inputs
    if others:
        raise InputError(graph.origin or graph.name, "calibration takes a network of one input", value=graph.inputs)
    check_inputs(graph, {name: inputs})
    collected: dict[str, list[Array]] = {tensor: [] for tensor in names}
    per_row = {tensor: max(1, graph.tensors[tensor].elements // batch_of(graph)) for tensor in names}
    for start in range(0, len(inputs), ROWS_AT_ONCE):
        batch = inputs[start : start + ROWS_AT_ONCE].astype(np.float32)
        execute(
            with_batch_size(graph, len(batch)),
            {name: batch},
            watch=_collector(collected, {key: count * len(inputs) for key, count in per_row.items()}),
        )
    return {tensor: _finite(f"tensor {tensor!r}", np.concatenate(found)) for tensor, found in collected.items()}


def _collector(collected: dict[str, list[Array]], totals: Mapping[str, int]) -> Callable[[str, Any], None]:
    def watch(name: str, value: Any) -> None:
        if name in collected:
            flat = np.asarray(value, np.float64).ravel()
            step = max(1, ceil(totals[name] / SAMPLE_ELEMENTS))
            # An odd step visits every column of rows whose length is a power of two.
            thinned = flat[:: step | 1]
            collected[name].append(flat if step == 1 else np.concatenate((thinned, [flat.min(), flat.max()])))

    return watch


def activation_grid(graph: Graph, name: str, values: Array, bits: int, scheme: Scheme) -> Grid:
    """The grid of the activation `name` for `values` of it; unsigned behind ReLU and where no value is negative."""
    unsigned = _nonnegative(graph, name) or float(values.min()) >= 0
    affine = scheme.affine_activations and not unsigned
    width = Width(bits=bits, signed=not unsigned and not affine)
    scale, zero = affine_fit(values, width, scheme) if affine else (symmetric_fit(values, width, scheme), 0)
    return Grid(bits=bits, signed=width.signed, scale=(scale,), zero_point=(zero,))


def _fit(values: Array, width: Width, scheme: Scheme) -> tuple[float, int]:
    return (symmetric_fit(values, width, scheme), 0) if width.signed else affine_fit(values, width, scheme)


def _add_operands(
    graph: Graph, pair: tuple[str, str], samples: Mapping[str, Array], scheme: Scheme, grids: dict[str, Grid]
) -> None:
    """Give the operands of an addition that have no grid one on their partner's scale."""
    for name, partner in (pair, pair[::-1]):
        if name in grids:
            continue
        values = samples[name]
        if partner in grids:
            scale = grids[partner].scale[0]
        else:
            scale = symmetric_fit(values, Width(bits=ADDED_BITS, signed=True), scheme)
        steps = float(np.abs(values).max()) / scale
        signed = not _nonnegative(graph, name)
        bits = max(1, ceil(log2(steps + 1.5))) + signed
        coarser = max(0, bits - ADDED_BITS)
        grids[name] = Grid(bits=bits - coarser, signed=signed, scale=(scale * 2.0**coarser,))


def _nonnegative(graph: Graph, name: str) -> bool:
    maker = next((op for op in graph.ops if name in op.outputs), None)
    return isinstance(maker, Unary) and maker.function == "relu"


def _check_bits(graph: Graph, places: Places, weights: tuple[str, ...], bits: Mapping[str, int]) -> None:
    for name, width in bits.items():
        if not 1 <= width <= MOST_BITS:
            raise InputError(f"bits of {name!r}", "out of range", value=width, limit=f"1 to {MOST_BITS}")
        if name not in (*places.rounded, *weights) and _whole(name) not in weights:
            known = ", ".join((*places.rounded, *weights))
            raise InputError(f"bits of {name!r}", "nothing of this name is quantised", limit=known)
    missing = [name for name in places.activations if name not in bits]
    missing += [name for name in weights if name not in bits and not _groups(name, bits)]
    if missing:
        raise InputError(graph.origin or graph.name, "no bits given for", value=", ".join(missing))


def _whole(name: str) -> str:
    return name.rpartition("[")[0]


def _groups(name: str, bits: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """Start, stop and bits of the groups of channels of the weight `name`, in order (`hls.parts.Part.name`)."""
    found = []
    for key, width in bits.items():
        start, colon, stop = key[len(name) + 1 : -1].partition(":")
        if _whole(key) == name and key.endswith("]") and colon and start.isdecimal() and stop.isdecimal():
            found.append((int(start), int(stop), width))
    return sorted(found)


def _channel_bits(name: str, channels: int, bits: Mapping[str, int]) -> list[int]:
    if name in bits:
        return [bits[name]] * channels
    widths: list[int] = []
    for start, stop, width in _groups(name, bits):
        if start != len(widths) or not start < stop <= channels:
            raise InputError(f"bits of {name!r}", "groups do not follow one another", value=start, limit=len(widths))
        widths += [width] * (stop - start)
    if len(widths) != channels:
        raise InputError(f"bits of {name!r}", "groups are not all channels", value=len(widths), limit=channels)
    return widths


def _finite(what: str, values: Array) -> Array:
    if not np.isfinite(values).all():
        where = tuple(int(place) for place in np.argwhere(~np.isfinite(values))[0])
        raise InputError(what, "has numbers that are not finite", value=f"first at {where}")
    return values
