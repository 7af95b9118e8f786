"""Attention as one and depthwise with pointwise as one, against walks over their tiles and every tile there is."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nest_cases import convolution, machine, matmul

from mapper.across_layers.fused_attention import fused_attention
from mapper.across_layers.fused_depthwise import fused_depthwise
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest, Repeat
from simulator.fusion_attention import AttentionTile, attention_cost, attention_rows
from simulator.fusion_depthwise import Band, depthwise_pointwise_cost, packed_depthwise

IBERT = load_accelerator("gemmini-ibert")


def _heads(count: int) -> dict[str, object]:
    return {"repeats": (Repeat(count=count, a_stride=1, b_stride=1, c_stride=1),), "bias": False}


def _attention(heads: int, queries: int, keys: int, depth: int, width: int) -> tuple[ArrayNest, ArrayNest]:
    return (
        matmul(queries, depth, keys, transpose_b=True, **_heads(heads)),
        matmul(queries, keys, width, **_heads(heads)),
    )


@st.composite
def attention_cases(draw: st.DrawFn) -> tuple[Accelerator, ArrayNest, ArrayNest, AttentionTile]:
    accelerator = machine(2, draw(st.integers(8, 80)), draw(st.integers(6, 60)), base=IBERT, bus_bytes=4)
    size = st.integers(1, 7)
    scores, attended = _attention(draw(st.integers(1, 3)), draw(size), draw(size), draw(size), draw(size))
    keys = draw(st.sampled_from([*range(2, scores.out_channels, 2), scores.out_channels]))
    tile = AttentionTile(queries=draw(st.integers(1, scores.out_columns)), keys=keys)
    return accelerator, scores, attended, tile


def _walk(scores: ArrayNest, attended: ArrayNest, tile: AttentionTile, lanes: int, passes: int) -> tuple[int, int, int]:
    """Bytes read, bytes written and cycles of the unit, block by block; each operand's buffer holds one block."""
    read = written = unit = 0
    held = None
    for head in range(scores.repeat_count):
        for query in range(0, scores.out_columns, tile.queries):
            rows = min(tile.queries, scores.out_columns - query)
            read += rows * scores.in_channels
            for key in range(0, scores.out_channels, tile.keys):
                keys = min(tile.keys, scores.out_channels - key)
                if held != (head, key):
                    read += keys * (scores.in_channels + attended.out_channels)
                    held = (head, key)
                unit += rows * passes * -(-keys // lanes)
                if key:
                    unit += rows * -(-attended.out_channels // lanes)
            if tile.keys < scores.out_channels:
                unit += rows * -(-attended.out_channels // lanes)
            written += rows * attended.out_channels
    return read, written, unit


@settings(derandomize=True, deadline=None, max_examples=200)
@given(attention_cases())
def test_attention_moves_and_normalises_what_a_walk_over_its_blocks_does(
    case: tuple[Accelerator, ArrayNest, ArrayNest, AttentionTile],
) -> None:
    accelerator, scores, attended, tile = case
    needed = attention_rows(scores, attended, accelerator, tile)
    if needed[0] > accelerator.scratchpad_rows or needed[1] > accelerator.accumulator_rows:
        with pytest.raises(InfeasibleError):
            attention_cost(scores, attended, accelerator, tile)
        return
    cost = attention_cost(scores, attended, accelerator, tile)
    unit = accelerator.vector_unit
    assert unit is not None
    read, written, busy = _walk(scores, attended, tile, unit.lanes, unit.passes["softmax"])
    assert cost.dram_write_bytes == written
    assert cost.cycles > max(busy, cost.compute_cycles, cost.read_cycles, cost.write_cycles)
    # A walk with single buffers reads the first block of keys again only when another one came between.
    assert cost.dram_read_bytes == read
    assert cost.macs == scores.macs + attended.macs


@settings(derandomize=True, deadline=None, max_examples=40)
@given(attention_cases(), st.booleans())
def test_the_attention_tile_is_the_best_of_its_space(
    case: tuple[Accelerator, ArrayNest, ArrayNest, AttentionTile], by_traffic: bool
) -> None:
    accelerator, scores, attended, _ = case
    keys = [*range(2, scores.out_channels, 2), scores.out_channels]
    rows = {-(-scores.out_columns // blocks) for blocks in range(1, scores.out_columns + 1)}
    rows |= set(range(2, scores.out_columns, 2))
    found = []
    for queries, size in product(rows, keys):
        try:
            cost = attention_cost(scores, attended, accelerator, AttentionTile(queries=queries, keys=size))
        except InfeasibleError:
            continue
        found.append((cost.dram_bytes, cost.cycles) if by_traffic else (cost.cycles, cost.dram_bytes))
    objective = "traffic" if by_traffic else "latency"
    if not found:
        with pytest.raises(InfeasibleError):
            fused_attention(scores, attended, accelerator, objective=objective)
        return
    _, best = fused_attention(scores, attended, accelerator, objective=objective)
    assert min(found) == ((best.dram_bytes, best.cycles) if by_traffic else (best.cycles, best.dram_bytes))


def test_a_larger_scratchpad_never_makes_attention_move_more() -> None:
    scores, attended = _attention(2, 64, 64, 32, 32)
    before = float("inf")
    for rows in (256, 512, 1024, 4096):
        _, cost = fused_attention(scores, attended, machine(16, rows, 1024, base=IBERT), objective="traffic")
        assert cost.dram_bytes <= before
        before = cost.dram_bytes
    assert before == 2 * 64 * (32 + 32) * 2


def test_matmuls_that_do_not_follow_each_other_are_refused() -> None:
    scores, attended = _attention(2, 8, 8, 4, 4)
    tile = AttentionTile(queries=4, keys=8)
    for wrong, what in ((_attention(1, 8, 8, 4, 4)[1], "heads"), (_attention(2, 8, 6, 4, 4)[1], "keys")):
        with pytest.raises(InputError, match=what):
            attention_cost(scores, wrong, IBERT, tile)
    with pytest.raises(InputError, match="softmax"):
        attention_cost(scores, attended, load_accelerator("gemmini"), tile)


@st.composite
def depthwise_cases(draw: st.DrawFn) -> tuple[Accelerator, ArrayNest, ArrayNest]:
    accelerator = machine(2, draw(st.integers(20, 200)), draw(st.integers(8, 100)), bus_bytes=4, request_bytes=16)
    channels = 2 * draw(st.integers(1, 3))
    stride, pad, kernel = draw(st.integers(1, 2)), draw(st.integers(0, 1)), draw(st.sampled_from((1, 3)))
    image = draw(st.integers(3, 6))
    nest = convolution(
        1,
        image,
        kernel,
        1,
        1,
        stride=stride,
        pad=pad,
        repeats=(Repeat(count=channels, a_stride=1, b_stride=1, c_stride=1, bias_stride=1),),
        bias=draw(st.booleans()),
        a_stride=channels,
        c_stride=channels,
    )
    pointwise = matmul(nest.pixels, channels, draw(st.integers(1, 6)), bias=draw(st.booleans()))
    return accelerator, nest, pointwise


def _rows_read(nest: ArrayNest, out_rows: int) -> int:
    """Input rows inside the image that bands of `out_rows` output rows read, each band for itself."""
    total = 0
    for first in range(0, nest.out_rows, out_rows):
        outs = range(first, min(first + out_rows, nest.out_rows))
        rows = {out * nest.row_stride + tap - nest.top_pad for out in outs for tap in range(nest.kernel_rows)}
        total += sum(0 <= row < nest.in_rows for row in rows)
    return total


@settings(derandomize=True, deadline=None, max_examples=120)
@given(depthwise_cases(), st.data())
def test_a_band_moves_what_a_walk_over_the_bands_does(
    case: tuple[Accelerator, ArrayNest, ArrayNest], data: st.DataObject
) -> None:
    accelerator, nest, pointwise = case
    band = Band(
        out_rows=data.draw(st.integers(1, nest.out_rows)),
        out_channels=pointwise.out_channels,
        depthwise_stays=data.draw(st.booleans()),
        pointwise_stays=data.draw(st.booleans()),
    )
    try:
        cost = depthwise_pointwise_cost(nest, pointwise, accelerator, band)
    except InfeasibleError:
        assume(False)
    channels, bands = nest.repeats[0].count, -(-nest.out_rows // band.out_rows)
    columns = {
        out * nest.column_stride + tap - nest.left_pad
        for out in range(nest.out_columns)
        for tap in range(nest.kernel_columns)
    }
    width = sum(0 <= column < nest.in_columns for column in columns)
    weights = nest.kernel_rows * nest.kernel_columns * channels * 2 * (1 if band.depthwise_stays else bands)
    weights += channels * pointwise.out_channels * (1 if band.pointwise_stays else bands)
    assert cost.dram_write_bytes == pointwise.pixels * pointwise.out_channels
    biases = cost.dram_read_bytes - _rows_read(nest, band.out_rows) * width * channels - weights
    assert biases >= 4 * (nest.bias * channels + pointwise.bias * pointwise.out_channels)
    assert (biases == 0) == (not nest.bias and not pointwise.bias)
    assert cost.cycles > max(cost.compute_cycles, cost.read_cycles, cost.write_cycles)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(depthwise_cases())
def test_the_band_is_the_best_of_all(case: tuple[Accelerator, ArrayNest, ArrayNest]) -> None:
    accelerator, nest, pointwise = case
    found = []
    for rows, size, first, second in product(
        range(1, nest.out_rows + 1), range(1, pointwise.out_channels + 1), (False, True), (False, True)
    ):
        band = Band(out_rows=rows, out_channels=size, depthwise_stays=first, pointwise_stays=second)
        try:
            cost = depthwise_pointwise_cost(nest, pointwise, accelerator, band)
        except (InfeasibleError, InputError):
            continue
        found.append((cost.cycles, cost.dram_bytes))
    if not found:
        with pytest.raises(InfeasibleError):
            fused_depthwise(nest, pointwise, accelerator)
        return
    _, best = fused_depthwise(nest, pointwise, accelerator)
    assert (best.cycles, best.dram_bytes) == min(found)


def test_only_a_depthwise_nest_is_packed() -> None:
    with pytest.raises(InputError, match="no depthwise"):
        packed_depthwise(matmul(4, 4, 4), 16)
    with pytest.raises(InputError, match="must be a depthwise"):
        depthwise_pointwise_cost(
            matmul(4, 4, 4),
            matmul(4, 4, 4),
            IBERT,
            Band(out_rows=1, out_channels=4, depthwise_stays=True, pointwise_stays=True),
        )
