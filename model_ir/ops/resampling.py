"""Operators that rearrange blocks of pixels or sample between them, and the positional ones along an axis: cumulative
sum, triangles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.checks import axis_of, output, rank_at_least, refusal, required
from model_ir.ops.interpolation import COORDINATE_MODES, MODES, NEAREST_MODES, taps_and_weights
from model_ir.ops.nests import access, at, move, opaque, output_dims, pointwise
from model_ir.ops.precisions import computed
from model_ir.tensor import Shape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Op):
    """x sampled at `sizes` (one per axis) by nearest, linear or cubic interpolation, axis by axis (ONNX Resize;
    Upsample).

    `scales` are the factors of the axes where the model gives them (they may differ from the quotient of the sizes,
    which is used otherwise). `cubic_coefficient` is Keys' a; `exclude_outside` gives taps outside the image no weight
    instead of the border's value.
    """

    sizes: tuple[int, ...]
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    coordinate_mode: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    scales: tuple[float, ...] | None = None
    cubic_coefficient: float = -0.75
    exclude_outside: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """`sizes`; InputError unless there is one per axis and the modes are known."""
        (x,) = required(self, inputs, 1)
        for what, values in (("sizes", self.sizes), ("scales", self.scales or self.sizes)):
            if len(values) != len(x.shape) or any(value <= 0 for value in values):
                raise refusal(self, f"{what} do not fit", value=values, limit=f"{len(x.shape)} positive values")
        for what, mode, known in (
            ("mode", self.mode, MODES),
            ("coordinate_mode", self.coordinate_mode, COORDINATE_MODES),
            ("nearest_mode", self.nearest_mode, NEAREST_MODES),
        ):
            if mode not in known:
                raise refusal(self, f"unknown {what}", value=mode, limit=", ".join(known))
        return output(self, self.sizes, x.precision if self.mode == "nearest" else computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """A weighted sum of neighbouring elements along one axis after another."""
        (x,) = inputs
        for axis, (size, target) in enumerate(zip(x.shape, self.sizes, strict=True)):
            scale = target / size if self.scales is None else self.scales[axis]
            if size == target and scale == 1:
                continue
            taps, weights = taps_and_weights(
                size,
                target,
                scale,
                mode=self.mode,
                coordinate_mode=self.coordinate_mode,
                nearest_mode=self.nearest_mode,
                cubic_coefficient=self.cubic_coefficient,
                exclude_outside=self.exclude_outside,
            )
            column = (-1,) + (1,) * (x.ndim - axis - 1)
            parts = [
                xp.take(x, tap, axis=axis)
                if self.mode == "nearest"
                else xp.take(x, tap, axis=axis) * weight.astype(x.dtype).reshape(column)
                for tap, weight in zip(taps, weights, strict=True)
            ]
            x = parts[0] if len(parts) == 1 else sum(parts[1:], parts[0])
        return (x,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """A move for nearest, whose read is not affine; else elementwise, a multiply and an add per tap of all resized
        axes."""
        (x,), result = required(self, inputs, 1), outputs[0]
        dims = output_dims(result.shape)
        write = access(result, [at(name) for name, _ in dims], dims, constants)
        resized = sum(size != target for size, target in zip(x.shape, self.sizes, strict=True))
        taps = {"nearest": 0, "linear": 2, "cubic": 4}[self.mode]
        return LoopNest(
            name=self.name,
            kind="elementwise" if taps else "move",
            function="resize",
            dims=dims,
            reads=(opaque(x, constants, x.elements if taps else result.elements),),
            write=write,
            flops_per_point=2.0 * taps * resized,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthToSpace(Op):
    """(N, C, H, W) -> (N, C / block^2, H * block, W * block); `mode` "DCR" or "CRD" orders the channels (ONNX
    DepthToSpace)."""

    block: int
    mode: Literal["DCR", "CRD"] = "DCR"

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """InputError unless block^2 divides C."""
        (x,) = required(self, inputs, 1)
        _check_block(self, x, self.block)
        if self.mode not in ("DCR", "CRD"):
            raise refusal(self, "unknown mode", value=self.mode, limit="DCR, CRD")
        batch, channels, rows, columns = x.shape
        if channels % self.block**2:
            raise refusal(self, "block^2 does not divide the channels", value=self.block, limit=channels)
        return output(self, (batch, channels // self.block**2, rows * self.block, columns * self.block), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Reshape, permute, reshape, as the ONNX specification writes it."""
        (x,) = inputs
        batch, channels, rows, columns = x.shape
        block, depth = self.block, channels // self.block**2
        if self.mode == "DCR":
            blocks = x.reshape(batch, block, block, depth, rows, columns).transpose(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(batch, depth, block, block, rows, columns).transpose(0, 1, 4, 2, 5, 3)
        return (blocks.reshape(batch, depth, rows * block, columns * block),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops n, c, h, w over input pixels and output channels, bh and bw over the block."""
        (x,), result = required(self, inputs, 1), outputs[0]
        batch, channels, rows, columns = x.shape
        block, depth = self.block, channels // self.block**2
        dims = (("n", batch), ("c", depth), ("h", rows), ("w", columns), ("bh", block), ("bw", block))
        channel = (
            at(("bh", block * depth), ("bw", depth), "c")
            if self.mode == "DCR"
            else at(("c", block * block), ("bh", block), "bw")
        )
        source = [at("n"), channel, at("h"), at("w")]
        target = [at("n"), at("c"), at(("h", block), "bh"), at(("w", block), "bw")]
        return move(
            self,
            "depth_to_space",
            dims,
            [access(x, source, dims, constants)],
            access(result, target, dims, constants),
        )


def _check_block(op: Op, x: Tensor, block: int) -> None:
    if len(x.shape) != 4:
        raise refusal(op, f"{x.name!r} is not (N, C, H, W)", value=x.shape)
    if block < 1:
        raise refusal(op, "block is not positive", value=block, limit="at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceToDepth(Op):
    """(N, C, H, W) -> (N, C * block^2, H / block, W / block), block positions outermost in the channels (ONNX
    SpaceToDepth)."""

    block: int

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """InputError unless block divides H and W."""
        (x,) = required(self, inputs, 1)
        _check_block(self, x, self.block)
        batch, channels, rows, columns = x.shape
        if rows % self.block or columns % self.block:
            raise refusal(self, "block does not divide height and width", value=self.block, limit=x.shape[2:])
        return output(self, (batch, channels * self.block**2, rows // self.block, columns // self.block), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Reshape, permute, reshape."""
        (x,) = inputs
        batch, channels, rows, columns = x.shape
        block = self.block
        blocks = x.reshape(batch, channels, rows // block, block, columns // block, block).transpose(0, 3, 5, 1, 2, 4)
        return (blocks.reshape(batch, channels * block**2, rows // block, columns // block),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops n, c, h, w over output pixels and input channels, bh and bw over the block."""
        (x,), result = required(self, inputs, 1), outputs[0]
        batch, channels, rows, columns = x.shape
        block = self.block
        dims = (
            ("n", batch),
            ("c", channels),
            ("h", rows // block),
            ("w", columns // block),
            ("bh", block),
            ("bw", block),
        )
        source = [at("n"), at("c"), at(("h", block), "bh"), at(("w", block), "bw")]
        target = [at("n"), at(("bh", block * channels), ("bw", channels), "c"), at("h"), at("w")]
        return move(
            self,
            "space_to_depth",
            dims,
            [access(x, source, dims, constants)],
            access(result, target, dims, constants),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CumSum(Op):
    """Running sums along `axis` (ONNX CumSum): `exclusive` leaves the element itself out, `reverse` runs from the
    end."""

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        (x,) = required(self, inputs, 1)
        axis_of(self, self.axis, len(x.shape))
        return output(self, x.shape, computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """cumsum along `axis` in the type of x, shifted by one if exclusive."""
        (x,) = inputs
        values = xp.flip(x, self.axis) if self.reverse else x
        if self.exclusive:
            axis = self.axis % x.ndim
            widths = [(1, 0) if place == axis else (0, 0) for place in range(x.ndim)]
            values = xp.pad(values, widths)[tuple(map(slice, x.shape))]
        total = xp.cumsum(values, axis=self.axis, dtype=x.dtype)
        return (xp.flip(total, self.axis) if self.reverse else total,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point and one addition per element."""
        return pointwise(self, "cum_sum", inputs, outputs[0], constants, flops=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trilu(Op):
    """The upper (column >= row + k) or lower (column <= row + k) triangle of the last two axes, zero elsewhere (ONNX
    Trilu)."""

    k: int = 0
    upper: bool = True

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x, of rank 2 or more."""
        (x,) = required(self, inputs, 1)
        rank_at_least(self, x, 2)
        return output(self, x.shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """triu(x, k) or tril(x, k)."""
        (x,) = inputs
        return (xp.where(self._mask(x.shape), x, xp.zeros_like(x)),)

    def _mask(self, shape: Shape) -> Any:
        ones = np.ones(shape[-2:], dtype=np.bool_)
        return np.triu(ones, self.k) if self.upper else np.tril(ones, self.k)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One point per element, no arithmetic."""
        return pointwise(self, "trilu", inputs, outputs[0], constants, flops=0, kind="move")
