"""The C library's calls behind soc_matmul.csv and soc_conv.csv: host, accelerator, cache and DRAM of the measured SoC.

Two rows a call (../shared/ground_truth/README.md beside a clone): the first run finds its cache cold, the second what
the first left. The calls of one dataflow ran one after the other, so only the first of them fetches the library's code.
The files' byte counts are those of Gemmini's counters, which add a request's size at every beat; they are not compared.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from model_ir.errors import InputError
from reports.fidelity import FidelityRow
from simulator.accelerator import Accelerator
from simulator.host_calls import ConvCall, MatmulCall
from simulator.soc import SocRun, run_conv, run_matmul

SOC = "gemmini-soc"


def soc_rows(folder: Path, accelerator: Accelerator) -> Iterator[FidelityRow]:
    """Every row of the two files in `folder`, simulated on `accelerator`; a file that is not there has none.

    Raises InputError for a row whose columns are not as described.
    """
    yield from _rows(folder / "soc_matmul.csv", "soc_matmul", accelerator)
    yield from _rows(folder / "soc_conv.csv", "soc_conv", accelerator)


def _rows(path: Path, family: str, accelerator: Accelerator) -> Iterator[FidelityRow]:
    if not path.exists():
        return
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    kinds: set[str] = set()
    for number, (cold, warm) in enumerate(list(pairwise(rows))[::2]):
        where = f"{path}:{2 * number + 2}"
        kind = cold.get("dataflow", "ws")
        try:
            name, call = _call(family, cold)
            measured = [int(row["cycles"]) for row in (cold, warm)]
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(where, "is not a row of this file", value=str(error)) from error
        try:
            runs = _run(call, accelerator, code_cached=kind in kinds)
        except InputError as error:
            yield FidelityRow(name=name, family=family, cycles=0, measured_cycles=None, refused=str(error))
            continue
        kinds.add(kind)
        for state, cycles, run in zip(("cold", "warm"), measured, runs, strict=True):
            yield FidelityRow(name=f"{name}_{state}", family=family, cycles=run.cycles, measured_cycles=cycles)


def _run(call: MatmulCall | ConvCall, accelerator: Accelerator, *, code_cached: bool) -> tuple[SocRun, ...]:
    if isinstance(call, MatmulCall):
        return run_matmul(call, accelerator, code_cached=code_cached)
    return run_conv(call, accelerator, code_cached=code_cached)


def _call(family: str, row: dict[str, str]) -> tuple[str, MatmulCall | ConvCall]:
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
