"""Matmuls normalised in the accumulator as commands: their values, and their cycles on the engine beside the
model's."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_cases import matmul
from test_normaliser import plain_layer_norm, plain_softmax

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.codegen.emit import Addresses
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation, emit_wide
from mapper.heuristic import heuristic
from model_ir.errors import InputError
from model_ir.ops.integer_arithmetic import NormConstants, softmax_constants
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.functional import execute
from simulator.fusion import Tail

IBERT = load_accelerator("gemmini-ibert")
BASE, B, BIAS, WIDE, C = (0x80000000 + part * 0x10000 for part in range(5))
ADDRESSES = Addresses(a=BASE, b=B, c=C, bias=BIAS)
CONSTANTS = {"layer_norm": NormConstants(0, 0), "softmax": softmax_constants(1e-3)}
SCALES = {"layer_norm": 20.0, "softmax": 1.0}


def _operands(nest: ArrayNest, seed: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    a = generator.integers(-9, 10, (nest.out_columns, nest.in_channels), dtype=np.int8)
    b = generator.integers(-9, 10, (nest.in_channels, nest.out_channels), dtype=np.int8)
    image = np.zeros(0x60000, np.uint8)
    for at, values in ((BASE, a), (B, np.ascontiguousarray(b.T) if nest.transpose_b else b)):
        image[at - BASE : at - BASE + values.size] = values.reshape(-1).view(np.uint8)
    return a, b, image


def _expected(function: str, sums: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    if function == "layer_norm":
        return np.array([plain_layer_norm(row, SCALES[function]) for row in sums.tolist()])
    return np.array([plain_softmax(row, CONSTANTS[function], SCALES[function]) for row in sums.tolist()])


def _result(image: npt.NDArray[np.uint8], nest: ArrayNest) -> npt.NDArray[np.int8]:
    return image[C - BASE :][: nest.pixels * nest.out_channels].view(np.int8).reshape(nest.pixels, nest.out_channels)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    st.integers(1, 50),
    st.sampled_from((16, 40, 64)),
    st.sampled_from((7, 16, 33, 100, 128)),
    st.sampled_from(("layer_norm", "softmax")),
    st.booleans(),
    st.integers(0, 99),
)
def test_both_ways_compute_the_normalised_product(
    rows: int, depth: int, columns: int, function: str, transposed: bool, seed: int
) -> None:
    changes = {"bias": False, "transpose_b": transposed, "b_stride": depth if transposed else columns}
    nest = matmul(rows, depth, columns, **changes)
    normalisation = Normalisation(function=function, constants=CONSTANTS[function], scale=SCALES[function])
    a, b, image = _operands(nest, seed)
    expected = _expected(function, a.astype(np.int64) @ b.astype(np.int64))
    mapping, _ = fused_mapping(nest, IBERT, Tail(normalise=function))
    apart = image.copy()
    execute(emit_fused(nest, mapping, IBERT, normalisation, addresses=ADDRESSES), IBERT, image, BASE)
    np.testing.assert_array_equal(_result(image, nest), expected)
    execute(emit_wide(nest, heuristic(nest, IBERT), IBERT, addresses=replace(ADDRESSES, c=WIDE)), IBERT, apart, BASE)
    sums = apart[WIDE - BASE :][: 4 * nest.pixels * columns].view(np.int32).reshape(nest.pixels, columns)
    np.testing.assert_array_equal(sums, a.astype(np.int64) @ b.astype(np.int64))
    execute(emit_normalisation(rows, columns, IBERT, normalisation, source=WIDE, target=C), IBERT, apart, BASE)
    np.testing.assert_array_equal(_result(apart, nest), expected)


def test_an_accumulator_that_holds_one_block_of_rows_normalises_one_block_after_the_other() -> None:
    """768 sums a row are 48 blocks of DIM rows; 64 KiB hold one such block of rows, 128 KiB two."""
    normalisation = Normalisation(function="layer_norm", constants=CONSTANTS["layer_norm"], scale=SCALES["layer_norm"])
    sums = np.random.default_rng(5).integers(-1500, 1500, (20, 768)).astype(np.int32)
    images = []
    for kib in (64, 128):
        image = np.zeros(C - BASE + sums.size, np.uint8)
        image[WIDE - BASE :][: sums.nbytes] = sums.reshape(-1).view(np.uint8)
        program = emit_normalisation(20, 768, _machine(kib), normalisation, source=WIDE, target=C)
        execute(program, _machine(kib), image, BASE)
        images.append(image)
    np.testing.assert_array_equal(*images)
    expected = _expected("layer_norm", sums.astype(np.int64))
    np.testing.assert_array_equal(images[0][C - BASE :][: sums.size].view(np.int8).reshape(sums.shape), expected)


def _machine(accumulator_kib: int) -> Accelerator:
    of = msgspec.structs.replace
    return of(IBERT, accumulator=of(IBERT.accumulator, capacity_bytes=accumulator_kib * 1024))


def _cycles(nest: ArrayNest, accelerator: Accelerator, function: str) -> tuple[int, int, float]:
    """Engine's cycles fused and apart, and the model's fused."""
    addresses = Addresses(a=0x80000000, b=0x90000000, c=0xA0000000)
    normalisation = Normalisation(function=function, constants=CONSTANTS[function])
    mapping, cost = fused_mapping(nest, accelerator, Tail(normalise=function), tile_rows="blocks")
    fused = simulate(emit_fused(nest, mapping, accelerator, normalisation, addresses=addresses), accelerator)
    wide = simulate(emit_wide(nest, heuristic(nest, accelerator), accelerator, addresses=addresses), accelerator)
    alone = emit_normalisation(
        nest.pixels, nest.out_channels, accelerator, normalisation, source=0xA0000000, target=0xB0000000
    )
    return fused.cycles, wide.cycles + simulate(alone, accelerator).cycles, cost.cycles


def test_on_the_engine_the_accumulator_decides_whether_layer_norm_is_worth_fusing() -> None:
    """Kim et al., arXiv 2302.14017, section 5.5.2, the output projection, here of 128 tokens: the direction holds where
    every command is timed, and the model is below the engine and near it."""
    nest = matmul(128, 768, 768, bias=False)
    for kib, pays in ((128, False), (256, True)):
        fused, apart, model = _cycles(nest, _machine(kib), "layer_norm")
        assert (fused < apart) == pays
        assert model <= fused <= 1.1 * model


def test_on_the_engine_softmax_is_worth_fusing() -> None:
    """One head of 128 tokens; the normaliser's division at the end of a row, which the model leaves out, shows."""
    fused, apart, model = _cycles(matmul(128, 64, 128, bias=False, transpose_b=True), _machine(128), "softmax")
    assert fused < apart
    assert model <= fused


def test_what_cannot_be_emitted_is_refused() -> None:
    nest = matmul(32, 32, 64, bias=False)
    normalisation = Normalisation(function="layer_norm", constants=CONSTANTS["layer_norm"])
    mapping, _ = fused_mapping(nest, IBERT, Tail(normalise="layer_norm"))
    with pytest.raises(InputError, match="no normaliser"):
        emit_fused(nest, mapping, load_accelerator("gemmini"), normalisation, addresses=ADDRESSES)
    with pytest.raises(InputError, match="contiguous"):
        emit_fused(replace(nest, c_stride=80), mapping, IBERT, normalisation, addresses=ADDRESSES)
    partial = replace(mapping, tile=replace(mapping.tile, out_channels=32))
    with pytest.raises(InputError, match="rows must be whole"):
        emit_fused(nest, partial, IBERT, normalisation, addresses=ADDRESSES)
    with pytest.raises(InputError, match="no such function"):
        emit_fused(nest, mapping, IBERT, replace(normalisation, function="gelu"), addresses=ADDRESSES)
    with pytest.raises(InputError, match="does not fit"):
        emit_normalisation(4, 4096, IBERT, normalisation, source=WIDE, target=C)


def test_every_row_leaves_once_after_three_passes() -> None:
    nest = matmul(40, 64, 96, bias=False)
    normalisation = Normalisation(function="layer_norm", constants=CONSTANTS["layer_norm"])
    mapping, _ = fused_mapping(nest, IBERT, Tail(normalise="layer_norm"))
    program = emit_fused(nest, mapping, IBERT, normalisation, addresses=ADDRESSES)
    stores = program.rs2[program.funct == isa.MVOUT]
    command = stores.astype(np.int64) >> 26 & 7
    columns = (stores >> np.uint64(32) & np.uint64(0xFFFF)).astype(np.int64)
    assert columns.sum() == 3 * 40 * 96
    assert columns[command == 0].sum() == 40 * 96
