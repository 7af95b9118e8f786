"""What is done to a float network before it is calibrated: recognise its operators, and part LayerNorm from its scale
and bias, which go into the matrix products that read it.

The integer LayerNorm of I-BERT's unit in hardware has no scale and bias per channel. y W + c with y = n g + b is
n (g W) + (b W + c); where something else reads y, n g + b stays as a multiplication and an addition.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.normalisation import LayerNorm
from model_ir.passes.pipeline import run_passes
from model_ir.passes.remove_identities import remove_identities
from model_ir.passes.rewriting import Array, Parameter, Replacement, View, rewrite
from model_ir.tensor import Tensor

NORMALISED = ".normalised"
"""What follows the name of a standardised tensor before its scale and bias."""


def prepared(graph: Graph) -> Graph:
    """`graph` after the passes, with every LayerNorm over its last axis parted from its scale and bias: the same
    values under the same names. Meant for a network as it was imported or built: the passes would join the parts again.

    Raises InputError where parameters have no values.
    """
    missing = sorted(graph.parameters - set(graph.constants))
    if missing:
        raise InputError(
            graph.origin or graph.name, "weights without values cannot become integers", value=", ".join(missing[:3])
        )
    parted = rewrite(run_passes(graph), _part_norm)
    return remove_identities(rewrite(parted, _take_in_affine))


def _part_norm(view: View, op: Op) -> Replacement | None:
    """LayerNorm with scale and bias as standardisation, multiplication and addition."""
    if not isinstance(op, LayerNorm):
        return None
    rank = len(view.shape(op.inputs[0]))
    if op.axis % rank != rank - 1:
        return None
    features = view.shape(op.inputs[0])[-1]
    scale = _vector(view, op.inputs[1], features)
    bias = _vector(view, op.inputs[2], features) if len(op.inputs) > 2 and op.inputs[2] else np.zeros(features)
    ones = _parameter(view, f"{op.name}.ones", np.ones(features))
    scale_parameter = _parameter(view, f"{op.name}.channel_scale", scale)
    bias_parameter = _parameter(view, f"{op.name}.channel_bias", bias)
    standard, scaled = view.fresh(f"{op.outputs[0]}{NORMALISED}"), view.fresh(f"{op.outputs[0]}.scaled")
    return Replacement(
        ops=(
            LayerNorm(
                name=f"{op.name}{NORMALISED}",
                inputs=(op.inputs[0], ones.tensor.name),
                outputs=(standard,),
                axis=op.axis,
                epsilon=op.epsilon,
            ),
            Binary(
                name=f"{op.name}.scaled",
                inputs=(standard, scale_parameter.tensor.name),
                outputs=(scaled,),
                function="mul",
            ),
            Binary(name=op.name, inputs=(scaled, bias_parameter.tensor.name), outputs=op.outputs, function="add"),
        ),
        parameters=(ones, scale_parameter, bias_parameter),
    )


def _take_in_affine(view: View, op: Op) -> Replacement | None:
    """A matrix product of n g + b by constant weights, as one of n."""
    if not isinstance(op, MatMul) or op.transpose_a or len(view.shape(op.inputs[0])) < 2:
        return None
    found = _affine(view, op.inputs[0])
    weights = view.value(op.inputs[1])
    bias = view.value(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] else 0.0
    if found is None or weights is None or bias is None or weights.ndim != 2:
        return None
    standard, scale, shift = found
    by_row = weights.T if op.transpose_b else weights
    scaled = scale[:, None] * by_row
    new_weights = _parameter(view, f"{op.name}.scaled_weight", scaled.T if op.transpose_b else scaled)
    new_bias = _parameter(view, f"{op.name}.shifted_bias", shift @ by_row + bias)
    inputs = (standard, new_weights.tensor.name, new_bias.tensor.name)
    return Replacement(ops=(replace(op, inputs=inputs),), parameters=(new_weights, new_bias))


def _affine(view: View, name: str) -> tuple[str, Array, Array] | None:
    """n, g and b of a tensor that `_part_norm` made."""
    added = view.maker(name, Binary)
    scaled = view.maker(added.inputs[0], Binary) if added is not None and added.function == "add" else None
    if added is None or scaled is None or scaled.function != "mul":
        return None
    norm = view.maker(scaled.inputs[0], LayerNorm)
    scale, shift = view.value(scaled.inputs[1]), view.value(added.inputs[1])
    if norm is None or not norm.name.endswith(NORMALISED) or scale is None or shift is None:
        return None
    return scaled.inputs[0], scale.astype(np.float64), shift.astype(np.float64)


def _vector(view: View, name: str, features: int) -> Array:
    value = view.value(name)
    if value is None:
        raise InputError(view.graph.origin or view.graph.name, f"{name!r} is computed; it must be a constant")
    return np.broadcast_to(value.astype(np.float64), (features,))


def _parameter(view: View, name: str, value: Array) -> Parameter:
    stored = np.ascontiguousarray(value, dtype=np.float32)
    return Parameter(tensor=Tensor(name=view.fresh(name), shape=stored.shape), value=stored)
