"""Simulated cycles per second of one core, on the raw command streams a compiler emits for big matmuls.

    python benchmarks/bench_engine.py

The stream is a blocked weight-stationary matmul: 64-byte-wide mvins into alternating scratchpad halves, 16-row computes
with reused weights, mvouts of 64 columns. Two whole layers follow, scheduled and emitted for Gemmini with its memory.
The first run pays compilation or its cache; each line is the best of five.
"""

from __future__ import annotations

import time
from dataclasses import replace

from mapper.codegen import emit
from mapper.program import addresses_of
from mapper.schedule import schedule
from simulator import isa
from simulator.accelerator import Accelerator, Memory
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.program import Program

A_AT, B_AT, C_AT = 0x80000000, 0x84000000, 0x88000000
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


def conv_3x3(size: int, channels: int) -> ArrayNest:
    """A 3x3 convolution, stride 1, `size` x `size` pixels, `channels` in and out, padded to keep the size."""
    return ArrayNest(
        images=1,
        out_rows=size,
        out_columns=size,
        out_channels=channels,
        kernel_rows=3,
        kernel_columns=3,
        in_channels=channels,
        in_rows=size,
        in_columns=size,
        row_stride=1,
        column_stride=1,
        row_dilation=1,
        column_dilation=1,
        top_pad=1,
        left_pad=1,
        a_stride=channels,
        b_stride=channels,
        c_stride=channels,
        repeats=(),
        transpose_a=False,
        transpose_b=False,
        bias=True,
    )


def matmul(rows: int, depth: int, columns: int) -> ArrayNest:
    """C (rows x columns) = A (rows x depth) B (depth x columns) + bias."""
    one = conv_3x3(1, 1)
    return replace(
        one,
        out_columns=rows,
        in_columns=rows,
        kernel_rows=1,
        kernel_columns=1,
        top_pad=0,
        left_pad=0,
        in_channels=depth,
        out_channels=columns,
        a_stride=depth,
        b_stride=columns,
        c_stride=columns,
    )


def report(name: str, program: Program, accelerator: Accelerator, memory: Memory, runs: int) -> None:
    """Print the best rate of `runs` runs."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        result = simulate(program, accelerator, memory=memory)
        best = min(best, time.process_time() - start)
    rate = result.cycles / best
    print(
        f"{name}: {len(program)} commands, {result.cycles} cycles, {rate / 1e6:.1f} million cycles/s, "
        f"{rate / RTL_CYCLES_PER_SECOND:.0f} x the RTL under Verilator"
    )


def main() -> None:
    """Print throughput for memories that leave the array compute-bound, balanced and memory-bound, then for layers."""
    accelerator = load_accelerator("gemmini")
    program = blocked_matmul(32, 4, 16)
    simulate(program, accelerator)
    for latency, per_beat in ((15, 1), (40, 2), (100, 4)):
        memory = Memory(latency_cycles=latency, cycles_per_beat=per_beat)
        report(f"latency {latency:3d}, {per_beat} cycles a beat", program, accelerator, memory, 5)
    layers = (
        ("BERT-Base feed-forward 512x768x3072", matmul(512, 768, 3072)),
        ("ResNet-50 56x56 3x3 64", conv_3x3(56, 64)),
    )
    for name, nest in layers:
        mapping = schedule(nest, accelerator).mapping
        program = emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator))
        report(name, program, accelerator, accelerator.memory, 5)


if __name__ == "__main__":
    main()
