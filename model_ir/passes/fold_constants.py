"""Evaluates what depends on constants alone, and merges operators that compute the same twice."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from model_ir.folding import FOLDABLE, evaluate_constant
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.host import HostOp
from model_ir.ops.quantisation import BipolarQuant, Quant
from model_ir.passes.rewriting import Parameter, rebuild, rename_inputs
from model_ir.tensor import Tensor

# A folded constant may be larger than what it is computed from only up to this size: broadcasts and tiles of scalars
# stay operators.
GROWTH_LIMIT_ELEMENTS = 1 << 16
# Quantisers of constant weights are folded too: they run once, when the weights are prepared.
_FOLDABLE_HERE: tuple[type[Op], ...] = (*FOLDABLE, Quant, BipolarQuant)


def fold_constants(graph: Graph) -> Graph:
    """Replace operators that read only parameters by parameters.

    Where a parameter has no value the result has none either: a reshaped stripped weight is a stripped weight.
    """
    known: dict[str, Parameter] = {
        name: Parameter(tensor=graph.tensors[name], value=graph.constants.get(name)) for name in graph.parameters
    }
    kept: list[Op] = []
    added: list[Parameter] = []
    for op in graph.ops:
        outputs = tuple(graph.tensors[name] for name in op.outputs)
        sources = [known.get(name) for name in op.inputs if name]
        if not isinstance(op, _FOLDABLE_HERE) or None in sources or _grows(outputs, sources):
            kept.append(op)
            continue
        folded = _folded(op, outputs, known)
        added.extend(folded)
        known.update({item.tensor.name: item for item in folded})
    return rebuild(graph, kept, added) if added else graph


def _grows(outputs: tuple[Tensor, ...], sources: list[Parameter | None]) -> bool:
    largest = max((source.tensor.elements for source in sources if source is not None), default=0)
    return any(tensor.elements > max(GROWTH_LIMIT_ELEMENTS, 2 * largest) for tensor in outputs)


def _folded(op: Op, outputs: tuple[Tensor, ...], known: dict[str, Parameter]) -> list[Parameter]:
    values = [known[name].value if name else None for name in op.inputs]
    missing = any(value is None for name, value in zip(op.inputs, values, strict=True) if name)
    if missing:
        return [Parameter(tensor=tensor, value=None) for tensor in outputs]
    if isinstance(op, Quant | BipolarQuant):
        # Fake quantisers give real numbers in the type of their input, whatever precision describes them.
        return [Parameter(tensor=outputs[0], value=_evaluate(op, values))]
    results = evaluate_constant(op, outputs, values)
    return [Parameter(tensor=tensor, value=results[tensor.name]) for tensor in outputs]


def _evaluate(op: Op, values: list[Any]) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(op.evaluate(np, *values)[0])


def merge_duplicates(graph: Graph) -> Graph:
    """Keep one of several operators of the same kind, attributes and inputs (common subexpressions); of host
    operations, which may be random, all."""
    seen: dict[Any, Op] = {}
    names: dict[str, str] = {}
    kept: list[Op] = []
    for original in graph.ops:
        op = rename_inputs(original, names)
        key = (type(op), op.inputs, _attributes(op))
        twin = op if isinstance(op, HostOp) else seen.setdefault(key, op)
        if twin is op or set(op.outputs) & set(graph.outputs):
            kept.append(op)
        else:
            names.update(zip(op.outputs, twin.outputs, strict=True))
    return rebuild(graph, kept) if names else graph


def _attributes(op: Op) -> tuple[Any, ...]:
    return tuple(getattr(op, item.name) for item in fields(op) if item.name not in ("name", "inputs", "outputs"))
