"""The C library's calls behind soc_matmul.csv and soc_conv.csv: host, accelerator, cache and DRAM of the measured SoC.

Two rows a call (../shared/ground_truth/README.md beside a clone): its first run ("cold") and its second. The files are
taken for one program's, in order and in the same arrays: a call finds in the L2 what earlier ones brought there, and
the library's code is new to the first matmul of each dataflow and to the first convolution. The measured load activity
says so: it is met so, and missed by up to twice where every call has arrays of its own.
The files' byte counts are those of Gemmini's counters, which add a request's size at every beat; they are not compared.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path

from model_ir.errors import InputError
from reports.fidelity import FidelityRow
from simulator.accelerator import Accelerator
from simulator.host_calls import ConvCall, MatmulCall
from simulator.soc import SocRun, run_conv, run_matmul

SOC = "gemmini-soc"
PLACES = (0x80000000, 0x80040000, 0x800C0000, 0x80080000)
"""Where the program's first operands, second operands, biases and results lie, apart by more than any takes."""


def soc_rows(folder: Path, accelerator: Accelerator) -> Iterator[FidelityRow]:
    """Every row of the two files in `folder`, simulated on `accelerator`; a file that is not there has none.

    Raises InputError for a row whose columns are not as described.
    """
    earlier: SocRun | None = None
    for family in ("soc_matmul", "soc_conv"):
        path = folder / f"{family}.csv"
        if path.exists():
            earlier = yield from _rows(path, family, accelerator, earlier)


def _rows(
    path: Path, family: str, accelerator: Accelerator, earlier: SocRun | None
) -> Generator[FidelityRow, None, SocRun | None]:
    """The rows of one file behind the program's `earlier` runs; returns its last."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    kinds: set[str] = set()
    for number, (cold, warm) in enumerate(list(pairwise(rows))[::2]):
        where = f"{path}:{2 * number + 2}"
        kind = cold.get("dataflow", "conv")
        try:
            name, call = call_of(family, cold)
            measured = [int(row["cycles"]) for row in (cold, warm)]
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(where, "is not a row of this file", value=str(error)) from error
        try:
            runs = _run(call, accelerator, code_cached=kind in kinds, earlier=earlier)
        except InputError as error:
            yield FidelityRow(name=name, family=family, cycles=0, measured_cycles=None, refused=str(error))
            continue
        kinds.add(kind)
        earlier = runs[-1]
        for state, cycles, run in zip(("cold", "warm"), measured, runs, strict=True):
            yield FidelityRow(name=f"{name}_{state}", family=family, cycles=run.cycles, measured_cycles=cycles)
    return earlier


def _run(
    call: MatmulCall | ConvCall, accelerator: Accelerator, *, code_cached: bool, earlier: SocRun | None
) -> tuple[SocRun, ...]:
    if isinstance(call, MatmulCall):
        return run_matmul(call, accelerator, code_cached=code_cached, after=earlier, at=PLACES)
    return run_conv(call, accelerator, code_cached=code_cached, after=earlier, at=PLACES)


def call_of(family: str, row: dict[str, str]) -> tuple[str, MatmulCall | ConvCall]:
    """The row's name and the library's call behind it."""
    if family == "soc_matmul":
        flow = row["dataflow"]
        if flow not in ("ws", "os"):
            raise ValueError(f"dataflow {flow}")
        sides = [int(row[side]) for side in ("I", "J", "K")]
        matmul = MatmulCall(rows=sides[0], columns=sides[1], depth=sides[2], dataflow="ws" if flow == "ws" else "os")
        return f"{flow}_{'x'.join(map(str, sides))}", matmul
    size = {name: int(value) for name, value in row.items()}
    conv = ConvCall(
        images=size["batches"], in_rows=size["input_dim"], in_columns=size["input_dim"],
        in_channels=size["input_channels"], out_channels=size["output_channels"], kernel=size["kernel"],
        stride=size["stride"], padding=size["padding"], pool_size=size["pool_size"], pool_stride=size["pool_stride"],
        pool_padding=size["pool_padding"],
    )  # fmt: skip
    return f"{conv.in_rows}x{conv.in_rows}x{conv.in_channels}_{conv.out_channels}_{conv.kernel}x{conv.kernel}", conv
