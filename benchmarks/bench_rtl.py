"""From trained networks to measured hardware, step by step: `python -m benchmarks.bench_rtl [quick|all] [default]`.

Trains the jet tagger and the digits CNN on the data that ship, rounds them after training to the same bits everywhere,
and prints what RTL, Verilator, Yosys and OpenSTA say, and the CPU seconds of each step (its own and its children's).
`quick` leaves out more than 3 bits; `default` has abc9 map by its default script.

Yosys 0.70's counts for 16-64-32-32-5 with random weights, five adders a stage, da4ml 0.6's estimate beside them; CPU
seconds of Yosys and abc on a busy machine of two cores (about 5 ms a lookup table by the default script, 4 by "fast"):

    weights  activations  estimate  LUTs (abc9's default)  CPU s  memory   LUTs (fast)  CPU s
    2 bits   4 bits          2 342                  2 126     13  0.2 GB
    3 bits   3 bits          7 199                  6 470     37  0.4 GB
    4 bits   4 bits         14 379                 13 922     75  0.5 GB        13 735     59
    6 bits   6 bits         33 035                 33 102    171  1.1 GB

A padded 3x3 convolution with pooling and a dense layer on 4x4 pixels: estimate 1 919, default 1 197, fast 1 202. What
only abc9's `&if` maps, without `&sweep`, stays at 1 594: neighbouring windows share sums that da4ml makes twice.

Trained on jets and rounded, without a mismatch of 10 000 in da4ml's interpreter and in Verilator, latency 7 cycles:

    bits  estimate   LUTs  FFs est.    FFs   mm2    ns    mW at 200 MHz   CPU s: RTL  simulation  FPGA  ASIC
    2        5 736  4 804     1 359  1 218  0.744  4.56             438          0.7          15    27    26
    3       11 534 10 272     2 617  2 330  1.672  5.22           1 032          1.0          21    47    51
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.rtl.asic import asic_report
from hls.rtl.simulate import simulate
from hls.rtl.synthesise import Effort, synthesise
from hls.rtl.trace import predict, quantised_inputs, trace
from hls.rtl.write import write_rtl
from hls.training import Recipe, train, with_values
from model_ir.graph import Graph, execute
from model_ir.passes.pipeline import run_passes
from workloads.tasks import TRAINABLE, Task

BATCH = 100
HEADER = (
    "network        bits  stages  latency  wrong of  LUTs est.  LUTs   FFs est.  FFs   CARRY4  DSP   mm2    ns     mW  "
    "| CPU s: RTL  simulation  FPGA  ASIC | FPGA MB"
)


def main() -> None:
    """Print a table with a row for every network and bit width."""
    effort: Effort = "default" if "default" in sys.argv else "fast"
    print(HEADER, flush=True)
    for name, widths in (("jet-tagger", (2, 3, 4, 6)), ("digits-cnn", (3, 4))):
        task = TRAINABLE[name].load(None)
        graph = _trained(name, task)
        for bits in widths:
            if bits <= 3 or "quick" not in sys.argv:
                print(_row(f"{name:14s} {bits:4d}", _rounded(graph, bits, task), task.test_inputs, effort), flush=True)


def _trained(name: str, task: Task) -> Graph:
    workload = TRAINABLE[name]
    recipe = Recipe(epochs=5, learning_rate=workload.learning_rate)
    learned = train(workload.build(batch=workload.batch), task.train_inputs, task.train_labels, recipe)
    return run_passes(with_values(workload.build(batch=BATCH), learned.values))


def _rounded(graph: Graph, bits: int, task: Task) -> Graph:
    variables = quantisable(graph)
    widths = dict.fromkeys(variables.variables, bits)
    return quantised(graph, calibrated(graph, task.train_inputs[:1000], widths))


def _row(title: str, graph: Graph, inputs: Any, effort: Effort) -> str:
    (name,) = graph.inputs
    rows = inputs[: len(inputs) // BATCH * BATCH]
    parts = [execute(graph, {name: rows[start : start + BATCH]}) for start in range(0, len(rows), BATCH)]
    expected = {out: np.concatenate([part[out] for part in parts]) for out in graph.outputs}
    seconds = [_cpu()]
    with tempfile.TemporaryDirectory() as temporary:
        traced = trace(graph)
        project = write_rtl(traced, Path(temporary) / "rtl")
        foreseen = predict(traced, {name: rows})
        seconds.append(_cpu())
        match = simulate(project, quantised_inputs(graph, {name: rows}), expected)
        seconds.append(_cpu())
        fpga = synthesise(project, effort=effort)
        seconds.append(_cpu())
        asic = asic_report(project)
        seconds.append(_cpu())
    wrong = match.mismatches + sum(int((foreseen[out] != expected[out]).sum()) for out in graph.outputs)
    steps = np.diff(seconds)
    hardware = (
        f"{project.stages:7d} {match.latency_cycles:8d} {wrong:6d} {match.samples:5d} {project.estimated_luts:9.0f} "
        f"{fpga.luts:6d} {project.estimated_flip_flops:9d} {fpga.flip_flops:5d} {fpga.carries:7d} {fpga.dsps:4d} "
        f"{asic.area_um2 / 1e6:6.3f} {asic.critical_path_ns:5.2f} {asic.power_mw:6.0f}"
    )
    times = f"{steps[0]:6.1f} {steps[1]:8.1f} {steps[2]:8.1f} {steps[3]:6.1f}"
    return f"{title} {hardware}  |   {times} | {fpga.usage.peak_memory_bytes / 1e6:6.0f}"


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s by the clock")
