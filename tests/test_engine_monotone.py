"""What a better machine does for the cycle engine: never harm to a stream that uses one unit; nothing below the
roofline or above serial execution on any machine that ships, or on arrays of other sizes.

Streams that use several units have scheduling anomalies (so has the RTL): a load that ends earlier can put a store
ahead of the load that the array waits for. Of those only the sum over a fixed set is ordered.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import machine
from nest_cases import convolution, matmul
from simulator_programs import BASE, gemmini

from mapper.codegen.emit import emit
from mapper.heuristic import heuristic
from mapper.program import addresses_of
from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.accelerator_file import accelerator_names, load_accelerator
from simulator.analytical import analytical
from simulator.engine import simulate
from simulator.roofline import roofline_of_array_nest
from simulator.serial import serial_cycles

ACC = isa.ACCUMULATOR_BIT
SHIPPED = [load_accelerator(name) for name in accelerator_names()]
SIZED = [machine(dim, 4096, 1024) for dim in (4, 8, 32, 64)]
NESTS = (matmul(24, 40, 33), convolution(8, 3, 1, 5, 20))
LOADS = st.lists(st.tuples(st.integers(1, 16), st.integers(1, 64)), min_size=1, max_size=12)
STORES = st.lists(st.tuples(st.integers(1, 16), st.integers(1, 16)), min_size=1, max_size=12)


def changed(accelerator, section, **fields):
    part = msgspec.structs.replace(getattr(accelerator, section), **fields)
    return msgspec.structs.replace(accelerator, **{section: part})


def mvins(blocks):
    commands = [isa.config_ld(stride_bytes=64, block_stride=16)]
    commands += [isa.mvin(BASE + 1024 * i, 64 * i, columns, rows) for i, (rows, columns) in enumerate(blocks)]
    return isa.program_of(commands)


def mvouts(blocks):
    commands = [isa.config_st(stride_bytes=64)]
    commands += [isa.mvout(BASE + 1024 * i, ACC | 16 * i, columns, rows) for i, (rows, columns) in enumerate(blocks)]
    return isa.program_of(commands)


def computes(rows):
    commands = [isa.config_ex()]
    for i, count in enumerate(rows):
        block = {"stationary_columns": 16, "stationary_rows": 16, "result_columns": 16, "result_rows": count}
        operands = {"a_columns": 16, "a_rows": count, "other_columns": 16, "other_rows": count}
        commands.append(isa.preload(8192 + 16 * i, ACC | 16 * i, **block))
        commands.append(isa.compute_preloaded(16 * i, isa.GARBAGE, **operands))
    return isa.program_of(commands)


def cycles(program, accelerator, latency=20, per_beat=1):
    return simulate(program, accelerator, memory=Memory(latency_cycles=latency, cycles_per_beat=per_beat)).cycles


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.one_of(LOADS.map(mvins), STORES.map(mvouts)), st.integers(1, 200), st.integers(1, 60), st.integers(1, 3))
def test_a_slower_memory_never_helps_loads_or_stores_alone(program, latency, more, per_beat):
    now = cycles(program, gemmini(), latency, per_beat)
    assert now <= cycles(program, gemmini(), latency + more, per_beat)
    assert now <= cycles(program, gemmini(), latency, per_beat + 1)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.one_of(LOADS.map(mvins), STORES.map(mvouts)), st.sampled_from((1, 20, 150)))
def test_a_wider_bus_and_more_requests_never_harm_loads_or_stores_alone(program, latency):
    wide, many = changed(gemmini(), "dma", bus_bytes=32), changed(gemmini(), "dma", requests_in_flight=32)
    now = cycles(program, gemmini(), latency)
    assert cycles(program, wide, latency) <= now
    assert cycles(program, many, latency) <= now


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.one_of(STORES.map(mvouts), st.lists(st.integers(1, 16), min_size=1, max_size=12).map(computes)),
    st.sampled_from((2, 4)),
)
def test_two_ports_are_never_slower_than_one_for_stores_or_computes_alone(program, sub_banks):
    one_port = changed(gemmini(), "accumulator", ports=1, sub_banks=sub_banks)
    assert cycles(program, gemmini()) <= cycles(program, one_port)


def test_better_memories_run_a_set_of_programs_sooner():
    programs = [
        emit(nest, heuristic(nest, gemmini()), gemmini(), addresses=addresses_of(nest, gemmini())) for nest in NESTS
    ]
    near, far, thin = (
        sum(cycles(program, gemmini(), *memory) for program in programs) for memory in ((10, 1), (100, 1), (10, 4))
    )
    wide = sum(cycles(program, changed(gemmini(), "dma", bus_bytes=64), 10) for program in programs)
    assert wide < near < min(far, thin)


@pytest.mark.parametrize("accelerator", [*SHIPPED, *SIZED], ids=lambda accelerator: accelerator.name)
def test_roofline_analytical_engine_and_serial_execution_are_in_order(accelerator):
    for nest in NESTS:
        mapping = heuristic(nest, accelerator)
        program = emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator))
        bound, cost = roofline_of_array_nest(nest, accelerator).cycles, analytical(nest, mapping, accelerator).cycles
        assert bound <= cost <= simulate(program, accelerator).cycles <= serial_cycles(program, accelerator)


@pytest.mark.parametrize(
    ("section", "fields", "named"),
    [
        ("scratchpad", {"banks": 64}, r"scratchpad\.banks.*64.*62"),
        ("scratchpad", {"read_latency_cycles": 2}, r"scratchpad\.read_latency_cycles.*2.*1"),
        ("accumulator", {"sub_banks": 2}, r"accumulator\.sub_banks.*2.*1"),
        ("dma", {"requests_in_flight": 1}, r"dma\.requests_in_flight.*1.*2"),
    ],
)
def test_fields_that_would_not_act_are_refused(section, fields, named):
    with pytest.raises(InputError, match=named):
        simulate(isa.program_of([]), changed(gemmini(), section, **fields))


def test_one_request_of_one_beat_in_flight_ends():
    single = changed(gemmini(), "dma", requests_in_flight=1, request_bytes=16)
    assert cycles(mvouts([(4, 16)]), single) > cycles(mvouts([(4, 16)]), gemmini())


def test_an_operand_to_add_is_refused_where_the_machine_has_none():
    lean = load_accelerator("gemmini-lean")
    program = computes([4])
    rs2 = program.rs2.copy()
    rs2[2] = (rs2[2] & np.uint64(0xFFFFFFFF00000000)) | np.uint64(64)
    adding = replace(program, rs2=rs2)
    assert cycles(adding, gemmini()) > 0
    with pytest.raises(InputError, match=r"command 2 \(compute_preloaded\) address: operand to add"):
        simulate(adding, lean)
