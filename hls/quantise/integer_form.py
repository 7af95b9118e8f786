"""A network with Quants as integers alone: integer weights, int32 sums, dyadic requantisation between layers.

Where all scales are powers of two every factor is exact, and the integers are those of the Quants, bit for bit. With
other scales the factor between two grids, (input scale * weight scale) / output scale, is the nearest multiplier /
2^shift with 31 bits, as hardware has it; then this form is the reference. It differs from real arithmetic by one step,
and only where a sum lies within 2^-31 of its own size of a tie between two steps (floats round such sums too, each
their own way).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.data import batch_of, check_inputs
from hls.quantise.grid import Grid
from hls.quantise.integers import Conversion
from hls.quantise.sums import SumBound, check_int32
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.arrays import along, storage_dtype
from model_ir.passes.batch_size import with_batch_size

Array = npt.NDArray[Any]
ELEMENTS_AT_ONCE = 1 << 22
"""Of the largest tensor; more samples run one part after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerForm:
    """`graph`: integers only, with the tensor names of the Quant graph (what a Quant `x.quant` gives is `x.quant`, a
    weight's integers are the parameter `W.quant`). Its input holds integers of `input_grid`; one unit of its output
    stands for `output_scale` (0-d, or one a class). `sums` bounds every layer's sums."""

    graph: Graph
    input_grid: Grid
    output_scale: npt.NDArray[np.float64]
    sums: tuple[SumBound, ...] = field(repr=False)


def integer_form(graph: Graph) -> IntegerForm:
    """The integer form of a `graph` with Quants, one input and one output.

    Raises InputError naming tensor or operator: what is not behind a Quant (input, weights, biases, operands of layers
    and additions), scales that integers cannot share, operators without an integer form, and sums that could overflow.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise InputError(graph.origin or graph.name, "takes one input and one output", value=graph.inputs)
    conversion = Conversion(graph)
    for op in graph.ops:
        conversion.convert(op)
    output = conversion.centred(conversion.value(graph.outputs[0], "output"))
    if conversion.input_grid is None:
        raise InputError(f"input {graph.inputs[0]!r}", "does not go through a Quant")
    check_int32(conversion.sums)
    rank = len(graph.tensors[graph.outputs[0]].shape)
    shape = () if output.axis is None else along((len(output.scale),), output.axis, rank)
    return IntegerForm(
        graph=conversion.builder.finish(output.tensor),
        input_grid=conversion.input_grid,
        output_scale=np.array([float(scale) for scale in output.scale]).reshape(shape),
        sums=tuple(conversion.sums),
    )


def run(form: IntegerForm, inputs: Array) -> npt.NDArray[np.int64]:
    """What `form` gives for float `inputs` (samples, ...), which are rounded to the input's grid first: integers, one
    row a sample. Times `form.output_scale` they are real numbers.

    Raises InputError for inputs that do not fit or are not finite.
    """
    return run_stored(form, stored_inputs(form, inputs))


def stored_inputs(form: IntegerForm, inputs: Array) -> npt.NDArray[np.int64]:
    """The integers of float `inputs`, as the input's Quant rounds them in float32."""
    check_inputs(form.graph, {form.graph.inputs[0]: inputs})
    return form.input_grid.stored(inputs.astype(np.float32)).astype(np.int64)


def run_stored(form: IntegerForm, stored: Array) -> npt.NDArray[np.int64]:
    """`run` on integers of the input's grid. Raises InputError for another shape or integers outside of the grid."""
    graph, (name,) = form.graph, form.graph.inputs
    check_inputs(graph, {name: stored})
    low, high = form.input_grid.limits(0)
    if stored.min() < low or stored.max() > high:
        raise InputError("inputs", "are outside of the grid", value=(stored.min(), stored.max()), limit=(low, high))
    typed = stored.astype(storage_dtype(graph.tensors[name].precision))
    widest = max(tensor.elements for tensor in graph.tensors.values()) // batch_of(graph)
    rows = max(1, ELEMENTS_AT_ONCE // max(1, widest))
    parts = [typed[start : start + rows] for start in range(0, len(typed), rows)]
    results = [
        execute(with_batch_size(graph, len(part)), {name: part})[graph.outputs[0]].astype(np.int64) for part in parts
    ]
    return np.concatenate(results)
