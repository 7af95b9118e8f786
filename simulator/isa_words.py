"""Packing of fields into the 64-bit words of Gemmini's commands, and back. No command is known here."""

from __future__ import annotations

import struct

from model_ir.errors import InputError


def field(value: int, high: int, low: int) -> int:
    """Bits `high:low` (inclusive) of `value`."""
    return (value >> low) & ((1 << (high - low + 1)) - 1)


def float_bits(value: float) -> int:
    """The 32 bits of `value` as an IEEE 754 binary32."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def bits_float(bits: int) -> float:
    """The binary32 number whose 32 bits are `bits`."""
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0])


def packed(*parts: tuple[str, int, int, int]) -> int:
    """Sum of (name, value, high bit, low bit) fields; InputError where a value does not fit its field."""
    word = 0
    for name, value, high, low in parts:
        limit = (1 << (high - low + 1)) - 1
        if not 0 <= value <= limit:
            raise InputError(name, "does not fit its command field", value=value, limit=f"0..{limit}")
        word |= value << low
    return word
