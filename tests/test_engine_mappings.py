"""Mapped nests through the engine: every legal mapping's program ends, whole or in pieces, on arrays of any size."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES, NESTS, legal_mappings, machine
from nest_cases import GEMMINI, RESNET50

from mapper.codegen.emit import emit, emit_chunks
from mapper.heuristic import heuristic
from mapper.program import addresses_of
from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.cost import Result
from simulator.engine import simulate
from simulator.program import Program

SIZES = (*MACHINES, machine(32, 2048, 512))


@st.composite
def programs(draw):
    """(Program, accelerator) of a random nest under a random legal mapping; the Program is empty where none is."""
    accelerator = draw(st.sampled_from(SIZES))
    nest = draw(NESTS)
    mapping = draw(legal_mappings(nest, accelerator))
    if mapping is None:
        return isa.program_of([]), accelerator
    return emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator)), accelerator


def cut(program, marks):
    """The Programs between `marks`, indices in any order."""
    edges = [0, *sorted(mark % (len(program) + 1) for mark in marks), len(program)]
    for start, end in pairwise(edges):
        yield Program(funct=program.funct[start:end], rs1=program.rs1[start:end], rs2=program.rs2[start:end])


def observed(result: Result):
    fields = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    trace = fields.pop("trace")
    del fields["accepted_at"]
    arrays = [] if trace is None else [trace.unit, trace.command, trace.start_cycle, trace.end_cycle]
    return fields, [array.tolist() for array in arrays]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(programs(), st.sampled_from((1, 15, 90, 900)), st.sampled_from((1, 2, 9)), st.sampled_from((0, 5)))
def test_every_legal_mapping_runs_to_its_end(drawn, latency, per_beat, gap):
    program, accelerator = drawn
    memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
    result = simulate(program, accelerator, memory=memory, command_gap_cycles=gap)
    assert result.commands == len(program)
    assert min(result.stall_cycles.values()) >= 0
    assert result.execute_busy_cycles + sum(result.stall_cycles.values()) == result.cycles


def test_zeros_for_rows_of_a_strided_convolution_do_not_hold_up_the_machine():
    nest = RESNET50["28 3x3/2 256"]
    program = emit(nest, heuristic(nest, GEMMINI), GEMMINI, addresses=addresses_of(nest, GEMMINI))
    result = simulate(program, GEMMINI)
    assert result.macs >= 14 * 14 * 256 * 9 * 256 * 0.9
    assert result.cycles < 2 * result.execute_busy_cycles


@settings(derandomize=True, deadline=None, max_examples=40)
@given(programs(), st.lists(st.integers(0, 1 << 20), max_size=6), st.sampled_from((15, 200)))
def test_a_stream_in_pieces_gives_the_result_of_the_whole(drawn, marks, latency):
    program, accelerator = drawn
    memory = Memory(latency_cycles=latency, cycles_per_beat=1)
    span = (0, min(200, len(program)))
    whole = simulate(program, accelerator, memory=memory, trace_commands=span)
    parts = simulate(cut(program, marks), accelerator, memory=memory, trace_commands=span)
    assert observed(parts) == observed(whole)
    assert parts.accepted_at.size == 0


def test_single_command_pieces_give_the_result_of_the_whole():
    nest = RESNET50["28 3x3/2 256"]
    program = isa.head(emit(nest, heuristic(nest, GEMMINI), GEMMINI, addresses=addresses_of(nest, GEMMINI)), 2500)
    parts = simulate(cut(program, range(len(program))), GEMMINI)
    assert observed(parts) == observed(simulate(program, GEMMINI))


def test_emitted_chunks_give_the_result_of_the_program():
    nest = RESNET50["28 3x3/2 256"]
    mapping, addresses = heuristic(nest, GEMMINI), addresses_of(nest, GEMMINI)
    whole = simulate(emit(nest, mapping, GEMMINI, addresses=addresses), GEMMINI)
    chunks = list(emit_chunks(nest, mapping, GEMMINI, addresses=addresses, chunk_commands=4096))
    assert len(chunks) > 3
    assert observed(simulate(iter(chunks), GEMMINI)) == observed(whole)


def test_a_fault_in_a_later_piece_is_named_by_its_index_in_the_stream():
    good = [isa.config_ex(), isa.config_ld(stride_bytes=16), isa.mvin(1 << 31, 0, 16, 16)]
    with pytest.raises(InputError, match=r"command 3 \(mvout\) funct"):
        simulate([isa.program_of(good), isa.program_of([isa.mvout(1 << 31, 0, 16, 16)])], GEMMINI)
    block = {"stationary_columns": 4, "stationary_rows": 4, "result_columns": 4, "result_rows": 4}
    preload = isa.preload(0, isa.GARBAGE, **block)
    with pytest.raises(InputError, match=r"command 3 \(preload\) funct"):
        simulate([isa.program_of([*good, preload]), isa.program_of([preload])], GEMMINI)


def test_no_pieces_take_no_time():
    assert simulate([], GEMMINI).cycles == 0


def test_an_array_too_small_for_the_controller_is_refused():
    with pytest.raises(InputError, match=r"array\.rows"):
        simulate(isa.program_of([]), machine(2, 1024, 256))


def test_multiplications_are_counted_when_loads_stand_between_preload_and_compute():
    block = {"stationary_columns": 7, "stationary_rows": 16, "result_columns": 7, "result_rows": 5}
    operands = {"a_columns": 16, "a_rows": 5, "other_columns": 7, "other_rows": 5}
    program = isa.program_of(
        [
            isa.config_ex(),
            isa.config_ld(stride_bytes=16),
            isa.preload(64, isa.ACCUMULATOR_BIT, **block),
            isa.mvin(1 << 31, 0, 16, 16),
            isa.compute_preloaded(0, isa.GARBAGE, **operands),
        ]
    )
    assert simulate(program, GEMMINI).macs == 16 * 7 * 5
    assert np.array_equal(simulate(program, msgspec.structs.replace(GEMMINI)).accepted_at, np.arange(5))
