import gzip
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_rows import LOOP_ROWS
from micro_rows import MICRO_ROWS
from simulator_programs import BASE, ROOT, gemmini, tiled_matmul

from model_ir.errors import InputError
from simulator import compile_cache, isa
from simulator.accelerator import Memory
from simulator.cost import STALL_CAUSES
from simulator.cycle_level.kernel import DONE, REACHED, run, start
from simulator.cycle_level.state import new_machine
from simulator.engine import simulate
from simulator.memory_state import new_memory
from simulator.raw_commands import replay
from simulator.serial import serial_cycles

STREAMS = ROOT.parent / "shared" / "ground_truth" / "command_streams.jsonl.gz"
PROGRAMS = st.tuples(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 0]), st.booleans(),
    st.sampled_from([8192, 2048]),
)  # fmt: skip


def tiled(choice):
    rows, columns, depth, dataflow, full_width, bank_of_b = choice
    addresses = (BASE, BASE + 0x10000, BASE + 0x20000)
    commands = tiled_matmul(
        (rows, columns, depth), addresses, dataflow=dataflow, full_width=full_width, bank_of_b=bank_of_b
    )
    return isa.program_of(commands)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__ if name != "trace"
    )


@pytest.mark.parametrize(("commands", "latency", "cycles"), [row[1:] for row in MICRO_ROWS],
                         ids=[row[0] for row in MICRO_ROWS])  # fmt: skip
def test_transcribed_rtl_rows_are_exact(commands, latency, cycles):
    memory = Memory(latency_cycles=latency, cycles_per_beat=1)
    assert simulate(isa.program_of(commands), gemmini(), memory=memory).cycles == cycles


@pytest.mark.parametrize("row", LOOP_ROWS, ids=[row[0] for row in LOOP_ROWS])
def test_transcribed_rtl_rows_of_loops_are_exact(row):
    _, (latency, per_beat, gap), expected, text = row
    memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
    result = replay([line.split() for line in text.strip().splitlines()], memory, command_gap_cycles=gap)
    assert (result.cycles, result.read_requests, result.write_requests) == expected


def measured(*families):
    if not STREAMS.exists():
        pytest.skip("the measured command streams are not beside this clone (../shared/ground_truth)")
    with gzip.open(STREAMS, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["family"] in families]


def rerun(row):
    memory = Memory(latency_cycles=row["latency_cycles"], cycles_per_beat=row["cycles_per_beat"])
    return replay(row["commands"], memory, command_gap_cycles=row["command_gap_cycles"])


def test_every_measured_micro_row_is_exact():
    for row in measured("micro"):
        assert rerun(row).cycles == row["cycles"], row["name"]


@pytest.mark.parametrize(
    ("family", "mean", "worst"),
    [("raw_ws", 0.0, 0.0), ("raw_os", 0.0, 0.0), ("tiled", 0.0, 0.0), ("layers", 0.000013, 0.0003)],
)
def test_measured_streams_stay_within_the_error_reached(family, mean, worst):
    errors = []
    for row in measured(family):
        result = rerun(row)
        errors.append(abs(result.cycles - row["cycles"]) / row["cycles"])
        moved = (result.read_requests, result.read_bytes, result.write_requests, result.write_bytes)
        assert moved == (row["read_requests"], row["read_bytes"], row["write_requests"], row["write_bytes"])
    assert np.mean(errors) <= mean
    assert max(errors) <= worst


@settings(derandomize=True, deadline=None, max_examples=40)
@given(PROGRAMS, st.integers(1, 150), st.integers(1, 4))
def test_stalls_and_work_add_up_and_bytes_are_those_of_the_commands(choice, latency, per_beat):
    program = tiled(choice)
    rows, columns, depth = choice[:3]
    result = simulate(program, gemmini(), memory=Memory(latency_cycles=latency, cycles_per_beat=per_beat))
    assert tuple(result.stall_cycles) == STALL_CAUSES
    assert min(result.stall_cycles.values()) >= 0
    assert result.execute_busy_cycles + sum(result.stall_cycles.values()) == result.cycles
    assert result.macs == rows * columns * depth
    assert result.write_bytes >= rows * columns * (4 if choice[4] else 1)
    assert result.write_bytes % 16 == 0
    tiles = -(-rows // 16) * -(-columns // 16)
    assert result.read_bytes >= (-(-columns // 16) * rows * depth + -(-rows // 16) * columns * depth)
    assert result.scratchpad_write_bytes == -(-columns // 16) * rows * depth + -(-rows // 16) * columns * depth
    assert result.accumulator_read_bytes >= tiles * 64
    assert np.all(np.diff(result.accepted_at) >= 1)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(PROGRAMS, st.integers(1, 80), st.integers(1, 3))
def test_more_bandwidth_or_less_latency_is_never_slower(choice, latency, per_beat):
    program = tiled(choice)

    def cycles(latency, per_beat):
        memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
        return simulate(program, gemmini(), memory=memory).cycles

    here = cycles(latency, per_beat)
    assert here <= cycles(latency, per_beat + 1)
    assert here <= cycles(latency + 20, per_beat)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(PROGRAMS, st.integers(1, 100))
def test_overlap_never_loses_to_serial_execution(choice, latency):
    program = tiled(choice)
    memory = Memory(latency_cycles=latency, cycles_per_beat=1)
    assert simulate(program, gemmini(), memory=memory).cycles <= serial_cycles(program, gemmini(), memory=memory)


def test_the_same_program_twice_gives_the_same_result():
    program = tiled((60, 50, 40, 1, True, 8192))
    assert same(simulate(program, gemmini()), simulate(program, gemmini()))


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_a_machine_advanced_in_steps_does_the_same(step):
    program = tiled((60, 50, 40, 1, True, 2048))
    whole, ends = [], []
    for each in (1 << 60, step):
        m = new_machine(gemmini(), gemmini().memory, 0, (0, 0))
        accepted, trace = np.zeros(len(program), np.int64), np.zeros((0, 2), np.int64)
        stream = (program.funct, program.rs1.view(np.int64), program.rs2.view(np.int64))
        t = start(m, *stream, accepted)
        end = REACHED
        while end == REACHED:
            t, end = run(m, new_memory(gemmini().memory, 16), t, t + each, trace, *stream, accepted)
        whole.append((t, end, m.tolist()))
        ends.append(accepted.tolist())
    assert whole[0][1] == DONE
    assert whole[0] == whole[1]
    assert ends[0] == ends[1]


def test_a_slower_host_delays_the_commands():
    program = tiled((32, 32, 32, 1, True, 8192))
    gap = simulate(program, gemmini(), command_gap_cycles=3)
    assert np.all(np.diff(gap.accepted_at) >= 4)
    assert gap.cycles >= simulate(program, gemmini()).cycles


def test_zeros_come_without_memory_at_four_cycles_a_row():
    commands = [isa.config_ld(stride_bytes=0)]

    def cycles(count):
        loads = [isa.mvin(0, 64 * i, 64, 16) for i in range(count)]
        return simulate(isa.program_of(commands + loads), gemmini())

    assert cycles(8).cycles - cycles(4).cycles == 4 * 64
    assert cycles(8).read_requests == 0


@pytest.mark.parametrize("columns", [(64, 48), (48, 64), (16, 1), (5, 40)])
def test_mvins_of_zeros_of_different_widths_complete_one_after_the_other(columns):
    commands = [isa.config_ld(stride_bytes=0)]
    commands += [isa.mvin(0, 64 * i, width, 16) for i, width in enumerate(columns * 3)]
    blocks = [-(-width // 16) for width in columns]
    program = isa.program_of(commands)
    alone = [simulate(isa.head(program, 1 + count), gemmini()).cycles for count in range(1, 7)]
    assert np.diff(alone).tolist() == [16 * blocks[i % 2] for i in range(1, 6)]


def test_trace_covers_the_asked_commands_in_order():
    program = tiled((32, 32, 32, 1, True, 8192))
    result = simulate(program, gemmini(), trace_commands=(4, 20))
    trace = result.trace
    assert trace is not None
    assert trace.command.tolist() == list(range(4, 20))
    assert np.all(trace.end_cycle > trace.start_cycle)
    assert np.all(trace.end_cycle <= result.cycles)
    assert np.all(trace.start_cycle >= result.accepted_at[4:20])
    assert [trace.units[unit] for unit in trace.unit[:4]] == ["load", "load", "execute", "execute"]


CONFIGURED = (("0", "10004", "1000000000000"), ("0", "2", "40"), ("0", "100101", "40"), ("0", "100109", "40"))


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        ([("8", "0", "0")], r"command 0 \(loop_ws\) funct"),
        ([("9", "0", "100010000")], r"command 0 \(loop_ws_bounds\) bounds"),
        ([("9", "0", "100090008")], r"command 0 \(loop_ws_bounds\) bounds"),
        ([*CONFIGURED, ("9", "0", "100010001"), ("8", "200", "0")], r"command 5 \(loop_ws\) activation"),
        ([("x", "0", "0")], "command 0 funct"),
        ([("0", "0")], "command 0"),
        ([("3", "80000000", "0")], r"command 0 \(mvout\) funct"),
    ],
)
def test_raw_commands_that_cannot_run_are_named(commands, named):
    with pytest.raises(InputError, match=named):
        replay(commands, Memory(latency_cycles=1, cycles_per_beat=1))


def test_an_impossible_memory_is_refused():
    with pytest.raises(InputError, match="latency_cycles"):
        simulate(isa.program_of([]), gemmini(), memory=Memory(latency_cycles=0, cycles_per_beat=1))


@pytest.mark.parametrize("beside", [True, False])
def test_indexes_older_than_a_compiled_source_are_dropped(tmp_path, monkeypatch, beside):
    package = tmp_path / "simulator"
    units = package / "cycle_level"
    cache = units / "__pycache__" if beside else tmp_path / "cache" / "cycle_level_1f2e"
    units.mkdir(parents=True)
    cache.mkdir(parents=True)
    for path, age in ((units / "front.py", 100), (package / "normaliser.py", 50)):
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    for name, stamp in (("front.f-1.py311.nbi", 920), ("front.g-1.py311.nbi", 960)):
        (cache / name).touch()
        os.utime(cache / name, (stamp, stamp))
    monkeypatch.setattr(compile_cache, "__file__", str(package / "compile_cache.py"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert compile_cache.drop_stale_indexes() == 1
    assert [path.name for path in cache.iterdir()] == ["front.g-1.py311.nbi"]
