"""Compiled: the mvins that bring the operands of a step on chip, each with the cycles it takes and the first compute
that needs it."""

from __future__ import annotations

import numpy as np

from mapper.codegen.tiles import (
    A_BASE,
    B_BASE,
    C_BASE,
    COLUMN_0,
    COLUMN_1,
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
    ROW_0,
    ROW_1,
    ZERO,
    a_column,
    b_row,
    first_run_lacks,
    inner,
    packs_in_row,
    run_index,
    run_width,
)  # fmt: skip
from simulator.isa_compiled import encode_accumulator, encode_span

FUNCT_A, FUNCT_B, FUNCT_BIAS = np.uint8(2), np.uint8(1), np.uint8(14)


@inner
def append(loads, count, funct, rs1, rs2, cost, need):  # type: ignore[no-untyped-def]
    """Put one command at the end of a list of (funct, rs1, rs2, cost, need) arrays."""
    loads[0][count], loads[1][count], loads[2][count] = funct, rs1, rs2
    loads[3][count], loads[4][count] = cost, need
    return count + 1


@inner
def load_cost(w, rows, byte_columns):  # type: ignore[no-untyped-def]
    """Cycles the memory port is busy with an mvin: a beat a cycle, and a request as often as the latency lets it."""
    beats = -(-byte_columns // w.bus_bytes)
    requests = -(-byte_columns // w.request_bytes)
    return rows * max(beats * w.cycles_per_beat, requests * w.cycles_per_request)


@inner
def _line_state(out_0, out_1, stride, tap_0, tap_1, dilation, pad, size, step, first, state):  # type: ignore[no-untyped-def]
    """Mark each position of a layout's line, from input position `first` in steps of `step`: 0 never read, 1 data, 2
    outside."""
    state[:] = 0
    for tap in range(tap_0, tap_1):
        for out in range(out_0, out_1):
            position = out * stride + tap * dilation - pad
            at = (position - first) // step
            state[at] = 1 if 0 <= position < size else 2


@inner
def _first_use(w, line, out_count, taps):  # type: ignore[no-untyped-def]
    """Kernel row (of a tile's) and output line whose compute is the first to read a layout line of A: computes go
    kernel row by kernel row where the weights stay, output line by output line where the sums do."""
    stride = w.row_stride // w.row_step
    for place in range(taps):
        tap = place if w.weight_stationary else taps - 1 - place
        rest = line - tap * w.row_dilation
        if rest >= 0 and rest % stride == 0 and rest // stride < out_count:
            return tap, rest // stride
    return taps - 1, 0


@inner
def _a_segment(w, info, loads, count, address, local, column, pixels, k_0, k_1, plane_0, zero, whole_line, need):  # type: ignore[no-untyped-def]
    """Load (or zero) a run of `pixels` for in-channels k_0..k_1; `address` is that of channel 0 of the first pixel,
    `local` its line's."""
    lacks = first_run_lacks(w, info[COLUMN_1] - info[COLUMN_0])
    row = 0
    if zero and w.pixels > 1 and (whole_line or column == 0):
        return _packed_zeros(w, info, loads, count, local + column, pixels, k_1 - k_0, whole_line, need)
    while row < pixels:
        rows = min(w.dim, pixels - row)
        if w.a_chunk:  # up to the end of the chunk (of a tile's first run; chunks of earlier tiles are whole)
            rows = min(rows, w.dim - (column + row - (info[COLUMN_0] if w.a_place == 2 else 0) + lacks) % w.dim)
        place = local + a_column(w, info, column + row)
        k = k_0
        while k < k_1:
            columns = min(w.load_columns, k_1 - k)
            at = place + (plane_0 + (k - k_0) // w.dim) * w.a_depth
            source = 0 if zero else address + (row * w.a_stride * w.column_step + k) * w.input_bytes
            cost = rows * -(-columns // w.dim) if zero else load_cost(w, rows, columns * w.input_bytes)
            cost = max(cost, rows * w.pixels)
            order = run_index(w, info, ZERO, need[0], (k - k_0) // w.dim, need[1])
            count = append(loads, count, FUNCT_A, np.uint64(source), encode_span(rows, columns, at), cost, order)
            k += columns
        row += rows
    return count


@inner
def _packed_zeros(w, info, loads, count, local, pixels, channels, whole_line, need):  # type: ignore[no-untyped-def]
    """Zeros that lines begin with, or consist of, into every place of packed pixels that is one: row by row, without
    repeats, by the configuration of B. The reservation station takes a load of repeated pixels to end before the rows
    that so few pixels go to, and computes would not wait for it."""
    row = 0
    while row < pixels:
        places = w.pixels if whole_line else min(w.pixels, pixels - row)
        rows = min(w.dim, pixels - row if whole_line else max(1, pixels - row - w.pixels + 1))
        order = run_index(w, info, ZERO, need[0], ZERO, need[1])
        word = encode_span(rows, places * channels, local + row)
        count = append(loads, count, FUNCT_B, np.uint64(0), word, rows, order)
        row += rows
    return count


@inner
def _a_columns(w, info, loads, count, address, local, state, span, k_0, k_1, plane_0, zero_row, need):  # type: ignore[no-untyped-def]
    """One input line: its runs of data and of zeros, columns span[0]..span[1] of the layout."""
    column = span[0]
    while column < span[1]:
        kind = state[column]
        end = column + 1
        while end < span[1] and state[end] == kind:
            end += 1
        if zero_row and kind:
            end = span[1]
        if kind:
            first = (column - (w.a_kernel_columns - 1) * w.column_dilation) // w.column_stride
            first = max(0, first - (info[COLUMN_0] if w.a_place == 2 else 0))
            lacks = first_run_lacks(w, run_width(w, info))
            run = 0 if w.pixels > 1 else (need[2] + first + lacks) // w.dim
            here = (need[0], need[1] + run)
            source = address + column * w.column_step * w.a_stride * w.input_bytes
            zero = zero_row or kind == 2
            count = _a_segment(
                w, info, loads, count, source, local, column, end - column, k_0, k_1, plane_0, zero, zero_row, here
            )
        column = end
    return count


@inner
def a_loads(w, info, address, loads, count):  # type: ignore[no-untyped-def]
    """Loads of A for a step that loads it; `address` is the byte address of the repeat's A."""
    if w.transpose_a:
        return _transposed_a_loads(w, info, address, loads, count)
    whole = w.a_place == 2
    out_0, out_1 = (0, w.out_rows) if whole else (info[ROW_0], info[ROW_1])
    left_0, left_1 = (0, w.out_columns) if whole else (info[COLUMN_0], info[COLUMN_1])
    tap_0, tap_1, side_0, side_1 = info[KROW_0], info[KROW_1], info[KCOL_0], info[KCOL_1]
    if w.a_place:
        tap_0, tap_1, side_0, side_1 = 0, w.kernel_rows, 0, w.kernel_columns
    top = out_0 * w.row_stride + tap_0 * w.row_dilation - w.top_pad
    left = left_0 * w.column_stride + side_0 * w.column_dilation - w.left_pad
    rows, columns = np.zeros(w.a_height, np.uint8), np.zeros(w.a_width, np.uint8)
    _line_state(out_0, out_1, w.row_stride, tap_0, tap_1, w.row_dilation, w.top_pad, w.in_rows, w.row_step, top, rows)
    _line_state(left_0, left_1, w.column_stride, side_0, side_1, w.column_dilation, w.left_pad, w.in_columns,
                w.column_step, left, columns)  # fmt: skip
    # Of the whole operand, earlier tiles brought the lines up to their own ends.
    first_row, first_column = (info[ROW_0], info[COLUMN_0]) if whole else (ZERO, ZERO)
    row_0, row_1 = _new_lines(first_row, first_row + info[ROW_1] - info[ROW_0], w.row_stride // w.row_step,
                              tap_1 - tap_0, w.row_dilation)  # fmt: skip
    span = _new_lines(first_column, first_column + info[COLUMN_1] - info[COLUMN_0], w.column_stride // w.column_step,
                      side_1 - side_0, w.column_dilation)  # fmt: skip
    k_0, k_1 = info[IN_0], info[IN_1]
    plane_0 = k_0 // w.dim if w.a_place else 0
    image_0 = 0 if whole else info[IMAGE_0]
    line_runs, width = -(-run_width(w, info) // w.dim), info[COLUMN_1] - info[COLUMN_0]
    height = info[ROW_1] - info[ROW_0]
    step_rows = w.row_stride // w.row_step
    for image in range(info[IMAGE_0], info[IMAGE_1]):
        for row in range(row_0, row_1):
            if rows[row] == 0:
                continue
            line = row - (info[ROW_0] * step_rows if whole else 0)
            # Of a panel the step at hand may use some kernel rows only.
            tap_count = tap_1 - tap_0 if w.weight_stationary else info[KROW_1] - info[KROW_0]
            tap, out_row = _first_use(w, max(line, 0), height, tap_count)
            taps, line = tap * packs_in_row(w, info), (image - info[IMAGE_0]) * height + out_row
            need = (taps, line * line_runs, ZERO)
            if w.joined:
                need = (taps, (image - info[IMAGE_0]) * line_runs, out_row * width)
            pixel = (image * w.in_rows + top + row * w.row_step) * w.in_columns + left
            source = address + pixel * w.a_stride * w.input_bytes
            local = info[A_BASE] + ((image - image_0) * w.a_height + row) * w.a_line
            first = count
            count = _a_columns(
                w, info, loads, count, source, local, columns, span, k_0, k_1, plane_0, rows[row] == 2, need
            )
            if w.pixels > 1:
                _reverse(loads, first, count)
    return count


@inner
def _reverse(loads, first, count):  # type: ignore[no-untyped-def]
    """Turn a line's loads of packed pixels round. One is not seen to overwrite its last rows while computes of earlier
    contents begin there (`simulator.packing`); that to its right is, and now issues before."""
    for at in range((count - first) // 2):
        low, high = first + at, count - 1 - at
        loads[0][low], loads[0][high] = loads[0][high], loads[0][low]
        loads[1][low], loads[1][high] = loads[1][high], loads[1][low]
        loads[2][low], loads[2][high] = loads[2][high], loads[2][low]
        loads[3][low], loads[3][high] = loads[3][high], loads[3][low]
        loads[4][low], loads[4][high] = loads[4][high], loads[4][low]


@inner
def _new_lines(out_0, out_1, stride, taps, dilation):  # type: ignore[no-untyped-def]
    """Layout lines that output lines out_0..out_1 need and those before them did not."""
    reach = (taps - 1) * dilation + 1
    first = (out_0 - 1) * stride + reach if out_0 else 0
    return max(first, 0), (out_1 - 1) * stride + reach


@inner
def _transposed_a_loads(w, info, address, loads, count):  # type: ignore[no-untyped-def]
    """A stored [in_channel, out_column]: rows of the mvins are channels, their blocks are blocks of pixels."""
    column_0 = 0 if w.a_place == 2 else info[COLUMN_0]
    channel_0 = 0 if w.a_place else info[IN_0]
    k = info[IN_0]
    while k < info[IN_1]:
        rows = min(w.dim, info[IN_1] - k)
        column = info[COLUMN_0]
        while column < info[COLUMN_1]:
            columns = min(w.load_columns, info[COLUMN_1] - column)
            local = info[A_BASE] + (column - column_0) // w.dim * w.a_chunk + (k - channel_0) // w.dim * w.a_depth
            source = address + (k * w.a_stride + column) * w.input_bytes
            need = run_index(w, info, ZERO, ZERO, (k - info[IN_0]) // w.dim, (column - info[COLUMN_0]) // w.dim)
            cost = load_cost(w, rows, columns * w.input_bytes)
            count = append(loads, count, FUNCT_A, np.uint64(source), encode_span(rows, columns, local), cost, need)
            column += columns
        k += rows
    return count


@inner
def b_loads(w, info, address, loads, count):  # type: ignore[no-untyped-def]
    """Loads of B for a step that loads it; `address` is the byte address of the repeat's B."""
    if w.transpose_b:
        return _transposed_b_loads(w, info, address, loads, count)
    krow_0, kcol_0, in_0 = (0, 0, 0) if w.b_place else (info[KROW_0], info[KCOL_0], info[IN_0])
    block_0 = info[OUT_0] // w.dim if w.b_place == 2 else 0
    columns_of_taps = info[KCOL_1] - info[KCOL_0]
    joined = (
        w.tile_in_channels == w.in_channels == w.b_position
    )  # in-channels of neighbouring kernel positions follow each other
    depth = info[IN_1] - info[IN_0]
    length = depth * columns_of_taps if joined else depth
    positions = 1 if joined else columns_of_taps
    column = info[OUT_0]
    while column < info[OUT_1]:
        columns = min(w.load_columns, info[OUT_1] - column)
        block = (column - info[OUT_0]) // w.dim
        for krow in range(info[KROW_0], info[KROW_1]):
            for position in range(positions):
                kcol = info[KCOL_0] + position
                place = (krow - krow_0) * w.b_kernel_columns + kcol - kcol_0
                start = place * w.b_position + info[IN_0] - in_0
                first = (krow * w.kernel_columns + kcol) * w.in_channels + info[IN_0]
                row = 0
                while row < length:
                    rows = min(w.dim, length - row)
                    tap = (krow - info[KROW_0]) * packs_in_row(w, info) + (position + row // depth) // w.pixels
                    need = run_index(w, info, block, tap, row % depth // w.dim, ZERO)
                    source = address + ((first + row) * w.b_stride + column) * w.input_bytes
                    cost = load_cost(w, rows, columns * w.input_bytes)
                    word = encode_span(rows, columns, info[B_BASE] + b_row(w, start + row, block_0 + block))
                    count = append(loads, count, FUNCT_B, np.uint64(source), word, cost, need)
                    row += rows
        column += columns
    return count


@inner
def _transposed_b_loads(w, info, address, loads, count):  # type: ignore[no-untyped-def]
    """B stored [out_channel, in_channel]: rows of the mvins are output channels, their blocks are blocks of
    in-channels."""
    out_0 = 0 if w.b_place == 2 else info[OUT_0]
    in_0 = 0 if w.b_place else info[IN_0]
    row = info[OUT_0]
    while row < info[OUT_1]:
        rows = min(w.dim, info[OUT_1] - row)
        k = info[IN_0]
        while k < info[IN_1]:
            columns = min(w.load_columns, info[IN_1] - k)
            local = info[B_BASE] + b_row(w, row - out_0, (k - in_0) // w.dim)
            source = address + (row * w.b_stride + k) * w.input_bytes
            need = run_index(w, info, (row - info[OUT_0]) // w.dim, ZERO, (k - info[IN_0]) // w.dim, ZERO)
            cost = load_cost(w, rows, columns * w.input_bytes)
            count = append(loads, count, FUNCT_B, np.uint64(source), encode_span(rows, columns, local), cost, need)
            k += columns
        row += rows
    return count


@inner
def partial_loads(w, info, address, pieces, piece_count, loads, count):  # type: ignore[no-untyped-def]
    """Partial sums of a result tile back into its accumulator rows; `address` is that of the first pixel's."""
    column = info[OUT_0]
    while column < info[OUT_1]:
        columns = min(w.dim, info[OUT_1] - column)
        block = (column - info[OUT_0]) // w.dim
        for piece in range(piece_count):
            rows = pieces[piece, 2]
            local = encode_accumulator(info[C_BASE] + pieces[piece, 0] + block * w.c_plane, False, False)
            source = np.uint64(address + (pieces[piece, 1] * w.out_channels + column) * w.accumulator_bytes)
            cost = load_cost(w, rows, columns * w.accumulator_bytes)
            need = run_index(w, info, block, ZERO, ZERO, pieces[piece, 3])
            count = append(loads, count, FUNCT_BIAS, source, encode_span(rows, columns, local), cost, need)
        column += columns
    return count


@inner
def bias_loads(w, info, address, pieces, piece_count, loads, count):  # type: ignore[no-untyped-def]
    """Bias of a new result tile into its accumulator rows: one memory row repeated (stride 0) for each piece of
    `pieces`, in the order in which the stores free the rows."""
    group = info[OUT_0]
    while group < info[OUT_1]:
        group_end = min(group + w.store_columns, info[OUT_1])
        for piece in range(piece_count):
            rows = pieces[piece, 2]
            column = group
            while column < group_end:
                columns = min(w.bias_columns, group_end - column)
                block = (column - info[OUT_0]) // w.dim
                local = encode_accumulator(info[C_BASE] + pieces[piece, 0] + block * w.c_plane, False, False)
                source = np.uint64(address + column * w.accumulator_bytes)
                # Of mvins this short two in flight do not hide the memory's latency.
                cost = max(rows * -(-columns // w.dim), w.latency_cycles // 2)
                need = run_index(w, info, block, ZERO, ZERO, pieces[piece, 3])
                count = append(loads, count, FUNCT_BIAS, source, encode_span(rows, columns, local), cost, need)
                column += columns
        group = group_end
    return count
