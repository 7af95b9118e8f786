"""loop_conv_ws in the timing engine: exact against measured rows, and the same work as its unrolled commands."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from conv_rows import CONV_ROWS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loop_programs import Conv, Matmul, conv_loops, conv_program, matmul_program
from simulator_programs import gemmini

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.engine import simulate
from simulator.isa_loops import LoopConv, loop_conv_ws
from simulator.unroll import expand, piece

NEAR = Memory(latency_cycles=10, cycles_per_beat=1)
CONVS = st.builds(
    Conv, batch=st.integers(1, 2), in_rows=st.integers(3, 5), in_columns=st.integers(3, 17),
    in_channels=st.sampled_from([3, 16, 20]), out_channels=st.sampled_from([2, 16, 20]), kernel=st.integers(1, 2),
    bias=st.booleans(), stride=st.integers(1, 2), parts=st.tuples(*[st.sampled_from([1, 1, 2])] * 7),
    trans_output_1203=st.booleans(), wrot180=st.booleans(),
)  # fmt: skip
WORK = ("read_requests", "read_bytes", "write_requests", "write_bytes", "macs", "accumulator_write_bytes")


def with_queues(**queues):
    return msgspec.structs.replace(gemmini(), queues=msgspec.structs.replace(gemmini().queues, **queues))


@pytest.mark.parametrize(("case", "memory", "cycles", "accepted", "traffic"), [row[1:] for row in CONV_ROWS],
                         ids=[row[0] for row in CONV_ROWS])  # fmt: skip
def test_transcribed_rtl_rows_are_exact(case, memory, cycles, accepted, traffic):
    latency, per_beat, gap = memory
    result = simulate(
        isa.program_of(conv_program(case)), gemmini(), command_gap_cycles=gap,
        memory=Memory(latency_cycles=latency, cycles_per_beat=per_beat),
    )  # fmt: skip
    assert result.cycles == cycles
    assert result.accepted_at.tolist() == accepted
    assert (result.read_requests, result.read_bytes, result.write_requests, result.write_bytes) == traffic


def small(case):
    tiles = conv_loops(case)
    assume(all(tile.batches * tile.orows * tile.ocols * -(-tile.pochs // 16) <= 512 for tile in tiles))
    return isa.program_of(conv_program(case))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    CONVS, st.sampled_from([{}, {"load_entries": 2}, {"execute_entries": 4}, {"store_entries": 1},
                            {"front_queue_entries": 1}, {"front_queue_entries": 4}]),
)  # fmt: skip
def test_a_loop_does_the_work_of_its_unrolled_commands(case, queues):
    program, machine = small(case), with_queues(**queues)
    loops, plain = (simulate(one, machine, memory=NEAR) for one in (program, expand(program, machine)))
    assert [getattr(loops, name) for name in WORK] == [getattr(plain, name) for name in WORK]
    assert sum(loops.stall_cycles.values()) + loops.execute_busy_cycles == loops.cycles


@settings(derandomize=True, deadline=None, max_examples=15)
@given(CONVS, st.integers(1, 30))
def test_slower_memory_never_helps_and_pieces_change_nothing(case, cut):
    program = small(case)
    near = simulate(program, gemmini(), memory=NEAR)
    far = simulate(program, gemmini(), memory=Memory(latency_cycles=100, cycles_per_beat=1))
    assert near.cycles <= far.cycles
    middle = min(cut, len(program))
    pieces = [piece(program, 0, middle), piece(program, middle, len(program))]
    assert simulate(iter(pieces), gemmini(), memory=NEAR).cycles == near.cycles


@settings(derandomize=True, deadline=None, max_examples=20)
@given(CONVS, st.integers(2, 4), st.integers(1, 4), st.integers(2, 4))
def test_a_loop_whose_kernel_columns_share_rows_does_the_work_of_its_unrolled_commands(case, pixels, channels, kernel):
    case = replace(case, pixels=pixels, in_channels=channels, kernel=kernel, in_rows=6, in_columns=9, wrot180=False)
    program = small(replace(case, parts=(*case.parts[:4], 1, 1, 1)))
    loops, plain = (simulate(one, gemmini(), memory=NEAR) for one in (program, expand(program, gemmini())))
    assert [getattr(loops, name) for name in WORK] == [getattr(plain, name) for name in WORK]


def test_both_unrollers_in_one_stream_do_the_work_of_plain_commands():
    conv = conv_program(Conv(in_channels=20, kernel=2, parts=(1, 2, 1, 1, 1, 1, 1)))
    commands = [*conv, *matmul_program(Matmul(20, 32, 20, (1, 1, 1))), *conv, isa.flush(), *conv]
    program = isa.program_of(commands)
    loops, plain = (simulate(one, gemmini(), memory=NEAR) for one in (program, expand(program, gemmini())))
    assert [getattr(loops, name) for name in WORK] == [getattr(plain, name) for name in WORK]
    assert np.all(np.diff(loops.accepted_at) >= 1)


def changed(loop, **fields):
    return LoopConv(**{**{name: getattr(loop, name) for name in LoopConv.__dataclass_fields__}, **fields})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"krows": 0}, "bounds: a loop needs"),
        ({"orows": 40, "ocols": 40}, r"more than its half.*1600 rows.*512 rows"),
        ({"kchs": 16384}, "more than its half"),
        ({"lpad": 9}, "padding exceeds"),
        ({"downsample": True}, "even numbers of columns"),
        ({"no_pool": False, "pool_size": 4}, "pool: beyond its field"),
        ({"max_pixels_per_row": 6}, r"max_pixels_per_row: kernel columns that share.*18 columns.*16 columns"),
        ({"trans_input_3120": True, "trans_weight_0132": True}, "transposer"),
    ],
)
def test_what_the_unroller_cannot_end_or_hold_is_refused(fields, named):
    (loop,) = conv_loops(Conv())
    commands = [*conv_program(Conv())[:2], *loop_conv_ws(changed(loop, **fields))]
    with pytest.raises(InputError, match=r"command 8 \(loop_conv_ws\).*" + named):
        simulate(isa.program_of(commands), gemmini())


def test_a_loop_needs_its_configuration_and_a_machine_that_unrolls_it():
    commands = conv_program(Conv())
    with pytest.raises(InputError, match=r"command 7 \(loop_conv_ws\).*six configurations"):
        simulate(isa.program_of([*commands[:4], *commands[5:]]), gemmini())
    with pytest.raises(InputError, match=r"command 6 \(loop_conv_ws\).*before config_ex"):
        simulate(isa.program_of(commands[2:]), gemmini())
    with pytest.raises(InputError, match=r"command 2 .*no unroller"):
        simulate(isa.program_of(commands), with_queues(front_queues=3))


def test_a_machine_without_the_unroller_still_runs_plain_commands_and_matmul_loops():
    program = isa.program_of(matmul_program(Matmul(20, 32, 20, (1, 1, 1))))
    short, full = (simulate(program, machine, memory=NEAR) for machine in (with_queues(front_queues=3), gemmini()))
    assert 0 < full.cycles - short.cycles <= 4


def test_a_long_stream_of_loops_is_read_in_pieces():
    loops = conv_program(Conv(in_channels=16, out_channels=16))
    head, loop = isa.program_of(loops[:2]), isa.program_of(loops[2:])

    def stream():
        yield head
        for _ in range(300):
            yield loop

    result = simulate(stream(), gemmini(), memory=NEAR)
    assert result.commands == 2 + 300 * len(loop)
    assert result.macs == 300 * simulate(isa.program_of(loops), gemmini(), memory=NEAR).macs
