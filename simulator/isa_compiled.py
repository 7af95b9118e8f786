"""Encoders of Gemmini's command words that numba code can call: the same words as `isa`, on uint64,
unchecked.

Arguments are non-negative integers that fit their fields (the caller has checked); every function returns
one np.uint64.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def encode_span(rows: int, columns: int, address: int) -> np.uint64:
    """rs word naming a block: rows x columns elements at local `address` (32 bits, garbage = 0xffffffff)."""
    high = (np.uint64(rows) << np.uint64(48)) | (np.uint64(columns) << np.uint64(32))
    return high | (np.uint64(address) & np.uint64(0xFFFFFFFF))


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def encode_scratchpad(row: int) -> np.uint64:
    """Local address of a scratchpad row."""
    return np.uint64(row)


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def encode_accumulator(row: int, accumulate: bool, full_width: bool) -> np.uint64:
    """Local address of an accumulator row with its accumulate and full-width bits."""
    word = np.uint64(row) | np.uint64(1 << 31)
    if accumulate:
        word |= np.uint64(1 << 30)
    if full_width:
        word |= np.uint64(1 << 29)
    return word


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def encode_config_ld(shrink: bool, load_id: int, block_stride: int, scale_bits: int, pixel_repeats: int) -> np.uint64:
    """rs1 of config_ld; rs2 is the memory stride in bytes."""
    low = np.uint64(1) | (np.uint64(shrink) << np.uint64(2)) | (np.uint64(load_id) << np.uint64(3))
    middle = (np.uint64(pixel_repeats) << np.uint64(8)) | (np.uint64(block_stride) << np.uint64(16))
    return low | middle | (np.uint64(scale_bits) << np.uint64(32))


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def encode_config_st_rs2(stride_bytes: int, scale_bits: int) -> np.uint64:
    """rs2 of config_st: memory row stride and scale; rs1 without pooling is 2 | activation << 2."""
    return np.uint64(stride_bytes) | (np.uint64(scale_bits) << np.uint64(32))


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def span_fields(word: np.uint64) -> tuple[int, int, int]:
    """The inverse of `encode_span`: first local row (without the flags of an accumulator address), rows, columns."""
    columns = (word >> np.uint64(32)) & np.uint64(0xFFFF)
    return int(word & np.uint64(0x1FFFFFFF)), int(word >> np.uint64(48)), int(columns)
