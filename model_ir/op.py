"""`Op`: the base of every operator. One subclass per operator kind, in `model_ir/ops/`.

A subclass gives a shape rule, one reference definition that runs on numpy and on jax.numpy alike, and its loop nest.
It never costs itself and never knows a file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from model_ir.loop_nest import LoopNest
from model_ir.tensor import Shape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """A node: `inputs` and `outputs` are tensor names ("" stands for an optional input that is absent)."""

    positive_inputs: ClassVar[tuple[int, ...]] = ()
    """Positions of inputs that only make sense positive (a variance); random values are drawn accordingly."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The operator's name for people and tables."""
        return type(self).__name__

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Output tensors (shape and precision) from the input tensors; raises InputError when the inputs do not fit."""
        raise NotImplementedError(self.kind)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """The reference definition on `xp` (numpy or jax.numpy): arrays in (None for an absent input), arrays out."""
        raise NotImplementedError(self.kind)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The iteration space and accesses of the operator; `constants` names the tensors that are parameters."""
        raise NotImplementedError(self.kind)

    def same_as(self, template: Tensor, position: int = 0, shape: Shape | None = None) -> Tensor:
        """The output tensor at `position` with the precision (and, unless given, the shape) of `template`."""
        return Tensor(
            name=self.outputs[position],
            shape=template.shape if shape is None else shape,
            precision=template.precision,
        )
