"""What an emitted C program computes on: a layer's operands as integers, where they come from, and what must come out.

Weights and biases are the network's own where it carries them, quantised symmetrically (one scale a tensor, largest
magnitude to 127, rounded half to even); everything else is drawn from SplitMix64, which the C program draws again.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mapper.grouped import block_diagonal
from mapper.lower import Layer, ResidualAdd
from mapper.program import operand_elements
from mapper.value_check import clear_between_groups, nest_sums, nest_values
from model_ir.loop_nest import Access, LoopNest
from simulator.array_nest import ArrayNest

Element = TypeVar("Element", np.int8, np.int32)

BYTE_RANGE = 64
"""Drawn bytes are -32..31: products of any layer's depth stay within the mesh's 20 bits a block."""
BIAS_RANGE = 4096
"""Drawn biases are -2048..2047."""
INPUT_SCALE = 1 / 31
"""Real value of one step of a drawn input, for the scale of a bias: inputs stand for -1..1."""
LARGEST = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand(Generic[Element]):
    """The memory of one operand in its own strides, int8 or int32 (elements,); drawn again by the C from `seed`, or
    written into it (`seed` None); `origin` says where it is from."""

    values: npt.NDArray[Element]
    seed: int | None
    origin: str
    of_network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operands:
    """Everything a layer's C program reads and must write: `c` int8 (elements,) is A by B (or A + B) plus bias, ReLU,
    times `scale` (a power of two), rounded half to even, saturated."""

    a: Operand[np.int8]
    b: Operand[np.int8]
    bias: Operand[np.int32] | None
    c: npt.NDArray[np.int8]
    scale: float

    @property
    def memories(self) -> dict[str, Operand[np.int8] | Operand[np.int32]]:
        """What is read, by the names of the C arrays, in their order in memory."""
        read: dict[str, Operand[np.int8] | Operand[np.int32]] = {"a": self.a, "b": self.b}
        return read if self.bias is None else read | {"bias": self.bias}


def operands_of(layer: Layer, constants: Table[str, npt.NDArray[Any]], seed: int) -> Operands:
    """The operands of `layer`; `constants` are the graph's parameters by name, as far as it has them. Raises ValueError
    for a layer without work for the array or the accumulator."""
    work, relu = layer.work, layer.activation == "relu"
    if isinstance(work, ResidualAdd):
        size = work.rows * work.channels
        first, second = _drawn(size, seed, "first addend"), _drawn(size, seed + 1, "second addend")
        total = first.values.astype(np.int64) + second.values
        limited = np.clip(total, 0 if relu else -LARGEST - 1, LARGEST).astype(np.int8)
        return Operands(a=first, b=second, bias=None, c=limited, scale=1.0)
    if not isinstance(work, ArrayNest):
        raise ValueError(f"layer {layer.name!r} has no command stream")
    elements = operand_elements(work)
    a = _drawn(elements.a, seed, "input")
    b, weight_scale = _weights(layer.nest, work, elements.b, constants, seed + 1)
    bias = _bias(layer.nest, elements.bias, constants, weight_scale, seed + 2) if work.bias else None
    added = bias.values if bias else np.zeros(0, np.int32)
    sums = nest_sums(work, a.values, b.values, added, relu=relu)
    scale = 2.0 ** -max(0, int(np.ceil(np.log2(max(int(np.abs(sums).max()), 1) / LARGEST))))
    c = nest_values(work, a.values, b.values, added, relu=relu, scale=scale)
    return Operands(a=a, b=b, bias=bias, c=c, scale=scale)


def mixed(counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function of each count times its increment (Steele, Lea and Flood, OOPSLA 2014)."""
    z = counts * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def drawn(size: int, seed: int, limit: int) -> npt.NDArray[np.int64]:
    """`size` integers in -limit/2 .. limit/2 - 1, `limit` a power of two: the top bits of SplitMix64's numbers
    seed * 2^40 + 1, ..."""
    counts = np.arange(1, size + 1, dtype=np.uint64) + (np.uint64(seed) << np.uint64(40))
    shift = np.uint64(64 - (limit.bit_length() - 1))
    return (mixed(counts) >> shift).astype(np.int64) - limit // 2


def _drawn(size: int, seed: int, what: str) -> Operand[np.int8]:
    return Operand(values=drawn(size, seed, BYTE_RANGE).astype(np.int8), seed=seed, origin=f"{what}: drawn")


def _weights(
    nest: LoopNest, work: ArrayNest, size: int, constants: Table[str, npt.NDArray[Any]], seed: int
) -> tuple[Operand[np.int8], float]:
    """B and the real value of one step of it."""
    access = nest.reads[1]
    stored = _stored(access, constants) if work.groups > 1 or _is_second_operand(nest) else None
    stored = None if stored is None else _in_memory(stored, access.shape[-1], work, size)
    if stored is None:
        return _drawn_weights(work, size, seed), 1.0
    scale = float(np.abs(stored).max()) / LARGEST or 1.0
    quantised = np.clip(np.rint(stored / scale), -LARGEST, LARGEST).astype(np.int8)
    origin = f"weights: {access.tensor}, one step is {scale:.6g}"
    return Operand(values=quantised, seed=None, origin=origin, of_network=True), scale


def _drawn_weights(work: ArrayNest, size: int, seed: int) -> Operand[np.int8]:
    """Drawn weights; between the groups of a packed nest there are zeros, which the C does not draw."""
    dense = _drawn(size, seed, "weights")
    if work.groups == 1:
        return dense
    clear_between_groups(work, dense.values)
    return Operand(values=dense.values, seed=None, origin="weights: drawn, zero between groups")


def _in_memory(stored: npt.NDArray[np.float64], row: int, work: ArrayNest, size: int) -> npt.NDArray[np.float64] | None:
    """`stored`, rows of `row` elements, as B's memory of `size` elements: block-diagonal where the nest packs groups,
    rows `b_stride` apart where that is more than they are long; None where it is no such memory."""
    if work.groups > 1:
        depth, width = work.in_channels // work.groups, work.out_channels // work.groups
        taps = work.kernel_rows * work.kernel_columns
        groups = stored.size // (taps * depth * width)
        single = stored.reshape(work.kernel_rows, work.kernel_columns, depth, groups, width)
        blocks = block_diagonal(single, work.groups).ravel()
        return blocks if blocks.size == size else None
    if stored.size == size:
        return stored
    pitch = work.b_stride
    if pitch < row or stored.size // row * pitch - (pitch - row) != size:
        return None
    apart = np.zeros((stored.size // row, pitch))
    apart[:, :row] = stored.reshape(-1, row)
    return apart.ravel()[:size]


def _bias(
    nest: LoopNest, size: int, constants: Table[str, npt.NDArray[Any]], weight_scale: float, seed: int
) -> Operand[np.int32]:
    stored = _stored(nest.reads[2], constants)
    if stored is None or stored.size != size:
        return Operand(values=drawn(size, seed, BIAS_RANGE).astype(np.int32), seed=seed, origin="bias: drawn")
    step = weight_scale * INPUT_SCALE
    quantised = np.clip(np.rint(stored / step), -(2**31), 2**31 - 1).astype(np.int32)
    origin = f"bias: {nest.reads[2].tensor}, one step is {step:.6g}"
    return Operand(values=quantised, seed=None, origin=origin, of_network=True)


def _stored(access: Access, constants: Table[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64] | None:
    """The tensor's values in the order it is stored in (convolutions: kernel, input channel, output channel); None
    where they are not known or not real numbers."""
    value = constants.get(access.tensor)
    if value is None or not np.issubdtype(value.dtype, np.number) or not np.isfinite(value).all():
        return None
    if value.shape == access.shape:
        return np.asarray(value, np.float64).ravel()
    kernel_first = value.transpose(*range(2, value.ndim), 1, 0) if value.ndim > 2 else value
    return np.asarray(kernel_first, np.float64).ravel() if kernel_first.shape == access.shape else None


def _is_second_operand(nest: LoopNest) -> bool:
    """Whether the nest's second read is what the array keeps: its loops run along the result's contiguous axis, and
    nothing of the first does (`simulator.nest_view` swaps them otherwise)."""
    first, second = ({name for index in read.indices for name, _ in index.terms} for read in nest.reads[:2])
    along = {name for name, _ in nest.write.indices[-1].terms} if nest.write.indices else set()
    return bool(along & second) and not along & first
