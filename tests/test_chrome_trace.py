import gzip
import json
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import BASE, gemmini, tiled_matmul

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.chrome_trace import ARRAY, EXECUTE, LOAD, PARTS, STORE
from simulator.cost import STALL_CAUSES
from simulator.engine import simulate
from systolic.tracing_job import TracedStream, TraceRequest, trace_streams

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 0]))


def stream(name, sizes, latency=20):
    rows, columns, depth, dataflow = sizes
    addresses = (BASE, BASE + 0x10000, BASE + 0x20000)
    program = isa.program_of(tiled_matmul((rows, columns, depth), addresses, dataflow=dataflow))
    return TracedStream(name=name, programs=program, memory=Memory(latency_cycles=latency, cycles_per_beat=1))


def traced(path, *streams, **window):
    assert trace_streams(streams, gemmini(), TraceRequest(path=path, **window)) == len(streams)
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as text:
        return json.load(text)


def check_format(trace):
    """What the Trace Event Format asks of every event, and what viewers need of lanes; returns cycles by lane."""
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    lanes, named, busy = defaultdict(list), set(), defaultdict(int)
    for event in trace["traceEvents"]:
        assert {"ph", "ts", "pid", "tid", "name"} <= set(event)
        assert event["ts"] >= 0
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            start, cycles = round(event["ts"] * 1000), round(event["dur"] * 1000)
            assert cycles >= 0
            assert start / 1000 == event["ts"]
            lanes[event["tid"]].append((start, start + cycles))
            busy[event["tid"], event["name"]] += cycles
        elif event["ph"] == "C":
            assert all(isinstance(value, int | float) and value >= 0 for value in event["args"].values())
        else:
            assert event["ph"] == "M"
            named.add(event["tid"])
    assert set(lanes) <= named
    for spans in lanes.values():
        assert all(one[1] <= other[0] for one, other in pairwise(sorted(spans)))
    return lanes, busy


def check_against(lanes, busy, results):
    assert busy[ARRAY, "fires rows"] == sum(result.execute_busy_cycles for result in results)
    for cause in STALL_CAUSES:
        assert busy[ARRAY, f"stall: {cause}"] == sum(result.stall_cycles[cause] for result in results)
    covered = sorted(lanes[ARRAY])
    assert all(one[1] == other[0] for one, other in pairwise(covered))
    assert (covered[0][0], covered[-1][1]) == (0, sum(result.cycles for result in results))
    assert sorted(lanes[PARTS])[-1][1] == covered[-1][1]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(SIZES, SIZES, st.integers(1, 100))
def test_a_trace_is_valid_and_tells_every_cycle(tmp_path_factory, one, other, latency):
    streams = (stream("one", one, latency), stream("other", other, latency))
    trace = traced(tmp_path_factory.mktemp("t") / "t.json", *streams, cycles=10**9)
    lanes, busy = check_format(trace)
    results = [simulate(each.programs, gemmini(), memory=each.memory) for each in streams]
    check_against(lanes, busy, results)
    moved = [int(each.programs.funct[i]) for each in streams for i in range(len(each.programs))]
    for unit, functs in ((LOAD, (1, 2, 14)), (STORE, (3,)), (EXECUTE, (4, 5, 6))):
        shown = sum(len(spans) for lane, spans in lanes.items() if unit <= lane < unit + 100)
        assert shown == sum(funct in functs for funct in moved)


def test_counters_add_up_to_what_was_moved(tmp_path):
    chosen = stream("one", (50, 40, 60, 1))
    trace = traced(tmp_path / "t.json", chosen, cycles=10**9, sample_cycles=10)
    result = simulate(chosen.programs, gemmini(), memory=chosen.memory)
    rates = [event for event in trace["traceEvents"] if event["ph"] == "C" and "bytes" in event["name"]]
    times = [round(event["ts"] * 1000) for event in rates] + [result.cycles]
    read = sum(
        event["args"]["read"] * (end - start) for event, (start, end) in zip(rates, pairwise(times), strict=True)
    )
    assert read == pytest.approx(result.read_bytes, abs=0.01 * result.cycles)


def test_a_command_says_what_it_is_and_where(tmp_path):
    chosen = stream("one", (16, 16, 16, 1))
    events = traced(tmp_path / "t.json", chosen)["traceEvents"]
    loads = [event for event in events if event["ph"] == "X" and event["tid"] == LOAD]
    texts = isa.disassemble(chosen.programs)
    assert [event["args"]["command"] for event in loads] == [texts[event["args"]["number"]] for event in loads]
    assert all(event["name"] in event["args"]["command"] and "0x8" in event["args"]["command"] for event in loads)
    assert all(event["args"]["cycles_in_station_before"] >= 0 for event in loads)


def test_a_window_bounds_the_file(tmp_path):
    chosen = stream("one", (60, 60, 60, 1))
    part = traced(tmp_path / "part.json.gz", chosen, first_cycle=500, cycles=100)
    lanes, busy = check_format(part)
    assert sum(cycles for (lane, _), cycles in busy.items() if lane == ARRAY) == 100
    assert all(end <= 600 for lane, spans in lanes.items() if lane != PARTS for _, end in spans)


def test_a_failed_trace_leaves_nothing(tmp_path):
    bad = TracedStream(name="bad", programs=isa.program_of([(127, 0, 0)]))
    with pytest.raises(InputError):
        trace_streams([bad], gemmini(), TraceRequest(path=tmp_path / "t.json"))
    with pytest.raises(InputError, match=r"\.json"):
        trace_streams([], gemmini(), TraceRequest(path=tmp_path / "t.txt"))
    with pytest.raises(InputError, match="cannot write"):
        trace_streams([], gemmini(), TraceRequest(path=tmp_path / "absent" / "t.json"))
    assert list(tmp_path.iterdir()) == []
