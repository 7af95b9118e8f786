"""Operators that move elements without computing: new shapes, permutations, joining, cutting, padding, repeating.

Gathering by index is in `gathering.py`, sampling and block rearrangement in `resampling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Literal

from model_ir.loop_nest import AffineIndex, Dims, LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import is_integer
from model_ir.ops.checks import axes_of, axis_of, broadcast, output, positive, refusal, required
from model_ir.ops.nests import access, at, broadcast_indices, move, opaque, output_dims, view
from model_ir.ops.precisions import computed, selected
from model_ir.tensor import Shape, Tensor


def _leads(shape: Shape, axis: int) -> bool:
    """Whether cutting along `axis` leaves contiguous pieces: all axes before it are 1."""
    return prod(shape[:axis]) == 1


def _names(dims: Dims) -> list[AffineIndex]:
    return [at(name) for name, _ in dims]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Op):
    """The same elements in row-major order under another shape; one size may be -1 (ONNX Reshape, Flatten, Squeeze,
    Identity, ...)."""

    shape: Shape

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """`shape` with -1 resolved; InputError unless the number of elements stays."""
        (x,) = required(self, inputs, 1)
        shape = self.shape
        if shape.count(-1) == 1:
            rest = -prod(shape)
            shape = tuple(x.elements // rest if size == -1 and rest > 0 else size for size in shape)
        if prod(positive(self, shape)) != x.elements:
            raise refusal(
                self, f"shape {self.shape} does not hold the elements of {x.shape}", value=prod(shape), limit=x.elements
            )
        return output(self, shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """reshape(x, shape)."""
        return (xp.reshape(inputs[0], self.shape),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """A view: the flat elements stay where they are."""
        (x,) = required(self, inputs, 1)
        return view(self, x, outputs[0], constants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Output axis i is input axis perm[i] (ONNX Transpose)."""

    perm: tuple[int, ...]

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The permuted shape; InputError unless `perm` is a permutation of the axes."""
        (x,) = required(self, inputs, 1)
        perm = axes_of(self, self.perm, len(x.shape))
        if len(perm) != len(x.shape):
            raise refusal(self, "perm does not name every axis", value=self.perm, limit=f"{len(x.shape)} axes")
        return output(self, tuple(x.shape[axis] for axis in perm), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """transpose(x, perm)."""
        return (xp.transpose(inputs[0], self.perm),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The permuted read; a "view" where only axes of size 1 change places."""
        (x,), result = required(self, inputs, 1), outputs[0]
        perm = axes_of(self, self.perm, len(x.shape))
        long_axes = [axis for axis in perm if x.shape[axis] > 1]
        dims = output_dims(result.shape)
        source = [at(f"d{perm.index(axis)}") for axis in range(len(perm))]
        return move(
            self,
            "view" if long_axes == sorted(long_axes) else "transpose",
            dims,
            [access(x, source, dims, constants)],
            access(result, _names(dims), dims, constants),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """The inputs one after the other along `axis` (ONNX Concat)."""

    axis: int

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Sizes along `axis` add up; InputError unless all other sizes agree."""
        first, *others = tensors = required(self, inputs, max(1, len(inputs)))
        axis = axis_of(self, self.axis, len(first.shape))
        for tensor in others:
            if len(tensor.shape) != len(first.shape) or _dropped(tensor.shape, axis) != _dropped(first.shape, axis):
                raise refusal(
                    self, f"{tensor.name!r} does not fit {first.name!r}", value=tensor.shape, limit=first.shape
                )
        total = sum(tensor.shape[axis] for tensor in tensors)
        precision = selected(*(tensor.precision for tensor in tensors))
        return output(self, (*first.shape[:axis], total, *first.shape[axis + 1 :]), precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """concatenate(inputs, axis)."""
        return (xp.concatenate(inputs, axis=self.axis),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Every input read at its own offset (zero outside it); a "view" where the pieces are contiguous."""
        tensors, result = required(self, inputs, max(1, len(inputs))), outputs[0]
        axis = axis_of(self, self.axis, len(result.shape))
        dims = output_dims(result.shape)
        starts = accumulate((tensor.shape[axis] for tensor in tensors), initial=0)
        reads = []
        for tensor, start in zip(tensors, starts, strict=False):
            indices = _names(dims)
            indices[axis] = at(f"d{axis}", offset=-start)
            reads.append(access(tensor, indices, dims, constants))
        function = "view" if _leads(result.shape, axis) else "concat"
        return move(self, function, dims, reads, access(result, _names(dims), dims, constants))


def _dropped(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Op):
    """Pieces of `sizes` along `axis`, one output each (ONNX Split)."""

    axis: int
    sizes: tuple[int, ...]

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """One tensor per size; InputError unless there is one output per size and the sizes add up."""
        (x,) = required(self, inputs, 1)
        axis = axis_of(self, self.axis, len(x.shape))
        if sum(positive(self, self.sizes)) != x.shape[axis]:
            raise refusal(self, "sizes do not add up to the axis", value=self.sizes, limit=x.shape[axis])
        if len(self.outputs) != len(self.sizes):
            raise refusal(self, "wrong number of outputs", value=len(self.outputs), limit=len(self.sizes))
        return tuple(
            self.same_as(x, position, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
            for position, size in enumerate(self.sizes)
        )

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x[..., start:end, ...] for every piece."""
        (x,) = inputs
        before = (slice(None),) * (self.axis % x.ndim)
        bounds = accumulate(self.sizes, initial=0)
        return tuple(x[(*before, slice(start, end))] for start, end in pairwise(bounds))

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """All outputs as one tensor of the input's shape, under the first one's name; a "view" where pieces are
        contiguous."""
        (x,) = required(self, inputs, 1)
        joined = Tensor(name=outputs[0].name, shape=x.shape, precision=outputs[0].precision)
        dims = output_dims(x.shape)
        function = "view" if _leads(x.shape, axis_of(self, self.axis, len(x.shape))) else "split"
        read, write = (access(tensor, _names(dims), dims, constants) for tensor in (x, joined))
        return move(self, function, dims, [read], write)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Op):
    """x[start:end:step] on every listed axis; bounds beyond the axis are clamped, negative ones count from the end
    (ONNX Slice)."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The number of elements selected on every axis; InputError if an axis is left empty."""
        (x,) = required(self, inputs, 1)
        return output(self, tuple(map(len, self._ranges(x.shape))), x.precision)

    def _ranges(self, shape: Shape) -> list[range]:
        """The positions selected on every axis."""
        counts = {len(self.starts), len(self.ends), len(self.axes), len(self.steps)}
        if len(counts) != 1 or 0 in self.steps:
            raise refusal(
                self, "starts, ends, axes and steps do not fit", value=self.steps, limit="equal lengths, no step 0"
            )
        ranges = [range(size) for size in shape]
        for axis, *bounds in zip(axes_of(self, self.axes, len(shape)), self.starts, self.ends, self.steps, strict=True):
            ranges[axis] = range(*slice(*bounds).indices(shape[axis]))
        return ranges

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x[start:end:step, ...]."""
        (x,) = inputs
        selection = (slice(r.start, r.stop if r.stop >= 0 else None, r.step) for r in self._ranges(x.shape))
        return (x[tuple(selection)],)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The strided read; a "view" where the selection is contiguous (unit steps, only axes of size 1 before the
        first cut)."""
        (x,), result = required(self, inputs, 1), outputs[0]
        ranges = self._ranges(x.shape)
        dims = output_dims(result.shape)
        source = [at((name, r.step), offset=r.start) for (name, _), r in zip(dims, ranges, strict=True)]
        cut = [axis for axis, r in enumerate(ranges) if r != range(x.shape[axis])]
        straight = all(ranges[axis].step == 1 or len(ranges[axis]) == 1 for axis in cut)
        contiguous = straight and (not cut or _leads(result.shape, cut[-1]))
        return move(
            self,
            "view" if contiguous else "slice",
            dims,
            [access(x, source, dims, constants)],
            access(result, _names(dims), dims, constants),
        )


PadMode = Literal["constant", "reflect", "edge", "wrap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Op):
    """x with `pads` more elements before (all axes first) and after every axis (ONNX Pad); negative pads cut."""

    pads: tuple[int, ...]
    mode: PadMode = "constant"
    value: float = 0.0

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Sizes plus pads; InputError unless there are two pads per axis and the mode is known."""
        (x,) = required(self, inputs, 1)
        rank = len(x.shape)
        if len(self.pads) != 2 * rank:
            raise refusal(self, "wrong number of pads", value=len(self.pads), limit=2 * rank)
        if self.mode not in ("constant", "reflect", "edge", "wrap"):
            raise refusal(self, "unknown mode", value=self.mode, limit="constant, reflect, edge, wrap")
        reach = {"reflect": [size - 1 for size in x.shape], "wrap": list(x.shape)}.get(self.mode)
        if reach and any(pad > limit for pad, limit in zip(self.pads, reach * 2, strict=True)):
            raise refusal(self, f"{self.mode} padding is longer than the input", value=self.pads, limit=tuple(reach))
        shape = tuple(size + before + after for size, before, after in zip(x.shape, *self._sides(), strict=True))
        return output(self, shape, x.precision if self.value == 0 else computed(x.precision))

    def _sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        rank = len(self.pads) // 2
        return self.pads[:rank], self.pads[rank:]

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """pad(x, pads, mode), negative pads by slicing first."""
        (x,) = inputs
        sides = list(zip(*self._sides(), strict=True))
        x = x[tuple(slice(max(0, -a), size - max(0, -b)) for size, (a, b) in zip(x.shape, sides, strict=True))]
        widths = [(max(0, a), max(0, b)) for a, b in sides]
        if self.mode == "constant":
            fill = int(self.value) if is_integer(x) else self.value
            return (xp.pad(x, widths, constant_values=fill),)
        return (xp.pad(x, widths, mode=self.mode),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The shifted read for constant padding (outside reads zero, standing for `value`); other modes are not
        affine."""
        (x,), result = required(self, inputs, 1), outputs[0]
        dims = output_dims(result.shape)
        begins, _ = self._sides()
        source = [at(name, offset=-begin) for (name, _), begin in zip(dims, begins, strict=True)]
        constant = self.mode == "constant"
        read = access(x, source, dims, constants) if constant else opaque(x, constants)
        return move(
            self, "pad" if any(self.pads) else "view", dims, [read], access(result, _names(dims), dims, constants)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand(Op):
    """x broadcast with `shape`, both ways (ONNX Expand)."""

    shape: Shape

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The broadcast of x's shape and `shape`."""
        (x,) = required(self, inputs, 1)
        return output(self, broadcast(self, x.shape, self.shape), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """broadcast_to(x, broadcast shape)."""
        (x,) = inputs
        return (xp.broadcast_to(x, broadcast(self, x.shape, self.shape)),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """The broadcast read; a "view" where no element is repeated."""
        (x,), result = required(self, inputs, 1), outputs[0]
        dims = output_dims(result.shape)
        read = access(x, broadcast_indices(x.shape, dims), dims, constants)
        function = "view" if x.elements == result.elements else "expand"
        return move(self, function, dims, [read], access(result, _names(dims), dims, constants))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile(Op):
    """x repeated `repeats` times along every axis (ONNX Tile)."""

    repeats: tuple[int, ...]

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Sizes times repeats; InputError unless there is one repeat per axis."""
        (x,) = required(self, inputs, 1)
        if len(self.repeats) != len(x.shape):
            raise refusal(self, "wrong number of repeats", value=self.repeats, limit=f"{len(x.shape)} values")
        return output(self, tuple(s * r for s, r in zip(x.shape, self.repeats, strict=True)), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """tile(x, repeats)."""
        return (xp.tile(inputs[0], self.repeats),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops r0, ... over repeats and d0, ... over the input's axes: the output index is r * size + d."""
        (x,), result = required(self, inputs, 1), outputs[0]
        inner = output_dims(x.shape)
        dims = (*output_dims(self.repeats, "r"), *inner)
        target = [at((f"r{axis}", size), f"d{axis}") for axis, size in enumerate(x.shape)]
        function = "view" if x.elements == result.elements else "tile"
        return move(
            self, function, dims, [access(x, _names(inner), dims, constants)], access(result, target, dims, constants)
        )
