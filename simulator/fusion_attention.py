"""Cost of attention as one: softmax(Q K^T) V without the scores ever reaching memory.

A block of queries meets blocks of keys. Where a block holds all keys, rows are normalised as they stand. Where it does
not, the softmax is online: a running maximum and sum per query, and the output so far rescaled whenever the maximum may
have grown (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., FlashAttention, arXiv 2205.14135, algorithm 1): per
block of keys after the first one more pass over the output's rows, and a last one to divide by the sum. Keys and values
then cross the port once a block of queries (ibid., theorem 2), the queries and the output once.

The probabilities go from the vector unit to the array through the scratchpad. Gemmini has no such path (its normaliser
writes to memory only, Scratchpad.scala at 8c3f992), so these figures are of a machine with one, and analytical.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import Stream, analytical, latency, ramps, read_cycles
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.fusion import unit_of
from simulator.mapping import Mapping, Tile, ceil_div
from simulator.tile_sums import ceilings, row_beats, row_requests, row_write_cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionTile:
    """Queries and keys that are on chip at a time; fewer than all keys makes the softmax online."""

    queries: int
    keys: int


def attention_rows(
    scores: ArrayNest, attended: ArrayNest, accelerator: Accelerator, tile: AttentionTile
) -> tuple[int, int]:
    """Scratchpad and accumulator rows: Q, K, V and probabilities; scores, output, running statistics. Buffers that are
    filled more than once are double."""
    dim, repeats = accelerator.dim, scores.repeat_count
    query_blocks, key_blocks = _blocks(scores, tile)
    depth, width, keys = (ceil_div(size, dim) for size in (scores.in_channels, attended.out_channels, tile.keys))
    outer, inner = 1 + (repeats * query_blocks > 1), 1 + (repeats * key_blocks > 1)
    steps = 1 + (repeats * query_blocks * key_blocks > 1)
    key_rows = tile.keys * depth if scores.transpose_b else scores.in_channels * keys
    scratchpad = outer * tile.queries * depth + inner * (key_rows + tile.keys * width) + steps * tile.queries * keys
    statistics = ceil_div(2 * tile.queries, dim) if key_blocks > 1 else 0
    return scratchpad, steps * tile.queries * keys + outer * (tile.queries * width + statistics)


def attention_cost(
    scores: ArrayNest, attended: ArrayNest, accelerator: Accelerator, tile: AttentionTile, *, function: str = "softmax"
) -> Cost:
    """Cost of both matmuls and the softmax between them.

    The array, the vector unit and the port's directions overlap from block to block; the last block's softmax is waited
    for. Raises InputError for nests that do not fit together, for a tile outside its loops or of partial DIM blocks of
    keys, and for a machine without the unit; InfeasibleError where the tile does not fit.
    """
    unit = unit_of(function, accelerator)
    _check(scores, attended, accelerator, tile)
    _, key_blocks = _blocks(scores, tile)
    first = analytical(scores, _mapping(tile.queries, tile.keys, scores.in_channels), accelerator)
    second = analytical(attended, _mapping(tile.queries, attended.out_channels, tile.keys), accelerator)
    loads, store = _traffic(scores, attended, accelerator, tile)
    passes, queries = unit.passes[function], scores.repeat_count * scores.out_columns
    row = passes * ceilings(scores.out_channels, tile.keys, unit.lanes)
    rescaling = key_blocks * ceil_div(attended.out_channels, unit.lanes) if key_blocks > 1 else 0
    busy = queries * (row + rescaling)
    last_keys = scores.out_channels % tile.keys or tile.keys
    last_queries = scores.out_columns % tile.queries or tile.queries
    exposed = passes * last_queries * ceil_div(last_keys, unit.lanes) + unit.latency_cycles
    ramp = ramps(scores, accelerator)
    ramp = replace(ramp, after_compute=ramp.after_compute + exposed)
    read = read_cycles(
        sum(load.beats for load in loads), sum(load.requests for load in loads), store.requests, accelerator
    )
    compute = int(first.compute_cycles + second.compute_cycles)
    cycles = max(
        latency(compute, read, store.beats, ramp), ramp.before_store + busy + unit.latency_cycles + ramp.after_store
    )
    read_bytes = sum(load.bytes for load in loads)
    probabilities = queries * scores.out_channels * accelerator.input_bytes
    words = passes * queries * scores.out_channels + queries * key_blocks * attended.out_channels * (key_blocks > 1)
    accumulator_read = first.accumulator_read_bytes + second.accumulator_read_bytes
    accumulator_read += words * accelerator.accumulator_bytes
    accumulator_write = first.accumulator_write_bytes + second.accumulator_write_bytes
    scratchpad_read = first.scratchpad_read_bytes + second.scratchpad_read_bytes
    scratchpad_write = read_bytes + probabilities
    return Cost(
        cycles=float(cycles),
        compute_cycles=float(compute),
        read_cycles=float(read),
        write_cycles=float(store.beats),
        macs=scores.macs + attended.macs,
        dram_read_bytes=read_bytes,
        dram_write_bytes=store.bytes,
        scratchpad_read_bytes=scratchpad_read,
        scratchpad_write_bytes=scratchpad_write,
        accumulator_read_bytes=accumulator_read,
        accumulator_write_bytes=accumulator_write,
        energy_pj=energy_pj(
            accelerator,
            macs=scores.macs + attended.macs,
            scratchpad_bytes=scratchpad_read + scratchpad_write,
            accumulator_bytes=accumulator_read + accumulator_write,
            dram_bytes=read_bytes + store.bytes,
        ),
    )


def _blocks(scores: ArrayNest, tile: AttentionTile) -> tuple[int, int]:
    return ceil_div(scores.out_columns, tile.queries), ceil_div(scores.out_channels, tile.keys)


def _mapping(rows: int, out_channels: int, in_channels: int) -> Mapping:
    """One matmul of the pair, its operands streamed: only its compute cycles and on-chip traffic are used."""
    tile = Tile(
        images=1,
        out_rows=1,
        out_columns=rows,
        out_channels=out_channels,
        kernel_rows=1,
        kernel_columns=1,
        in_channels=in_channels,
    )
    return Mapping(dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile")


def _traffic(
    scores: ArrayNest, attended: ArrayNest, accelerator: Accelerator, tile: AttentionTile
) -> tuple[tuple[Stream, Stream, Stream], Stream]:
    """Queries, keys and values in, the output out. All keys of a head stay while its queries pass; blocks of keys come
    again for every block of queries."""
    query_blocks, key_blocks = _blocks(scores, tile)
    repeats, queries, keys = scores.repeat_count, scores.out_columns, scores.out_channels
    passes = 1 if key_blocks == 1 else query_blocks
    depth, width = scores.in_channels, attended.out_channels
    out_rows = repeats * queries
    return (
        _rows(repeats * queries, depth, depth, accelerator),
        _rows(passes * repeats * keys, depth, depth, accelerator)
        if scores.transpose_b
        else _rows(passes * repeats * depth, keys, tile.keys, accelerator),
        _rows(passes * repeats * keys, width, width, accelerator),
    ), Stream(
        beats=out_rows * row_write_cycles(width, width, accelerator),
        requests=out_rows * row_requests(width, width, accelerator),
        bytes=out_rows * width * accelerator.input_bytes,
    )


def _rows(rows: int, size: int, part: int, accelerator: Accelerator) -> Stream:
    """`rows` contiguous rows of `size` inputs, fetched `part` at a time."""
    return Stream(
        beats=rows * row_beats(size, part, accelerator),
        requests=rows * row_requests(size, part, accelerator),
        bytes=rows * size * accelerator.input_bytes,
    )


def _check(scores: ArrayNest, attended: ArrayNest, accelerator: Accelerator, tile: AttentionTile) -> None:
    for what, one, other in (
        ("heads", scores.repeat_count, attended.repeat_count),
        ("queries", scores.pixels, attended.pixels),
        ("keys", scores.out_channels, attended.in_channels),
    ):
        if one != other:
            raise InputError(f"attention.{what}", "the two matmuls disagree", value=one, limit=other)
    if scores.transpose_a or attended.transpose_a or attended.transpose_b or scores.pixels != scores.out_columns:
        raise InputError("attention", "operands must be matrices with their rows in order")
    for what, size, limit in (
        ("queries", tile.queries, scores.out_columns),
        ("keys", tile.keys, scores.out_channels),
    ):
        if not 1 <= size <= limit:
            raise InputError(f"tile.{what}", "tile outside its loop", value=size, limit=limit)
    if tile.keys % accelerator.dim and tile.keys != scores.out_channels:
        raise InputError("tile.keys", f"must be all keys or a multiple of DIM = {accelerator.dim}", value=tile.keys)
    needed = attention_rows(scores, attended, accelerator, tile)
    for memory, demand, capacity in zip(
        ("scratchpad", "accumulator"),
        needed,
        (accelerator.scratchpad_rows, accelerator.accumulator_rows),
        strict=True,
    ):
        if demand > capacity:
            raise InfeasibleError(memory, demand=demand, capacity=capacity, unit="rows", hint="take a smaller tile")
