"""The evidence that a program computes its nest: run its commands on random integers and compare with integer numpy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from mapper.lower import Layer
from mapper.program import BASE_ADDRESS, addresses_of, layer_program, operand_elements
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.functional import execute
from simulator.mapping import Mapping

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCheck:
    """How many of a layer's output elements differ between the command stream and integer numpy."""

    layer: str
    elements: int
    mismatches: int

    @property
    def equal(self) -> bool:
        """Whether every element is the same."""
        return self.mismatches == 0

    @property
    def text(self) -> str:
        """The verdict for people."""
        return f"{self.elements:,} equal" if self.equal else f"{self.mismatches:,} of {self.elements:,} DIFFER"


def check_values(layer: Layer, mapping: Mapping, accelerator: Accelerator, seed: int = 0) -> ValueCheck:
    """Execute the layer's commands on random int8 operands (int32 bias) and compare every output element with numpy.

    The layer's work must be an ArrayNest; operands are small (-3..3) so that outputs exercise more than saturation.
    """
    nest = layer.work
    if not isinstance(nest, ArrayNest):
        raise ValueError(f"layer {layer.name!r} is no matmul or convolution")
    generator = np.random.default_rng(seed)
    elements, addresses = operand_elements(nest), addresses_of(nest, accelerator)
    a = generator.integers(-3, 4, elements.a, dtype=np.int8)
    b = generator.integers(-3, 4, elements.b, dtype=np.int8)
    clear_between_groups(nest, b)
    bias = generator.integers(-50, 51, elements.bias, dtype=np.int32)
    spilled = nest.pixels * nest.out_channels * 4 if mapping.reduction_parts > 1 else 0
    image = np.zeros(addresses.partial - BASE_ADDRESS + spilled, np.uint8)
    for address, values in ((addresses.a, a), (addresses.b, b), (addresses.bias, bias)):
        raw = values.view(np.uint8)
        image[address - BASE_ADDRESS : address - BASE_ADDRESS + raw.size] = raw
    execute(layer_program(layer, mapping, accelerator), accelerator, image, BASE_ADDRESS)
    stored = image[addresses.c - BASE_ADDRESS :][: elements.c].view(np.int8)
    expected = nest_values(nest, a, b, bias, relu=layer.activation == "relu")
    return ValueCheck(layer=layer.name, elements=elements.c, mismatches=int(np.count_nonzero(stored != expected)))


def clear_between_groups(nest: ArrayNest, b: Int8Array) -> None:
    """Make B block-diagonal where the nest packs several groups."""
    if nest.groups == 1:
        return
    rows = np.arange(b.size) // nest.b_stride % nest.in_channels // (nest.in_channels // nest.groups)
    columns = np.arange(b.size) % nest.b_stride // (nest.out_channels // nest.groups)
    b[rows != columns] = 0


def nest_values(
    nest: ArrayNest, a: Int8Array, b: Int8Array, bias: Int32Array, *, relu: bool, scale: float = 1.0
) -> Int8Array:
    """The output memory of `nest` by numpy: exact integer sums, bias, ReLU, fp32 product with `scale` rounded half to
    even, saturation to int8.

    `a`, `b`, `bias` are flat memories in the nest's strides; so is the result, zero where the nest writes nothing.
    """
    total = nest_sums(nest, a, b, bias, relu=relu)
    scaled = np.rint(total.astype(np.float32) * np.float32(scale))
    limited: Int8Array = np.clip(scaled, -128, 127).astype(np.int8)
    return limited


def nest_sums(nest: ArrayNest, a: Int8Array, b: Int8Array, bias: Int32Array, *, relu: bool) -> npt.NDArray[np.int64]:
    """As `nest_values`, before the product and the saturation."""
    c = np.zeros(operand_elements(nest).c, np.int64)
    for steps in product(*(range(repeat.count) for repeat in nest.repeats)):
        offsets = [
            sum(step * getattr(repeat, name) for step, repeat in zip(steps, nest.repeats, strict=True))
            for name in ("a_stride", "b_stride", "c_stride", "bias_stride")
        ]
        total = _sums(nest, a[offsets[0] :], b[offsets[1] :])
        if nest.bias:
            total += bias[offsets[3] : offsets[3] + nest.out_channels]
        out = np.lib.stride_tricks.as_strided(
            c[offsets[2] :],
            (nest.pixels, nest.out_channels),
            (nest.c_stride * c.itemsize, c.itemsize),
            writeable=True,
        )
        out[...] = np.maximum(total, 0) if relu else total
    return c


def _sums(nest: ArrayNest, a: Int8Array, b: Int8Array) -> npt.NDArray[np.int64]:
    """Exact sums [pixels, out_channels] of one repeat; float64 products of int8 stay exact far below 2^53."""
    a_strides = (1, nest.a_stride) if nest.transpose_a else (nest.a_stride, 1)
    pixel_stride, channel_stride = a_strides
    source = np.lib.stride_tricks.as_strided(
        a,
        (nest.images, nest.in_rows, nest.in_columns, nest.in_channels),
        (nest.in_rows * nest.in_columns * pixel_stride, nest.in_columns * pixel_stride, pixel_stride, channel_stride),
    )
    row_stride, column_stride = (1, nest.b_stride) if nest.transpose_b else (nest.b_stride, 1)
    weights = np.lib.stride_tricks.as_strided(
        b,
        (nest.kernel_rows * nest.kernel_columns, nest.in_channels, nest.out_channels),
        (nest.in_channels * row_stride, row_stride, column_stride),
    )
    total = np.zeros((nest.pixels, nest.out_channels))
    for position, (row, column) in enumerate(product(range(nest.kernel_rows), range(nest.kernel_columns))):
        rows = np.arange(nest.out_rows) * nest.row_stride + row * nest.row_dilation - nest.top_pad
        columns = np.arange(nest.out_columns) * nest.column_stride + column * nest.column_dilation - nest.left_pad
        window = source[:, rows.clip(0, nest.in_rows - 1)][:, :, columns.clip(0, nest.in_columns - 1)].astype(float)
        window[:, (rows < 0) | (rows >= nest.in_rows)] = 0
        window[:, :, (columns < 0) | (columns >= nest.in_columns)] = 0
        total += window.reshape(nest.pixels, nest.in_channels) @ weights[position].astype(float)
    return total.astype(np.int64)
