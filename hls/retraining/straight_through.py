"""Quantisers whose values are Quant's own, bit for bit, and whose derivatives are straight through.

Rounding counts as the identity (Bengio et al., arXiv 1308.3432): what lies between the lowest and the
highest level passes its gradient on, what is clipped passes none. By the same rule the derivative with respect to the
scale s is the rounding's own error, (y - x) / s, inside, and the level, y / s, outside (LSQ, Esser et al., arXiv
1902.08153, equation 3). One signed bit holds the levels -s and s: the gradient passes where |x| <= s (Hubara et al.,
arXiv 1602.02830, equation 4), and y / s is the exact derivative with respect to s.

Scales are learned as the binary logarithm of the factor on the scale at the start, so that they stay positive and one
step changes them by a share of themselves (TQT, Jain et al., arXiv 1903.08066), and rounded straight
through to as many binary digits as they had: powers of two stay powers of two, dyadic scales dyadic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import log
from typing import Any

import jax
import jax.numpy as jnp

from hls.retraining.quantisers import FLOAT32_DIGITS, FakeQuant
from model_ir.graph import Graph
from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.quantisation import BipolarQuant, Quant
from model_ir.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StraightThrough(Op):
    """`quantiser` with derivatives, on jax.numpy alone; zero point and bit width have none."""

    quantiser: FakeQuant

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The quantiser's."""
        return self.quantiser.infer(inputs)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """The quantiser's values. What it makes of infinities are its lowest and highest levels."""
        x, scale, *rest = (xp.asarray(value) for value in inputs)
        (y,) = self.quantiser.evaluate(xp, x, scale, *rest)
        far = xp.full(scale.shape, xp.inf, x.dtype)
        (low,), (high,) = (self.quantiser.evaluate(xp, end, scale, *rest) for end in (-far, far))
        bipolar = (rest[1] == 1) & self.quantiser.signed if isinstance(self.quantiser, Quant) else True
        inside = (low <= x) & (x <= high)
        return (_with_derivatives(jax.lax.stop_gradient(y), x, scale, inside, inside & ~xp.asarray(bipolar)),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The quantiser's."""
        return self.quantiser.loop_nest(inputs, outputs, constants)


def straight_through(graph: Graph) -> Graph:
    """`graph` with derivatives for its quantisers."""
    ops = (
        StraightThrough(name=op.name, inputs=op.inputs, outputs=op.outputs, quantiser=op)
        if isinstance(op, Quant | BipolarQuant)
        else op
        for op in graph.ops
    )
    return replace(graph, ops=tuple(ops))


@jax.custom_jvp  # type: ignore[untyped-decorator]
def _with_derivatives(y: Any, x: Any, scale: Any, passing: Any, following: Any) -> Any:
    """`y`, whose derivative is 1 with respect to `x` where `passing`; with respect to `scale` it is (y - x) / scale
    where `following`, which is where the level moves with x / scale, else y / scale."""
    del x, scale, passing, following
    return y


@_with_derivatives.defjvp  # type: ignore[untyped-decorator]
def _derivatives(primals: Any, tangents: Any) -> Any:
    y, x, scale, passing, following = primals
    by_scale = (y - jnp.where(following, x, 0)) / scale
    return y, jnp.where(passing, tangents[1], 0) + by_scale * tangents[2]


@partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def _rounded_scale(start: Any, shift: Any, digits: int) -> Any:
    scale = start * jnp.exp2(shift)
    if digits == FLOAT32_DIGITS:
        return scale
    mantissa, exponent = jnp.frexp(scale)
    return jnp.ldexp(jnp.round(mantissa * 2**digits) / 2**digits, exponent)


@_rounded_scale.defjvp  # type: ignore[untyped-decorator]
def _scale_derivative(start: Any, digits: int, primals: Any, tangents: Any) -> Any:
    scale = _rounded_scale(start, primals[0], digits)
    return scale, scale * log(2) * tangents[0]


def scale_at(start: Any, shift: Any, digits: int) -> Any:
    """`start` * 2^`shift` rounded to `digits` binary digits, straight through; `start` itself at 0."""
    return _rounded_scale(start, shift, digits)
