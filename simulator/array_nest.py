"""`ArrayNest`: a multiply-accumulate loop nest as Gemmini's array sees it, a matmul or a convolution in one vocabulary.

A matmul C[i, j] = sum_k A[i, k] B[k, j] is the case of one image, one output row, `out_columns` = i, `out_channels` =
j, `in_channels` = k and a 1x1 kernel. `array_nest` derives the view from any LoopNest whose accesses have that form,
by the roles of the loops (in A and C: pixels; in B and C: output channels; in A and B: reduction; in all: repeats),
never by the operator's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """An outer loop over independent problems (groups, heads); strides in elements, 0 where the operand is shared."""

    count: int
    a_stride: int
    b_stride: int
    c_stride: int
    bias_stride: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayNest:
    """Sizes in elements; strides in elements of the operand's own type.

    Storage: A is [image, in_row, in_column, channel] with `a_stride` elements from one pixel to the next; B is
    [kernel_row, kernel_column, in_channel, out_channel] with `b_stride` elements from one in_channel to the next; C is
    [image, out_row, out_column, channel] with `c_stride` elements from one pixel to the next; the bias is one int32
    per out_channel. `transpose_a`: A is stored [in_channel, out_column] (matmuls only), `a_stride` apart.
    `transpose_b`: B is stored [out_channel, in_channel], `b_stride` apart. An input pixel outside the image reads
    zero.
    """

    images: int
    out_rows: int
    out_columns: int
    out_channels: int
    kernel_rows: int
    kernel_columns: int
    in_channels: int
    in_rows: int
    in_columns: int
    row_stride: int
    column_stride: int
    row_dilation: int
    column_dilation: int
    top_pad: int
    left_pad: int
    a_stride: int
    b_stride: int
    c_stride: int
    repeats: tuple[Repeat, ...]
    transpose_a: bool
    transpose_b: bool
    bias: bool
    groups: int = 1
    """Independent groups side by side in the channels: B is block-diagonal, and zero between groups."""

    @property
    def repeat_count(self) -> int:
        """Number of independent problems."""
        return prod(repeat.count for repeat in self.repeats)

    @property
    def pixels(self) -> int:
        """Output pixels (rows of the matmul) of one repeat."""
        return self.images * self.out_rows * self.out_columns

    @property
    def reduction(self) -> int:
        """Terms summed into one output element."""
        return self.kernel_rows * self.kernel_columns * self.in_channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all repeats, products with padding and with the zeros between groups included."""
        return self.repeat_count * self.pixels * self.out_channels * self.reduction
