"""What of a quantised graph is learned, and what follows: weights, scales, and the scales of biases.

A bias lies on the grid of the sums that it is added to: its scale is the product of those of the layer's input and
weight (Jacob et al., arXiv 1712.05877, section 2.4), so it follows them. No jax enters this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.layers import sources_of, weights_of
from hls.retraining.layers import additions
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.elementwise import Unary
from model_ir.ops.normalisation import GroupNorm, InstanceNorm, LayerNorm, RmsNorm
from model_ir.ops.quantisation import BipolarQuant, DequantizeLinear, Quant, QuantizeLinear, Trunc

Array = npt.NDArray[Any]
FakeQuant = Quant | BipolarQuant
FLOAT32_DIGITS = 24
"""Binary digits of a float32 mantissa."""
SAME_SCALE = 1e-6
"""Relative difference of two scales that float32 may make of one product."""
_NORMS = (LayerNorm, RmsNorm, InstanceNorm, GroupNorm)
_STEPS = ("floor", "ceil", "round", "sign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """A quantised bias: its parameter, the constants of its scale and bits, and the scales of its layer's input and
    weight, whose product its own is."""

    parameter: str
    scale: str
    bits: str
    factors: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnable:
    """What retraining changes: `parameters` (weights and biases), `scales` by the name of their constant, and
    `biases`, whose scales follow."""

    parameters: tuple[str, ...]
    scales: tuple[str, ...]
    biases: tuple[Bias, ...] = field(repr=False)


def quantisers_of(graph: Graph) -> tuple[FakeQuant, ...]:
    """The quantisers of `graph`. Raises InputError where there are none, where an operator rounds in another way, and
    where a scale, zero point or bit width is not a constant or makes no sense."""
    for op in graph.ops:
        if isinstance(op, Trunc | QuantizeLinear | DequantizeLinear) or _is_step(op):
            raise InputError(f"{op.kind} {op.name!r}", "rounds, and retraining differentiates through Quant only")
    found = tuple(op for op in graph.ops if isinstance(op, FakeQuant))
    if not found:
        raise InputError(graph.origin or graph.name, "has no Quant operators: quantise it first")
    for op in found:
        for name in op.inputs[1:]:
            if name not in graph.constants:
                raise InputError(f"{op.kind} {op.name!r}", f"{name!r} is not a constant")
        _check(op, *(graph.constants[name] for name in op.inputs[1:]))
    return found


def learnable(graph: Graph) -> Learnable:
    """What of `graph` can be learned. Raises InputError as `quantisers_of`, and for a parameter without a value."""
    quantisers = quantisers_of(graph)
    for name in sorted(graph.parameters - set(graph.constants)):
        raise InputError(graph.origin or graph.name, f"no value for {name!r}: retraining starts from trained weights")
    rounded = [op.inputs[0] for op in quantisers if op.inputs[0] in graph.parameters]
    norms = [name for op in graph.ops if isinstance(op, _NORMS) for name in op.inputs[1:3] if name in graph.parameters]
    parameters = dict.fromkeys((*rounded, *weights_of(graph), *norms))
    biases = _biases(graph, quantisers)
    following = {bias.scale for bias in biases}
    scales = dict.fromkeys(op.inputs[1] for op in quantisers if op.inputs[1] not in following)
    return Learnable(parameters=tuple(parameters), scales=tuple(scales), biases=biases)


def digits_of(values: Array) -> int:
    """Binary digits that float32 takes for the mantissas of `values`: 1 for powers of two, at most 24."""
    mantissas = (np.frexp(values.astype(np.float32))[0] * 2**FLOAT32_DIGITS).astype(np.int64).ravel()
    return FLOAT32_DIGITS - min((int(mantissa) & -int(mantissa)).bit_length() - 1 for mantissa in mantissas)


def _biases(graph: Graph, quantisers: tuple[FakeQuant, ...]) -> tuple[Bias, ...]:
    """The biases whose scale is the product of their layer's scales, and nothing else's scale or bit width."""
    made = {op.outputs[0]: op for op in quantisers}
    sources, layers = sources_of(graph), {op.outputs[0]: op for op in graph.ops}
    found: dict[str, Bias] = {}
    for layer, added in additions(graph):
        op = made.get(added)
        if not isinstance(op, Quant) or not op.signed or op.inputs[0] not in graph.parameters:
            continue
        x, weight = (made.get(sources.get(name, name)) for name in layers[layer].inputs[:2])
        if x is not None and weight is not None and _is_product(graph, op, x, weight):
            factors = (x.inputs[1], weight.inputs[1])
            found[op.name] = Bias(parameter=op.inputs[0], scale=op.inputs[1], bits=op.inputs[3], factors=factors)
    elsewhere = {name for op in graph.ops if op.name not in found for name in op.inputs}
    return tuple(bias for bias in found.values() if not {bias.scale, bias.bits} & elsewhere)


def _is_product(graph: Graph, bias: Quant, x: FakeQuant, weight: FakeQuant) -> bool:
    """Whether the bias's scale is the product of the others', channel by channel."""
    one, other, product = (graph.constants[op.inputs[1]].ravel() for op in (x, weight, bias))
    fits = one.size == 1 and other.size in (1, product.size)
    return fits and np.allclose(one * other, product, rtol=SAME_SCALE, atol=0)


def _check(op: FakeQuant, scale: Array, zero_point: Array | None = None, bits: Array | None = None) -> None:
    where = f"{op.kind} {op.name!r}"
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError(where, "scales are positive numbers", value=float(scale.min()))
    if zero_point is not None and (zero_point != np.round(zero_point)).any():
        raise InputError(where, "zero points are whole numbers", value=float(zero_point.ravel()[0]))
    if bits is not None and ((bits < 1) | (bits != np.round(bits))).any():
        raise InputError(where, "bit widths are whole numbers from 1", value=float(bits.min()))


def _is_step(op: Op) -> bool:
    return isinstance(op, Unary) and op.function in _STEPS
