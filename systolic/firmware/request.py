"""What `systolic firmware` was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hls.allocation.allocate import SolverName
from systolic.network import NetworkRequest

Synthesis = Literal["fpga", "asic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRequest:
    """Network and data; the bits to choose from and the budgets they must meet; how long to train and retrain (None:
    the task's own); what firmware, which evidence and which hardware to make of the design chosen.

    `input_bits` is what the sensor gives: no budget moves it. `checked` outputs are compared with every execution.
    `most_luts`: a larger network, by da4ml's estimate, is not synthesised; Yosys would take hours.
    """

    network: NetworkRequest
    out: Path
    data: Path | None = None
    standardise: bool = False
    widths: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    input_bits: int = 8
    budgets: Mapping[str, str] = field(default_factory=lambda: {"bops": "25%"})
    solver: SolverName = "cp-sat"
    epochs: int | None = None
    retraining_epochs: int = 4
    sweep: bool = True
    backends: tuple[str, ...] = ("Vivado",)
    io_types: tuple[str, ...] = ("io_parallel", "io_stream")
    reuse: int = 1
    clock_ns: float = 5.0
    checked: int = 10_000
    rtl: bool = True
    synthesis: tuple[Synthesis, ...] = ("fpga", "asic")
    most_luts: int = 60_000
    faults: bool = True
    seed: int = 0

    @property
    def strategy(self) -> Literal["latency", "resource"]:
        """hls4ml's strategy for this reuse factor: shared multipliers are its resource strategy."""
        return "latency" if self.reuse == 1 else "resource"
