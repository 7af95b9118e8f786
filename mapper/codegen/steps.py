"""Compiled: the commands in program order: the computes of one step after the other, loads and stores between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numba import njit

from mapper.codegen.loads import FUNCT_BIAS
from mapper.codegen.plan import (
    LOAD_COUNT,
    LOAD_HEAD,
    LOADS_PARTIAL,
    PARTIAL,
    POSITION,
    SOURCES,
    STEP,
    STORE_COUNT,
    STORE_HEAD,
    STORES_RESULT,
    SWITCH_LOADS_1,
    SWITCH_LOADS_2,
    SWITCH_STORES_1,
    SWITCH_STORES_2,
    overlaps,
    plan_loads,
    queue_stores,
    shift_stores,
    store_share,
)  # fmt: skip
from mapper.codegen.tiles import (
    A_BASE,
    B_BASE,
    C_BASE,
    IN_0,
    IN_1,
    KCOL_0,
    KCOL_1,
    KROW_0,
    KROW_1,
    OUT_0,
    OUT_1,
    REDUCTION_TILE,
    REPEAT,
    RESULT,
    STEP_FIELDS,
    ZERO,
    b_row,
    inner,
    merged,
    packs_of,
    place_pieces,
    place_runs,
    place_step,
    runs_of,
)  # fmt: skip
from simulator.isa_compiled import encode_accumulator, encode_span

GARBAGE = np.uint64(0xFFFFFFFF)
CONFIG, MVOUT = np.uint8(0), np.uint8(3)
COMPUTE_PRELOADED, COMPUTE_ACCUMULATED, PRELOAD = np.uint8(4), np.uint8(5), np.uint8(6)
ALL_DUE = np.int64(-1)


@merged
def put(out, at, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Write one command; returns the next place."""
    out[0][at], out[1][at], out[2][at] = funct, rs1, rs2
    return at + 1


@merged
def _put_store(w, bases, out, at, stores, store, state):  # type: ignore[no-untyped-def]
    """One store; the first of a result behind partial sums changes the configuration."""
    if w.parts > 1 and not state[STORES_RESULT] and np.int64(stores[0][store]) < bases[PARTIAL]:
        at = put(out, at, CONFIG, np.uint64(bases[SWITCH_STORES_1]), np.uint64(bases[SWITCH_STORES_2]))
        state[STORES_RESULT] = 1
    return put(out, at, MVOUT, stores[0][store], stores[1][store])


@merged
def _put_stores(w, bases, out, at, stores, state, position, result):  # type: ignore[no-untyped-def]
    """Stores due at `position`, and all of results before `result`."""
    head = state[STORE_HEAD]
    while head < state[STORE_COUNT] and (stores[2][head] <= position or stores[3][head] < result):
        at = _put_store(w, bases, out, at, stores, head, state)
        head += 1
    state[STORE_HEAD] = head
    return at


@merged
def _put_overlapped(w, bases, out, at, stores, state, bias, result):  # type: ignore[no-untyped-def]
    """Stores of results before `result` up to the last that reads accumulator rows the `bias` load writes."""
    last = state[STORE_HEAD]
    for store in range(state[STORE_HEAD], state[STORE_COUNT]):
        if stores[3][store] < result and overlaps(w, bias, stores[1][store]):
            last = store + 1
    for store in range(state[STORE_HEAD], last):
        at = _put_store(w, bases, out, at, stores, store, state)
    state[STORE_HEAD] = last
    return at


@merged
def _put_due(w, bases, out, at, loads, stores, state, compute, result):  # type: ignore[no-untyped-def]
    """Loads and stores due before the step's compute number `compute`. A bias load takes accumulator rows of the result
    before the current one, so their stores come first; the first partial sums behind biases change the
    configuration."""
    head = state[LOAD_HEAD]
    while head < state[LOAD_COUNT] and loads[4][head] <= compute:
        if loads[0][head] == FUNCT_BIAS:
            at = _put_overlapped(w, bases, out, at, stores, state, loads[2][head], result)
            partial = w.parts > 1 and np.int64(loads[1][head]) >= bases[PARTIAL]
            if partial and not state[LOADS_PARTIAL]:
                at = put(out, at, CONFIG, np.uint64(bases[SWITCH_LOADS_1]), np.uint64(bases[SWITCH_LOADS_2]))
                state[LOADS_PARTIAL] = 1
        at = put(out, at, loads[0][head], loads[1][head], loads[2][head])
        head += 1
    state[LOAD_HEAD] = head
    return _put_stores(w, bases, out, at, stores, state, state[POSITION] + compute, ALL_DUE)


@merged
def _stationary(w, info, block, krow, kcol, k):  # type: ignore[no-untyped-def]
    """What the runs of one weight block (from kernel column `kcol` on, those packed with it) share: A's rows before a
    run's own, A's columns, and the block of B."""
    krow_0, kcol_0, in_0 = (0, 0, 0) if w.a_place else (info[KROW_0], info[KCOL_0], info[IN_0])
    depth = min(w.dim, info[IN_1] - k) * min(w.pixels, info[KCOL_1] - kcol)
    columns = min(w.dim, info[OUT_1] - info[OUT_0] - block * w.dim)
    a = info[A_BASE] + (k - in_0) // w.dim * w.a_depth
    a += (krow - krow_0) * w.row_dilation * w.a_line + (kcol - kcol_0) * w.column_dilation
    krow_0, kcol_0, in_0 = (0, 0, 0) if w.b_place else (info[KROW_0], info[KCOL_0], info[IN_0])
    out_column = info[OUT_0] + block * w.dim - (0 if w.b_place == 2 else info[OUT_0])
    if w.transpose_b:
        b = info[B_BASE] + b_row(w, out_column, (k - in_0) // w.dim)
    else:
        place = (krow - krow_0) * w.b_kernel_columns + kcol - kcol_0
        b = info[B_BASE] + b_row(w, place * w.b_position + k - in_0, out_column // w.dim)
    return a, depth, columns, encode_span(depth, columns, b)


@merged
def _compute(w, runs, run, shared, starts, result, out, at):  # type: ignore[no-untyped-def]
    """One preload and compute of what `_stationary` gave. `starts`: this compute brings new weights (ws) or starts a
    new sum (os); `result` is a local address."""
    a, depth, columns, b_span = shared
    rows = runs[run, 3]
    a_span = encode_span(rows, depth, a + runs[run, 1])
    funct = COMPUTE_PRELOADED if starts else COMPUTE_ACCUMULATED
    nothing = encode_span(w.dim, w.dim, GARBAGE)
    result = encode_span(rows, columns, result)
    if w.weight_stationary:
        at = put(out, at, PRELOAD, b_span if starts else nothing, result)
        return put(out, at, funct, a_span, nothing)
    at = put(out, at, PRELOAD, nothing, result)
    return put(out, at, funct, a_span, b_span)


@merged
def _result(w, info, runs, run, block, accumulate):  # type: ignore[no-untyped-def]
    """Local address of the accumulator rows of one run and output-channel block."""
    return encode_accumulator(info[C_BASE] + runs[run, 0] + block * w.c_plane, accumulate, False)


@merged
def _ws_computes(w, bases, info, runs, run_count, loads, stores, state, out, at):  # type: ignore[no-untyped-def]
    """Weight block outer, runs of columns inner."""
    compute = ZERO
    first = info[REDUCTION_TILE] == 0 and not w.bias and info[REPEAT] % w.parts == 0
    for block in range(-(-(info[OUT_1] - info[OUT_0]) // w.dim)):
        for krow in range(info[KROW_0], info[KROW_1]):
            for kcol in range(info[KCOL_0], info[KCOL_1], w.pixels):
                for k in range(info[IN_0], info[IN_1], w.dim):
                    fresh = first and krow == info[KROW_0] and kcol == info[KCOL_0] and k == info[IN_0]
                    shared = _stationary(w, info, block, krow, kcol, k)
                    for run in range(run_count):
                        at = _put_due(w, bases, out, at, loads, stores, state, compute, info[RESULT])
                        result = _result(w, info, runs, run, block, not fresh)
                        at = _compute(w, runs, run, shared, run == 0, result, out, at)
                        compute += 1
    return at


@merged
def _os_computes(w, bases, info, runs, run_count, loads, stores, state, out, at):  # type: ignore[no-untyped-def]
    """Result block outer, reduction inner; the sum leaves the mesh before its output register could saturate."""
    compute = ZERO
    first = info[REDUCTION_TILE] == 0 and not w.bias and info[REPEAT] % w.parts == 0
    depth = packs_of(w, info) * -(-(info[IN_1] - info[IN_0]) // w.dim)
    for block in range(-(-(info[OUT_1] - info[OUT_0]) // w.dim)):
        for run in range(run_count):
            term = 0
            for krow in range(info[KROW_0], info[KROW_1]):
                for kcol in range(info[KCOL_0], info[KCOL_1], w.pixels):
                    for k in range(info[IN_0], info[IN_1], w.dim):
                        at = _put_due(w, bases, out, at, loads, stores, state, compute, info[RESULT])
                        starts = term % w.os_blocks_per_result == 0
                        ends = term == depth - 1 or (term + 1) % w.os_blocks_per_result == 0
                        fresh = first and term < w.os_blocks_per_result
                        result = _result(w, info, runs, run, block, not fresh) if ends else GARBAGE
                        shared = _stationary(w, info, block, krow, kcol, k)
                        at = _compute(w, runs, run, shared, starts, result, out, at)
                        compute += 1
                        term += 1
    return at


@inner
def _emit_steps(w, bases, offsets, state, loads, ahead, stores, runs, pieces, out, at, room):  # type: ignore[no-untyped-def]
    """Emit whole steps while `room` commands are left for one; returns the number of commands in `out`. `state` carries
    on from call to call; its STEP is the number of steps when all is emitted."""
    info, following = np.zeros(STEP_FIELDS, np.int64), np.zeros(STEP_FIELDS, np.int64)
    steps = w.repeats * w.pixel_tiles * w.channel_tiles * w.reduction_tiles
    while state[STEP] < steps and out[0].size - at >= room:
        step = state[STEP]
        place_step(w, step, info)
        computes = runs_of(w, info) * packs_of(w, info) * -(-(info[IN_1] - info[IN_0]) // w.dim)
        computes *= -(-(info[OUT_1] - info[OUT_0]) // w.dim)
        # A single result buffer is free for the next result when all of the last one is stored.
        at = _put_stores(w, bases, out, at, stores, state, ALL_DUE, info[RESULT] - (0 if w.c_single else 1))
        first, count = plan_loads(
            w, step, steps, following, bases, offsets, runs, pieces, loads, ahead, stores, state, computes
        )
        state[LOAD_HEAD], state[LOAD_COUNT] = 0, count
        run_count = place_runs(w, info, runs)
        if info[REDUCTION_TILE] == w.reduction_tiles - 1:
            shift_stores(stores, state)
            share = store_share(w, loads, first, count)
            piece_count = place_pieces(w, runs, run_count, pieces)
            address = bases[2] + offsets[info[REPEAT], 2]
            if info[REPEAT] % w.parts < w.parts - 1:
                address = bases[PARTIAL]
            queue_stores(w, info, address, pieces, piece_count, computes, share, step == steps - 1, stores, state)
        if w.weight_stationary:
            at = _ws_computes(w, bases, info, runs, run_count, loads, stores, state, out, at)
        else:
            at = _os_computes(w, bases, info, runs, run_count, loads, stores, state, out, at)
        at = _put_due(w, bases, out, at, loads, stores, state, computes, info[RESULT])
        state[POSITION] += computes
        state[STEP] += 1
        if state[STEP] == steps:
            at = _put_stores(w, bases, out, at, stores, state, ALL_DUE, steps)
    return at


def _entry(sources: int) -> Any:
    """`emit_steps` compiled. numba's cache notices changes of the file a function is in, but not of those it calls
    into; the digest of all their sources is part of the cache's key because the function refers to it."""

    @njit(cache=True, error_model="numpy")
    def emit_steps(w, bases, offsets, state, loads, ahead, stores, runs, pieces, out, at, room):  # type: ignore[no-untyped-def]
        state[SOURCES] = sources
        return _emit_steps(w, bases, offsets, state, loads, ahead, stores, runs, pieces, out, at, room)

    return emit_steps


def _source_digest() -> int:
    """Digest of the sources that compiled code is made of."""
    here = Path(__file__)
    files = (*sorted(here.parent.glob("*.py")), here.parents[2] / "simulator" / "isa_compiled.py")
    return crc32(b"".join(file.read_bytes() for file in files))


emit_steps = _entry(_source_digest())
