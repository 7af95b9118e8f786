"""Number formats by name, and in which of them a network's tensors are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from model_ir.errors import InputError

Number = int | float | npt.NDArray[Any]
"""A number, or an array of them: one for every point that is asked about at once."""

FORMAT_BITS: dict[str, int] = {
    "binary": 1,
    "int4": 4,
    "fp4": 4,
    "int8": 8,
    "fp8": 8,
    "int16": 16,
    "bf16": 16,
    "fp16": 16,
    "tf32": 32,
    "int32": 32,
    "fp32": 32,
    "fp64": 64,
}
"""Bits in memory of a number in each format (tf32 is stored as fp32: NVIDIA A100 whitepaper, 2020, page 26)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Bits of a number by what it is: `sums` are matmul results before they are rounded, `vectors` biases and the
    scales of normalisations, `cache` the keys and values of earlier tokens. Fractions and arrays are allowed."""

    weights_bits: Number
    activations_bits: Number
    cache_bits: Number
    sums_bits: Number
    vectors_bits: Number


def storage_of(activations: str, *, weights: str | None = None, cache: str | None = None) -> Storage:
    """Tensors in the named formats; weights and cache as the activations unless named, sums and vectors 32 bits wide
    (64 for fp64), as matrix units accumulate. Raises InputError for an unknown format."""
    wide = max(32, format_bits(activations))
    return Storage(
        weights_bits=format_bits(weights or activations),
        activations_bits=format_bits(activations),
        cache_bits=format_bits(cache or activations),
        sums_bits=wide,
        vectors_bits=wide if activations.startswith("int") else format_bits(activations),
    )


def format_bits(name: str) -> int:
    """Bits of a number in the format `name`; InputError for an unknown one."""
    if name not in FORMAT_BITS:
        raise InputError("precision", "unknown number format", value=name, limit=", ".join(FORMAT_BITS))
    return FORMAT_BITS[name]
