"""`HostOp`: an operator that the IR does not know, kept so that a network can be costed around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_ir.errors import UnsupportedOperatorError
from model_ir.loop_nest import Access, LoopNest
from model_ir.op import Op
from model_ir.ops.checks import positive, refusal
from model_ir.ops.nests import at, opaque
from model_ir.precision import Precision
from model_ir.tensor import Shape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOp(Op):
    """An opaque operator of the model's own kind `op_type` with known outputs, computed by the host processor."""

    op_type: str
    output_shapes: tuple[Shape, ...]
    output_precisions: tuple[Precision, ...]

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The recorded outputs; InputError unless there is one shape and one precision per output."""
        counts = (len(self.outputs), len(self.output_shapes), len(self.output_precisions))
        if len(set(counts)) != 1:
            raise refusal(self, f"{self.op_type}: numbers of outputs, shapes and precisions differ", value=counts)
        return tuple(
            Tensor(name=name, shape=positive(self, shape), precision=precision)
            for name, shape, precision in zip(self.outputs, self.output_shapes, self.output_precisions, strict=True)
        )

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Raises UnsupportedOperatorError: nobody knows what it computes."""
        raise UnsupportedOperatorError(self.name, f"operator {self.op_type} has no definition and cannot be executed")

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One operation per output element, a stand-in for an unknown count; all outputs as one flat tensor under the
        first's name."""
        elements = sum(tensor.elements for tensor in outputs)
        write = Access(tensor=outputs[0].name, shape=(elements,), indices=(at("d0"),), precision=outputs[0].precision)
        return LoopNest(
            name=self.name,
            kind="elementwise",
            function="host",
            dims=(("d0", elements),),
            reads=tuple(opaque(tensor, constants) for tensor in inputs if tensor is not None),
            write=write,
            flops_per_point=1.0,
        )
