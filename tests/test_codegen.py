"""Emitted programs compute what their nest says, bit for bit, under any legal mapping."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES, NESTS, legal_mappings, operand_sizes, oracle

from mapper.codegen import Addresses, emit
from simulator.functional import execute

BASE = 0x10000


def memory_of(nest, seed):
    """Random operands as a memory image, their addresses, and the operands."""
    rng = np.random.default_rng(seed)
    a_size, b_size, c_size, bias_size = operand_sizes(nest)
    a, b = (rng.integers(-128, 128, size, dtype=np.int8) for size in (a_size, b_size))
    bias = rng.integers(-3000, 3000, bias_size, dtype=np.int32)
    parts = [a.view(np.uint8), b.view(np.uint8), np.full(c_size, 77, np.uint8), bias.view(np.uint8)]
    starts = BASE + np.cumsum([0, *(part.size for part in parts[:-1])])
    return (
        np.concatenate(parts),
        Addresses(**dict(zip(("a", "b", "c", "bias"), map(int, starts), strict=True))),
        (a, b, bias),
    )


def scaled(sums, scale, relu):
    """Gemmini's way out of the accumulator: relu, fp32 product, round half even, saturate."""
    values = np.maximum(sums, 0) if relu else sums
    return np.clip(np.rint(values.astype(np.float32) * np.float32(scale)), -128, 127).astype(np.int8)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(data=st.data(), nest=NESTS, accelerator=st.sampled_from(MACHINES), seed=st.integers(0, 1000))
def test_values_equal_integer_numpy(data, nest, accelerator, seed):
    mapping = data.draw(legal_mappings(nest, accelerator))
    assume(mapping is not None)
    scale, activation = (
        data.draw(st.sampled_from((1.0, 0.0078125, 0.0123))),
        data.draw(st.sampled_from(("none", "relu"))),
    )
    image, addresses, (a, b, bias) = memory_of(nest, seed)
    program = emit(nest, mapping, accelerator, activation=activation, scale=scale, addresses=addresses)
    before = image.copy()
    execute(program, accelerator, image, BASE)
    at, sums = oracle(nest, a, b, bias)
    expected = before
    expected[addresses.c - BASE + at.reshape(-1)] = scaled(sums, scale, activation == "relu").reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(image, expected)
