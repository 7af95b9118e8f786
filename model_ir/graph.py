"""`Graph`: tensors and operators in topological order, verified; and its execution.

Passes take a Graph and return a Graph. No file format and no machine enter this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A network. `ops` are in topological order; `tensors` holds every tensor by name.

    `parameters` names the tensors that are weights or other constants; `constants` has the values of those that are
    known (a parameter without a value is a stripped or never-materialised weight). `origin` is the file or builder it
    came from, for messages.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor] = field(repr=False)
    parameters: frozenset[str] = field(default=frozenset(), repr=False)
    constants: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)
    origin: str = ""

    @property
    def parameter_count(self) -> int:
        """Elements of all parameters."""
        return sum(self.tensors[name].elements for name in self.parameters)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one execution."""
        return sum(self.nest_of(op).macs for op in self.ops)

    def tensors_of(self, names: tuple[str, ...]) -> tuple[Tensor | None, ...]:
        """The tensors called `names`, None for an absent optional input."""
        return tuple(self.tensors[name] if name else None for name in names)

    def nest_of(self, op: Op) -> LoopNest:
        """The loop nest of one of this graph's operators."""
        outputs = tuple(self.tensors[name] for name in op.outputs)
        return op.loop_nest(self.tensors_of(op.inputs), outputs, self.parameters)


def verify(graph: Graph) -> Graph:
    """Return `graph` if it is well formed; otherwise raise InputError naming what is wrong.

    Checks: every tensor defined once and before use, inputs and outputs present, recorded shapes equal to each
    operator's rule, constants of the recorded shape.
    """
    where = graph.origin or graph.name
    defined = set(graph.inputs) | set(graph.parameters)
    for name in defined | set(graph.outputs):
        if name not in graph.tensors:
            raise InputError(where, f"tensor {name!r} is used but not described")
    for op in graph.ops:
        for name in op.inputs:
            if name and name not in defined:
                raise InputError(where, f"{op.kind} {op.name!r} reads {name!r} before anything defines it")
        for inferred in op.infer(graph.tensors_of(op.inputs)):
            if inferred.name in defined:
                raise InputError(where, f"{op.kind} {op.name!r} defines {inferred.name!r} a second time")
            recorded = graph.tensors.get(inferred.name)
            if recorded is None or recorded.shape != inferred.shape:
                raise InputError(
                    where,
                    f"{op.kind} {op.name!r} computes shape {inferred.shape} for {inferred.name!r}",
                    value=None if recorded is None else recorded.shape,
                )
            defined.add(inferred.name)
    for name in graph.outputs:
        if name not in defined:
            raise InputError(where, f"output {name!r} is never computed")
    for name, value in graph.constants.items():
        if name not in graph.parameters or value.shape != graph.tensors[name].shape:
            raise InputError(where, f"constant {name!r} does not fit its tensor", value=value.shape)
    return graph


def execute(
    graph: Graph, feeds: Mapping[str, Any], xp: Any = np, *, watch: Callable[[str, Any], None] | None = None
) -> dict[str, Any]:
    """Run the graph's reference definitions on `xp` (numpy or jax.numpy) and return the outputs by name.

    `feeds` gives every graph input, and every parameter that has no value of its own. `watch` is called with the name
    and value of every input and of every operator's results. Raises InputError when a value is missing or misshapen.
    """
    where = graph.origin or graph.name
    values: dict[str, Any] = {}
    for name in (*graph.inputs, *sorted(graph.parameters)):
        value = feeds[name] if name in feeds else graph.constants.get(name)
        if value is None:
            raise InputError(where, f"no value given for {name!r}")
        if tuple(value.shape) != graph.tensors[name].shape:
            raise InputError(
                where,
                f"value for {name!r} has the wrong shape",
                value=value.shape,
                limit=graph.tensors[name].shape,
            )
        values[name] = xp.asarray(value)
        if watch is not None and name not in graph.parameters:
            watch(name, values[name])
    last_use = {name: index for index, op in enumerate(graph.ops) for name in op.inputs}
    for index, op in enumerate(graph.ops):
        results = op.evaluate(xp, *(values[name] if name else None for name in op.inputs))
        made = dict(zip(op.outputs, results, strict=True))
        values.update(made)
        if watch is not None:
            for name, value in made.items():
                watch(name, value)
        for name in op.inputs:
            if name in values and last_use[name] == index and name not in graph.outputs:
                del values[name]
    return {name: values[name] for name in graph.outputs}


def random_parameters(graph: Graph, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """Values for the parameters that have none: normal, scaled by 1/sqrt(fan-in) so that deep networks stay finite.

    A parameter that its operator needs positive (a running variance) is 1/2 plus a magnitude.
    """
    positive = {op.inputs[place] for op in graph.ops for place in op.positive_inputs}
    generator = np.random.default_rng(seed)
    values: dict[str, npt.NDArray[Any]] = {}
    for name in sorted(graph.parameters - set(graph.constants)):
        tensor = graph.tensors[name]
        fan_in = max(1, tensor.elements // max(1, tensor.shape[0])) if len(tensor.shape) > 1 else 1
        value = generator.standard_normal(tensor.shape, dtype=np.float32) * np.float32(fan_in**-0.5)
        values[name] = np.abs(value) + np.float32(0.5) if name in positive else value
    return values
