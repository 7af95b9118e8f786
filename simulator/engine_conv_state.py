"""The slots of LoopConv in the engine's state, relative to its table CONV (engine_state.py). No behaviour.

One record a loop (`CONV_LOOP`, CR_*: its registers, then what derived_params of LoopConv.scala makes of them) and one a
unit (`CONV_UNIT`, CU_*: state, iterators, and the two stages of the pipeline its commands pass).
"""

from __future__ import annotations

from simulator.engine_state import CONV

(
    CV_NEXT, CV_ACTIVE, CV_FREE, CV_HEAD, CV_UTIL_LD, CV_UTIL_EX, CV_UTIL_ST, CV_CONSUMED, CV_EXECUTED
) = range(CONV, CONV + 9)  # fmt: skip
CV_SIZE = 16

(
    CR_BATCH_SIZE, CR_IN_ROWS, CR_IN_COLUMNS, CR_IN_CHANNELS, CR_OUT_CHANNELS, CR_OUT_ROWS, CR_OUT_COLUMNS,
    CR_POOL_OUT_ROWS, CR_POOL_OUT_COLUMNS, CR_STEP, CR_KERNEL, CR_DILATION, CR_IN_STRIDE, CR_WEIGHT_STRIDE,
    CR_OUT_STRIDE, CR_POOL_SIZE, CR_POOL_STEP, CR_BATCHES, CR_POROWS, CR_POCOLS, CR_OCHS, CR_KROWS, CR_KCOLS, CR_KCHS,
    CR_LPAD, CR_RPAD, CR_UPAD, CR_DPAD, CR_PLPAD, CR_PUPAD, CR_OROWS, CR_OCOLS, CR_WEIGHTS, CR_OUTPUT, CR_BIAS,
    CR_INPUT, CR_NO_BIAS, CR_NO_POOL, CR_DOWNSAMPLE, CR_DILATED, CR_ACT, CR_ROTATED, CR_OUT_1203, CR_WEIGHT_1203,
    CR_WEIGHT_0132, CR_INPUT_3120, CR_DEPTHWISE, CR_PIXELS, CR_A_HALF, CR_B_HALF, CR_CONFIGURED, CR_RUNNING,
    CR_STARTED, CR_COMPLETED, CR_NUMBER, CR_IROWS, CR_ICOLS, CR_ROWS, CR_COLUMNS, CR_UPPER, CR_LOWER, CR_LEFT,
    CR_RIGHT, CR_IMAGE, CR_INPUT_BLOCK, CR_WEIGHT_BLOCK, CR_WEIGHT_ROWS, CR_SIZE
) = range(68)  # fmt: skip
CONV_LOOP = CONV + CV_SIZE

IN_BIAS, IN_INPUT, IN_WEIGHTS, IN_EXECUTE, IN_STORE, CONV_UNITS = range(6)
"""Units by number: bit of CR_STARTED and CR_COMPLETED, record of CONV_UNIT."""
(
    CU_STATE, CU_LOOP, CU_START, CU_NEXT_START, CU_BATCH, CU_ROW, CU_COLUMN, CU_OCH, CU_KROW, CU_KCOL, CU_KCH, CU_NEW,
    CU_FIRST, CU_FIRST_FUNCT, CU_FIRST_RS1, CU_FIRST_RS2, CU_LAST, CU_LAST_FUNCT, CU_LAST_RS1, CU_LAST_RS2, CU_SIZE
) = range(21)  # fmt: skip
CONV_UNIT = CONV_LOOP + 2 * CR_SIZE

IDLE, CONFIGURING, LOADING = range(3)
"""States of the three loading units."""
PRELOADING, MULTIPLYING = 2, 3
"""States of the execute unit besides IDLE and CONFIGURING."""
STORING, BEFORE_POOL, POOLING, AFTER_POOL = 1, 2, 3, 4
"""States of the store unit besides IDLE."""
