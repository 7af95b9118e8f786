"""Cache and DRAM behind the DMA: measured numbers, and what must hold of any such memory."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import tiled_matmul

from model_ir.errors import InputError
from simulator.accelerator import Cache, Memory
from simulator.accelerator_file import load_accelerator
from simulator.accelerator_limits import violations
from simulator.cycle_level.memory import accept, answer
from simulator.engine import simulate
from simulator.isa import program_of
from simulator.memory_state import (
    M_FETCHED,
    M_HITS,
    M_MISSED,
    M_ROW_HITS,
    M_ROW_MISSES,
    M_WRITTEN_BACK,
    MOST_SPANS,
    later_run,
    new_memory,
)
from simulator.raw_commands import program_from_words

BUS, LINE = 16, 64
BASE = 0x80000000
SETTINGS = settings(max_examples=120, deadline=None, derandomize=True)


@cache
def soc():
    return load_accelerator("gemmini-soc")


def machine(*, cache_changes=None, dram_changes=None):
    memory = soc().memory
    memory = msgspec.structs.replace(
        memory,
        cache=msgspec.structs.replace(memory.cache, **(cache_changes or {})),
        dram=msgspec.structs.replace(memory.dram, **(dram_changes or {})),
    )
    return msgspec.structs.replace(soc(), memory=memory)


def mvins(count, *, rows=16, first=BASE):
    """Configure a stride of 64 bytes, then `count` mvins of `rows` x 64 bytes of consecutive memory."""
    config = [0, hex(0x3F800000 << 32 | 16 << 16 | 1), hex(64)]
    return program_from_words(
        [config, *([2, hex(first + 1024 * i), hex(rows << 48 | 64 << 32 | 64 * i % 8192)] for i in range(count))]
    )


def tiled(rows, columns, depth):
    return program_of(tiled_matmul((rows, columns, depth), (BASE, BASE + 0x10000, BASE + 0x20000)))


def served(requests, memory):
    """First beats of the answers to `requests` ((cycles since the last, line, beats of 16 bytes, is write), ...)."""
    state = new_memory(memory, BUS)
    first, at = [], 0
    for gap, line, beats, is_write in requests:
        at = accept(state, at + gap, beats if is_write else 1)
        cycle, _ = answer(state, 0, at, BASE + LINE * line, beats * BUS, is_write, is_write and beats * BUS == LINE)
        first.append(cycle)
    return np.array(first), state


REQUESTS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 80), st.sampled_from([1, 2, 4]), st.booleans()),
    min_size=1,
    max_size=120,
)


def small(ways=4, **changes):
    """A cache of four sets with few ways, so that random lines collide."""
    size = {"capacity_bytes": 4 * ways * LINE, "ways": ways, "replacement": "lru"}
    return machine(cache_changes=size | changes).memory


def test_one_row_takes_what_the_soc_took_from_cache_and_from_dram():
    # A fence after it costs two cycles, the configuration before it one: 40 and 72 on the SoC.
    program = mvins(1, rows=1)
    state = new_memory(soc().memory, BUS)
    assert simulate(program, soc(), memory_state=state).cycles - 1 + 2 == 72
    assert simulate(program, soc(), memory_state=later_run(state)).cycles - 1 + 2 == 40


def test_streams_come_as_fast_as_on_the_soc():
    program, state = mvins(64), new_memory(soc().memory, BUS)
    cold = simulate(program, soc(), memory_state=state)
    warm = simulate(program, soc(), memory_state=later_run(state))
    assert 7.4 <= cold.read_bytes / cold.cycles <= 7.6
    assert 15.8 <= warm.read_bytes / warm.cycles <= 15.9


def test_a_cache_that_always_hits_is_a_memory_of_its_latency():
    program, roomy = tiled(64, 80, 48), machine(cache_changes={"replacement": "lru"})
    state = new_memory(roomy.memory, BUS)
    simulate(program, roomy, memory_state=state)
    warm = simulate(program, roomy, memory_state=later_run(state))
    assert warm.memory_activity.misses == 0
    plain = simulate(program, soc(), memory=Memory(latency_cycles=15, cycles_per_beat=1))
    assert abs(warm.cycles - plain.cycles) <= 0.02 * plain.cycles
    assert (warm.read_bytes, warm.write_bytes) == (plain.read_bytes, plain.write_bytes)


def test_a_hit_overtakes_a_miss():
    hot, cold = mvins(1), mvins(1, rows=2, first=BASE + 65536)
    roomy = machine(cache_changes={"replacement": "lru"})
    state = new_memory(roomy.memory, BUS)
    simulate(hot, roomy, memory_state=state)
    words = [[int(f), int(a), int(b)] for f, a, b in zip(cold.funct, cold.rs1, cold.rs2, strict=True)]
    words += [[2, BASE, 16 << 48 | 64 << 32 | 4096]]
    both = simulate(program_from_words(words), roomy, memory_state=later_run(state))
    assert both.memory_activity.misses == 2
    # In order, the 16 rows of the hit would follow the miss: 70 cycles and four beats for each of them.
    assert both.cycles < 70 + 64


@SETTINGS
@given(REQUESTS)
def test_every_request_is_counted_once_and_lines_move_only_when_missed(requests):
    first, state = served(requests, small())
    assert state[M_HITS] + state[M_MISSED] == len(requests)
    assert state[M_FETCHED] <= state[M_MISSED]
    assert state[M_WRITTEN_BACK] <= state[M_MISSED]
    assert state[M_ROW_HITS] + state[M_ROW_MISSES] == state[M_FETCHED] + state[M_WRITTEN_BACK]
    asked = np.cumsum([gap for gap, *_ in requests])
    assert (first >= asked + small().cache.hit_latency_cycles).all()


@SETTINGS
@given(REQUESTS)
def test_with_room_for_all_every_line_is_fetched_once(requests):
    _, state = served(requests, small(ways=64))
    first_of_line = {}
    for _, line, beats, is_write in requests:
        first_of_line.setdefault(line, is_write and beats == 4)
    assert state[M_MISSED] == len(first_of_line)
    assert state[M_FETCHED] == sum(not whole for whole in first_of_line.values())
    assert state[M_WRITTEN_BACK] == 0


@SETTINGS
@given(REQUESTS, st.integers(1, 6), st.integers(1, 6))
def test_more_ways_never_move_more_bytes_under_lru(requests, ways, more):
    _, few = served(requests, small(ways=ways))
    _, many = served(requests, small(ways=ways + more))
    assert many[M_FETCHED] <= few[M_FETCHED]
    assert many[M_FETCHED] + many[M_WRITTEN_BACK] <= few[M_FETCHED] + few[M_WRITTEN_BACK]


@SETTINGS
@given(REQUESTS)
def test_no_two_answers_share_a_cycle_of_the_way_back(requests):
    reads = [(gap, line, beats, False) for gap, line, beats, _ in requests]
    state = new_memory(small(), BUS)
    at, taken = 0, set()
    for gap, line, beats, _ in reads:
        at = accept(state, at + gap, 1)
        cycle, per_beat = answer(state, 0, at, BASE + LINE * line, beats * BUS, False, False)
        beats_at = set(range(cycle, cycle + (beats - 1) * per_beat + 1))
        assert not beats_at & taken
        taken |= beats_at


@SETTINGS
@given(REQUESTS)
def test_hits_are_never_slower_than_misses(requests):
    roomy = small(ways=64)
    state = new_memory(roomy, BUS)
    for line in range(81):
        answer(state, 0, accept(state, 200 * line, 1), BASE + LINE * line, LINE, False, False)
    warm = later_run(state)
    cold, _ = served(requests, roomy)
    at, hot = 0, []
    for gap, line, beats, is_write in requests:
        at = accept(warm, at + gap, beats if is_write else 1)
        hot.append(answer(warm, 0, at, BASE + LINE * line, beats * BUS, is_write, is_write and beats * BUS == LINE)[0])
    assert warm[M_MISSED] == 0
    assert max(hot) <= cold.max()


@SETTINGS
@given(REQUESTS, st.sampled_from([1.0, 2.0, 4.0, 7.5]), st.sampled_from([1.5, 2.0, 4.0]))
def test_a_faster_link_never_ends_later(requests, bytes_per_cycle, faster):
    def end(rate):
        memory = small()
        return served(
            requests,
            Memory(
                latency_cycles=1,
                cycles_per_beat=1,
                cache=memory.cache,
                dram=msgspec.structs.replace(memory.dram, link_bytes_per_cycle=rate),
            ),
        )[0].max()

    assert end(bytes_per_cycle * faster) <= end(bytes_per_cycle)


@pytest.mark.parametrize("program", [(64, 64, 64), (33, 70, 20)])
def test_what_passes_the_port_does_not_depend_on_the_memory_behind_it(program):
    plain, cached = simulate(tiled(*program), load_accelerator("gemmini")), simulate(tiled(*program), soc())
    for field in ("read_requests", "read_bytes", "write_requests", "write_bytes", "macs", "scratchpad_write_bytes"):
        assert getattr(plain, field) == getattr(cached, field), field


def test_faster_dram_or_more_misses_in_flight_never_make_a_stream_slower():
    program = mvins(32)
    whole = simulate(program, soc()).cycles
    assert simulate(program, machine(dram_changes={"link_bytes_per_cycle": 15.0})).cycles < whole
    assert simulate(program, machine(dram_changes={"path_cycles": 0})).cycles <= whole
    assert simulate(program, machine(dram_changes={"path_cycles": 200})).cycles > whole
    assert simulate(program, machine(cache_changes={"misses_in_flight": 2})).cycles > whole
    assert (
        simulate(program, machine(dram_changes={"refresh_interval_cycles": 500, "refresh_cycles": 100})).cycles > whole
    )


@pytest.mark.parametrize(("misses", "lines"), [(10, 3000), (64, 3000), (256, 1500)])
def test_lines_that_go_out_faster_than_one_bank_takes_them_wait_for_it(misses, lines):
    """Lines of one bank, each of another row: an activation each, however many are on their way."""
    memory = machine(cache_changes={"misses_in_flight": misses}).memory
    apart = memory.dram.banks * memory.dram.row_bytes // LINE
    first, state = served([(0, apart * index, 4, True) for index in range(lines)], memory)
    out = int(state[M_WRITTEN_BACK])
    assert out == lines - memory.cache.ways
    assert state[M_ROW_MISSES] == out
    assert first[-1] >= (out - MOST_SPANS) * memory.dram.row_cycle_cycles


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"cache": None}, "memory"),
        ({"cache": {"line_bytes": 32}}, "memory.cache.line_bytes"),
        ({"cache": {"capacity_bytes": 1000}}, "memory.cache.capacity_bytes"),
        ({"dram": {"banks": 3}}, "memory.dram.banks"),
        ({"dram": {"row_bytes": 32}}, "memory.dram.row_bytes"),
        ({"dram": {"refresh_interval_cycles": 5, "refresh_cycles": 5}}, "memory.dram.refresh_cycles"),
    ],
)
def test_an_impossible_memory_is_refused_by_name(changes, path):
    memory = soc().memory
    for name, fields in changes.items():
        part = None if fields is None else msgspec.structs.replace(getattr(memory, name), **fields)
        memory = msgspec.structs.replace(memory, **{name: part})
    broken = msgspec.structs.replace(soc(), memory=memory)
    assert path in [violation.path for violation in violations(broken)]


def test_host_cycles_need_one_number_a_command():
    with pytest.raises(InputError, match="host_cycles"):
        simulate(mvins(2), soc(), host_cycles=np.zeros(2, np.int64))


def test_the_description_holds_a_cache():
    assert isinstance(soc().memory.cache, Cache)
