"""The commands LoopConv's execute and store units send next, and how their iterators move on (LoopConv.scala:
LoopConvExecute, LoopConvSt).

Each `next_*` returns (funct, rs1, rs2) of the unit's next command and moves the unit on.
"""

from __future__ import annotations

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.compile import compiled, inlined, least
from simulator.cycle_level.conv_loads import (
    ACCUMULATOR,
    conv_loop,
    conv_memory,
    conv_span,
    conv_unit,
    floor_add,
    next_pixel,
    result_row,
)

# isort: off
from simulator.cycle_level.conv_state import (
    AFTER_POOL, BEFORE_POOL, CU_BATCH, CU_COLUMN, CU_KCH, CU_KCOL, CU_KROW, CU_LOOP, CU_NEW, CU_OCH, CU_ROW, CU_START,
    CU_STATE, CONFIGURING, CR_ACT, CR_A_HALF, CR_BATCHES, CR_BATCH_SIZE, CR_B_HALF, CR_DILATED, CR_DILATION,
    CR_DOWNSAMPLE, CR_ICOLS, CR_IMAGE, CR_INPUT_3120, CR_INPUT_BLOCK, CR_IROWS, CR_KCHS, CR_KCOLS, CR_KROWS, CR_LPAD,
    CR_NO_POOL, CR_OCHS, CR_OCOLS, CR_OROWS, CR_OUTPUT, CR_OUT_1203, CR_OUT_CHANNELS, CR_OUT_COLUMNS, CR_OUT_ROWS,
    CR_OUT_STRIDE, CR_PIXELS, CR_PLPAD, CR_POCOLS, CR_POOL_OUT_COLUMNS, CR_POOL_OUT_ROWS, CR_POOL_SIZE, CR_POOL_STEP,
    CR_POROWS, CR_PUPAD, CR_ROTATED, CR_STEP, CR_UPAD, CR_WEIGHT_0132, CR_WEIGHT_BLOCK, CR_WEIGHT_ROWS, IDLE,
    IN_EXECUTE, IN_STORE, POOLING, PRELOADING,
)  # fmt: skip
from simulator.cycle_level.state import P_DIM, P_IN_BYTES, P_SP_ROWS
# isort: on

ACCUMULATE = 1 << 30
SCALE_UNCHANGED = -(1 << 32)
"""config_st's scale field all ones: the scale set before stays."""


@inlined
def conv_a_start(m, h, loop):  # type: ignore[no-untyped-def]
    """Scratchpad row the input begins at: that of the loop's half, unless the loop names a half."""
    return (m[h + CR_A_HALF] - 1 if m[h + CR_A_HALF] else loop) * (m[P_SP_ROWS] // 2)


@inlined
def conv_b_end(m, h, loop):  # type: ignore[no-untyped-def]
    """Scratchpad row the weights end before, like `conv_a_start`."""
    return (m[h + CR_B_HALF] if m[h + CR_B_HALF] else loop + 1) * (m[P_SP_ROWS] // 2)


@compiled
def on_a_hole(m):  # type: ignore[no-untyped-def]
    """Whether the execute unit stands on a pixel that a dilated input does not have (skip_iteration)."""
    o, h = conv_unit(IN_EXECUTE), conv_loop(m, IN_EXECUTE)
    if m[o + CU_STATE] < PRELOADING or not m[h + CR_DILATED]:
        return False
    row = m[o + CU_KROW] * m[h + CR_DILATION] + m[o + CU_ROW] - m[h + CR_UPAD]
    column = m[o + CU_KCOL] * m[h + CR_DILATION] + m[o + CU_COLUMN] - m[h + CR_LPAD]
    return ((row | column) & 1) != 0


@compiled
def step_execute(m, skipping):  # type: ignore[no-untyped-def]
    """Move the execute unit on: configuration, preload, compute, then the next pixel; idle after the last."""
    o, h, dim = conv_unit(IN_EXECUTE), conv_loop(m, IN_EXECUTE), m[P_DIM]
    if m[o + CU_STATE] == CONFIGURING or m[o + CU_STATE] == PRELOADING:
        m[o + CU_STATE] += 1
        return
    if not skipping:
        m[o + CU_NEW] = 0
    turned = m[h + CR_INPUT_3120]
    m[o + CU_STATE] = PRELOADING
    m[o + CU_COLUMN] = floor_add(
        m[o + CU_COLUMN], 1 if skipping or turned else dim << m[h + CR_DILATED], m[h + CR_OCOLS]
    )
    if m[o + CU_COLUMN]:
        return
    m[o + CU_ROW] = floor_add(m[o + CU_ROW], 1, m[h + CR_OROWS])
    if m[o + CU_ROW]:
        return
    m[o + CU_BATCH] = floor_add(m[o + CU_BATCH], dim if turned else 1, m[h + CR_BATCHES])
    if m[o + CU_BATCH]:
        return
    m[o + CU_NEW] = 1
    m[o + CU_KCH] = floor_add(m[o + CU_KCH], dim, m[h + CR_KCHS])
    if m[o + CU_KCH]:
        return
    m[o + CU_KCOL] = floor_add(m[o + CU_KCOL], m[h + CR_PIXELS], m[h + CR_KCOLS])
    if m[o + CU_KCOL]:
        return
    m[o + CU_KROW] = floor_add(m[o + CU_KROW], 1, m[h + CR_KROWS])
    if m[o + CU_KROW]:
        return
    m[o + CU_OCH] = floor_add(m[o + CU_OCH], dim, m[h + CR_OCHS])
    if m[o + CU_OCH] == 0:
        m[o + CU_STATE] = IDLE


@inlined
def _input_row(m, o, h):  # type: ignore[no-untyped-def]
    """Scratchpad row of the first input pixel of a compute."""
    holes, halved = m[h + CR_DILATED], m[h + CR_DOWNSAMPLE]
    row = (m[o + CU_ROW] * m[h + CR_STEP] + m[o + CU_KROW] * m[h + CR_DILATION] + holes) >> holes
    column = (m[o + CU_COLUMN] * m[h + CR_STEP] + m[o + CU_KCOL] * m[h + CR_DILATION] + holes) >> holes
    outer, inner = m[o + CU_KCH], m[o + CU_BATCH]
    if m[h + CR_INPUT_3120]:
        outer, inner = inner, outer
    local = conv_a_start(m, h, m[o + CU_LOOP]) + (outer // m[P_DIM]) * m[h + CR_INPUT_BLOCK] + inner * m[h + CR_IMAGE]
    return local + (row >> halved) * (m[h + CR_ICOLS] >> halved) + (column >> halved)


@inlined
def _weight_row(m, o, h):  # type: ignore[no-untyped-def]
    """Scratchpad row of the block of weights a compute uses."""
    krow, kcol = m[o + CU_KROW], m[o + CU_KCOL]
    if m[h + CR_ROTATED]:
        krow, kcol = m[h + CR_KROWS] - krow - 1, m[h + CR_KCOLS] - kcol - 1
    local, tap = conv_b_end(m, h, m[o + CU_LOOP]) - m[h + CR_WEIGHT_ROWS], krow * m[h + CR_KCOLS] + kcol
    if m[h + CR_WEIGHT_0132]:
        return local + (m[o + CU_KCH] // m[P_DIM]) * m[h + CR_WEIGHT_BLOCK] + tap * m[h + CR_OCHS] + m[o + CU_OCH]
    return local + (m[o + CU_OCH] // m[P_DIM]) * m[h + CR_WEIGHT_BLOCK] + tap * m[h + CR_KCHS] + m[o + CU_KCH]


@compiled
def next_execute(m):  # type: ignore[no-untyped-def]
    """config_ex of the strides (transposed input only), then preloads and computes; och outermost, then krow, kcol,
    kch, b, orow, ocol."""
    o, h, dim = conv_unit(IN_EXECUTE), conv_loop(m, IN_EXECUTE), m[P_DIM]
    state, new = m[o + CU_STATE], m[o + CU_NEW]
    if state == CONFIGURING:
        a_stride, c_stride = m[h + CR_IROWS] * m[h + CR_ICOLS], m[h + CR_OROWS] * m[h + CR_OCOLS]
        step_execute(m, False)
        return 0, (1 << 7) | ((a_stride & 0xFFFF) << 16), (c_stride & 0xFFFF) << 48
    holes = m[h + CR_DILATED]
    if m[h + CR_INPUT_3120]:
        rows = least(dim, m[h + CR_BATCHES] - m[o + CU_BATCH])
    else:
        rows = (least(dim << holes, m[h + CR_OCOLS] - m[o + CU_COLUMN]) + holes) >> holes
    columns = least(dim, m[h + CR_OCHS] - m[o + CU_OCH])
    depth = least(m[h + CR_PIXELS], m[h + CR_KCOLS] - m[o + CU_KCOL]) * least(dim, m[h + CR_KCHS] - m[o + CU_KCH])
    if state == PRELOADING:
        row = result_row(m, h, m[o + CU_BATCH], m[o + CU_ROW], m[o + CU_COLUMN], m[o + CU_OCH])
        result = ACCUMULATOR | ACCUMULATE | (m[o + CU_START] + row)
        stationary = _weight_row(m, o, h) if new else GARBAGE_WORD
        step_execute(m, False)
        return 6, conv_span(depth, columns, stationary), conv_span(rows, columns, result)
    operand = conv_span(rows, depth, _input_row(m, o, h))
    step_execute(m, False)
    return 4 if new else 5, operand, conv_span(rows, columns, GARBAGE_WORD)


@compiled
def _store_config(m, h, pooled):  # type: ignore[no-untyped-def]
    """config_st before and after a pooled store; fields are cut to their bits."""
    rs1 = 2 | (m[h + CR_ACT] << 2)
    if pooled:
        rs1 |= ((m[h + CR_POOL_STEP] & 3) << 4) | ((m[h + CR_POOL_SIZE] & 3) << 6)
        rs1 |= ((m[h + CR_PUPAD] & 3) << 8) | ((m[h + CR_PLPAD] & 3) << 10)
        rs1 |= ((m[h + CR_POOL_OUT_COLUMNS] & 255) << 24) | ((m[h + CR_POROWS] & 255) << 32)
        rs1 |= ((m[h + CR_POCOLS] & 255) << 40) | ((m[h + CR_OROWS] & 255) << 48) | ((m[h + CR_OCOLS] & 255) << 56)
    return 0, rs1, m[h + CR_OUT_STRIDE] * m[P_IN_BYTES] + SCALE_UNCHANGED


@compiled
def _next_pooled(m, o, h):  # type: ignore[no-untyped-def]
    state = m[o + CU_STATE]
    if state != POOLING:
        m[o + CU_STATE] = POOLING if state == BEFORE_POOL else IDLE
        return _store_config(m, h, state == BEFORE_POOL)
    b, och = m[o + CU_BATCH], m[o + CU_OCH]
    image = m[h + CR_POOL_OUT_ROWS] * m[h + CR_POOL_OUT_COLUMNS]
    memory = conv_memory(m[h + CR_OUTPUT], (b * image * m[h + CR_OUT_STRIDE] + och) * m[P_IN_BYTES])
    local = ACCUMULATOR | (m[o + CU_START] + result_row(m, h, b, 0, 0, och))
    words = conv_span(0, least(m[P_DIM], m[h + CR_OCHS] - och), local)
    m[o + CU_OCH] = floor_add(och, m[P_DIM], m[h + CR_OCHS])
    if m[o + CU_OCH] == 0:
        m[o + CU_BATCH] = floor_add(b, 1, m[h + CR_BATCHES])
        if m[o + CU_BATCH] == 0:
            m[o + CU_STATE] = AFTER_POOL
    return 3, memory, words


@compiled
def next_store(m):  # type: ignore[no-untyped-def]
    """The mvouts of the output, output channels innermost; or a pooling config_st, one pooled mvout for each image and
    block of channels, and a config_st without pooling."""
    o, h = conv_unit(IN_STORE), conv_loop(m, IN_STORE)
    if not m[h + CR_NO_POOL]:
        return _next_pooled(m, o, h)
    dim, b, orow, ocol, och = m[P_DIM], m[o + CU_BATCH], m[o + CU_ROW], m[o + CU_COLUMN], m[o + CU_OCH]
    if m[h + CR_OUT_1203]:
        pixel = (orow * m[h + CR_OUT_COLUMNS] + ocol) * m[h + CR_BATCH_SIZE] + b
        offset = pixel * m[h + CR_OUT_CHANNELS] + och
    else:
        pixel = (b * m[h + CR_OUT_ROWS] + orow) * m[h + CR_OUT_COLUMNS] + ocol
        offset = pixel * m[h + CR_OUT_STRIDE] + och
    local = ACCUMULATOR | (m[o + CU_START] + result_row(m, h, b, orow, ocol, och))
    words = conv_span(least(dim, m[h + CR_OCOLS] - ocol), least(dim, m[h + CR_OCHS] - och), local)
    next_pixel(m, o, h, dim)
    return 3, conv_memory(m[h + CR_OUTPUT], offset * m[P_IN_BYTES]), words
