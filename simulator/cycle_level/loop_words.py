"""The commands LoopMatmul's units emit next, as words, and how their iterators move on (LoopMatmul.scala).

Every unit reads its loop's record: it stays as configured until the unit is done with it. Addresses and offsets are
those of the RTL's expressions, quirks included: B's last rows are never trimmed, because the test compares a bound
with itself.
"""

from __future__ import annotations

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.compile import compiled, inlined, least

# isort: off
from simulator.cycle_level.state import (
    H_RESADD, J_A, J_ACCUMULATE, J_A_HALF, J_A_STRIDE, J_A_T, J_B, J_B_HALF, J_B_STRIDE, J_B_T, J_C, J_C_STRIDE, J_D,
    J_D_STRIDE, J_FULL_C, J_LOW_D, J_MAX_I, J_MAX_J, J_MAX_K, J_PAD_I, J_PAD_J, J_PAD_K, J_SIZE, LOOP_UNIT, LU_I, LU_J,
    LU_K, LU_LOOP, LU_SIZE, LU_START, LU_STATE, MATMUL_LOOP, MULTIPLYING, PRELOADING, P_ACC_BYTES, P_DIM, P_IN_BYTES,
    P_REQUEST, P_SP_ROWS, UNIT_A, UNIT_B, UNIT_C, UNIT_D, UNIT_X,
)  # fmt: skip
# isort: on

ACCUMULATOR, ACCUMULATE, FULL_WIDTH = 1 << 31, 1 << 30, 1 << 29
ADDRESS_MASK, OFFSET_MASK = (1 << 40) - 1, (1 << 32) - 1
"""Memory addresses have coreMaxAddrBits bits, offsets from them are cut to 32 (castDramOffset)."""


@inlined
def _span(rows, columns, address):  # type: ignore[no-untyped-def]
    return (rows << 48) | (columns << 32) | (address & GARBAGE_WORD)


@inlined
def _widest(m, element_bytes):  # type: ignore[no-untyped-def]
    """Blocks one mvin or mvout may span: dma_maxbytes worth."""
    blocks = m[P_REQUEST] // (m[P_DIM] * element_bytes)
    return blocks if blocks > 1 else 1


@inlined
def _floor_add(value, step, end):  # type: ignore[no-untyped-def]
    """Next value of an iterator, back to 0 past its end (Util.floorAdd)."""
    return 0 if value + step > end - 1 else value + step


@inlined
def loop_of(m, unit):  # type: ignore[no-untyped-def]
    """Record of the loop `unit` works on or last worked on."""
    return MATMUL_LOOP + m[LOOP_UNIT + unit * LU_SIZE + LU_LOOP] * J_SIZE


@compiled
def _in_memory(base, offset):  # type: ignore[no-untyped-def]
    return (base + (offset & OFFSET_MASK)) & ADDRESS_MASK


@compiled
def _rectangle(m, row, column, max_row, max_column, row_pad, column_pad, widest):  # type: ignore[no-untyped-def]
    """(rows, columns) of the block row at (row, column): `widest` blocks, trimmed by the paddings at the edges."""
    dim = m[P_DIM]
    blocks = least(widest, max_column - column)
    rows = dim - (row_pad if row == max_row - 1 else 0)
    return rows, blocks * dim - (column_pad if column + blocks >= max_column else 0)


@compiled
def load_a(m):  # type: ignore[no-untyped-def]
    """(rs1, rs2) of the next mvin of A, and the iterators moved on; the unit falls idle after the last."""
    o, g = LOOP_UNIT + UNIT_A * LU_SIZE, loop_of(m, UNIT_A)
    dim, i, k, added = m[P_DIM], m[o + LU_I], m[o + LU_K], m[H_RESADD]
    max_i, max_k = m[g + J_MAX_I], m[g + J_MAX_J] if added else m[g + J_MAX_K]
    pad_i, pad_k = m[g + J_PAD_I], m[g + J_PAD_J] if added else m[g + J_PAD_K]
    if m[g + J_A_T]:
        row, column, max_row, max_column, row_pad, column_pad = k, i, max_k, max_i, pad_k, pad_i
    else:
        row, column, max_row, max_column, row_pad, column_pad = i, k, max_i, max_k, pad_i, pad_k
    widest = least(max_column, _widest(m, m[P_IN_BYTES]))
    rows, columns = _rectangle(m, row, column, max_row, max_column, row_pad, column_pad, widest)
    memory = _in_memory(m[g + J_A], (row * m[g + J_A_STRIDE] + column) * dim * m[P_IN_BYTES])
    local = m[o + LU_START] + (row * max_column + column) * dim + (ACCUMULATOR if added else 0)
    m[o + LU_I] = _floor_add(i, widest if m[g + J_A_T] else 1, max_i)
    if m[o + LU_I] == 0:
        m[o + LU_K] = _floor_add(k, 1 if m[g + J_A_T] else widest, max_k)
        m[o + LU_STATE] = 0 if m[o + LU_K] == 0 else 1
    return memory, _span(rows, columns, local)


@compiled
def load_b(m):  # type: ignore[no-untyped-def]
    """(rs1, rs2) of the next mvin of B, like `load_a`."""
    o, g = LOOP_UNIT + UNIT_B * LU_SIZE, loop_of(m, UNIT_B)
    dim, j, k, added = m[P_DIM], m[o + LU_J], m[o + LU_K], m[H_RESADD]
    max_j, max_k = m[g + J_MAX_J], m[g + J_MAX_I] if added else m[g + J_MAX_K]
    pad_j, pad_k = m[g + J_PAD_J], m[g + J_PAD_I] if added else m[g + J_PAD_K]
    if m[g + J_B_T]:
        row, column, max_column, column_pad = j, k, max_k, pad_k
    else:
        row, column, max_column, column_pad = k, j, max_j, pad_j
    widest = least(max_column, _widest(m, m[P_IN_BYTES]))
    rows, columns = _rectangle(m, row, column, 0, max_column, 0, column_pad, widest)
    memory = _in_memory(m[g + J_B], (row * m[g + J_B_STRIDE] + column) * dim * m[P_IN_BYTES])
    start = m[o + LU_START] - (0 if added else max_k * max_j * dim)
    local = start + (row * max_column + column) * dim + (ACCUMULATOR | ACCUMULATE if added else 0)
    m[o + LU_J] = _floor_add(j, 1 if m[g + J_B_T] else widest, max_j)
    if m[o + LU_J] == 0:
        m[o + LU_K] = _floor_add(k, widest if m[g + J_B_T] else 1, max_k)
        m[o + LU_STATE] = 0 if m[o + LU_K] == 0 else 1
    return memory, _span(rows, columns, local)


@compiled
def load_d(m):  # type: ignore[no-untyped-def]
    """(rs1, rs2) of the next mvin of D, like `load_a`; i runs innermost."""
    o, g = LOOP_UNIT + UNIT_D * LU_SIZE, loop_of(m, UNIT_D)
    dim, i, j = m[P_DIM], m[o + LU_I], m[o + LU_J]
    element_bytes = m[P_IN_BYTES] if m[g + J_LOW_D] else m[P_ACC_BYTES]
    widest = least(m[g + J_MAX_J], _widest(m, element_bytes))
    rows, columns = _rectangle(m, i, j, m[g + J_MAX_I], m[g + J_MAX_J], m[g + J_PAD_I], m[g + J_PAD_J], widest)
    memory = _in_memory(m[g + J_D], (i * m[g + J_D_STRIDE] + j) * dim * element_bytes)
    local = ACCUMULATOR | m[o + LU_START] + (i * m[g + J_MAX_J] + j) * dim
    _next_column(m, o, g, widest)
    return memory, _span(rows, columns, local)


@compiled
def _next_column(m, o, g, widest):  # type: ignore[no-untyped-def]
    m[o + LU_I] = _floor_add(m[o + LU_I], 1, m[g + J_MAX_I])
    if m[o + LU_I] == 0:
        m[o + LU_J] = _floor_add(m[o + LU_J], widest, m[g + J_MAX_J])
        m[o + LU_STATE] = 0 if m[o + LU_J] == 0 else 1


@inlined
def store_blocks(m, g):  # type: ignore[no-untyped-def]
    """Blocks one mvout of the loop takes."""
    return 1 if m[g + J_FULL_C] else least(m[g + J_MAX_J], _widest(m, m[P_IN_BYTES]))


@compiled
def store_c(m):  # type: ignore[no-untyped-def]
    """(rs1, rs2) of the next mvout of C, like `load_d`."""
    o, g = LOOP_UNIT + UNIT_C * LU_SIZE, loop_of(m, UNIT_C)
    dim, i, j = m[P_DIM], m[o + LU_I], m[o + LU_J]
    element_bytes = m[P_ACC_BYTES] if m[g + J_FULL_C] else m[P_IN_BYTES]
    widest = store_blocks(m, g)
    rows, columns = _rectangle(m, i, j, m[g + J_MAX_I], m[g + J_MAX_J], m[g + J_PAD_I], m[g + J_PAD_J], widest)
    memory = _in_memory(m[g + J_C], (i * m[g + J_C_STRIDE] + j) * dim * element_bytes)
    local = ACCUMULATOR | m[o + LU_START] + (i * m[g + J_MAX_J] + j) * dim | (FULL_WIDTH if m[g + J_FULL_C] else 0)
    _next_column(m, o, g, widest)
    return memory, _span(rows, columns, local)


@compiled
def execute_x(m):  # type: ignore[no-untyped-def]
    """(funct, rs1, rs2) of the next preload or compute, and the iterators moved on: k, then j, then i innermost."""
    o, g = LOOP_UNIT + UNIT_X * LU_SIZE, loop_of(m, UNIT_X)
    dim, i, j, k = m[P_DIM], m[o + LU_I], m[o + LU_J], m[o + LU_K]
    max_i, max_j, max_k = m[g + J_MAX_I], m[g + J_MAX_J], m[g + J_MAX_K]
    i_size = dim - (m[g + J_PAD_I] if i == max_i - 1 else 0)
    j_size = dim - (m[g + J_PAD_J] if j == max_j - 1 else 0)
    k_size = dim - (m[g + J_PAD_K] if k == max_k - 1 else 0)
    if m[o + LU_STATE] == PRELOADING:
        m[o + LU_STATE] = MULTIPLYING
        block = j * max_k + k if m[g + J_B_T] else k * max_j + j
        b = b_end(m, g) + (block - max_k * max_j) * dim
        c = ACCUMULATOR | m[o + LU_START] + (i * max_j + j) * dim
        c |= ACCUMULATE if m[g + J_ACCUMULATE] or k > 0 else 0
        return 6, _span(k_size, j_size, b if i == 0 else GARBAGE_WORD), _span(i_size, j_size, c)
    block = k * max_i + i if m[g + J_A_T] else i * max_k + k
    m[o + LU_I] = _floor_add(i, 1, max_i)
    if m[o + LU_I] == 0:
        m[o + LU_J] = _floor_add(j, 1, max_j)
        if m[o + LU_J] == 0:
            m[o + LU_K] = _floor_add(k, 1, max_k)
    m[o + LU_STATE] = 0 if m[o + LU_I] == 0 and m[o + LU_J] == 0 and m[o + LU_K] == 0 else PRELOADING
    rs1 = _span(i_size, k_size, a_start(m, g) + block * dim)
    return 4 if i == 0 else 5, rs1, _span(dim, dim, GARBAGE_WORD)


@inlined
def a_start(m, g):  # type: ignore[no-untyped-def]
    """Scratchpad row A begins at: that of the loop's half, unless the loop names a half."""
    half = m[g + J_A_HALF] - 1 if m[g + J_A_HALF] else (g - MATMUL_LOOP) // J_SIZE
    return half * (m[P_SP_ROWS] // 2)


@inlined
def b_end(m, g):  # type: ignore[no-untyped-def]
    """Scratchpad row B ends before, like `a_start`."""
    half = m[g + J_B_HALF] if m[g + J_B_HALF] else (g - MATMUL_LOOP) // J_SIZE + 1
    return half * (m[P_SP_ROWS] // 2)
