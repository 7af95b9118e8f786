"""Simulated cycles per second of one core: on raw command streams, and on whole networks as `systolic run` simulates
them.

    python -m benchmarks.bench_engine

The raw stream is a blocked weight-stationary matmul: 64-byte-wide mvins into alternating scratchpad halves, 16-row
computes with reused weights, mvouts of 64 columns; each line is the best of five. Of a network, every distinct layer is
scheduled, then its commands are generated and simulated chunk by chunk; the seconds are those of the process's one
thread, each layer's the best of three, so that what else the machine does is left out. Nothing is known from one
simulation to the next. A network's first line counts the cycles the engine simulated. Its second counts those of all
its layers in the same time: as in `systolic run`, a layer whose commands, addresses and machine are those of an earlier
one takes over that one's result. The first run pays compilation or its cache.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from mapper.lower import Layer
from mapper.program import layer_programs
from mapper.schedule import Scheduled
from model_ir.graph import Graph
from simulator import isa
from simulator.accelerator import Accelerator, Memory
from simulator.accelerator_file import load_accelerator
from simulator.engine import simulate
from simulator.mapping import Mapping
from simulator.program import Program
from systolic.pipeline import layers_of, schedule, work_key
from workloads.catalogue import build

A_AT, B_AT, C_AT = 0x80000000, 0x84000000, 0x88000000
Mapped = tuple[Layer, Mapping | None]
NETWORK_RUNS = 3
RTL_CYCLES_PER_SECOND = 25_000  # Gemmini's module under Verilator, measured


def blocked_matmul(size: int, tile: int, depth: int) -> Program:
    """Commands of a `size` x `size` x `size` matmul in blocks of DIM: `tile` x `tile` results, `depth` deep."""
    row = size * 16
    commands = [
        isa.config_ex(),
        isa.config_st(stride_bytes=row),
        isa.config_ld(stride_bytes=row),
        isa.config_ld(stride_bytes=row, load_id=1),
    ]
    turn = 0
    for outer in range((size // tile) ** 2):
        i0, j0 = outer // (size // tile) * tile, outer % (size // tile) * tile
        target = isa.ACCUMULATOR_BIT | outer % 2 * 512
        for k0 in range(0, size, depth):
            commands += _tile(turn % 2, (i0, j0, k0), tile, depth, row, target)
            turn += 1
        for i in range(tile):
            for j in range(0, tile, 4):
                memory = C_AT + (i0 + i) * 16 * row + (j0 + j) * 16
                commands.append(isa.mvout(memory, target + (i * tile + j) * 16, 64, 16))
    return isa.program_of(commands)


def _tile(half: int, origin: tuple[int, int, int], tile: int, depth: int, row: int, target: int) -> list[isa.Command]:
    i0, j0, k0 = origin
    a, b = half * 4096, 8192 + half * 4096
    commands = [
        isa.mvin(A_AT + (i0 + i) * 16 * row + (k0 + k) * 16, a + (i * depth + k) * 16, 64, 16)
        for i in range(tile)
        for k in range(0, depth, 4)
    ]
    commands += [
        isa.mvin(B_AT + (k0 + k) * 16 * row + (j0 + j) * 16, b + (k * tile + j) * 16, 64, 16, load_id=1)
        for k in range(depth)
        for j in range(0, tile, 4)
    ]
    for k in range(depth):
        for j in range(tile):
            for i in range(tile):
                result = target + (i * tile + j) * 16 | (isa.ACCUMULATE_BIT if k0 + k else 0)
                weights = isa.GARBAGE if i else b + (k * tile + j) * 16
                compute = isa.compute_accumulated if i else isa.compute_preloaded
                commands.append(
                    isa.preload(
                        weights, result, stationary_columns=16, stationary_rows=16, result_columns=16, result_rows=16
                    )
                )
                commands.append(
                    compute(
                        a + (i * depth + k) * 16,
                        isa.GARBAGE,
                        a_columns=16,
                        a_rows=16,
                        other_columns=16,
                        other_rows=16,
                    )
                )
    return commands


def report(name: str, program: Program, accelerator: Accelerator, memory: Memory, runs: int) -> None:
    """Print the best rate of `runs` runs."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        result = simulate(program, accelerator, memory=memory)
        best = min(best, time.process_time() - start)
    print(f"{name}: {len(program)} commands, {result.cycles} cycles, {_rate(result.cycles, best)}")


def report_network(network: Graph, accelerator: Accelerator) -> None:
    """Print the rate over all distinct layers of a network, and what it makes of the whole network."""
    layers = layers_of(network, accelerator)
    plans = schedule(layers, accelerator)
    works: dict[Any, tuple[Layer, Scheduled | None]] = {}
    layers_of_work: Counter[Any] = Counter()
    for layer, plan in zip(layers, plans, strict=True):
        if layer.work:
            works.setdefault(work_key(layer, plan), (layer, plan))
            layers_of_work[work_key(layer, plan)] += 1
    mapped = {key: (layer, plan.mapping if plan else None) for key, (layer, plan) in works.items()}
    for layer, mapping in list(mapped.values())[:2]:
        simulate(layer_programs(layer, mapping, accelerator), accelerator)
    generating = sum(_best(partial(_generate, each, accelerator))[0] for each in mapped.values())
    timed = {key: _best(partial(_cycles, each, accelerator)) for key, each in mapped.items()}
    spent = sum(seconds for seconds, _ in timed.values())
    distinct = sum(cycles for _, cycles in timed.values())
    whole = sum(layers_of_work[key] * cycles for key, (_, cycles) in timed.items())
    print(
        f"{network.name}, each of its {len(mapped)} distinct layers simulated once: {distinct} cycles, "
        f"{_rate(distinct, spent)} ({generating / spent:.0%} of the time generates commands)"
    )
    print(
        f"{network.name}, all {layers_of_work.total()} layers, one with the commands, addresses and machine of an "
        f"earlier one taking over its result: {whole} cycles in {spent:.2f} s, {_rate(whole, spent)}"
    )


def _best(work: Callable[[], int]) -> tuple[float, int]:
    """Seconds of the best of NETWORK_RUNS runs of `work`, and what it returns."""
    best, answer = float("inf"), 0
    for _ in range(NETWORK_RUNS):
        start = time.process_time()
        answer = work()
        best = min(best, time.process_time() - start)
    return best, answer


def _generate(each: Mapped, accelerator: Accelerator) -> int:
    return sum(len(program) for program in layer_programs(*each, accelerator))


def _cycles(each: Mapped, accelerator: Accelerator) -> int:
    return simulate(layer_programs(*each, accelerator), accelerator).cycles


def _rate(cycles: int, seconds: float) -> str:
    rate = cycles / seconds
    return f"{rate / 1e6:.1f} million cycles/s, {rate / RTL_CYCLES_PER_SECOND:.0f} x the RTL under Verilator"


def main() -> None:
    """Print throughput for memories that leave the array compute-bound, balanced or waiting, then for networks."""
    accelerator = load_accelerator("gemmini")
    program = blocked_matmul(32, 4, 16)
    simulate(program, accelerator)
    for latency, per_beat in ((15, 1), (40, 2), (100, 4)):
        memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
        report(f"latency {latency:3d}, {per_beat} cycles a beat", program, accelerator, memory, 5)
    report_network(build("bert-base", seq=512), accelerator)
    report_network(build("resnet50"), accelerator)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
