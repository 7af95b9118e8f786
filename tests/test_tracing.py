from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import BASE, gemmini, tiled_matmul

from model_ir.errors import InputError
from simulator import isa, tracing
from simulator.accelerator import Memory
from simulator.cost import STALL_CAUSES
from simulator.engine import simulate
from simulator.tracing import Watcher

PROGRAMS = st.tuples(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 0]), st.booleans(),
    st.integers(1, 120), st.integers(1, 3), st.integers(0, 4),
)  # fmt: skip


def program_of(choice):
    rows, columns, depth, dataflow, full_width = choice[:5]
    addresses = (BASE, BASE + 0x10000, BASE + 0x20000)
    return isa.program_of(tiled_matmul((rows, columns, depth), addresses, dataflow=dataflow, full_width=full_width))


def watched(choice, **window):
    latency, per_beat, gap = choice[5:]
    chunks = []
    settings = {"memory": Memory(latency_cycles=latency, cycles_per_beat=per_beat), "command_gap_cycles": gap}
    result = simulate(program_of(choice), gemmini(), **settings, advance=Watcher(chunks.append, **window))
    plain = simulate(program_of(choice), gemmini(), **settings, trace_commands=(0, 1 << 30))
    lists = [[row for chunk in chunks for row in getattr(chunk, kind)] for kind in ("spans", "stalls", "samples")]
    return result, plain, *lists


def facts(result):
    fields = set(result.__dataclass_fields__) - {"trace", "accepted_at"}
    return {field: getattr(result, field) for field in fields} | {"accepted_at": result.accepted_at.tolist()}


@settings(derandomize=True, deadline=None, max_examples=40)
@given(PROGRAMS)
def test_watching_changes_nothing_and_sees_every_cycle(choice):
    result, plain, spans, stalls, samples = watched(choice)
    assert facts(result) == facts(plain)
    stalled = Counter(dict.fromkeys(STALL_CAUSES, 0))
    for stall in stalls:
        stalled[STALL_CAUSES[stall.cause]] += stall.end - stall.start
    assert stalled == result.stall_cycles
    assert all(one.end <= other.start for one, other in pairwise(stalls))
    seen = {(span.unit, span.command, span.start, span.end) for span in spans}
    recorded = plain.trace
    columns = (recorded.unit, recorded.command, recorded.start_cycle, recorded.end_cycle)
    assert seen == set(zip(*(column.tolist() for column in columns), strict=True))
    assert samples[-1].cycle == result.cycles
    assert samples[-1][1:4] == (result.read_bytes, result.write_bytes, result.execute_busy_cycles)
    assert all(one.cycle < other.cycle for one, other in pairwise(samples))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(PROGRAMS, st.integers(0, 600), st.integers(1, 600))
def test_a_window_shows_what_the_whole_shows_there(choice, first, length):
    _, _, spans, stalls, _ = watched(choice)
    result, plain, part, stalled, samples = watched(choice, first_cycle=first, end_cycle=first + length)
    assert facts(result) == facts(plain)
    assert part == [span for span in spans if first < span.end <= first + length]
    clipped = [(s.cause, max(s.start, first), min(s.end, first + length)) for s in stalls]
    assert [tuple(stall) for stall in stalled] == [stall for stall in clipped if stall[1] < stall[2]]
    assert all(first <= sample.cycle <= max(first + length, result.cycles) for sample in samples)


def test_chunks_of_any_size_hold_the_same(monkeypatch):
    choice = (60, 50, 40, 1, True, 30, 1, 0)
    whole = watched(choice)
    monkeypatch.setattr(tracing, "CHUNK_ROWS", 16)
    assert watched(choice)[2:] == whole[2:]


def test_a_window_without_cycles_is_an_error():
    with pytest.raises(InputError, match="end_cycle"):
        Watcher(print, first_cycle=5, end_cycle=5)
    with pytest.raises(InputError, match="sample_cycles"):
        Watcher(print, sample_cycles=0)
