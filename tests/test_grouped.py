"""Grouped convolutions in blocks of several groups: the same values, the MACs' time divided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES

from mapper.codegen.emit import Addresses, emit
from mapper.grouped import block_diagonal, pack_groups
from mapper.heuristic import heuristic
from mapper.lower import lower
from mapper.program import layer_program
from mapper.schedule import schedule
from mapper.value_check import check_values, nest_values
from model_ir.passes.pipeline import run_passes
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest, Repeat
from simulator.engine import simulate
from simulator.functional import execute
from simulator.fusion_depthwise import is_depthwise, packed_depthwise
from tests.nest_cases import convolution
from workloads.catalogue import build

GEMMINI = load_accelerator("gemmini")
BASE = 1 << 20


def grouped(groups: int, size: int, depth: int, width: int, *, kernel: int = 3, stride: int = 1) -> ArrayNest:
    """A convolution of `groups` groups of `depth` input and `width` output channels, stored as `lower` finds it."""
    plain = convolution(1, size, kernel, depth, width, stride=stride, pad=kernel // 2)
    repeat = Repeat(count=groups, a_stride=depth, b_stride=width, c_stride=width, bias_stride=width)
    return replace(plain, a_stride=groups * depth, b_stride=groups * width, c_stride=groups * width, repeats=(repeat,))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    groups=st.integers(1, 12),
    depth=st.integers(1, 5),
    width=st.integers(1, 5),
    stride=st.integers(1, 2),
    machine=st.sampled_from(MACHINES[1:]),
    seed=st.integers(0, 99),
)
def test_packed_groups_compute_what_single_ones_do(groups, depth, width, stride, machine, seed):
    nest = grouped(groups, 5, depth, width, stride=stride)
    packed = pack_groups(nest, machine)
    rng = np.random.default_rng(seed)
    a = rng.integers(-9, 10, 25 * groups * depth, dtype=np.int8)
    weights = rng.integers(-9, 10, (3, 3, depth, groups, width), dtype=np.int8)
    bias = rng.integers(-50, 51, groups * width, dtype=np.int32)
    expected = nest_values(nest, a, weights.reshape(-1), bias, relu=False)
    stored = (block_diagonal(weights, packed.groups) if packed.groups > 1 else weights).reshape(-1)
    parts = [a.view(np.uint8), stored.view(np.uint8), bias.view(np.uint8), np.zeros(expected.size, np.uint8)]
    starts = (BASE + np.cumsum([0, *(part.size for part in parts[:-1])])).tolist()
    image = np.concatenate(parts)
    addresses = Addresses(a=starts[0], b=starts[1], bias=starts[2], c=starts[3])
    execute(emit(packed, heuristic(packed, machine), machine, addresses=addresses), machine, image, BASE)
    np.testing.assert_array_equal(image[starts[3] - BASE :].view(np.int8), expected)


@pytest.mark.parametrize(
    ("groups", "depth", "width", "packed"), [(32, 1, 1, 16), (24, 1, 1, 12), (7, 1, 1, 7), (8, 4, 2, 4), (8, 16, 16, 1)]
)
def test_as_many_groups_share_a_block_as_fit_and_divide(groups, depth, width, packed):
    nest = grouped(groups, 8, depth, width)
    found = pack_groups(nest, GEMMINI)
    assert found.groups == packed
    assert found.repeat_count == groups // packed
    assert found.macs == packed * nest.macs


def test_packed_channels_are_still_a_depthwise_convolution():
    nest = grouped(32, 8, 1, 1)
    assert is_depthwise(nest)
    assert is_depthwise(pack_groups(nest, GEMMINI))
    assert packed_depthwise(pack_groups(nest, GEMMINI), 16) == packed_depthwise(nest, 16)
    assert not is_depthwise(pack_groups(grouped(8, 8, 2, 2), GEMMINI))


def test_a_depthwise_layer_takes_an_eighth_of_the_cycles_or_less():
    nest = grouped(64, 28, 1, 1)
    layers = lower(run_passes(build("mobilenet-v2", image=64)), GEMMINI)
    depthwise = next(layer for layer in layers if isinstance(layer.work, ArrayNest) and layer.work.groups > 1)
    cycles = []
    for work in (nest, pack_groups(nest, GEMMINI)):
        layer = replace(depthwise, work=work)
        mapping = schedule(work, GEMMINI).mapping
        assert check_values(layer, mapping, GEMMINI).equal
        cycles.append(simulate(layer_program(layer, mapping, GEMMINI), GEMMINI).cycles)
    assert cycles[1] < cycles[0] / 8
