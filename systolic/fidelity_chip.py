"""The command streams behind chip_matmul.csv and chip_micro.csv: rows that state sizes, made into rows that run.

The files (../shared/ground_truth/README.md beside a clone) come from a second configuration, `gemmini-chip`, under a
memory of one beat a cycle.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.isa_loops import LoopMatmul, loop_ws
from systolic.replay_rows import Measured, StreamRow

CHIP = "gemmini-chip"
A, B, C = 0x80100000, 0x80800000, 0x81000000
DIM = 16
FENCE_CYCLES = 14
"""chip_micro.csv: each row after 14 cycles of configuration and fence; its five configuration commands alone take 5."""
ACC = isa.ACCUMULATOR_BIT


def chip_rows(folder: Path) -> Iterator[StreamRow]:
    """Every row of the two files in `folder`, chip_micro first; a file that is not there has none.

    Raises InputError for a row whose columns are not as described.
    """
    for name, build in (("chip_micro.csv", _micro_row), ("chip_matmul.csv", _matmul_row)):
        path = folder / name
        if not path.exists():
            continue
        with path.open(newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), 2):
                try:
                    yield build(row, f"{path}:{number}")
                except (KeyError, ValueError, TypeError) as error:
                    raise InputError(f"{path}:{number}", "is not a row of this file", value=str(error)) from error


def _row(
    where: str, name: str, family: str, commands: list[isa.Command], latency: int, measured: dict[str, int]
) -> StreamRow:
    known = {field: measured.get(field) for field in ("read_requests", "read_bytes", "write_requests", "write_bytes")}
    return StreamRow(
        where=where,
        name=name,
        family=family,
        commands=tuple(commands),
        memory=Memory(latency_cycles=latency, cycles_per_beat=1),
        command_gap_cycles=0,
        output=None,
        measured=Measured(cycles=measured["cycles"], **known, accepted_at=(), output_sha256=None),
    )


def _start(a_stride: int = 64, b_stride: int = 64, d_stride: int = 256, c_stride: int = 64) -> list[isa.Command]:
    """The five configuration commands."""
    return [
        isa.config_ex(),
        isa.config_st(stride_bytes=c_stride),
        isa.config_ld(stride_bytes=a_stride),
        isa.config_ld(stride_bytes=b_stride, load_id=1),
        isa.config_ld(stride_bytes=d_stride, load_id=2),
    ]


def _pairs(count: int, *, reuse: bool = False, same_tile: bool = False) -> list[isa.Command]:
    """Preload and compute pairs, each on its own blocks; `reuse` keeps the first weights, `same_tile` the result."""
    commands = []
    for i in range(count):
        keep = reuse and i > 0
        weights = isa.GARBAGE if keep else 0x800 + (0 if reuse else DIM * i)
        result = ACC | (isa.ACCUMULATE_BIT if same_tile and i else 0) | (0 if same_tile else DIM * i)
        sizes = {"stationary_columns": DIM, "stationary_rows": DIM, "result_columns": DIM, "result_rows": DIM}
        commands.append(isa.preload(weights, result, **sizes))
        compute = isa.compute_accumulated if keep else isa.compute_preloaded
        commands.append(compute(DIM * i, isa.GARBAGE, a_columns=DIM, a_rows=DIM, other_columns=DIM, other_rows=DIM))
    return commands


MICRO: dict[str, Callable[[int], list[isa.Command]]] = {
    "ws_pc": _pairs,
    "ws_reuse": lambda count: _pairs(count, reuse=True),
    "ws_accum_sametile": lambda count: _pairs(count, same_tile=True),
    "mvin16x64": lambda count: [isa.mvin(0x80000000 + 0x400 * i, 64 * i, 64, 16) for i in range(count)],
    "mvoutacc16x64": lambda count: [
        isa.mvout(0x80000000 + 0x400 * i, ACC | 64 * (i % 8), 64, 16) for i in range(count)
    ],
}


def _micro_row(row: dict[str, str], where: str) -> StreamRow:
    name, cycles, start = row["what"], int(row["cycles"]), _start()
    if name == "config5":
        return _row(where, name, "chip_micro", start, 1, {"cycles": cycles})
    kind, count = name.removesuffix("_L1").rsplit("_x", 1)
    measured = {"cycles": cycles - FENCE_CYCLES + len(start)}
    return _row(where, name, "chip_micro", start + MICRO[kind](int(count)), 1, measured)


def _matmul_row(row: dict[str, str], where: str) -> StreamRow:
    rows, columns, depth = (int(row[side]) for side in ("I", "J", "K"))
    tile = tuple(int(row[side]) for side in ("ti", "tj", "tk"))
    name = f"chip_{rows}x{columns}x{depth}_L{row['lat']}"
    counts = {"read_requests": "rdreq", "read_bytes": "rdbytes", "write_requests": "wrreq", "write_bytes": "wrbytes"}
    measured = {"cycles": int(row["cycles"]), **{field: int(row[column]) for field, column in counts.items()}}
    commands = _start(depth, columns, 4 * columns, columns) + _tiles((rows, columns, depth), tile)
    return _row(where, name, "chip_matmul", commands, int(row["lat"]), measured)


def _tiles(sizes: tuple[int, int, int], tile: tuple[int, ...]) -> list[isa.Command]:
    """One loop_ws a tile, order i, j, k, for C (I x J) = A (I x K) B (K x J); C leaves with the last k.

    As the C library does (gemmini.h, tiled_matmul_outer), an operand of at most two tiles stays in its halves of the
    scratchpad and is not loaded again.
    """
    _, columns, depth = sizes
    steps = tuple(DIM * blocks for blocks in tile)
    count_i, count_j, count_k = (-(-size // step) for size, step in zip(sizes, steps, strict=True))
    keep_a, keep_b = count_i * count_k <= 2, count_j * count_k <= 2
    commands = []
    for i, j, k in itertools.product(range(count_i), range(count_j), range(count_k)):
        at_i, at_j, at_k = (step * index for step, index in zip(steps, (i, j, k), strict=True))
        m, n, d = (min(step, size - at) for step, size, at in zip(steps, sizes, (at_i, at_j, at_k), strict=True))
        loop = LoopMatmul(
            max_i=-(-m // DIM), max_j=-(-n // DIM), max_k=-(-d // DIM), pad_i=-m % DIM, pad_j=-n % DIM, pad_k=-d % DIM,
            a_dram_addr=0 if keep_a and j else A + at_i * depth + at_k,
            b_dram_addr=0 if keep_b and i else B + at_k * columns + at_j,
            c_dram_addr=C + at_i * columns + at_j if k == count_k - 1 else 0,
            a_dram_stride=depth, b_dram_stride=columns, c_dram_stride=columns, ex_accumulate=k > 0,
            a_spad_id=(1 if i + k == 0 else 2) if keep_a else 0, b_spad_id=(1 if j + k == 0 else 2) if keep_b else 0,
        )  # fmt: skip
        commands += loop_ws(loop)
    return commands
