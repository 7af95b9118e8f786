"""Loops whose tiles would run into one another, or that are not configured: refused by name, in both modes."""

from dataclasses import replace

import pytest
from simulator_programs import BASE, gemmini

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator_file import load_accelerator
from simulator.command_check import check_next, check_program, new_check
from simulator.isa_loops import LoopMatmul, loop_ws

START = [
    isa.config_ex(),
    isa.config_st(stride_bytes=64),
    isa.config_ld(stride_bytes=64),
    isa.config_ld(stride_bytes=64, load_id=1),
]
LOOP = LoopMatmul(max_i=2, max_j=2, max_k=2, a_dram_addr=BASE, b_dram_addr=BASE, c_dram_addr=BASE,
                  a_dram_stride=64, b_dram_stride=64, c_dram_stride=64)  # fmt: skip


def check(commands, machine=None):
    program = isa.program_of(commands)
    check_program(program, machine or gemmini())
    check_next(program, machine or gemmini(), new_check(), first_index=0, more=False)


@pytest.mark.parametrize(
    ("loop", "named"),
    [
        (replace(LOOP, max_j=0), r"command 4 \(loop_ws_bounds\) bounds: .*one block.*value 0 blocks"),
        (replace(LOOP, max_k=0), r"command 9 \(loop_ws\) bounds: .*one block.*value 0 blocks"),
        (replace(LOOP, pad_j=16), r"command 4 \(loop_ws_bounds\) pads: .*value 16 elements, limit 15 elements"),
        (replace(LOOP, max_i=7, max_j=5), r"command 4 \(loop_ws_bounds\) bounds: .*value 560 rows, limit 512 rows"),
        (replace(LOOP, max_i=5, max_j=6, max_k=47), r"\(loop_ws\) bounds: .*value 8272 rows, limit 8192 rows"),
        (replace(LOOP, max_i=8, max_j=1, max_k=65, a_spad_id=1, b_spad_id=2), r"value 8320 rows, limit 8192 rows"),
        (replace(LOOP, a_spad_id=3), r"\(loop_ws\) bounds: .*value 24576 rows, limit 16384 rows"),
        (replace(LOOP, a_transpose=True, b_transpose=True), r"\(loop_ws\) config_ex.transpose"),
    ],
)  # fmt: skip
def test_loops_that_fit_no_half_are_named(loop, named):
    with pytest.raises(InputError, match=named):
        check([*START, *loop_ws(loop)])


@pytest.mark.parametrize(
    "loop",
    [
        LOOP,
        replace(LOOP, max_i=5, max_j=5, max_k=51),
        replace(LOOP, max_i=8, max_j=1, max_k=56),
        replace(LOOP, max_i=8, max_j=1, max_k=60, a_spad_id=1, b_spad_id=2),
        replace(LOOP, max_i=4, max_j=8, max_k=0, is_resadd=True),
    ],
)
def test_tiles_of_the_c_library_pass(loop):
    check([*START, *loop_ws(loop)])


@pytest.mark.parametrize(
    ("missing", "named"), [(0, "before config_ex"), (1, "before config_st"), (2, "before its config_ld")]
)
def test_a_loop_needs_its_units_configured(missing, named):
    with pytest.raises(InputError, match=rf"command 8 \(loop_ws\) funct: .*{named}"):
        check([*(command for index, command in enumerate(START) if index != missing), *loop_ws(LOOP)])


def test_registers_of_a_loop_stay_for_the_next_but_one():
    """The two loops take turns: the third run may leave its bounds out, the second may not."""
    run = loop_ws(LOOP)[-1]
    check([*START, *loop_ws(LOOP), *loop_ws(LOOP), run])
    with pytest.raises(InputError, match=r"command 10 \(loop_ws\) funct: loop_ws before its bounds"):
        check([*START, *loop_ws(LOOP), run])


def test_full_width_results_need_a_machine_that_reads_them():
    wide = loop_ws(replace(LOOP, full_c=True))
    check([*START, *wide])
    with pytest.raises(InputError, match=r"\(loop_ws\) address: full-width"):
        check([*START, *wide], load_accelerator("gemmini-lean"))
