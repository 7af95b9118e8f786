"""Operators that are sums of products: matrix multiplication, convolution, transposed convolution, Einstein
summation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_ir.loop_nest import AffineIndex, LoopNest
from model_ir.op import Op
from model_ir.ops import einsum
from model_ir.ops.arrays import along, pad_spatial, widened
from model_ir.ops.checks import (
    broadcast,
    broadcasts_to,
    expect_shape,
    maybe,
    output,
    rank_at_least,
    refusal,
    required,
)
from model_ir.ops.convolution import convolve, spread
from model_ir.ops.nests import access, at, broadcast_indices, channels_last, opaque
from model_ir.ops.precisions import accumulated
from model_ir.ops.windows import check_windows, spatial_loops, window_counts
from model_ir.tensor import Shape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(Op):
    """C = A B [+ bias], batched and broadcast as numpy.matmul (ONNX MatMul; Gemm without its alpha and beta).

    `transpose_a` and `transpose_b` swap the last two axes of the operand first.
    """

    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(..., i, k) x (..., k, j) [+ broadcastable bias] -> (..., i, j); a vector operand drops its axis. InputError
        if k differs."""
        a, b = required(self, inputs, 2, optional=1)
        shape = self._product_shape(a, b)
        bias = maybe(inputs, 2)
        if bias is not None and not broadcasts_to(bias.shape, shape):
            raise refusal(self, "bias does not broadcast to the product", value=bias.shape, limit=shape)
        return output(self, shape, accumulated(a.precision, b.precision, None if bias is None else bias.precision))

    def _product_shape(self, a: Tensor, b: Tensor) -> Shape:
        for tensor, transposed in ((a, self.transpose_a), (b, self.transpose_b)):
            rank_at_least(self, tensor, 2 if transposed else 1)
        rows, inner_a = _matrix_sizes(a.shape, self.transpose_a, vector_is_row=True)
        inner_b, columns = _matrix_sizes(b.shape, self.transpose_b, vector_is_row=False)
        if inner_a != inner_b:
            raise refusal(self, "inner sizes differ", value=f"{inner_a} and {inner_b}")
        batch = broadcast(self, a.shape[:-2], b.shape[:-2])
        return batch + ((rows,) if len(a.shape) > 1 else ()) + ((columns,) if len(b.shape) > 1 else ())

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """C[..., i, j] = sum over k of A[..., i, k] B[..., k, j], plus bias."""
        a, b, bias = (*inputs, None)[:3]
        a = xp.swapaxes(a, -1, -2) if self.transpose_a else a
        b = xp.swapaxes(b, -1, -2) if self.transpose_b else b
        result = xp.matmul(widened(a), widened(b))
        return (result if bias is None else result + bias,)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops b0, b1, ... (batch), i, j, k; i or j is 1 for a vector operand."""
        a, b = required(self, inputs, 2, optional=1)
        bias, result = maybe(inputs, 2), outputs[0]
        rows, inner = _matrix_sizes(a.shape, self.transpose_a, vector_is_row=True)
        _, columns = _matrix_sizes(b.shape, self.transpose_b, vector_is_row=False)
        batch = broadcast(self, a.shape[:-2], b.shape[:-2])
        batch_dims = tuple((f"b{axis}", size) for axis, size in enumerate(batch))
        dims = (*batch_dims, ("i", rows), ("j", columns), ("k", inner))

        a_matrix = [at("k"), at("i")] if self.transpose_a else [at("i"), at("k")]
        b_matrix = [at("j"), at("k")] if self.transpose_b else [at("k"), at("j")]
        a_indices = [*broadcast_indices(a.shape[:-2], batch_dims), *a_matrix[-len(a.shape) :]]
        b_indices = [*broadcast_indices(b.shape[:-2], batch_dims), *b_matrix[: len(b.shape)]]
        result_dims = (
            batch_dims + ((("i", rows),) if len(a.shape) > 1 else ()) + ((("j", columns),) if len(b.shape) > 1 else ())
        )
        reads = [access(a, a_indices, dims, constants), access(b, b_indices, dims, constants)]
        if bias is not None:
            reads.append(access(bias, broadcast_indices(bias.shape, result_dims), dims, constants))
        return LoopNest(
            name=self.name,
            kind="mac",
            function="matmul",
            dims=dims,
            reads=tuple(reads),
            write=access(result, [at(name) for name, _ in result_dims], dims, constants),
            flops_per_point=2.0,
        )


def _matrix_sizes(shape: Shape, transposed: bool, *, vector_is_row: bool) -> tuple[int, int]:
    if len(shape) == 1:
        return (1, shape[0]) if vector_is_row else (shape[0], 1)
    return (shape[-1], shape[-2]) if transposed else (shape[-2], shape[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Op):
    """Convolution of (N, C, spatial...) with (O, C/group, kernel...) [+ bias (O)] over 1 to 3 spatial axes (ONNX Conv).

    `pads` lists the begin of every spatial axis, then the ends.
    """

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int = 1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(N, C, in...) -> (N, O, out...); InputError if channels, groups, windows or bias do not fit."""
        x, weight = required(self, inputs, 2, optional=1)
        rank_at_least(self, x, 3)
        if len(weight.shape) != len(x.shape):
            raise refusal(self, "weight and input have different ranks", value=weight.shape, limit=x.shape)
        if self.group < 1 or weight.shape[0] % self.group or x.shape[1] != weight.shape[1] * self.group:
            raise refusal(
                self,
                f"input channels {x.shape[1]} and weight {weight.shape} do not fit the groups",
                value=f"group {self.group}",
                limit=f"{weight.shape[1] * self.group} input channels",
            )
        expect_shape(self, maybe(inputs, 2), (weight.shape[0],), "bias")
        kernel = weight.shape[2:]
        check_windows(self, len(kernel), kernel, self.strides, self.pads, self.dilations)
        sizes = window_counts(self, x.shape[2:], kernel, self.strides, self.pads, self.dilations)
        shape = (x.shape[0], weight.shape[0], *sizes)
        bias = maybe(inputs, 2)
        return output(self, shape, accumulated(x.precision, weight.precision, None if bias is None else bias.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Y[n, o, p] = B[o] + sum over c, k of X[n, c, p * stride + k * dilation - pad] W[o, c, k] (ONNX Conv)."""
        x, weight, bias = (*inputs, None)[:3]
        x, weight = widened(x), widened(weight)
        return (_with_bias(convolve(xp, x, weight, self.strides, self.pads, self.dilations, self.group), bias),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops n, g (if grouped), oc, oh, ow, ic, kh, kw (only w in 1-d; od, kd too in 3-d), oc and ic within a
        group."""
        x, weight = required(self, inputs, 2, optional=1)
        bias, result = maybe(inputs, 2), outputs[0]
        kernel, sizes = weight.shape[2:], result.shape[2:]
        out, taps = spatial_loops("o", len(sizes)), spatial_loops("k", len(sizes))
        out_channels, in_channels = weight.shape[0] // self.group, weight.shape[1]
        dims = (
            ("n", x.shape[0]),
            *((("g", self.group),) if self.group > 1 else ()),
            ("oc", out_channels),
            *zip(out, sizes, strict=True),
            ("ic", in_channels),
            *zip(taps, kernel, strict=True),
        )
        oc = _grouped("oc", self.group, out_channels)
        source = [
            at((out[axis], self.strides[axis]), (taps[axis], self.dilations[axis]), offset=-self.pads[axis])
            for axis in range(len(sizes))
        ]
        order = channels_last(len(x.shape))
        x_indices = [at("n"), _grouped("ic", self.group, in_channels), *source]
        reads = [
            access(x, x_indices, dims, constants, order),
            access(weight, [oc, at("ic"), *map(at, taps)], dims, constants, (*range(2, len(x.shape)), 1, 0)),
        ]
        if bias is not None:
            reads.append(access(bias, [oc], dims, constants))
        return LoopNest(
            name=self.name,
            kind="mac",
            function="conv",
            dims=dims,
            reads=tuple(reads),
            write=access(result, [at("n"), oc, *map(at, out)], dims, constants, order),
            flops_per_point=2.0,
        )


def _grouped(name: str, group: int, size: int) -> AffineIndex:
    return at(("g", size), name) if group > 1 else at(name)


def _with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else y + bias.reshape(along(bias.shape, 1, y.ndim))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose(Op):
    """Transposed convolution of (N, C, spatial...) with (C, O/group, kernel...) [+ bias (O)] (ONNX ConvTranspose).

    `pads` crop the result; `output_padding` (one per spatial axis) adds rows at its end.
    """

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    output_padding: tuple[int, ...]
    group: int = 1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(N, C, in...) -> (N, O, stride * (in - 1) + output_padding + dilation * (kernel - 1) + 1 - pads)."""
        x, weight = required(self, inputs, 2, optional=1)
        rank_at_least(self, x, 3)
        if len(weight.shape) != len(x.shape):
            raise refusal(self, "weight and input have different ranks", value=weight.shape, limit=x.shape)
        if self.group < 1 or x.shape[1] % self.group or x.shape[1] != weight.shape[0]:
            raise refusal(
                self,
                f"input channels do not fit weight {weight.shape} and group {self.group}",
                value=x.shape[1],
                limit=weight.shape[0],
            )
        kernel = weight.shape[2:]
        check_windows(self, len(kernel), kernel, self.strides, self.pads, self.dilations)
        extra = self.output_padding
        if len(extra) != len(kernel) or any(amount < 0 for amount in extra):
            raise refusal(self, "output_padding does not fit", value=extra, limit=f"{len(kernel)} values of at least 0")
        channels = weight.shape[1] * self.group
        expect_shape(self, maybe(inputs, 2), (channels,), "bias")
        shape = (x.shape[0], channels, *self._out_sizes(x.shape[2:], kernel))
        bias = maybe(inputs, 2)
        return output(self, shape, accumulated(x.precision, weight.precision, None if bias is None else bias.precision))

    def _out_sizes(self, sizes: Shape, kernel: Shape) -> Shape:
        rank = len(sizes)
        return tuple(
            self.strides[axis] * (size - 1)
            + self.output_padding[axis]
            + self.dilations[axis] * (kernel[axis] - 1)
            + 1
            - self.pads[axis]
            - self.pads[rank + axis]
            for axis, size in enumerate(sizes)
        )

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """A stride-1 convolution of the zero-spread input with the flipped kernel (Dumoulin and Visin, A guide to
        convolution arithmetic for deep learning, 2016, section 4), cropped by `pads`."""
        x, weight, bias = (*inputs, None)[:3]
        x, weight = widened(x), widened(weight)
        rank = x.ndim - 2
        kernel = weight.shape[2:]
        sizes = self._out_sizes(x.shape[2:], kernel)
        for axis, stride in enumerate(self.strides):
            x = spread(xp, x, axis + 2, stride)
        reach = tuple(dilation * (taps - 1) for dilation, taps in zip(self.dilations, kernel, strict=True))
        x = pad_spatial(xp, x, reach + tuple(r + extra for r, extra in zip(reach, self.output_padding, strict=True)))
        x = x[
            (slice(None), slice(None), *(slice(p, p + s + r) for p, s, r in zip(self.pads, sizes, reach, strict=False)))
        ]
        flipped = weight[(slice(None), slice(None), *(slice(None, None, -1) for _ in kernel))]
        grouped = flipped.reshape(self.group, weight.shape[0] // self.group, weight.shape[1], *kernel)
        forward = xp.swapaxes(grouped, 1, 2).reshape(-1, weight.shape[0] // self.group, *kernel)
        y = convolve(xp, x, forward, (1,) * rank, (0,) * 2 * rank, self.dilations, self.group)
        return (_with_bias(y, bias),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops n, g (if grouped), oc, ih, iw, ic, kh, kw: every input pixel is scattered to output ih * stride + kh *
        dilation - pad, so the spatial loops are loops over the input and the write index has two terms."""
        x, weight = required(self, inputs, 2, optional=1)
        bias, result = maybe(inputs, 2), outputs[0]
        kernel, sizes = weight.shape[2:], x.shape[2:]
        pixels, taps = spatial_loops("i", len(sizes)), spatial_loops("k", len(sizes))
        out_channels, in_channels = weight.shape[1], weight.shape[0] // self.group
        dims = (
            ("n", x.shape[0]),
            *((("g", self.group),) if self.group > 1 else ()),
            ("oc", out_channels),
            *zip(pixels, sizes, strict=True),
            ("ic", in_channels),
            *zip(taps, kernel, strict=True),
        )
        ic, oc = _grouped("ic", self.group, in_channels), _grouped("oc", self.group, out_channels)
        target = [
            at((pixels[axis], self.strides[axis]), (taps[axis], self.dilations[axis]), offset=-self.pads[axis])
            for axis in range(len(sizes))
        ]
        order = channels_last(len(x.shape))
        reads = [
            access(x, [at("n"), ic, *map(at, pixels)], dims, constants, order),
            access(weight, [ic, at("oc"), *map(at, taps)], dims, constants, (*range(2, len(x.shape)), 0, 1)),
        ]
        if bias is not None:
            reads.append(access(bias, [oc], dims, constants))
        return LoopNest(
            name=self.name,
            kind="mac",
            function="conv_transpose",
            dims=dims,
            reads=tuple(reads),
            write=access(result, [at("n"), oc, *target], dims, constants, order),
            flops_per_point=2.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Einsum(Op):
    """Einstein summation (ONNX Einsum, numpy.einsum); `equation` may contain an ellipsis and may leave its output
    implicit."""

    equation: str

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Sizes of the output labels; InputError if the equation does not fit the operands."""
        tensors = required(self, inputs, max(1, len(inputs)))
        _, result, sizes = einsum.bind(self, self.equation, tensors)
        precision = tensors[0].precision
        for tensor in tensors[1:]:
            precision = accumulated(precision, tensor.precision)
        return output(self, tuple(sizes[label] for label in result), precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """numpy.einsum, its two-operand products through matrix multiplication."""
        return (xp.einsum(self.equation.replace(" ", ""), *map(widened, inputs), optimize=True),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Two operands without a repeated label are a "mac" nest, a matmul if one loop of each role i, j, k is enough
        (batch loops b0, ...), else "einsum"; any other equation is elementwise over all its labels, one operation per
        operand and point."""
        tensors = required(self, inputs, max(1, len(inputs)))
        terms, result, sizes = einsum.bind(self, self.equation, tensors)
        names = einsum.loop_names(terms, result)
        loops = einsum.loop_order(names)
        dims = tuple((names[label], sizes[label]) for label in loops)
        diagonal = any(len(set(term)) != len(term) for term in terms)
        contraction = len(terms) == 2 and not diagonal
        roles = {name[0] for name in names.values() if name in ("i", "j", "k")}
        simple = all(name in ("i", "j", "k") or name[0] == "b" for name in names.values())
        if contraction and simple:
            dims += tuple((role, 1) for role in "ijk" if role not in roles)
        reads = [
            opaque(tensor, constants)
            if len(set(term)) != len(term)
            else access(
                tensor,
                [_label_index(label, size, names) for label, size in zip(term, tensor.shape, strict=True)],
                dims,
                constants,
            )
            for tensor, term in zip(tensors, terms, strict=True)
        ]
        return LoopNest(
            name=self.name,
            kind="mac" if contraction else "elementwise",
            function="matmul" if contraction and simple else "einsum",
            dims=dims,
            reads=tuple(reads),
            write=access(outputs[0], [at(names[label]) for label in result], dims, constants),
            flops_per_point=2.0 if contraction else float(len(terms)),
        )


def _label_index(label: str, size: int, names: dict[str, str]) -> AffineIndex:
    return at() if size == 1 else at(names[label])
