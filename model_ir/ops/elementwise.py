"""Operators that compute every output element from one element of each input, inputs broadcast as in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import cast, is_integer
from model_ir.ops.checks import broadcast, broadcasts_to, output, refusal, required
from model_ir.ops.functions import BINARY, BOOLEAN_BINARY, BOOLEAN_UNARY, UNARY
from model_ir.ops.nests import pointwise
from model_ir.ops.precisions import computed, selected
from model_ir.precision import BOOL, Precision
from model_ir.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Op):
    """y = function(x); `function` is a key of `model_ir.ops.functions.UNARY`."""

    function: str

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x ("not" and "isnan" give BOOL); InputError for an unknown function."""
        (x,) = required(self, inputs, 1)
        if self.function not in UNARY:
            raise refusal(self, "unknown function", value=self.function, limit=", ".join(UNARY))
        if self.function in BOOLEAN_UNARY:
            return output(self, x.shape, BOOL)
        return output(self, x.shape, x.precision if self.function == "relu" else computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """The definition in `UNARY`."""
        return (UNARY[self.function][1](xp, inputs[0]),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element."""
        return pointwise(self, self.function, inputs, outputs[0], constants, flops=UNARY[self.function][0])


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyRelu(Op):
    """x where x >= 0, else alpha * x (ONNX LeakyRelu)."""

    alpha: float

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """where(x >= 0, x, alpha x)."""
        (x,) = inputs
        return (xp.where(x >= 0, x, self.alpha * x),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element; 2 operations: compare, multiply."""
        return pointwise(self, "leaky_relu", inputs, outputs[0], constants, flops=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(Op):
    """clip(alpha * x + beta, 0, 1) (ONNX HardSigmoid)."""

    alpha: float
    beta: float

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """clip(alpha x + beta, 0, 1)."""
        return (xp.clip(self.alpha * inputs[0] + self.beta, 0, 1),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element; 4 operations: multiply, add, two comparisons."""
        return pointwise(self, "hard_sigmoid", inputs, outputs[0], constants, flops=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elu(Op):
    """x where x > 0, else alpha * (exp(x) - 1) (ONNX Elu; Clevert et al., ICLR 2016)."""

    alpha: float

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """where(x > 0, x, alpha expm1(x)); the exponential never sees a positive x."""
        (x,) = inputs
        return (xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, 0))),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element; 4 operations: compare, exponential, subtract, multiply."""
        return pointwise(self, "elu", inputs, outputs[0], constants, flops=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(Op):
    """x where x >= 0, else slope * x; `slope` broadcasts to x (ONNX PRelu)."""

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x; InputError unless slope broadcasts to it."""
        x, slope = required(self, inputs, 2)
        if not broadcasts_to(slope.shape, x.shape):
            raise refusal(self, "slope does not broadcast to the input", value=slope.shape, limit=x.shape)
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """where(x >= 0, x, slope x)."""
        x, slope = inputs
        return (xp.where(x >= 0, x, slope * x),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element; 2 operations: compare, multiply."""
        return pointwise(self, "prelu", inputs, outputs[0], constants, flops=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Op):
    """x limited to low..high; None leaves a side open (ONNX Clip)."""

    low: float | None
    high: float | None

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """min(max(x, low), high), in this order, so that high wins where low > high."""
        (x,) = inputs
        whole = is_integer(x)
        if self.low is not None:
            x = xp.maximum(x, int(self.low) if whole else self.low)
        if self.high is not None:
            x = xp.minimum(x, int(self.high) if whole else self.high)
        return (x,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element; one comparison per closed side."""
        sides = (self.low is not None) + (self.high is not None)
        return pointwise(self, "clip", inputs, outputs[0], constants, flops=sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Op):
    """function(a, b), broadcast; `function` is a key of `model_ir.ops.functions.BINARY`."""

    function: str

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The broadcast shape; BOOL for comparisons and logic, a's precision for "pow", else the promoted one."""
        a, b = required(self, inputs, 2)
        if self.function not in BINARY:
            raise refusal(self, "unknown function", value=self.function, limit=", ".join(BINARY))
        if self.function in BOOLEAN_BINARY:
            precision = BOOL
        elif self.function == "pow":
            precision = computed(a.precision)
        else:
            rule = selected if self.function in ("max", "min") else computed
            precision = rule(a.precision, b.precision)
        return output(self, broadcast(self, a.shape, b.shape), precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """The definition in `BINARY`."""
        a, b = inputs
        return (BINARY[self.function](xp, a, b),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point and one operation per output element."""
        return pointwise(self, self.function, inputs, outputs[0], constants, flops=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where(Op):
    """x where condition, else y, all broadcast (ONNX Where); inputs condition, x, y."""

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The broadcast shape with the promoted precision of x and y."""
        condition, x, y = required(self, inputs, 3)
        return output(self, broadcast(self, condition.shape, x.shape, y.shape), selected(x.precision, y.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """where(condition, x, y)."""
        condition, x, y = inputs
        return (xp.where(condition, x, y),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point and one selection per output element."""
        return pointwise(self, "where", inputs, outputs[0], constants, flops=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(Op):
    """x in another precision; floats truncate towards zero on the way to integers (ONNX Cast)."""

    to: Precision

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x with precision `to`."""
        (x,) = required(self, inputs, 1)
        return output(self, x.shape, self.to)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x in the smallest array type that holds `to`."""
        return (cast(xp, inputs[0], self.to),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point and one conversion per element."""
        return pointwise(self, "cast", inputs, outputs[0], constants, flops=1)
