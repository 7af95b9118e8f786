"""`Work`: the operations of an operator and the bytes of its operands, as numbers or as arrays of them.

A matmul is `repeats` times (rows x depth) by (depth x columns); a convolution is the matmul of its pixels, with an
input smaller than rows x depth. Everything else passes over elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.rooflines.counting import DEFAULT_COUNTING, Counting
from simulator.rooflines.formats import Number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """Numbers of one operator, or arrays (any shapes that broadcast) of many. Bytes are of all repeats together.

    A matmul reads `first_bytes` (rows x depth), `second_bytes` (depth x columns) and `other_bytes` (bias) and writes
    `result_bytes`; `elements` is 0. An operator on elements reads `first_bytes` and `other_bytes` (vectors that all
    rows share); rows, columns and depth are 0. A width is that of one number in bytes.
    """

    function: str | npt.NDArray[np.str_]
    flops: Number
    elements: Number = 0
    repeats: Number = 1
    rows: Number = 0
    columns: Number = 0
    depth: Number = 0
    first_bytes: Number = 0
    second_bytes: Number = 0
    other_bytes: Number = 0
    result_bytes: Number = 0
    first_width_bytes: Number = 1
    second_width_bytes: Number = 1
    sum_width_bytes: Number = 4
    halo_bytes: Number = 0
    """Of the first operand, read again by every further block of rows (windows that overlap), in one repeat."""
    slice_depth: Number = 1
    """Depth of the smallest slice that streams by: one channel's taps of a convolution."""
    row_bytes: Number = 0
    """What must stay for a normalisation to read its input once."""
    row_passes: Number = 1
    """How often it reads its input where that does not fit."""

    @property
    def is_matmul(self) -> Any:
        """Whether it runs on the matrix unit (an array of bools for arrays)."""
        return np.asarray(self.depth) > 0

    @property
    def compulsory_bytes(self) -> Number:
        """Every operand once."""
        return self.first_bytes + self.second_bytes + self.other_bytes + self.result_bytes

    @property
    def intensity(self) -> Number:
        """FLOPs per compulsory byte (Williams et al., CACM 2009); 0 where nothing moves."""
        return ratio(self.flops, self.compulsory_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of a network: its layer (all up to the first number in its name, "layers.0"), its kind (function;
    matmuls without parameters are "matmul of activations") and its work."""

    name: str
    layer: str
    kind: str
    work: Work


def matmul_work(
    *,
    rows: Number,
    columns: Number,
    depth: Number,
    first_bits: Number,
    second_bits: Number,
    result_bits: Number,
    sums_bits: Number = 32,
    repeats: Number = 1,
    bias_bits: Number | None = None,
    first_elements: Number | None = None,
    halo_elements: Number = 0,
    taps: Number = 1,
    second_repeats: Number | None = None,
    bias_elements: Number | None = None,
    counting: Counting = DEFAULT_COUNTING,
    function: str = "matmul",
) -> Work:
    """`repeats` matmuls of (rows, depth) by (depth, columns).

    `bias_bits` None: no bias. `first_elements`: distinct elements of the first operand in one repeat, for a convolution
    (rows x depth otherwise). `second_repeats`: how many different second operands there are (`repeats` otherwise).
    `halo_elements`, `taps`: what neighbouring rows of windows share, and a window's taps in one channel.
    `bias_elements`: distinct biases (`columns` otherwise).
    FLOPs 2 x repeats x rows x columns x depth, unless `counting` leaves each sum's first addition out.
    """
    results = repeats * rows * columns
    spared = int(function in counting.first_product_free and bias_bits is None)
    first = repeats * (rows * depth if first_elements is None else first_elements)
    distinct = columns if bias_elements is None else bias_elements
    biases = {"none": 0, "once": distinct, "every_row": results}[counting.biases]
    return Work(
        function=function,
        flops=2 * results * depth - spared * results,
        repeats=repeats,
        rows=rows,
        columns=columns,
        depth=depth,
        first_bytes=first * first_bits / 8,
        second_bytes=(repeats if second_repeats is None else second_repeats) * columns * depth * second_bits / 8,
        other_bytes=0 if bias_bits is None else biases * bias_bits / 8,
        result_bytes=results * result_bits / 8,
        first_width_bytes=first_bits / 8,
        second_width_bytes=second_bits / 8,
        sum_width_bytes=sums_bits / 8,
        halo_bytes=halo_elements * first_bits / 8,
        slice_depth=taps,
    )


def elementwise_work(
    function: str,
    *,
    elements: Number,
    flops_per_element: Number,
    read_bytes: Number,
    result_bytes: Number,
    vector_bytes: Number = 0,
    row_bytes: Number = 0,
    counting: Counting = DEFAULT_COUNTING,
) -> Work:
    """`function` of `elements` elements: `read_bytes` in, `result_bytes` out, `vector_bytes` of vectors that all rows
    share. `flops_per_element` and the bytes in count unless `counting` has numbers of its own for the function."""
    if function in counting.bytes_per_element:
        read_bytes = elements * counting.bytes_per_element[function] - result_bytes
    return Work(
        function=function,
        flops=elements * counting.flops_per_element.get(function, flops_per_element),
        elements=elements,
        first_bytes=read_bytes,
        other_bytes=vector_bytes,
        result_bytes=result_bytes,
        row_bytes=row_bytes,
        row_passes=counting.row_passes.get(function, 1),
    )


def stack(works: Sequence[Work]) -> Work:
    """One Work of arrays (n,) for n Works of numbers."""
    columns = {field.name: np.array([getattr(work, field.name) for work in works]) for field in fields(Work)}
    return Work(**columns)


def ratio(top: Number, bottom: Number) -> Number:
    """top / bottom, 0 where bottom is 0."""
    bottom = np.asarray(bottom, float)
    quotient: Number = np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)
    return quotient
