"""LoopConv's registers: what its seven commands write, and what derived_params makes of them (LoopConv.scala)."""

from __future__ import annotations

from simulator.cycle_level.compile import bits, compiled, inlined

# isort: off
from simulator.cycle_level.conv_state import (
    CR_ACT, CR_A_HALF, CR_BATCHES, CR_BATCH_SIZE, CR_BIAS, CR_B_HALF, CR_COLUMNS, CR_COMPLETED, CR_CONFIGURED,
    CR_DEPTHWISE, CR_DILATED, CR_DILATION, CR_DOWNSAMPLE, CR_DPAD, CR_ICOLS, CR_IMAGE, CR_INPUT, CR_INPUT_3120,
    CR_INPUT_BLOCK, CR_IN_CHANNELS, CR_IN_COLUMNS, CR_IN_ROWS, CR_IN_STRIDE, CR_IROWS, CR_KCHS, CR_KCOLS, CR_KERNEL,
    CR_KROWS, CR_LEFT, CR_LOWER, CR_LPAD, CR_NO_BIAS, CR_NO_POOL, CR_OCHS, CR_OCOLS, CR_OROWS, CR_OUTPUT, CR_OUT_1203,
    CR_OUT_CHANNELS, CR_OUT_COLUMNS, CR_OUT_ROWS, CR_OUT_STRIDE, CR_PIXELS, CR_PLPAD, CR_POCOLS, CR_POOL_OUT_COLUMNS,
    CR_POOL_OUT_ROWS, CR_POOL_SIZE, CR_POOL_STEP, CR_POROWS, CR_PUPAD, CR_RIGHT, CR_ROTATED, CR_ROWS, CR_RPAD,
    CR_STARTED, CR_STEP, CR_UPAD, CR_UPPER, CR_WEIGHTS, CR_WEIGHT_0132, CR_WEIGHT_1203, CR_WEIGHT_BLOCK,
    CR_WEIGHT_ROWS, CR_WEIGHT_STRIDE,
)  # fmt: skip
from simulator.cycle_level.state import P_DIM, P_MAX_POOL
# isort: on

ADDRESS_MASK = (1 << 40) - 1
_BOUNDS = 0xFFFF


@inlined
def _undilated(value, holes):  # type: ignore[no-untyped-def]
    return (value + holes) >> holes


@compiled
def _derive(m, h):  # type: ignore[no-untyped-def]
    """Sizes of the input tile and distances of blocks in local memory, 16 bits wide as the RTL keeps them."""
    krows, kcols, holes, halved = m[h + CR_KROWS], m[h + CR_KCOLS], m[h + CR_DILATED], m[h + CR_DOWNSAMPLE]
    irows = m[h + CR_OROWS] * m[h + CR_STEP] + krows + (m[h + CR_DILATION] - 1) * (krows - 1) - 1
    icols = m[h + CR_OCOLS] * m[h + CR_STEP] + kcols + (m[h + CR_DILATION] - 1) * (kcols - 1) - 1
    rows = _undilated(irows - m[h + CR_UPAD] - m[h + CR_DPAD], holes) & _BOUNDS
    columns = _undilated(icols - m[h + CR_LPAD] - m[h + CR_RPAD], holes) & _BOUNDS
    upper, lower = _undilated(m[h + CR_UPAD], holes), _undilated(m[h + CR_DPAD], holes)
    left, right = _undilated(m[h + CR_LPAD], holes), _undilated(m[h + CR_RPAD], holes)
    if holes:
        irows, icols = rows + upper + lower, columns + left + right
    image = (irows >> halved) * (icols >> halved)
    m[h + CR_IROWS], m[h + CR_ICOLS], m[h + CR_ROWS], m[h + CR_COLUMNS] = (
        irows & _BOUNDS,
        icols & _BOUNDS,
        rows,
        columns,
    )
    m[h + CR_UPPER], m[h + CR_LOWER], m[h + CR_LEFT], m[h + CR_RIGHT], m[h + CR_IMAGE] = (
        upper,
        lower,
        left,
        right,
        image,
    )
    m[h + CR_INPUT_BLOCK] = ((m[h + CR_KCHS] if m[h + CR_INPUT_3120] else m[h + CR_BATCHES]) * image) & _BOUNDS
    ochs, kchs, dim = m[h + CR_OCHS], m[h + CR_KCHS], m[P_DIM]
    m[h + CR_WEIGHT_BLOCK] = (krows * kcols * (ochs if m[h + CR_WEIGHT_0132] else kchs)) & _BOUNDS
    blocks = (kchs + dim - 1) // dim * ochs if m[h + CR_WEIGHT_0132] else (ochs + dim - 1) // dim * kchs
    m[h + CR_WEIGHT_ROWS] = krows * kcols * blocks


@compiled
def _run(m, h, rs1, rs2):  # type: ignore[no-untyped-def]
    """loop_conv_ws itself: the flags."""
    m[h + CR_NO_BIAS], m[h + CR_ROTATED], m[h + CR_OUT_1203] = rs1 & 1, bits(rs1, 1, 1), bits(rs1, 2, 2)
    m[h + CR_WEIGHT_1203], m[h + CR_WEIGHT_0132], m[h + CR_INPUT_3120] = (
        bits(rs1, 3, 3),
        bits(rs1, 4, 4),
        bits(rs1, 5, 5),
    )
    m[h + CR_DEPTHWISE], m[h + CR_PIXELS] = bits(rs1, 6, 6), bits(rs1, 15, 8)
    if m[h + CR_PIXELS] == 0:
        m[h + CR_PIXELS] = 1
    m[h + CR_A_HALF], m[h + CR_B_HALF] = bits(rs1, 19, 18), bits(rs1, 17, 16)
    m[h + CR_NO_POOL] = 1 if rs2 & 1 or not m[P_MAX_POOL] else 0
    m[h + CR_DOWNSAMPLE], m[h + CR_DILATED], m[h + CR_ACT] = bits(rs2, 1, 1), bits(rs2, 2, 2), bits(rs2, 4, 3)
    _derive(m, h)
    m[h + CR_STARTED], m[h + CR_COMPLETED], m[h + CR_CONFIGURED] = 0, 0, 1


@compiled
def configure_conv(m, h, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Write a configuration command, or loop_conv_ws itself, into the loop's record `h`."""
    if funct == 16:
        m[h + CR_OUT_CHANNELS], m[h + CR_IN_CHANNELS] = bits(rs1, 63, 48), bits(rs1, 47, 32)
        m[h + CR_IN_ROWS], m[h + CR_BATCH_SIZE], m[h + CR_STEP] = bits(rs1, 31, 16), bits(rs1, 15, 0), bits(rs2, 55, 48)
        m[h + CR_OUT_COLUMNS], m[h + CR_POOL_OUT_ROWS] = bits(rs2, 47, 32), bits(rs2, 31, 16)
        m[h + CR_OUT_ROWS] = bits(rs2, 15, 0)
    elif funct == 17:
        m[h + CR_KERNEL], m[h + CR_POOL_OUT_COLUMNS] = bits(rs1, 63, 48), bits(rs1, 47, 32)
        m[h + CR_POOL_SIZE], m[h + CR_POOL_STEP] = bits(rs1, 31, 16), bits(rs1, 15, 8)
        m[h + CR_BATCHES], m[h + CR_POROWS] = bits(rs2, 63, 48), bits(rs2, 47, 32)
        m[h + CR_POCOLS], m[h + CR_OCHS] = bits(rs2, 31, 16), bits(rs2, 15, 0)
    elif funct == 18:
        m[h + CR_KROWS], m[h + CR_KCOLS] = bits(rs1, 63, 48), bits(rs1, 47, 32)
        m[h + CR_KCHS], m[h + CR_LPAD] = bits(rs1, 31, 16), bits(rs1, 15, 0)
        m[h + CR_RPAD], m[h + CR_UPAD], m[h + CR_DPAD] = bits(rs2, 63, 48), bits(rs2, 47, 32), bits(rs2, 31, 24)
        m[h + CR_PLPAD], m[h + CR_IN_COLUMNS] = bits(rs2, 23, 16), bits(rs2, 15, 0)
    elif funct == 19:
        m[h + CR_OROWS], m[h + CR_PUPAD], m[h + CR_DILATION] = bits(rs1, 63, 48), bits(rs1, 31, 21), bits(rs1, 9, 0)
        m[h + CR_IN_STRIDE], m[h + CR_WEIGHT_STRIDE] = bits(rs2, 63, 48), bits(rs2, 47, 32)
        m[h + CR_OUT_STRIDE], m[h + CR_OCOLS] = bits(rs2, 31, 16), bits(rs2, 15, 0)
    elif funct == 20:
        m[h + CR_WEIGHTS], m[h + CR_OUTPUT] = rs1 & ADDRESS_MASK, rs2 & ADDRESS_MASK
    elif funct == 21:
        m[h + CR_BIAS], m[h + CR_INPUT] = rs1 & ADDRESS_MASK, rs2 & ADDRESS_MASK
    else:
        _run(m, h, rs1, rs2)
