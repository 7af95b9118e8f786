"""The commands LoopConv's three loading units send next, and how their iterators move on (LoopConv.scala:
LoopConvLdBias, LoopConvLdInput, LoopConvLdWeight).

Each function returns (funct, rs1, rs2) of the unit's next command and moves the unit on. Addresses and offsets are
those of the RTL's expressions.
"""

from __future__ import annotations

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.compile import compiled, inlined, least

# isort: off
from simulator.cycle_level.conv_state import (
    CU_BATCH, CU_COLUMN, CU_KCH, CU_KCOL, CU_KROW, CU_LOOP, CU_OCH, CU_ROW, CU_SIZE, CU_START, CU_STATE, CONFIGURING,
    CONV_LOOP, CONV_UNIT, CR_BATCHES, CR_BATCH_SIZE, CR_BIAS, CR_COLUMNS, CR_DEPTHWISE, CR_DOWNSAMPLE, CR_ICOLS,
    CR_IMAGE, CR_INPUT, CR_INPUT_3120, CR_INPUT_BLOCK, CR_IN_CHANNELS, CR_IN_COLUMNS, CR_IN_ROWS, CR_IN_STRIDE,
    CR_KCHS, CR_KCOLS, CR_KERNEL, CR_KROWS, CR_LEFT, CR_LOWER, CR_NO_BIAS, CR_OCHS, CR_OCOLS, CR_OROWS,
    CR_OUT_CHANNELS, CR_PIXELS, CR_RIGHT, CR_ROWS, CR_SIZE, CR_UPPER, CR_WEIGHTS, CR_WEIGHT_0132, CR_WEIGHT_1203,
    CR_WEIGHT_BLOCK, CR_WEIGHT_ROWS, CR_WEIGHT_STRIDE, IDLE, IN_BIAS, IN_INPUT, IN_WEIGHTS, LOADING,
)  # fmt: skip
from simulator.cycle_level.state import P_ACC_BYTES, P_DIM, P_IN_BYTES, P_REQUEST
# isort: on

ACCUMULATOR = 1 << 31
ADDRESS_MASK, OFFSET_MASK = (1 << 40) - 1, (1 << 32) - 1
"""Memory addresses have coreMaxAddrBits bits, offsets from them are cut to 32 (castDramOffset)."""
SCALE_ONE = 0x3F800000 << 32


@inlined
def conv_span(rows, columns, address):  # type: ignore[no-untyped-def]
    """rs word of a block; local addresses wrap at 32 bits."""
    return (rows << 48) | (columns << 32) | (address & GARBAGE_WORD)


@inlined
def conv_memory(base, offset):  # type: ignore[no-untyped-def]
    """Byte address at `offset` from an operand's `base`."""
    return (base + (offset & OFFSET_MASK)) & ADDRESS_MASK


@inlined
def floor_add(value, step, end):  # type: ignore[no-untyped-def]
    """Next value of an iterator, back to 0 past its end (Util.floorAdd)."""
    return 0 if value + step > end - 1 else value + step


@inlined
def conv_unit(unit):  # type: ignore[no-untyped-def]
    """Record of `unit`."""
    return CONV_UNIT + unit * CU_SIZE


@inlined
def conv_loop(m, unit):  # type: ignore[no-untyped-def]
    """Record of the loop `unit` works on or last worked on."""
    return CONV_LOOP + m[CONV_UNIT + unit * CU_SIZE + CU_LOOP] * CR_SIZE


@inlined
def _config(load_id, block_stride, repeats):  # type: ignore[no-untyped-def]
    return 1 | (load_id << 3) | (repeats << 8) | ((block_stride & 0xFFFF) << 16) | SCALE_ONE


@inlined
def _widest(m, channels, element_bytes):  # type: ignore[no-untyped-def]
    """Channels one mvin spans: dma_maxbytes worth in blocks of DIM, of `channels` there are."""
    blocks = m[P_REQUEST] // (m[P_DIM] * element_bytes)
    return least(channels, (blocks if blocks > 1 else 1) * m[P_DIM])


@inlined
def result_row(m, h, b, orow, ocol, och):  # type: ignore[no-untyped-def]
    """Accumulator row of an output pixel, from the first of its loop."""
    image = m[h + CR_OROWS] * m[h + CR_OCOLS]
    return (och // m[P_DIM]) * m[h + CR_BATCHES] * image + b * image + orow * m[h + CR_OCOLS] + ocol


@compiled
def next_bias(m):  # type: ignore[no-untyped-def]
    """config_ld of mvin3, then the mvins of the bias, the same for every pixel; output channels innermost."""
    o, h = conv_unit(IN_BIAS), conv_loop(m, IN_BIAS)
    if m[o + CU_STATE] == CONFIGURING:
        m[o + CU_STATE] = LOADING
        return 0, _config(2, m[h + CR_BATCHES] * m[h + CR_OROWS] * m[h + CR_OCOLS], 1), 0
    dim, b, orow, ocol, och = m[P_DIM], m[o + CU_BATCH], m[o + CU_ROW], m[o + CU_COLUMN], m[o + CU_OCH]
    step = _widest(m, m[h + CR_OCHS], m[P_ACC_BYTES])
    memory = 0 if m[h + CR_NO_BIAS] else conv_memory(m[h + CR_BIAS], och * m[P_ACC_BYTES])
    local = ACCUMULATOR | (m[o + CU_START] + result_row(m, h, b, orow, ocol, och))
    words = conv_span(least(dim, m[h + CR_OCOLS] - ocol), least(step, m[h + CR_OCHS] - och), local)
    next_pixel(m, o, h, step)
    return 14, memory, words


@compiled
def next_pixel(m, o, h, och_step):  # type: ignore[no-untyped-def]
    """Move a unit that walks the output on: channels innermost, then columns, rows, batches; idle after the last."""
    m[o + CU_OCH] = floor_add(m[o + CU_OCH], och_step, m[h + CR_OCHS])
    if m[o + CU_OCH] == 0:
        m[o + CU_COLUMN] = floor_add(m[o + CU_COLUMN], m[P_DIM], m[h + CR_OCOLS])
        if m[o + CU_COLUMN] == 0:
            m[o + CU_ROW] = floor_add(m[o + CU_ROW], 1, m[h + CR_OROWS])
            if m[o + CU_ROW] == 0:
                m[o + CU_BATCH] = floor_add(m[o + CU_BATCH], 1, m[h + CR_BATCHES])
                if m[o + CU_BATCH] == 0:
                    m[o + CU_STATE] = IDLE


@inlined
def _columns_of_load(m, h, column):  # type: ignore[no-untyped-def]
    """Input columns one mvin covers from `column`: it stays within left padding, image or right padding."""
    dim, end = m[P_DIM], m[h + CR_COLUMNS]
    if column < 0:
        return least(dim, -column)
    if column >= end:
        return least(dim, end + m[h + CR_RIGHT] - column)
    return least(dim << m[h + CR_DOWNSAMPLE], end - column)


@compiled
def next_input(m):  # type: ignore[no-untyped-def]
    """config_ld of mvin, then the mvins of the input with its padding; channels innermost, then columns, rows."""
    o, h = conv_unit(IN_INPUT), conv_loop(m, IN_INPUT)
    size, halved, turned = m[P_IN_BYTES], m[h + CR_DOWNSAMPLE], m[h + CR_INPUT_3120]
    if m[o + CU_STATE] == CONFIGURING:
        m[o + CU_STATE] = LOADING
        stride = (m[h + CR_BATCH_SIZE] if turned else m[h + CR_IN_STRIDE]) * size
        return 0, _config(0, m[h + CR_INPUT_BLOCK], m[h + CR_PIXELS]), stride << halved
    b, row, column, channel = m[o + CU_BATCH], m[o + CU_ROW], m[o + CU_COLUMN], m[o + CU_KCH]
    width = _columns_of_load(m, h, column)
    if turned:
        step = _widest(m, m[h + CR_BATCHES], size)
        pixel = (channel * m[h + CR_IN_ROWS] + row) * m[h + CR_IN_COLUMNS] + column
        offset, outer, inner, taken = pixel * m[h + CR_BATCHES] + b, b, channel, least(step, m[h + CR_BATCHES] - b)
    else:
        step = _widest(m, m[h + CR_KCHS], size)
        pixel = (b * m[h + CR_IN_ROWS] + row) * m[h + CR_IN_COLUMNS] + column
        offset, outer, inner, taken = (
            pixel * m[h + CR_IN_STRIDE] + channel,
            channel,
            b,
            least(step, m[h + CR_KCHS] - channel),
        )
    zeros = row < 0 or row >= m[h + CR_ROWS] or column < 0 or column >= m[h + CR_COLUMNS]
    memory = 0 if zeros else conv_memory(m[h + CR_INPUT], offset * size)
    local = m[o + CU_START] + (outer // m[P_DIM]) * m[h + CR_INPUT_BLOCK] + inner * m[h + CR_IMAGE]
    local += ((row + m[h + CR_UPPER]) >> halved) * (m[h + CR_ICOLS] >> halved) + ((column + m[h + CR_LEFT]) >> halved)
    _next_input_pixel(m, o, h, width, step)
    return 2, memory, conv_span(width >> halved, taken, local)


@compiled
def _next_input_pixel(m, o, h, width, step):  # type: ignore[no-untyped-def]
    turned = m[h + CR_INPUT_3120]
    m[o + CU_KCH] = floor_add(m[o + CU_KCH], 1 if turned else step, m[h + CR_KCHS])
    if m[o + CU_KCH]:
        return
    m[o + CU_COLUMN] += width
    if m[o + CU_COLUMN] < m[h + CR_COLUMNS] + m[h + CR_RIGHT]:
        return
    m[o + CU_COLUMN] = -m[h + CR_LEFT]
    m[o + CU_ROW] += 1 << m[h + CR_DOWNSAMPLE]
    if m[o + CU_ROW] < m[h + CR_ROWS] + m[h + CR_LOWER]:
        return
    m[o + CU_ROW] = -m[h + CR_UPPER]
    m[o + CU_BATCH] = floor_add(m[o + CU_BATCH], step if turned else 1, m[h + CR_BATCHES])
    if m[o + CU_BATCH] == 0:
        m[o + CU_STATE] = IDLE


@inlined
def _weight_stride(m, h):  # type: ignore[no-untyped-def]
    """Elements between rows of one weight mvin in memory."""
    if m[h + CR_DEPTHWISE]:
        return 1
    if m[h + CR_WEIGHT_1203]:
        return m[h + CR_KERNEL] * m[h + CR_KERNEL] * m[h + CR_OUT_CHANNELS]
    return m[h + CR_IN_CHANNELS] if m[h + CR_WEIGHT_0132] else m[h + CR_WEIGHT_STRIDE]


@inlined
def _weight_offset(m, h, tap, och, kch):  # type: ignore[no-untyped-def]
    """Elements from the loop's first weight to that of kernel position `tap`, output `och`, input `kch`."""
    if m[h + CR_DEPTHWISE]:
        return tap
    if m[h + CR_WEIGHT_1203]:
        return (kch * m[h + CR_KERNEL] * m[h + CR_KERNEL] + tap) * m[h + CR_OUT_CHANNELS] + och
    if m[h + CR_WEIGHT_0132]:
        return (tap * m[h + CR_OUT_CHANNELS] + och) * m[h + CR_IN_CHANNELS] + kch
    return (tap * m[h + CR_IN_CHANNELS] + kch) * m[h + CR_WEIGHT_STRIDE] + och


@compiled
def next_weights(m):  # type: ignore[no-untyped-def]
    """config_ld of mvin2, then the mvins of the weights; input channels innermost, output channels outermost."""
    o, h = conv_unit(IN_WEIGHTS), conv_loop(m, IN_WEIGHTS)
    size, turned, dim = m[P_IN_BYTES], m[h + CR_WEIGHT_0132], m[P_DIM]
    if m[o + CU_STATE] == CONFIGURING:
        m[o + CU_STATE] = LOADING
        return 0, _config(1, m[h + CR_WEIGHT_BLOCK], 1), _weight_stride(m, h) * size
    och, krow, kcol, kch = m[o + CU_OCH], m[o + CU_KROW], m[o + CU_KCOL], m[o + CU_KCH]
    memory = conv_memory(m[h + CR_WEIGHTS], _weight_offset(m, h, krow * m[h + CR_KERNEL] + kcol, och, kch) * size)
    local, tap = m[o + CU_START] - m[h + CR_WEIGHT_ROWS], krow * m[h + CR_KCOLS] + kcol
    if turned:
        step = _widest(m, m[h + CR_KCHS], size)
        words = conv_span(
            least(dim, m[h + CR_OCHS] - och), least(step, m[h + CR_KCHS] - kch),
            local + (kch // dim) * m[h + CR_WEIGHT_BLOCK] + tap * m[h + CR_OCHS] + och,
        )  # fmt: skip
    else:
        step = _widest(m, m[h + CR_OCHS], size)
        words = conv_span(
            least(dim, m[h + CR_KCHS] - kch), least(step, m[h + CR_OCHS] - och),
            local + (och // dim) * m[h + CR_WEIGHT_BLOCK] + tap * m[h + CR_KCHS] + kch,
        )  # fmt: skip
    m[o + CU_KCH] = floor_add(kch, step if turned else dim, m[h + CR_KCHS])
    if m[o + CU_KCH] == 0:
        m[o + CU_KCOL] = floor_add(kcol, 1, m[h + CR_KCOLS])
        if m[o + CU_KCOL] == 0:
            m[o + CU_KROW] = floor_add(krow, 1, m[h + CR_KROWS])
            if m[o + CU_KROW] == 0:
                m[o + CU_OCH] = floor_add(och, dim if turned else step, m[h + CR_OCHS])
                if m[o + CU_OCH] == 0:
                    m[o + CU_STATE] = IDLE
    return 1, memory, words
