"""Compiled: the program order. Computes of one step after the other; between them, evenly, the loads of the next step
and the stores of finished results.

Gemmini's reservation station takes commands in program order and each queue is short, so a burst of loads or stores
ahead of the computes blocks them. Every load and store therefore gets a position on one scale, the number of computes
before it. Only the first step's loads go by need: as soon as the memory port can take them, in the order the computes
ask for them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mapper.codegen_tiles import (
    A_BASE,
    A_LOADS,
    B_BASE,
    B_LOADS,
    C_BASE,
    COLUMN_0,
    COLUMN_1,
    FUNCT_BIAS,
    IMAGE_0,
    IMAGE_1,
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
    ROW_0,
    ROW_1,
    STEP_FIELDS,
    a_loads,
    b_loads,
    bias_loads,
    first_run_lacks,
    place_step,
    run_index,
    runs_of,
)  # fmt: skip
from simulator.isa_compiled import encode_accumulator, encode_span

GARBAGE = 0xFFFFFFFF
COMPUTE_PRELOADED, COMPUTE_ACCUMULATED, PRELOAD, MVOUT = 4, 5, 6, 3
STORE_LAG_COMPUTES = 3

STEP, POSITION, STORE_HEAD, STORE_COUNT, LAST_STORE, LOAD_HEAD, LOAD_COUNT, A_AHEAD, B_AHEAD, STATE_FIELDS = range(10)


@njit(cache=True)
def place_runs(w, info, runs):  # type: ignore[no-untyped-def]
    """Rows of `runs`: accumulator offset, scratchpad offset of A, output pixel, rows; one per run of up to DIM
    columns."""
    at, slot, used = 0, 0, w.dim
    width = info[COLUMN_1] - info[COLUMN_0]
    rest = width % w.dim
    step_rows, step_columns = w.row_stride // w.row_step, w.column_stride // w.column_step
    image_0, row_0, column_0 = info[IMAGE_0], info[ROW_0], info[COLUMN_0]
    if w.a_place == 2:
        image_0, row_0, column_0 = 0, 0, 0
    line = 0
    for image in range(info[IMAGE_0], info[IMAGE_1]):
        for row in range(info[ROW_0], info[ROW_1]):
            start = ((image - image_0) * w.a_height + (row - row_0) * step_rows) * w.a_width
            column, rows = info[COLUMN_0], w.dim - first_run_lacks(w, width)
            while column < info[COLUMN_1]:
                rows = min(rows, info[COLUMN_1] - column)
                runs[at, 0] = line * width + column - info[COLUMN_0]
                if w.c_slotted and rows == w.dim:
                    runs[at, 0] = slot * w.c_blocks * w.dim
                    slot += 1
                if w.transpose_a:
                    runs[at, 1] = (column - column_0) // w.dim * w.a_plane
                else:
                    runs[at, 1] = start + (column - column_0) * step_columns
                runs[at, 2] = (image * w.out_rows + row) * w.out_columns + column
                runs[at, 3] = rows
                column += rows
                rows = w.dim
                at += 1
            line += 1
    if w.c_slotted and rest:  # short runs share slots behind the full ones
        per_line = -(-width // w.dim)
        short = per_line - 1 if w.transpose_a else 0
        for end in range(line):
            if used + rest > w.dim:
                used = 0
                slot += 1
            runs[end * per_line + short, 0] = (slot - 1) * w.c_blocks * w.dim + used
            used += rest
    return at


@njit(cache=True)
def place_pieces(w, runs, run_count, pieces):  # type: ignore[no-untyped-def]
    """Rows of `pieces`: accumulator offset, output pixel, rows, first run, last run; runs that one command can move are
    one."""
    count = 0
    for run in range(run_count):
        offset, pixel, rows = runs[run, 0], runs[run, 2], runs[run, 3]
        if count and pieces[count - 1, 2] + rows <= w.dim:
            last = pieces[count - 1]
            if last[0] + last[2] == offset and last[1] + last[2] == pixel:
                last[2] += rows
                last[4] = run
                continue
        pieces[count, 0], pieces[count, 1], pieces[count, 2] = offset, pixel, rows
        pieces[count, 3], pieces[count, 4] = run, run
        count += 1
    return count


@njit(cache=True)
def step_loads(w, info, operands, bases, offsets, runs, pieces, loads, count):  # type: ignore[no-untyped-def]
    """Append the loads that a step needs of the `operands` (bits: 1 A, 2 B, 4 bias) and that no earlier step of their
    buffer has brought; returns the new count. `bases` are the byte addresses of A, B, C and the bias."""
    at = offsets[info[REPEAT]]
    if operands & 2 and info[B_LOADS]:
        count = b_loads(w, info, bases[1] + at[1], loads, count)
    if operands & 1 and info[A_LOADS]:
        count = a_loads(w, info, bases[0] + at[0], loads, count)
    if operands & 4 and w.bias and info[REDUCTION_TILE] == 0:
        piece_count = place_pieces(w, runs, place_runs(w, info, runs), pieces)
        count = bias_loads(w, info, bases[3] + at[3], pieces, piece_count, loads, count)
    return count


@njit(cache=True)
def _next_buffer(w, step, steps, period, operand, info, bases, offsets, runs, pieces, ahead, state, total):  # type: ignore[no-untyped-def]
    """When `step` is the first of a buffer's contents, list in `ahead` all loads of the next contents, which go to the
    other copy."""
    if step % period:
        return
    state[total] = 0
    for following in range(step + period, min(step + 2 * period, steps)):
        place_step(w, following, info)
        state[total] = step_loads(w, info, operand, bases, offsets, runs, pieces, ahead, state[total])


@njit(cache=True)
def _take_share(ahead, total, step, period, loads, count):  # type: ignore[no-untyped-def]
    """Append this step's share of the loads listed in `ahead`: an equal part in each step of the period."""
    part = step % period
    for load in range(total * part // period, total * (part + 1) // period):
        loads[0][count], loads[1][count], loads[2][count] = ahead[0][load], ahead[1][load], ahead[2][load]
        loads[3][count] = ahead[3][load]
        count += 1
    return count


@njit(cache=True)
def _sort_loads(loads, first, count):  # type: ignore[no-untyped-def]
    """Sort loads first..count by their last column (need or position), equal ones as they are."""
    order = np.argsort(loads[4][first:count], kind="mergesort")
    loads[0][first:count] = loads[0][first:count][order]
    loads[1][first:count] = loads[1][first:count][order]
    loads[2][first:count] = loads[2][first:count][order]
    loads[3][first:count] = loads[3][first:count][order]
    loads[4][first:count] = loads[4][first:count][order]


@njit(cache=True)
def _plan_first_loads(w, loads, count, computes):  # type: ignore[no-untyped-def]
    """Replace the needs of the first step's loads by positions: in order of need, while the port would be idle or a
    compute waits. Returns the position after which the port is free for the second step's loads."""
    _sort_loads(loads, 0, count)
    port, array, needed, load = np.int64(0), np.int64(0), 0, 0
    done = np.zeros(count, np.int64)
    needs = loads[4][:count].copy()
    for compute in range(computes):
        while load < count and (needs[load] <= compute or port <= array):
            port += loads[3][load]
            done[load] = port + w.latency_cycles
            loads[4][load] = compute
            load += 1
        if load == count:
            return compute
        while needed < load and needs[needed] <= compute:
            array = max(array, done[needed])
            needed += 1
        array += w.dim
    for rest in range(load, count):
        loads[4][rest] = computes
    return computes


@njit(cache=True)
def _spread_loads(loads, first, count, start, computes):  # type: ignore[no-untyped-def]
    """Positions of loads first..count, evenly by their cost from compute `start` to the end of the step."""
    total, before = np.int64(0), np.int64(0)
    for load in range(first, count):
        total += loads[3][load]
    for load in range(first, count):
        loads[4][load] = start + (computes - start) * before // max(total, 1)
        before += loads[3][load]


@njit(cache=True)
def _store_cycles(w, rows, columns):  # type: ignore[no-untyped-def]
    """Cycles of an mvout: a row of k bus beats takes 2k - 1 (accepts, then beats)."""
    beats = -(-columns * w.input_bytes // w.bus_bytes)
    return rows * (2 * beats - 1)


@njit(cache=True)
def queue_stores(w, info, address, pieces, piece_count, computes, share, last, stores, state):  # type: ignore[no-untyped-def]
    """Queue the stores of a result in its last step, each behind the compute that finishes it, spread over `share` of
    the computes of one result (as fast as the port takes them for the `last` result)."""
    taps = (info[KROW_1] - info[KROW_0]) * (info[KCOL_1] - info[KCOL_0])
    k_blocks = -(-(info[IN_1] - info[IN_0]) // w.dim)
    total = np.int64(1)
    for piece in range(piece_count):
        column = info[OUT_0]
        while column < info[OUT_1]:
            total += _store_cycles(w, pieces[piece, 2], min(w.store_columns, info[OUT_1] - column))
            column += w.store_columns
    window = share * computes * w.reduction_tiles
    column, previous = info[OUT_0], state[LAST_STORE]
    count = state[STORE_COUNT]
    while column < info[OUT_1]:
        columns = min(w.store_columns, info[OUT_1] - column)
        block = (column - info[OUT_0]) // w.dim
        end_block = -(-(column + columns - info[OUT_0]) // w.dim) - 1
        for piece in range(piece_count):
            rows = pieces[piece, 2]
            cycles = _store_cycles(w, rows, columns)
            done = run_index(w, info, end_block, taps - 1, k_blocks - 1, pieces[piece, 4]) + STORE_LAG_COMPUTES
            spacing = cycles // w.dim if last else np.int64(window * cycles / total)
            previous = max(state[POSITION] + done, previous + spacing)
            local = encode_accumulator(info[C_BASE] + pieces[piece, 0] + block * w.c_plane, False, False)
            target = address + (pieces[piece, 1] * w.c_stride + column) * w.input_bytes
            stores[0][count], stores[1][count] = np.uint64(target), encode_span(rows, columns, local)
            stores[2][count], stores[3][count] = previous, info[RESULT]
            count += 1
        column += columns
    state[LAST_STORE], state[STORE_COUNT] = previous, count


@njit(cache=True)
def put(out, at, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Write one command; returns the next place."""
    out[0][at], out[1][at], out[2][at] = funct, rs1, rs2
    return at + 1


@njit(cache=True)
def _put_stores(out, at, stores, state, position, result):  # type: ignore[no-untyped-def]
    """Stores due at `position`, and all of results before `result`."""
    head = state[STORE_HEAD]
    while head < state[STORE_COUNT] and (stores[2][head] <= position or stores[3][head] < result):
        at = put(out, at, MVOUT, stores[0][head], stores[1][head])
        head += 1
    state[STORE_HEAD] = head
    return at


@njit(cache=True)
def _put_due(out, at, loads, stores, state, compute, result):  # type: ignore[no-untyped-def]
    """Loads and stores due before the step's compute number `compute`. A bias load takes the accumulator rows of the
    result before the current one, so that one's stores come first."""
    head = state[LOAD_HEAD]
    while head < state[LOAD_COUNT] and loads[4][head] <= compute:
        if loads[0][head] == FUNCT_BIAS:
            at = _put_stores(out, at, stores, state, -1, result)
        at = put(out, at, loads[0][head], loads[1][head], loads[2][head])
        head += 1
    state[LOAD_HEAD] = head
    return _put_stores(out, at, stores, state, state[POSITION] + compute, -1)


@njit(cache=True)
def _compute(w, info, runs, run, block, krow, kcol, k, stationary, accumulate, written, out, at):  # type: ignore[no-untyped-def]
    """One preload and compute. `stationary`: this compute brings new weights (ws) or starts a new sum (os)."""
    krow_0, kcol_0, in_0 = (0, 0, 0) if w.a_place else (info[KROW_0], info[KCOL_0], info[IN_0])
    rows, depth = runs[run, 3], min(w.dim, info[IN_1] - k)
    columns = min(w.dim, info[OUT_1] - info[OUT_0] - block * w.dim)
    a = info[A_BASE] + runs[run, 1]
    if w.transpose_a:
        a += k - in_0
    else:
        a += (krow - krow_0) * w.row_dilation * w.a_width + (kcol - kcol_0) * w.column_dilation
        a += (k - in_0) // w.dim * w.a_plane
    krow_0, kcol_0, in_0 = (0, 0, 0) if w.b_place else (info[KROW_0], info[KCOL_0], info[IN_0])
    out_column = info[OUT_0] + block * w.dim - (0 if w.b_place == 2 else info[OUT_0])
    if w.transpose_b:
        b = info[B_BASE] + (k - in_0) // w.dim * w.b_plane + out_column
    else:
        place = (krow - krow_0) * w.b_kernel_columns + kcol - kcol_0
        b = info[B_BASE] + out_column // w.dim * w.b_plane + place * w.b_channels + k - in_0
    c = np.uint64(GARBAGE)
    if written:
        c = encode_accumulator(info[C_BASE] + runs[run, 0] + block * w.c_plane, accumulate, False)
    funct = COMPUTE_PRELOADED if stationary else COMPUTE_ACCUMULATED
    b_span, nothing = encode_span(depth, columns, b), encode_span(w.dim, w.dim, GARBAGE)
    result = encode_span(rows, columns, np.int64(c))
    if w.weight_stationary:
        at = put(out, at, PRELOAD, b_span if stationary else nothing, result)
        return put(out, at, funct, encode_span(rows, depth, a), nothing)
    at = put(out, at, PRELOAD, nothing, result)
    return put(out, at, funct, encode_span(rows, depth, a), b_span)


@njit(cache=True)
def _ws_computes(w, info, runs, run_count, loads, stores, state, out, at):  # type: ignore[no-untyped-def]
    """Weight block outer, runs of columns inner."""
    compute = 0
    first = info[REDUCTION_TILE] == 0 and not w.bias
    for block in range(-(-(info[OUT_1] - info[OUT_0]) // w.dim)):
        for krow in range(info[KROW_0], info[KROW_1]):
            for kcol in range(info[KCOL_0], info[KCOL_1]):
                for k in range(info[IN_0], info[IN_1], w.dim):
                    fresh = first and krow == info[KROW_0] and kcol == info[KCOL_0] and k == info[IN_0]
                    for run in range(run_count):
                        at = _put_due(out, at, loads, stores, state, compute, info[RESULT])
                        at = _compute(w, info, runs, run, block, krow, kcol, k, run == 0, not fresh, True, out, at)
                        compute += 1
    return at


@njit(cache=True)
def _os_computes(w, info, runs, run_count, loads, stores, state, out, at):  # type: ignore[no-untyped-def]
    """Result block outer, reduction inner; the sum leaves the mesh before its output register could saturate."""
    compute = 0
    first = info[REDUCTION_TILE] == 0 and not w.bias
    taps = (info[KROW_1] - info[KROW_0]) * (info[KCOL_1] - info[KCOL_0])
    depth = taps * -(-(info[IN_1] - info[IN_0]) // w.dim)
    for block in range(-(-(info[OUT_1] - info[OUT_0]) // w.dim)):
        for run in range(run_count):
            term = 0
            for krow in range(info[KROW_0], info[KROW_1]):
                for kcol in range(info[KCOL_0], info[KCOL_1]):
                    for k in range(info[IN_0], info[IN_1], w.dim):
                        at = _put_due(out, at, loads, stores, state, compute, info[RESULT])
                        starts = term % w.os_blocks_per_result == 0
                        ends = term == depth - 1 or (term + 1) % w.os_blocks_per_result == 0
                        fresh = first and term < w.os_blocks_per_result
                        at = _compute(w, info, runs, run, block, krow, kcol, k, starts, not fresh, ends, out, at)
                        compute += 1
                        term += 1
    return at


@njit(cache=True)
def _plan_loads(w, step, steps, info, bases, offsets, runs, pieces, loads, ahead, state, computes):  # type: ignore[no-untyped-def]
    """Fill `loads` with those that go between the computes of `step`, in order of position; returns the first that is
    not of the first step, and the count."""
    count, start = 0, 0
    if step == 0:
        place_step(w, 0, info)
        count = step_loads(w, info, 7, bases, offsets, runs, pieces, loads, 0)
        start = _plan_first_loads(w, loads, count, computes)
    first = count
    for operand, period, total in ((2, w.b_period, B_AHEAD), (1, w.a_period, A_AHEAD)):
        listed = ahead[0] if operand == 1 else ahead[1]
        _next_buffer(w, step, steps, period, operand, info, bases, offsets, runs, pieces, listed, state, total)
        before = count
        if step + 1 < min(period, steps):  # the first contents of a buffer come step by step
            place_step(w, step + 1, info)
            count = step_loads(w, info, operand, bases, offsets, runs, pieces, loads, count)
        count = _take_share(listed, state[total], step, period, loads, count)
        _spread_loads(loads, before, count, start, computes)
    before = count
    if step + 1 < steps:
        place_step(w, step + 1, info)
        count = step_loads(w, info, 4, bases, offsets, runs, pieces, loads, count)
    _spread_loads(loads, before, count, start + _bias_start(loads, first, before, count, computes - start), computes)
    _sort_loads(loads, first, count)
    return first, count


@njit(cache=True)
def _bias_start(loads, first, bias, count, computes):  # type: ignore[no-untyped-def]
    """Computes of the step before its bias loads begin: they come last, as long as their part of the port's time."""
    others, biases = np.int64(1), np.int64(0)
    for load in range(first, bias):
        others += loads[3][load]
    for load in range(bias, count):
        biases += loads[3][load]
    return computes * others // (others + biases)


@njit(cache=True)
def _store_share(w, loads, first, count):  # type: ignore[no-untyped-def]
    """Part of a result's computes in which the stores of the one before must be done: until the bias loads begin."""
    total, bias = np.int64(1), np.int64(0)
    for load in range(first, count):
        total += loads[3][load]
        if loads[0][load] == FUNCT_BIAS:
            bias += loads[3][load]
    return max(0.3, 0.95 - bias / total / w.reduction_tiles)


@njit(cache=True)
def emit_steps(w, bases, offsets, state, loads, ahead, stores, runs, pieces, out, at, room):  # type: ignore[no-untyped-def]
    """Emit whole steps while `room` commands are left for one; returns the number of commands in `out`. `state` carries
    on from call to call; its STEP is the number of steps when all is emitted."""
    info, following = np.zeros(STEP_FIELDS, np.int64), np.zeros(STEP_FIELDS, np.int64)
    steps = w.repeats * w.pixel_tiles * w.channel_tiles * w.reduction_tiles
    while state[STEP] < steps and out[0].size - at >= room:
        step = state[STEP]
        place_step(w, step, info)
        taps = (info[KROW_1] - info[KROW_0]) * (info[KCOL_1] - info[KCOL_0])
        computes = runs_of(w, info) * taps * -(-(info[IN_1] - info[IN_0]) // w.dim)
        computes *= -(-(info[OUT_1] - info[OUT_0]) // w.dim)
        at = _put_stores(out, at, stores, state, -1, info[RESULT] - 1)
        first, count = _plan_loads(
            w, step, steps, following, bases, offsets, runs, pieces, loads, ahead, state, computes
        )
        state[LOAD_HEAD], state[LOAD_COUNT] = 0, count
        run_count = place_runs(w, info, runs)
        if info[REDUCTION_TILE] == w.reduction_tiles - 1:
            _shift_stores(stores, state)
            share = _store_share(w, loads, first, count)
            piece_count = place_pieces(w, runs, run_count, pieces)
            address = bases[2] + offsets[info[REPEAT], 2]
            queue_stores(w, info, address, pieces, piece_count, computes, share, step == steps - 1, stores, state)
        if w.weight_stationary:
            at = _ws_computes(w, info, runs, run_count, loads, stores, state, out, at)
        else:
            at = _os_computes(w, info, runs, run_count, loads, stores, state, out, at)
        at = _put_due(out, at, loads, stores, state, computes, info[RESULT])
        state[POSITION] += computes
        state[STEP] += 1
        if state[STEP] == steps:
            at = _put_stores(out, at, stores, state, -1, steps)
    return at


@njit(cache=True)
def _shift_stores(stores, state):  # type: ignore[no-untyped-def]
    """Move the queued stores to the front of their arrays."""
    head, count = state[STORE_HEAD], state[STORE_COUNT]
    for store in range(head, count):
        stores[0][store - head], stores[1][store - head] = stores[0][store], stores[1][store]
        stores[2][store - head], stores[3][store - head] = stores[2][store], stores[3][store]
    state[STORE_HEAD], state[STORE_COUNT] = 0, count - head
