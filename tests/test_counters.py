import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from micro_rows import MICRO_ROWS
from simulator_programs import BASE, gemmini, tiled_matmul

from simulator import isa
from simulator.accelerator import Memory
from simulator.counters import COUNTERS, NOT_COUNTED
from simulator.engine import simulate

ROWS = {name: (commands, latency) for name, commands, latency, _ in MICRO_ROWS}
READ_BY_THE_HARDWARE = {
    "ws_pairs_x16_L1": {"EXE_ACTIVE_CYCLE": 255, "RESERVATION_STATION_ACTIVE_CYCLES": 317},
    "ws_pairs_same_bank_x4_L1": {"EXE_ACTIVE_CYCLE": 123, "RESERVATION_STATION_ACTIVE_CYCLES": 173},
    "ws_weight_reuse_rows2_x32_L1": {
        "EXE_ACTIVE_CYCLE": 213, "EXE_CONTROL_Q_BLOCK_CYCLE": 102, "RESERVATION_STATION_ACTIVE_CYCLES": 291,
    },
    "ws_weight_reuse_rows8_x32_L1": {
        "EXE_ACTIVE_CYCLE": 245, "EXE_CONTROL_Q_BLOCK_CYCLE": 6, "RESERVATION_STATION_ACTIVE_CYCLES": 323,
    },
    "os_pairs_x8_L1": {
        "EXE_ACTIVE_CYCLE": 135, "EXE_FLUSH_CYCLE": 55, "RESERVATION_STATION_ACTIVE_CYCLES": 205,
    },
    "mvin_16x64_x4_L20": {
        "LOAD_ACTIVE_CYCLE": 137, "LOAD_SCRATCHPAD_WAIT_CYCLE": 77, "RDMA_ACTIVE_CYCLE": 207,
        "RESERVATION_STATION_ACTIVE_CYCLES": 295, "RDMA_BYTES_REC": 16384, "RDMA_TOTAL_LATENCY": 3842,
    },
    "mvin_16x64_x4_L100": {
        "LOAD_ACTIVE_CYCLE": 309, "LOAD_SCRATCHPAD_WAIT_CYCLE": 249, "RDMA_ACTIVE_CYCLE": 379,
        "RESERVATION_STATION_ACTIVE_CYCLES": 513, "RDMA_BYTES_REC": 16384, "RDMA_TOTAL_LATENCY": 7336,
    },
    "mvin_1x16_x1_L40": {
        "LOAD_ACTIVE_CYCLE": 1, "RDMA_ACTIVE_CYCLE": 1, "RESERVATION_STATION_ACTIVE_CYCLES": 60, "RDMA_BYTES_REC": 16,
        "RDMA_TOTAL_LATENCY": 46,
    },
    "mvout_16x64_x1_L1": {
        "STORE_ACTIVE_CYCLE": 105, "STORE_SCRATCHPAD_WAIT_CYCLE": 42, "WDMA_ACTIVE_CYCLE": 64,
        "RESERVATION_STATION_ACTIVE_CYCLES": 114, "WDMA_BYTES_SENT": 1024, "WDMA_TOTAL_LATENCY": 160,
    },
    "mvout_full_width_16x16_x16_L1": {
        "STORE_DMA_WAIT_CYCLE": 45, "STORE_ACTIVE_CYCLE": 933, "STORE_SCRATCHPAD_WAIT_CYCLE": 738,
        "WDMA_ACTIVE_CYCLE": 1024, "RESERVATION_STATION_ACTIVE_CYCLES": 1008, "WDMA_BYTES_SENT": 16384,
        "WDMA_TOTAL_LATENCY": 2560,
    },
}  # fmt: skip
"""Values that COUNTER_OP commands read back from the RTL's own counters after each row; all others of COUNTERS were 0
(RESERVATION_STATION_FULL_CYCLES also counted idle cycles before and after)."""
PROGRAMS = st.tuples(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 0]), st.booleans(),
    st.integers(1, 120), st.integers(1, 3),
)  # fmt: skip


@pytest.mark.parametrize("name", READ_BY_THE_HARDWARE)
def test_counters_are_what_the_hardware_counted(name):
    commands, latency = ROWS[name]
    result = simulate(isa.program_of(commands), gemmini(), memory=Memory(latency_cycles=latency, cycles_per_beat=1))
    full = result.cycles - len(commands)
    expected = {counter.name: 0 for counter in COUNTERS} | READ_BY_THE_HARDWARE[name]
    assert result.counters == expected | {"RESERVATION_STATION_FULL_CYCLES": full}


def test_names_and_numbers_are_each_used_once():
    assert len({counter.name for counter in COUNTERS}) == len(COUNTERS)
    assert len({(counter.external, counter.number) for counter in COUNTERS}) == len(COUNTERS)
    assert not {counter.name for counter in COUNTERS} & {name for names in NOT_COUNTED for name in names.split(", ")}


def test_pooling_is_counted_from_its_configuration_to_the_next():
    pool = isa.config_st(stride_bytes=16, pool_stride=2, pool_size=2, out_rows=4, out_columns=4)
    on = simulate(isa.program_of([pool, isa.config_ld(stride_bytes=16), isa.mvin(BASE, 0, 16, 16)]), gemmini())
    off = simulate(isa.program_of([pool, isa.config_st(stride_bytes=16)]), gemmini())
    assert on.cycles - 10 < on.counters["STORE_POOLING_CYCLE"] < on.cycles
    # As the RTL's own counter says.
    assert off.counters["STORE_POOLING_CYCLE"] == 1


@settings(derandomize=True, deadline=None, max_examples=30)
@given(PROGRAMS)
def test_counters_agree_with_each_other_and_with_the_totals(choice):
    rows, columns, depth, dataflow, full_width, latency, per_beat = choice
    addresses = (BASE, BASE + 0x10000, BASE + 0x20000)
    commands = tiled_matmul((rows, columns, depth), addresses, dataflow=dataflow, full_width=full_width)
    memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
    result = simulate(isa.program_of(commands), gemmini(), memory=memory)
    counts = result.counters
    cycles = [count for name, count in counts.items() if name.endswith(("_CYCLE", "_CYCLES"))]
    # The mesh may still be flushed, for nobody, when the machine falls idle.
    assert all(0 <= count <= result.cycles + 64 for count in cycles)
    assert counts["EXE_ACTIVE_CYCLE"] + counts["EXE_FLUSH_CYCLE"] <= result.cycles + 64
    assert counts["EXE_CONTROL_Q_BLOCK_CYCLE"] <= result.stall_cycles["dependency"]
    assert counts["RDMA_ACTIVE_CYCLE"] >= result.read_requests
    assert counts["RDMA_TOTAL_LATENCY"] >= result.read_requests * latency
    assert counts["RDMA_BYTES_REC"] >= result.read_bytes
    assert counts["WDMA_BYTES_SENT"] >= result.write_bytes
    assert counts["WDMA_ACTIVE_CYCLE"] >= result.store_busy_cycles
    assert counts["RESERVATION_STATION_FULL_CYCLES"] == result.cycles - len(commands)
    assert np.all(np.array(list(counts.values())) >= 0)
