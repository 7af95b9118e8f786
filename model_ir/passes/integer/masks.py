"""Attention masks: what is added to scores so that some vanish, computed by the float network from flags of its input.

A mask is a function, element by element, of one integer tensor. In integers it is that function's table at the scale of
the scores, looked up on the host, and added by the product that makes them: a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.arrays import storage_dtype
from model_ir.ops.checks import refusal
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary, Cast, Clip, Unary, Where
from model_ir.ops.normalisation import Softmax
from model_ir.passes.integer.scales import Flow

LOWEST, HIGHEST = -128, 127
MOST = 1 << 24
"""A mask is cut off here, in units of the scores: their exponentials are 0 far above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """`added` is the sum of `scores`, which are `factor` times the sums of `product`, and of the `mask`, a float tensor
    that depends on the integers `flags` alone."""

    added: Op
    scores: str
    product: MatMul
    factor: float
    mask: str
    flags: str


def masks_of(graph: Graph, flow: Flow) -> dict[str, Mask]:
    """The masked products of the prepared float `graph`, by the product's name."""
    found = (_mask(flow, op) for op in graph.ops if isinstance(op, Binary) and op.function == "add")
    return {mask.product.name: mask for mask in found if mask is not None}


def _mask(flow: Flow, op: Binary) -> Mask | None:
    if not isinstance(flow.only_reader(op.outputs[0]), Softmax):
        return None
    for scores, mask in (op.inputs, op.inputs[::-1]):
        flags = flags_of(flow, mask)
        if flags is None:
            continue
        name, factor = scores, 1.0
        while flow.only_reader(name) is not None and (maker := flow.maker(name)) is not None:
            scaled = flow.number(maker)
            if scaled is None:
                break
            name, factor = scaled[0], factor * scaled[1]
        product = flow.maker(name)
        if isinstance(product, MatMul) and len(product.inputs) == 2 and flow.only_reader(name) is not None:
            return Mask(added=op, scores=scores, product=product, factor=factor, mask=mask, flags=flags)
    return None


def flags_of(flow: Flow, name: str) -> str | None:
    """The integer tensor of which the float `name` is a function element by element, if it is."""
    if flow.is_parameter(name):
        return None
    if not flow.graph.tensors[name].precision.is_float:
        return name
    op = flow.maker(name)
    if not isinstance(op, Binary | Unary | Cast | Clip | Where):
        return None
    operands = [operand for operand in op.inputs if not flow.is_parameter(operand)]
    numbers = [operand for operand in op.inputs if flow.is_parameter(operand)]
    plain = all(operand in flow.graph.constants and flow.graph.tensors[operand].elements == 1 for operand in numbers)
    found = {flags_of(flow, operand) for operand in operands}
    return found.pop() if plain and len(found) == 1 else None


def mask_table(graph: Graph, flow: Flow, mask: Mask, unit: float) -> npt.NDArray[np.int32]:
    """The mask at flags -128 to 127, in units of `unit`: int32 (256,); InputError where it is no number there."""
    kind = storage_dtype(graph.tensors[mask.flags].precision)
    flags = np.arange(LOWEST, HIGHEST + 1).astype(kind)
    values: dict[str, Any] = {mask.flags: flags}
    with np.errstate(all="ignore"):
        result = np.asarray(_evaluated(graph, flow, mask.mask, values), np.float64)
    if np.any(np.isnan(result)):
        raise refusal(mask.added, f"the mask {mask.mask!r} is not a number for every flag")
    return np.clip(np.rint(result / unit), -MOST, MOST).astype(np.int32)


def _evaluated(graph: Graph, flow: Flow, name: str, values: dict[str, Any]) -> Any:
    if name in graph.constants:
        return graph.constants[name].reshape(())
    if name not in values:
        op = flow.maker(name)
        assert op is not None
        values[name] = op.evaluate(np, *(_evaluated(graph, flow, operand, values) for operand in op.inputs))[0]
    return values[name]
