"""The layers of a network as the program across layers sees them: steps that cost something, and who reads what.

Views and what the store path applies have no step of their own: their results are the tensor of the step they belong
to.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapper.lower import Layer, ResidualAdd
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.normalisation import LayerNorm, Softmax
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.vector_cost import Place, vector_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One layer with its operator, where it runs, and its tensors: `reads` goes with the nest's reads ("" for a
    parameter), `writes` is what the step's result is called from then on."""

    layer: Layer
    op: Op
    place: Place | str
    reads: tuple[str, ...]
    writes: str

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def array_work(self) -> ArrayNest | None:
        """The multiply-accumulate nest, if that is what the step is."""
        return self.layer.work if isinstance(self.layer.work, ArrayNest) else None

    @property
    def is_add(self) -> bool:
        """Whether the accumulator adds two tensors."""
        return isinstance(self.layer.work, ResidualAdd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps in their order, the steps that read each tensor (once each, in order), and the tensors that must be in
    memory at the end."""

    steps: tuple[Step, ...]
    readers: dict[str, tuple[int, ...]]
    kept: frozenset[str]

    def only_reader(self, tensor: str) -> int | None:
        """The one step that reads `tensor`, None where there are more, or none, or it is a result of the network."""
        readers = self.readers.get(tensor, ())
        return readers[0] if len(readers) == 1 and tensor not in self.kept else None


def steps_of(graph: Graph, layers: tuple[Layer, ...], accelerator: Accelerator) -> Steps:
    """The steps of the prepared `graph` that `layers` were lowered from."""
    ops = {op.name: op for op in graph.ops}
    root: dict[str, str] = {}
    steps: list[Step] = []
    for layer in layers:
        op = ops[layer.name]
        reads = tuple("" if access.constant else root.get(access.tensor, access.tensor) for access in layer.nest.reads)
        place = "array" if isinstance(layer.work, ArrayNest) else vector_place_of(layer, accelerator)
        sources = [name for name in reads if name]
        writes = sources[0] if place == "view" and sources else op.outputs[0]
        for name in (*op.outputs, *(output for item in layer.fused for output in ops[item].outputs)):
            root[name] = writes
        if place != "view":
            steps.append(Step(layer=layer, op=op, place=place, reads=reads, writes=writes))
    readers: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        for name in dict.fromkeys(step.reads):
            if name:
                readers.setdefault(name, []).append(number)
    return Steps(
        steps=tuple(steps),
        readers={name: tuple(numbers) for name, numbers in readers.items()},
        kept=frozenset(root.get(name, name) for name in graph.outputs),
    )


def vector_place_of(layer: Layer, accelerator: Accelerator) -> Place:
    """Where a layer runs that is no matmul; what the array could not express is the host's."""
    return "host" if layer.nest.kind == "mac" else vector_place(layer.nest, accelerator)


def normalises_rows(step: Step, accelerator: Accelerator) -> bool:
    """Whether the step is a softmax or LayerNorm over the last axis alone that the vector unit can do."""
    op = step.op
    unit = accelerator.vector_unit
    if not isinstance(op, Softmax | LayerNorm) or unit is None or step.layer.kind not in unit.passes:
        return False
    return op.axis in (-1, len(step.layer.nest.write.shape) - 1)
