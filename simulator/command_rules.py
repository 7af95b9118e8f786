"""What can be wrong with a command: the field at fault, what is wrong with it, and the unit its value is counted in.

`command_check` finds faults; this file names them. The rules are the assertions and limits of Gemmini's controllers
(LoadController, StoreController, ExecuteController, LoopMatmul, LoopConv .scala, ucb-bar/gemmini at 8c3f992) and the
capacities of the accelerator description.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from model_ir.errors import InputError
from simulator.isa import FUNCT_NAMES, PRELOAD
from simulator.program import Program


class Rule(NamedTuple):
    """One way to be illegal; `unit` is a format of value and limit."""

    field: str
    problem: str
    unit: str = "{}"


RULES: tuple[Rule, ...] = (
    Rule("", ""),
    Rule("funct", "unknown command"),
    Rule("rs1[1:0]", "normaliser configuration, and the machine has no normaliser"),
    Rule("config_norm.stats_id", "no such set of statistics"),
    Rule("address[28:26]", "normaliser command, and the machine has no normaliser"),
    Rule("config_ld.id", "no such load configuration"),
    Rule("config_ld.pixel_repeats", "repeated pixels fit no block of the scratchpad", "{} columns"),
    Rule("config_ex.dataflow", "dataflow the machine does not have"),
    Rule("config_ex.transpose", "the one transposer cannot serve two operands", "{} operands"),
    Rule("config_ex.c_stride", "output-stationary results leave last row first: no stride but 1", "{} rows"),
    Rule("config_st.activation", "activation the machine does not have"),
    Rule("config_st.pool_stride", "pooling, and the machine has none", "{} rows"),
    Rule("config_st.pool_size", "pooling needs a window of at least one", "{} rows"),
    Rule("config_st.out_rows", "rows x columns of the image in the accumulator is nothing", "{} pixels"),
    Rule("rows", "out of range", "{} rows"),
    Rule("columns", "out of range", "{} columns"),
    Rule("address", "row beyond the scratchpad", "row {}"),
    Rule("address", "row beyond the accumulator", "row {}"),
    Rule("address", "garbage where data must be", "{:#x}"),
    Rule("config_ld.block_stride", "blocks of one mvin overlap", "{} rows"),
    Rule("funct", "mvin, or a loop of them, before its config_ld"),
    Rule("funct", "mvout, or a loop of them, before config_st"),
    Rule("funct", "preload or compute, or a loop of them, before config_ex"),
    Rule("funct", "compute without preload"),
    Rule("funct", "preload without compute"),
    Rule("address", "operand in the accumulator: the engine does not time those reads", "{:#x}"),
    Rule("address", "full-width read the machine does not have, or not of the accumulator", "{:#x}"),
    Rule("address", "operand to add, and the machine has none (array.adds_operand)", "{:#x}"),
    Rule("rs1", "memory address outside the image", "{:#x}"),
    Rule("bounds", "a loop needs at least one block each way", "{} blocks"),
    Rule("bounds", "more than its half of the memory", "{} rows"),
    Rule("pads", "a pad is less than a block", "{} elements"),
    Rule("funct", "loop_ws before its bounds"),
    Rule("activation", "the engine unrolls no loop_ws that normalises; its stores as commands of their own it times"),
    Rule("rs2[9:3]", "the engine does not time parts of a loop, or loops within the scratchpad"),
    Rule("funct", "loop_conv_ws before its six configurations"),
    Rule("pads", "padding exceeds the tile's input", "{} pixels"),
    Rule("downsample", "needs even numbers of columns and padding, and no dilated input", "{} columns"),
    Rule("pool", "beyond its field in config_st", "{}"),
    Rule("funct", "loop_conv_ws, and the machine has no unroller for it"),
    Rule("max_pixels_per_row", "kernel columns that share a row exceed it", "{} columns"),
)
(
    OK,
    UNKNOWN,
    NORM,
    STATS_ID,
    NORM_COMMAND,
    LOAD_ID,
    PIXELS_FIT,
    DATAFLOW,
    TRANSPOSE,
    C_STRIDE,
    ACTIVATION,
    NO_POOL,
    POOL,
    IMAGE,
    ROWS,
    COLUMNS,
    SCRATCHPAD,
    ACCUMULATOR,
    GARBAGE_ADDRESS,
    BLOCK_STRIDE,
    NO_CONFIG_LD,
    NO_CONFIG_ST,
    NO_CONFIG_EX,
    NO_PRELOAD,
    NO_COMPUTE,
    OPERAND,
    FULL_WIDTH,
    ADDEND,
    MEMORY,
    LOOP_BOUND,
    LOOP_HALF,
    LOOP_PAD,
    LOOP_NO_BOUNDS,
    LOOP_NORM,
    LOOP_SPAD,
    CONV_NO_CONFIG,
    CONV_PADS,
    CONV_DOWNSAMPLE,
    CONV_POOL,
    NO_LOOP_CONV,
    CONV_PIXELS,
) = range(len(RULES))

NO_LIMIT = -1


def raise_fault(program: Program, index: int, rule: int, value: int, limit: int, *, first_index: int = 0) -> NoReturn:
    """Raise the InputError of one fault: path `command INDEX NAME.FIELD`, value and limit as found, in their unit.

    `first_index` is the index of the program's first command in its stream; `index` counts from there, and is below 0
    for a preload before.
    """
    field, problem, unit = RULES[rule]
    funct = int(program.funct[index]) if index >= 0 else PRELOAD
    name = FUNCT_NAMES.get(funct, f"funct {funct}")
    raise InputError(
        f"command {first_index + index} ({name}) {field}",
        problem,
        value=unit.format(value),
        limit=None if limit == NO_LIMIT else unit.format(limit),
    )
