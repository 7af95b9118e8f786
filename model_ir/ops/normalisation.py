"""Operators that scale elements by statistics of their neighbours, and the Gaussian error linear unit.

Operation counts are per output element; statistics over a group of elements count once per element that enters them,
the few operations per group (root, division by the count) are left out, and an exponential or power counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, ClassVar, Literal

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import along, erf
from model_ir.ops.checks import (
    axis_of,
    broadcasts_to,
    expect_shape,
    maybe,
    output,
    rank_at_least,
    refusal,
    required,
)
from model_ir.ops.nests import per_channel, pointwise
from model_ir.ops.precisions import computed
from model_ir.tensor import Tensor


def _standardise(xp: Any, x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """(x - mean) / sqrt(variance + epsilon) over `axes`."""
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=axes, keepdims=True) + epsilon)


def _channel_vectors(op: Op, x: Tensor, vectors: tuple[Tensor, ...]) -> None:
    rank_at_least(op, x, 2)
    for vector in vectors:
        expect_shape(op, vector, (x.shape[1],), "per-channel vector")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Op):
    """Inference-time batch normalisation over axis 1 (Ioffe and Szegedy, ICML 2015; ONNX BatchNormalization).

    Inputs X (N, C, ...), scale, bias, mean, var, the last four of shape (C).
    """

    positive_inputs: ClassVar[tuple[int, ...]] = (4,)
    epsilon: float = 1e-5

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of X."""
        x, *vectors = required(self, inputs, 5)
        _channel_vectors(self, x, tuple(vectors))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(X - mean) * (scale / sqrt(var + epsilon)) + bias."""
        x, *vectors = inputs
        scale, bias, mean, variance = (vector.reshape(along(vector.shape, 1, x.ndim)) for vector in vectors)
        return ((x - mean) * (scale / xp.sqrt(variance + self.epsilon)) + bias,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """2 operations per element: multiply and add, with factors prepared per channel."""
        return per_channel(self, "batch_norm", inputs, outputs[0], constants, flops=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(Op):
    """Standardisation over the axes from `axis` on, then scale and bias (Ba et al., Layer Normalization, 2016; ONNX
    LayerNormalization).

    Inputs X, scale[, bias]; scale and bias broadcast to the normalised axes.
    """

    axis: int = -1
    epsilon: float = 1e-5

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of X."""
        x, scale = required(self, inputs, 2, optional=1)
        _trailing_vectors(self, x, self.axis, (scale, maybe(inputs, 2)))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(X - mean) / sqrt(variance + epsilon) * scale + bias."""
        x, scale, bias = (*inputs, None)[:3]
        y = _standardise(xp, x, tuple(range(self.axis % x.ndim, x.ndim)), self.epsilon) * scale
        return (y if bias is None else y + bias,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """6 operations per element, 7 with bias: sum, centre, square, sum, multiply by 1/deviation, scale, add bias."""
        flops = 6 if maybe(inputs, 2) is None else 7
        return pointwise(self, "layer_norm", inputs, outputs[0], constants, flops=flops)


@dataclass(frozen=True, slots=True, kw_only=True)
class RmsNorm(Op):
    """X / sqrt(mean of squares + epsilon) * scale over the axes from `axis` on (Zhang and Sennrich, NeurIPS 2019; ONNX
    RMSNormalization of operator set 23). Inputs X, scale."""

    axis: int = -1
    epsilon: float = 1e-5

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of X."""
        x, scale = required(self, inputs, 2)
        _trailing_vectors(self, x, self.axis, (scale,))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """X / sqrt(mean(X^2) + epsilon) * scale."""
        x, scale = inputs
        axes = tuple(range(self.axis % x.ndim, x.ndim))
        return (x / xp.sqrt(xp.mean(x * x, axis=axes, keepdims=True) + self.epsilon) * scale,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """4 operations per element: square, sum, multiply by 1/root, scale."""
        return pointwise(self, "rms_norm", inputs, outputs[0], constants, flops=4)


def _trailing_vectors(op: Op, x: Tensor, axis: int, vectors: tuple[Tensor | None, ...]) -> None:
    normalised = x.shape[axis_of(op, axis, len(x.shape)) :]
    for vector in vectors:
        if vector is not None and not broadcasts_to(vector.shape, normalised):
            raise refusal(
                op, f"{vector.name!r} does not broadcast to the normalised axes", value=vector.shape, limit=normalised
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceNorm(Op):
    """Standardisation over the spatial axes of each image and channel (Ulyanov et al., 2016; ONNX
    InstanceNormalization).

    Inputs X (N, C, spatial...), scale (C), bias (C).
    """

    epsilon: float = 1e-5

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of X."""
        x, *vectors = required(self, inputs, 3)
        rank_at_least(self, x, 3)
        _channel_vectors(self, x, tuple(vectors))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(X - mean) / sqrt(variance + epsilon) * scale + bias."""
        x, *vectors = inputs
        scale, bias = (vector.reshape(along(vector.shape, 1, x.ndim)) for vector in vectors)
        return (_standardise(xp, x, tuple(range(2, x.ndim)), self.epsilon) * scale + bias,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """6 operations per element: sum, centre, square, sum, multiply by scale/deviation, add bias."""
        return per_channel(self, "instance_norm", inputs, outputs[0], constants, flops=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNorm(Op):
    """Standardisation over `groups` groups of channels of each image (Wu and He, ECCV 2018; ONNX GroupNormalization of
    operator set 21).

    Inputs X (N, C, spatial...), scale (C), bias (C).
    """

    groups: int
    epsilon: float = 1e-5

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of X; InputError unless the groups divide C."""
        x, *vectors = required(self, inputs, 3)
        _channel_vectors(self, x, tuple(vectors))
        if self.groups < 1 or x.shape[1] % self.groups:
            raise refusal(self, "groups do not divide the channels", value=self.groups, limit=x.shape[1])
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(X - mean) / sqrt(variance + epsilon) * scale + bias."""
        x, *vectors = inputs
        scale, bias = (vector.reshape(along(vector.shape, 1, x.ndim)) for vector in vectors)
        grouped = x.reshape(x.shape[0], self.groups, -1)
        return (_standardise(xp, grouped, (2,), self.epsilon).reshape(x.shape) * scale + bias,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """7 operations per element: sum, centre, square, sum, multiply by 1/deviation, scale, add bias."""
        return per_channel(self, "group_norm", inputs, outputs[0], constants, flops=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Op):
    """exp(x - max) / sum of exp(x - max) along `axis` (ONNX Softmax of operator set 13)."""

    axis: int = -1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        axis_of(self, self.axis, len(x.shape))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """exp(x - max) / sum(exp(x - max))."""
        (x,) = inputs
        exponentials = xp.exp(x - xp.max(x, axis=self.axis, keepdims=True))
        return (exponentials / xp.sum(exponentials, axis=self.axis, keepdims=True),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element: maximum, subtract, exponential, sum, divide."""
        return pointwise(self, "softmax", inputs, outputs[0], constants, flops=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSoftmax(Op):
    """The logarithm of softmax along `axis` (ONNX LogSoftmax of operator set 13)."""

    axis: int = -1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        axis_of(self, self.axis, len(x.shape))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(x - max) - log(sum(exp(x - max)))."""
        (x,) = inputs
        shifted = x - xp.max(x, axis=self.axis, keepdims=True)
        return (shifted - xp.log(xp.sum(xp.exp(shifted), axis=self.axis, keepdims=True)),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element: maximum, subtract, exponential, sum, subtract."""
        return pointwise(self, "log_softmax", inputs, outputs[0], constants, flops=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gelu(Op):
    """x times the normal distribution function of x, exactly or by tanh (Hendrycks and Gimpel, 2016; ONNX Gelu)."""

    approximate: Literal["none", "tanh"] = "none"

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        if self.approximate not in ("none", "tanh"):
            raise refusal(self, "unknown approximation", value=self.approximate, limit="none, tanh")
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """0.5 x (1 + erf(x / sqrt 2)), or 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
        (x,) = inputs
        if self.approximate == "tanh":
            return (0.5 * x * (1 + xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))),)
        return (0.5 * x * (1 + erf(xp, x * sqrt(0.5))),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element (scale, erf, add, two multiplies), 9 for the tanh form."""
        flops = 9 if self.approximate == "tanh" else 5
        return pointwise(self, "gelu", inputs, outputs[0], constants, flops=flops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lrn(Op):
    """Local response normalisation across `size` channels (Krizhevsky et al., NeurIPS 2012, section 3.3; ONNX LRN)."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x (N, C, ...)."""
        (x,) = required(self, inputs, 1)
        rank_at_least(self, x, 2)
        if self.size < 1:
            raise refusal(self, "window has no channels", value=self.size, limit="at least 1")
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x / (bias + alpha / size * sum of squares of channels c - floor((size-1)/2) .. c + ceil((size-1)/2))^beta."""
        (x,) = inputs
        before, channels = (self.size - 1) // 2, x.shape[1]
        widths = [(0, 0), (before, self.size - 1 - before), *((0, 0) for _ in x.shape[2:])]
        squares = xp.pad(x * x, widths)
        window = squares[:, :channels]
        for shift in range(1, self.size):
            window = window + squares[:, shift : shift + channels]
        return (x / (self.bias + self.alpha / self.size * window) ** self.beta,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """size + 4 operations per element: square, size - 1 additions, multiply, add, power, divide."""
        return per_channel(self, "lrn", inputs, outputs[0], constants, flops=self.size + 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LpNormalization(Op):
    """x divided by its 1- or 2-norm along `axis` (ONNX LpNormalization); a zero vector stays zero."""

    axis: int = -1
    p: int = 2

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        axis_of(self, self.axis, len(x.shape))
        if self.p not in (1, 2):
            raise refusal(self, "unknown norm", value=self.p, limit="1 or 2")
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x / sum(|x|), or x / sqrt(sum(x^2)); the divisor of a zero vector is taken as 1."""
        (x,) = inputs
        total = xp.sum(xp.abs(x) if self.p == 1 else x * x, axis=self.axis, keepdims=True)
        safe = xp.where(total == 0, xp.ones_like(total), total)
        return (x / (safe if self.p == 1 else xp.sqrt(safe)),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """3 operations per element: square or magnitude, sum, divide."""
        return pointwise(self, "lp_normalization", inputs, outputs[0], constants, flops=3)
