"""Partial sums that leave the accumulator and come back: the same values, and the bytes that the model counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mapper.codegen.emit import emit
from mapper.integer_program import solve
from mapper.lower import Layer, lower
from mapper.program import BASE_ADDRESS, addresses_of, operand_elements
from mapper.value_check import check_values, nest_values
from model_ir.errors import InfeasibleError, InputError
from model_ir.passes.pipeline import run_passes
from simulator import isa
from simulator.analytical import analytical, spill_stream
from simulator.engine import simulate
from simulator.functional import execute
from simulator.mapping import PLACEMENTS, Mapping, Tile, check_legal
from tests.nest_cases import GEMMINI, convolution, machine, matmul
from workloads.catalogue import build

SMALL = (machine(4, 512, 128), machine(8, 256, 64), GEMMINI)


@st.composite
def spilled(draw):
    """A matmul, a machine and a legal mapping of it that spills."""
    accelerator = draw(st.sampled_from(SMALL))
    dim = accelerator.dim
    parts, blocks = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    rows, columns = draw(st.integers(2, 5 * dim)), draw(st.integers(dim + 1, 4 * dim))
    transposed = draw(st.sampled_from(((False, False), (False, True), (True, False))))
    depth = parts * blocks * dim
    nest = matmul(
        rows, depth, columns, bias=draw(st.booleans()), transpose_a=transposed[0], transpose_b=transposed[1],
        a_stride=rows if transposed[0] else depth, b_stride=depth if transposed[1] else columns,
    )  # fmt: skip
    order, a_placement, b_placement = draw(st.sampled_from(PLACEMENTS))
    tile = Tile(
        images=1,
        out_rows=1,
        out_columns=draw(st.integers(1, rows - 1)),
        out_channels=dim * draw(st.integers(1, (columns - 1) // dim)),
        kernel_rows=1,
        kernel_columns=1,
        in_channels=dim * draw(st.integers(1, blocks)),
    )
    flow = "ws" if any(transposed) else draw(st.sampled_from(("ws", "os")))
    copies = {f"{operand}_copies": draw(st.sampled_from((1, 2))) for operand in "abc"}
    mapping = Mapping(
        dataflow=flow, tile=tile, order=order, a_placement=a_placement, b_placement=b_placement,
        reduction_parts=parts, **copies,
    )  # fmt: skip
    try:
        check_legal(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        assume(False)
    return accelerator, nest, mapping


@settings(max_examples=60, derandomize=True, deadline=None)
@given(case=spilled(), seed=st.integers(0, 99), relu=st.booleans())
def test_values_equal_integer_numpy(case, seed, relu):
    accelerator, nest, mapping = case
    rng = np.random.default_rng(seed)
    elements, addresses = operand_elements(nest), addresses_of(nest, accelerator)
    a, b = (rng.integers(-9, 10, size, dtype=np.int8) for size in (elements.a, elements.b))
    bias = rng.integers(-50, 51, elements.bias, dtype=np.int32)
    image = np.zeros(addresses.partial - BASE_ADDRESS + 4 * nest.pixels * nest.out_channels, np.uint8)
    for address, values in ((addresses.a, a), (addresses.b, b), (addresses.bias, bias)):
        raw = values.view(np.uint8)
        image[address - BASE_ADDRESS : address - BASE_ADDRESS + raw.size] = raw
    program = emit(nest, mapping, accelerator, activation="relu" if relu else "none", addresses=addresses)
    execute(program, accelerator, image, BASE_ADDRESS)
    stored = image[addresses.c - BASE_ADDRESS :][: elements.c].view(np.int8)
    np.testing.assert_array_equal(stored, nest_values(nest, a, b, bias, relu=relu))


@settings(max_examples=30, derandomize=True, deadline=None)
@given(case=spilled())
def test_the_engine_moves_what_the_model_counts_in_no_less_time(case):
    accelerator, nest, mapping = case
    cost = analytical(nest, mapping, accelerator)
    program = emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator))
    assert np.count_nonzero(program.funct == isa.CONFIG) == 6 + nest.bias
    result = simulate(program, accelerator)
    assert cost.cycles <= result.cycles
    assert cost.dram_read_bytes <= result.read_bytes
    assert cost.dram_write_bytes <= result.write_bytes
    spill = spill_stream(nest, mapping, accelerator)
    assert spill.bytes == 4 * (mapping.reduction_parts - 1) * nest.pixels * nest.out_channels
    whole = analytical(nest, replace(mapping, reduction_parts=1), accelerator)
    assert cost.dram_write_bytes == whole.dram_write_bytes + spill.bytes


def test_traffic_finds_what_the_published_mapper_found_and_runs_it():
    """512 x 3072 x 768: CoSA's formulation moves 13.0 MB; with whole tiles two parts and panels of 160 channels move
    2 (A in halves) x 5 + B + sums out and in + result."""
    layers = lower(run_passes(build("bert-base", seq=512)), GEMMINI)
    found = next(layer for layer in layers if layer.name.endswith("feed_forward.out"))
    layer: Layer = replace(found, work=replace(found.work, bias=False))
    mapping, evidence = solve(layer.work, GEMMINI, objective="traffic")
    a, b, c = 512 * 3072, 3072 * 768, 512 * 768
    assert mapping.reduction_parts == 2
    assert evidence.status == "optimal"
    assert evidence.objective == 5 * a + b + 2 * 4 * c + c == 13_762_560
    assert check_values(layer, mapping, GEMMINI).equal


@pytest.mark.parametrize(
    ("nest", "parts"),
    [(matmul(64, 48, 64), 2), (matmul(64, 64, 64), 5), (convolution(1, 9, 3, 64, 64), 2)],
    ids=["odd number of blocks", "too many parts", "kernel positions between"],
)
def test_reductions_that_do_not_fall_into_parts_are_refused(nest, parts):
    tile = Tile(images=1, out_rows=1, out_columns=7, out_channels=16, kernel_rows=1, kernel_columns=1, in_channels=16)
    mapping = Mapping(
        dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile", reduction_parts=parts
    )
    with pytest.raises(InputError, match="reduction_parts"):
        check_legal(nest, mapping, GEMMINI)


def test_a_result_that_would_come_back_at_once_is_refused():
    tile = Tile(images=1, out_rows=1, out_columns=64, out_channels=16, kernel_rows=1, kernel_columns=1, in_channels=16)
    mapping = Mapping(
        dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile", reduction_parts=2
    )
    with pytest.raises(InputError, match="both outer loops"):
        check_legal(matmul(64, 64, 64), mapping, GEMMINI)
