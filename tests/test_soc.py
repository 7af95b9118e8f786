"""What the SoC measured for the C library's matmuls and convolutions, host, L2 and DRAM included.

The measured rows are taken for one program's, in the order of the files: each shape once ("cold": its first run) and
once more, in the same arrays, which earlier shapes have brought into the L2 as far as they reached; the library's code
is new where its matmul of one dataflow, or its convolution, runs for the first time. The measured load activity says
so: of first runs it is met where arrays and order are kept, and missed by up to twice where every shape has new arrays.
"""

from __future__ import annotations

import csv
from functools import cache

import msgspec
import numpy as np
import pytest
from simulator_programs import ROOT

from model_ir.errors import InputError
from simulator.accelerator_file import load_accelerator
from simulator.host_calls import ConvCall, MatmulCall
from simulator.soc import run_conv, run_matmul
from systolic.fidelity_soc import PLACES, call_of

TRUTH = ROOT.parent / "shared" / "ground_truth"


@cache
def soc():
    return load_accelerator("gemmini-soc")


def rows_of(name):
    file = TRUTH / name
    if not file.exists():
        pytest.skip("the SoC's measurements are not beside this clone (../shared/ground_truth)")
    with file.open() as lines:
        return [
            {key: int(value) if value.isdigit() else value for key, value in row.items()}
            for row in csv.DictReader(lines)
        ]


@cache
def replayed():
    """((measured row, our run), ...) of the whole program."""
    pairs, before, known = [], None, set()
    for name in ("soc_matmul.csv", "soc_conv.csv"):
        rows = rows_of(name)
        for cold, warm in zip(rows[::2], rows[1::2], strict=True):
            assert (cold["warm"], warm["warm"]) == (0, 1)
            kind = cold.get("dataflow", "conv")
            options = {"runs": 2, "code_cached": kind in known, "after": before}
            _, call = call_of(name.removesuffix(".csv"), cold)
            run = run_conv if isinstance(call, ConvCall) else run_matmul
            runs = run(call, soc(), at=PLACES, **options)
            known.add(kind)
            before = runs[-1]
            pairs += zip((cold, warm), runs, strict=True)
    return pairs


def errors(measured, ours):
    return np.array([abs(our - true) / true for true, our in zip(measured, ours, strict=True)])


def test_cycles_of_host_and_accelerator_are_near_the_measured():
    off = errors([row["cycles"] for row, _ in replayed()], [run.cycles for _, run in replayed()])
    assert off.mean() <= 0.05
    assert off.max() <= 0.10


def test_second_runs_are_nearer_for_nothing_is_unknown_of_the_cache():
    warm = [(row["cycles"], run.cycles) for row, run in replayed() if row["warm"]]
    assert errors(*zip(*warm, strict=True)).mean() <= 0.025


@pytest.mark.parametrize(("column", "counter"), [("read_bytes", "RDMA_BYTES_REC"), ("write_bytes", "WDMA_BYTES_SENT")])
def test_bytes_are_exactly_those_counted(column, counter):
    for row, run in replayed():
        assert run.result.counters[counter] == row[column], row


@pytest.mark.parametrize(
    ("column", "counter", "mean"),
    [
        ("execute_active_cycles", "EXE_ACTIVE_CYCLE", 0.03),
        ("load_active_cycles", "LOAD_ACTIVE_CYCLE", 0.13),
        ("store_active_cycles", "STORE_ACTIVE_CYCLE", 0.12),
    ],
)
def test_activity_of_the_units_is_near_the_counted(column, counter, mean):
    off = errors([row[column] for row, _ in replayed()], [run.result.counters[counter] for _, run in replayed()])
    assert off.mean() <= mean


def test_a_first_run_pays_for_code_and_data_and_a_search_for_its_tries():
    call = MatmulCall(rows=32, columns=32, depth=32)
    cold, warm = run_matmul(call, soc())
    cached, _ = run_matmul(call, soc(), code_cached=True)
    assert cold.cycles > cached.cycles > warm.cycles
    assert cold.cycles - cached.cycles == 25 * soc().driver.code_miss_cycles
    conv = ConvCall(in_rows=8, in_columns=8, in_channels=16, out_channels=16, kernel=1)
    (plain,), (searched,) = run_conv(conv, soc(), runs=1), run_conv(conv, soc(), runs=1, searched=True)
    assert searched.cycles - plain.cycles == round(soc().driver.conv_search_cycles_per_try)
    assert searched.result.cycles == plain.result.cycles


def test_a_machine_without_a_host_cannot_run_calls():
    with pytest.raises(InputError, match=r"gemmini\.driver"):
        run_conv(
            ConvCall(in_rows=8, in_columns=8, in_channels=16, out_channels=16, kernel=1), load_accelerator("gemmini")
        )


def test_runs_of_writes_longer_than_the_ring_of_answers_do_not_hang():
    """Two tiles of 11 x 11 blocks store 2 x 1936 rows of 64 bytes between two answers to reads; the ring has 2048."""
    machine = soc()
    machine = msgspec.structs.replace(
        machine,
        scratchpad=msgspec.structs.replace(machine.scratchpad, capacity_bytes=64 << 10),
        accumulator=msgspec.structs.replace(machine.accumulator, capacity_bytes=256 << 10),
        memory=msgspec.structs.replace(
            machine.memory, cache=msgspec.structs.replace(machine.memory.cache, replacement="lru")
        ),
    )
    call = MatmulCall(rows=512, columns=768, depth=768, bias="row", full_width=True)
    at = (0x85000000, 0x8A800000, 0xA0000000, 0x86000000)
    (run,) = run_matmul(call, machine, runs=1, code_cached=True, at=at)
    assert run.result.write_bytes == 512 * 768 * 4


def test_operands_may_be_parts_of_wider_rows():
    """A head's slices of query and key move as many bytes as dense ones; a stride below a row is refused."""
    dense, slices = (
        run_matmul(MatmulCall(rows=64, columns=64, depth=64, b_transposed=True, **strides), soc(), runs=1)[0].result
        for strides in ({}, {"a_stride": 768, "b_stride": 768})
    )
    assert (dense.read_bytes, dense.write_bytes, dense.macs) == (slices.read_bytes, slices.write_bytes, slices.macs)
    assert slices.cycles >= dense.cycles
    for wrong in ({"a_stride": 63}, {"b_stride": 63, "b_transposed": True}, {"c_stride": 10}):
        with pytest.raises(InputError, match="shorter than a row"):
            MatmulCall(rows=64, columns=64, depth=64, **wrong)
