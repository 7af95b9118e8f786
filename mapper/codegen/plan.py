"""Compiled: between which computes each load and store goes.

Gemmini's reservation station takes commands in program order and each queue is short, so a burst of loads or stores
ahead of the computes blocks them. Every load and store therefore gets a position on one scale, the number of computes
before it: the next contents of a buffer are spread over all the steps that work on the present ones, the stores of a
result over the computes of the next. Only the first step's loads go by need: as soon as the memory port can take them,
in the order the computes ask for them.
"""

from __future__ import annotations

import numpy as np

from mapper.codegen.loads import FUNCT_BIAS, a_loads, b_loads, bias_loads, partial_loads
from mapper.codegen.tiles import (
    A_LOADS,
    B_LOADS,
    C_BASE,
    IN_0,
    IN_1,
    OUT_0,
    OUT_1,
    REDUCTION_TILE,
    REPEAT,
    RESULT,
    ZERO,
    inner,
    packs_of,
    place_pieces,
    place_runs,
    place_step,
    run_index,
)  # fmt: skip
from simulator.isa_compiled import encode_accumulator, encode_span, span_fields

STORE_LAG_COMPUTES = 3
"""Computes between the last one of a result and its store: the rows are still in the mesh until then."""
A_OPERAND, B_OPERAND, BIAS_OPERAND, ALL_OPERANDS = np.int64(1), np.int64(2), np.int64(4), np.int64(7)

(
    STEP, POSITION, STORE_HEAD, STORE_COUNT, LAST_STORE, LOAD_HEAD, LOAD_COUNT, A_AHEAD, B_AHEAD, SOURCES,
    LOADS_PARTIAL, STORES_RESULT, STATE_FIELDS,
) = map(np.int64, range(13))  # fmt: skip
"""Fields of the state that carries on from step to step."""

PARTIAL, SWITCH_LOADS_1, SWITCH_STORES_1, SWITCH_LOADS_2, SWITCH_STORES_2 = map(np.int64, range(4, 9))
"""Behind the four operands' in `bases`: the address of partial sums, the words of the configurations that change."""


@inner
def step_loads(w, info, operands, bases, offsets, runs, pieces, loads, count):  # type: ignore[no-untyped-def]
    """Append the loads that a step needs of the `operands` (bits: 1 A, 2 B, 4 bias) and that no earlier step of their
    buffer has brought; returns the new count. `bases` are the byte addresses of A, B, C and the bias."""
    at = offsets[info[REPEAT]]
    if operands & 2 and info[B_LOADS]:
        count = b_loads(w, info, bases[1] + at[1], loads, count)
    if operands & 1 and info[A_LOADS]:
        count = a_loads(w, info, bases[0] + at[0], loads, count)
    returns = info[REPEAT] % w.parts > 0
    if operands & 4 and (w.bias or returns) and info[REDUCTION_TILE] == 0:
        piece_count = place_pieces(w, runs, place_runs(w, info, runs), pieces)
        if returns:
            return partial_loads(w, info, bases[PARTIAL], pieces, piece_count, loads, count)
        count = bias_loads(w, info, bases[3] + at[3], pieces, piece_count, loads, count)
    return count


@inner
def _next_buffer(w, step, steps, period, operand, info, bases, offsets, runs, pieces, ahead, state, total):  # type: ignore[no-untyped-def]
    """When `step` is the first of a buffer's contents, list in `ahead` all loads of the next contents, which go to the
    other copy."""
    if step % period:
        return
    state[total] = ZERO
    for following in range(step + period, min(step + 2 * period, steps)):
        place_step(w, following, info)
        state[total] = step_loads(w, info, operand, bases, offsets, runs, pieces, ahead, state[total])


@inner
def _take_share(ahead, total, step, period, loads, count):  # type: ignore[no-untyped-def]
    """Append this step's share of the loads listed in `ahead`: an equal part in each step of the period."""
    part = step % period
    for load in range(total * part // period, total * (part + 1) // period):
        loads[0][count], loads[1][count], loads[2][count] = ahead[0][load], ahead[1][load], ahead[2][load]
        loads[3][count] = ahead[3][load]
        count += 1
    return count


@inner
def _next_loads(w, step, steps, period, operand, total, info, bases, offsets, runs, pieces, loads, count, ahead, state):  # type: ignore[no-untyped-def]
    """Append the loads of one operand that go into `step`: what the next step needs, of a buffer's first contents; this
    step's share of the next contents, after those."""
    _next_buffer(w, step, steps, period, operand, info, bases, offsets, runs, pieces, ahead, state, total)
    if step + 1 < min(period, steps):
        place_step(w, step + 1, info)
        count = step_loads(w, info, operand, bases, offsets, runs, pieces, loads, count)
    return _take_share(ahead, state[total], step, period, loads, count)


@inner
def _sort_loads(loads, first, count):  # type: ignore[no-untyped-def]
    """Sort loads first..count by their last column (need or position), equal ones as they are: a merge sort."""
    size = count - first
    keys, order, other = loads[4][first:count], np.arange(size), np.empty(size, np.int64)
    width = 1
    while width < size:
        for low in range(0, size, 2 * width):
            middle, high = min(low + width, size), min(low + 2 * width, size)
            left, right = low, middle
            for at in range(low, high):
                if left < middle and (right >= high or keys[order[left]] <= keys[order[right]]):
                    other[at] = order[left]
                    left += 1
                else:
                    other[at] = order[right]
                    right += 1
        order, other = other, order
        width *= 2
    loads[0][first:count] = loads[0][first:count][order]
    loads[1][first:count] = loads[1][first:count][order]
    loads[2][first:count] = loads[2][first:count][order]
    loads[3][first:count] = loads[3][first:count][order]
    loads[4][first:count] = keys[order]


@inner
def _plan_first_loads(w, loads, count, computes):  # type: ignore[no-untyped-def]
    """Replace the needs of the first step's loads by positions: in order of need, while the port would be idle or a
    compute waits. Returns the position after which the port is free for the second step's loads."""
    _sort_loads(loads, ZERO, count)
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


@inner
def _spread_loads(loads, first, count, start, computes):  # type: ignore[no-untyped-def]
    """Positions of loads first..count, evenly by their cost from compute `start` to the end of the step."""
    total, before = np.int64(0), np.int64(0)
    for load in range(first, count):
        total += loads[3][load]
    for load in range(first, count):
        loads[4][load] = start + (computes - start) * before // max(total, 1)
        before += loads[3][load]


@inner
def overlaps(w, bias, store):  # type: ignore[no-untyped-def]
    """Whether a bias load (its span word) writes accumulator rows that a store (its span word) reads."""
    first, first_rows, first_columns = span_fields(bias)
    second, second_rows, columns = span_fields(store)
    first_end = first + (-(-first_columns // w.dim) - 1) * w.c_plane + first_rows
    return first < second + (-(-columns // w.dim) - 1) * w.dim + second_rows and second < first_end


@inner
def _delay_bias(w, loads, first, others, stores, state, result, computes):  # type: ignore[no-untyped-def]
    """Move bias loads first..others behind the stores, of results before `result`, that must free their rows."""
    earliest = ZERO
    for load in range(first, others):
        for store in range(state[STORE_HEAD], state[STORE_COUNT]):
            if stores[3][store] < result and overlaps(w, loads[2][load], stores[1][store]):
                earliest = max(earliest, stores[2][store] - state[POSITION] + 1)
        loads[4][load] = min(max(loads[4][load], earliest), computes)


@inner
def plan_loads(w, step, steps, info, bases, offsets, runs, pieces, loads, ahead, stores, state, computes):  # type: ignore[no-untyped-def]
    """Fill `loads` with those that go between the computes of `step`, in order of position; returns the first that is
    for a later step, and the count. The first step brings its own operands, every step those with a single buffer."""
    count, start = ZERO, ZERO
    own = ALL_OPERANDS if step == 0 else w.a_single * A_OPERAND | w.b_single * B_OPERAND | w.c_single * BIAS_OPERAND
    if own:
        place_step(w, step, info)
        count = step_loads(w, info, own, bases, offsets, runs, pieces, loads, count)
        start = _plan_first_loads(w, loads, count, computes)
    first = count
    if step + 1 < steps and not w.c_single:
        place_step(w, step + 1, info)
        count = step_loads(w, info, BIAS_OPERAND, bases, offsets, runs, pieces, loads, count)
    b_first = count
    if not w.b_single:
        count = _next_loads(w, step, steps, w.b_period, B_OPERAND, B_AHEAD, info, bases, offsets, runs, pieces,
                            loads, count, ahead[1], state)  # fmt: skip
    a_first = count
    if not w.a_single:
        count = _next_loads(w, step, steps, w.a_period, A_OPERAND, A_AHEAD, info, bases, offsets, runs, pieces,
                            loads, count, ahead[0], state)  # fmt: skip
    _spread_loads(loads, first, b_first, start, computes)
    _spread_loads(loads, b_first, a_first, start, computes)
    _spread_loads(loads, a_first, count, start, computes)
    if w.bias or w.parts > 1:
        _delay_bias(w, loads, first, b_first, stores, state, step // w.reduction_tiles, computes)
    _sort_loads(loads, first, count)
    return first, count


@inner
def _store_cycles(w, rows, columns):  # type: ignore[no-untyped-def]
    """Cycles of an mvout: a row of k bus beats takes 2k - 1 (accepts, then beats)."""
    beats = -(-columns * w.input_bytes // w.bus_bytes)
    return rows * (2 * beats - 1)


@inner
def store_share(w, loads, first, count):  # type: ignore[no-untyped-def]
    """Part of a result's computes in which the stores of the one before must be done: until the bias loads begin."""
    total, bias = np.int64(1), np.int64(0)
    for load in range(first, count):
        total += loads[3][load]
        if loads[0][load] == FUNCT_BIAS:
            bias += loads[3][load]
    return max(0.3, 0.95 - bias / total / w.reduction_tiles)


@inner
def queue_stores(w, info, address, pieces, piece_count, computes, share, last, stores, state):  # type: ignore[no-untyped-def]
    """Queue the stores of a result in its last step, each behind the compute that finishes it, spread over `share` of
    the computes of one result (as fast as the port takes them for the `last` result)."""
    taps = packs_of(w, info)
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
    partial = info[REPEAT] % w.parts < w.parts - 1
    while column < info[OUT_1]:
        columns = min(w.dim if partial else w.store_columns, info[OUT_1] - column)
        block = (column - info[OUT_0]) // w.dim
        end_block = -(-(column + columns - info[OUT_0]) // w.dim) - 1
        for piece in range(piece_count):
            rows = pieces[piece, 2]
            cycles = _store_cycles(w, rows, columns)
            done = run_index(w, info, end_block, taps - 1, k_blocks - 1, pieces[piece, 4]) + STORE_LAG_COMPUTES
            spacing = cycles // w.dim if last else np.int64(window * cycles / total)
            previous = max(state[POSITION] + done, previous + spacing)
            local = encode_accumulator(info[C_BASE] + pieces[piece, 0] + block * w.c_plane, False, partial)
            target = address + (pieces[piece, 1] * w.c_stride + column) * w.input_bytes
            if partial:
                target = address + (pieces[piece, 1] * w.out_channels + column) * w.accumulator_bytes
            stores[0][count], stores[1][count] = np.uint64(target), encode_span(rows, columns, local)
            stores[2][count], stores[3][count] = previous, info[RESULT]
            count += 1
        column += columns
    state[LAST_STORE], state[STORE_COUNT] = previous, count


@inner
def shift_stores(stores, state):  # type: ignore[no-untyped-def]
    """Move the queued stores to the front of their arrays."""
    head, count = state[STORE_HEAD], state[STORE_COUNT]
    for store in range(head, count):
        stores[0][store - head], stores[1][store - head] = stores[0][store], stores[1][store]
        stores[2][store - head], stores[3][store - head] = stores[2][store], stores[3][store]
    state[STORE_HEAD], state[STORE_COUNT] = 0, count - head
