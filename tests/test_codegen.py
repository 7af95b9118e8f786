"""Emitted programs compute what their nest says, bit for bit, under any legal mapping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES, NESTS, legal_mappings, operand_sizes, oracle

from mapper.codegen.emit import Addresses, emit, emit_chunks
from mapper.program import addresses_of
from model_ir.errors import InputError
from simulator import isa
from simulator.analytical import a_stream, b_stream, compute_cycles
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.functional import execute
from simulator.mapping import Mapping, Tile, tile_counts

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
    check_values(nest, mapping, accelerator, seed, scale, activation)


def test_lines_come_before_the_first_kernel_row_that_reads_them_where_sums_stay():
    """An output line's first line of input is read before by an earlier output line, with its last kernel row."""
    nest = matmul_nest(2, 1, 16, out_rows=8, in_rows=9, kernel_rows=2, in_columns=2, b_stride=1)
    tile = replace(tiled(1, 1, 16).tile, out_rows=2, kernel_rows=2)
    mapping = replace(tiled(1, 1, 16), dataflow="os", tile=tile)
    check_values(nest, mapping, MACHINES[0], 0, 0.0078125, "none")


def test_lines_of_a_panel_come_before_the_first_of_several_kernel_tiles_that_reads_them_where_sums_stay():
    """The first step has one kernel row: a line that later output lines begin with is no earlier one's last."""
    sizes = {"out_rows": 2, "in_rows": 5, "in_columns": 9, "kernel_rows": 3, "kernel_columns": 5}
    nest = matmul_nest(3, 1, 1, row_stride=2, column_stride=2, **sizes)
    mapping = replace(tiled(3, 1, 1, rows=2, a="panel"), dataflow="os")
    for accelerator in MACHINES:
        check_values(nest, mapping, accelerator, 1, 0.0123, "none")


def check_values(nest, mapping, accelerator, seed, scale, activation):
    image, addresses, (a, b, bias) = memory_of(nest, seed)
    program = emit(nest, mapping, accelerator, activation=activation, scale=scale, addresses=addresses)
    before = image.copy()
    execute(program, accelerator, image, BASE)
    at, sums = oracle(nest, a, b, bias)
    expected = before
    expected[addresses.c - BASE + at.reshape(-1)] = scaled(sums, scale, activation == "relu").reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(image, expected)


def fields(words, high, low):
    return ((words >> np.uint64(low)) & np.uint64((1 << (high - low + 1)) - 1)).astype(np.int64)


def moved_bytes(program, funct):
    """Bytes of memory that the commands `funct` read or write: rows x columns, zeros from nowhere not counted."""
    chosen = (program.funct == funct) & (program.rs1 != 0)
    return int((fields(program.rs2, 63, 48) * fields(program.rs2, 47, 32))[chosen].sum())


def multiplied(program):
    """Multiply-accumulates of the computes: rows and columns of A, columns of the result that the preload before
    names."""
    computes = np.flatnonzero(np.isin(program.funct, (isa.COMPUTE_PRELOADED, isa.COMPUTE_ACCUMULATED)))
    a, stationary, moving = program.rs1[computes], program.rs2[computes - 1], program.rs2[computes]
    garbage = fields(stationary, 31, 0) == isa.GARBAGE
    columns = fields(np.where(garbage, moving, stationary), 47, 32)
    return int((fields(a, 63, 48) * fields(a, 47, 32) * columns).sum())


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data(), nest=NESTS, accelerator=st.sampled_from(MACHINES))
def test_work_and_traffic_are_conserved(data, nest, accelerator):
    mapping = data.draw(legal_mappings(nest, accelerator))
    assume(mapping is not None)
    program = emit(nest, mapping, accelerator, addresses=Addresses(a=1 << 20, b=1 << 24, c=1 << 28, bias=1 << 30))
    counts = tile_counts(nest, mapping.tile)
    assert multiplied(program) == nest.macs
    assert moved_bytes(program, isa.MVIN) == a_stream(nest, mapping, counts, accelerator).bytes
    assert moved_bytes(program, isa.MVIN2) == b_stream(nest, mapping, counts, accelerator).bytes
    assert moved_bytes(program, isa.MVOUT) == nest.repeat_count * nest.pixels * nest.out_channels
    assert not np.any(program.funct == isa.MVIN3) or nest.bias


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data(), nest=NESTS, accelerator=st.sampled_from(MACHINES[1:]))
def test_pieces_are_the_program(data, nest, accelerator):
    mapping = data.draw(legal_mappings(nest, accelerator))
    assume(mapping is not None)
    addresses = Addresses(a=1 << 20, b=1 << 24, c=1 << 28, bias=1 << 30)
    whole = emit(nest, mapping, accelerator, addresses=addresses)
    pieces = list(emit_chunks(nest, mapping, accelerator, addresses=addresses, chunk_commands=1))
    for field in ("funct", "rs1", "rs2"):
        joined = np.concatenate([getattr(piece, field) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole, field))


def matmul_nest(rows, columns, depth, **changes):
    plain = ArrayNest(
        images=1, out_rows=1, out_columns=rows, out_channels=columns, kernel_rows=1, kernel_columns=1,
        in_channels=depth, in_rows=1, in_columns=rows,
        row_stride=1, column_stride=1, row_dilation=1, column_dilation=1, top_pad=0,
        left_pad=0, a_stride=depth, b_stride=columns, c_stride=columns, repeats=(), transpose_a=False,
        transpose_b=False, bias=False,
    )  # fmt: skip
    return replace(plain, **changes)


def tiled(columns, out_channels, in_channels, *, rows=1, kernel=1, a="tile", b="tile"):
    tile = Tile(images=1, out_rows=rows, out_columns=columns, out_channels=out_channels, kernel_rows=kernel,
                kernel_columns=kernel, in_channels=in_channels)  # fmt: skip
    return Mapping(dataflow="ws", tile=tile, order="pixels_outer", a_placement=a, b_placement=b)


RESNET_3X3 = matmul_nest(
    56, 64, 64, out_rows=56, in_rows=56, kernel_rows=3, kernel_columns=3, top_pad=1, left_pad=1, bias=True
)


@pytest.mark.parametrize(
    ("nest", "mapping"),
    [
        (matmul_nest(512, 768, 768), tiled(128, 64, 384)),
        (matmul_nest(512, 768, 768, bias=True), tiled(64, 128, 256, a="panel")),
        (RESNET_3X3, tiled(56, 64, 64, rows=2, kernel=3, b="whole")),
        (matmul_nest(3136, 256, 64), tiled(128, 64, 64, b="whole")),
    ],
    ids=["matmul", "matmul-panel-bias", "3x3", "1x1"],
)
def test_good_mappings_keep_the_array_busy(nest, mapping):
    """Loads and stores hide behind the computes: within a fortieth of the array's own cycles on Gemmini's default."""
    gemmini = MACHINES[0]
    result = simulate(emit(nest, mapping, gemmini, addresses=addresses_of(nest, gemmini)), gemmini)
    ideal = compute_cycles(nest, mapping, gemmini)
    assert ideal <= result.cycles <= 1.025 * ideal


def test_too_long_a_program_is_refused():
    nest = matmul_nest(4096, 32000, 4096)
    with pytest.raises(InputError, match="use emit_chunks"):
        emit(nest, tiled(128, 64, 64), MACHINES[0], addresses=Addresses(a=1, b=2, c=3))


def test_a_transposed_with_transposed_b_needs_output_stationary():
    nest = matmul_nest(8, 8, 8, transpose_a=True, transpose_b=True)
    with pytest.raises(InputError, match="transposed"):
        emit(nest, tiled(8, 8, 8), MACHINES[0], addresses=Addresses(a=1, b=2, c=3))


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_address_zero_is_refused(name):
    """An mvin from address 0 brings zeros."""
    addresses = replace(Addresses(a=1, b=2, c=3), **{name: 0})
    with pytest.raises(InputError, match=rf"addresses\.{name}"):
        emit(matmul_nest(8, 8, 8), tiled(8, 8, 8), MACHINES[0], addresses=addresses)
