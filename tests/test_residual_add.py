"""A residual addition on the accumulator equals numpy, whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES

from mapper.codegen.emit import Addresses
from mapper.residual_add import Scales, emit_residual_add
from model_ir.errors import InputError
from simulator.functional import execute

BASE = 0x4000


def scaled(values, scale):
    product = np.rint(values.astype(np.float32) * np.float32(scale))
    return np.clip(product, -128, 127).astype(np.int32)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    rows=st.integers(1, 300),
    channels=st.integers(1, 150),
    accelerator=st.sampled_from(MACHINES),
    relu=st.booleans(),
    factors=st.tuples(*(st.sampled_from((1.0, 0.5, 0.3, 1.7)),) * 3),
    seed=st.integers(0, 99),
)
def test_sum_equals_numpy(rows, channels, accelerator, relu, factors, seed):
    size = rows * channels
    values = np.random.default_rng(seed).integers(-128, 128, (3, size), dtype=np.int8)
    image = values.reshape(-1).view(np.uint8).copy()
    program = emit_residual_add(
        rows,
        channels,
        accelerator,
        activation="relu" if relu else "none",
        scales=Scales(a=factors[0], b=factors[1], c=factors[2]),
        addresses=Addresses(a=BASE, b=BASE + size, c=BASE + 2 * size),
    )
    execute(program, accelerator, image, BASE)
    total = scaled(values[0], factors[0]) + scaled(values[1], factors[1])
    expected = scaled(np.maximum(total, 0) if relu else total, factors[2]).astype(np.int8)
    np.testing.assert_array_equal(image[2 * size :].view(np.int8), expected)
    np.testing.assert_array_equal(image[: 2 * size].view(np.int8), values[:2].reshape(-1))


@pytest.mark.parametrize(("rows", "channels"), [(0, 4), (4, -1)])
def test_empty_tensor_is_refused(rows, channels):
    with pytest.raises(InputError, match="must be positive"):
        emit_residual_add(rows, channels, MACHINES[0], addresses=Addresses(a=1, b=2, c=3))
