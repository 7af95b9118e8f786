"""What RTL costs on an FPGA by Yosys' `synth_xilinx`: cells of a netlist, before placement, not Vivado's counts."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from hls.rtl.project import RtlProject
from hls.rtl.trace import Progress
from hls.rtl.yosys import Limits, Step, Usage, run_yosys, yosys_version

Family = Literal["xc7", "xcu", "xcup"]
"""Series 7, UltraScale, UltraScale+, as `synth_xilinx` calls them."""
Effort = Literal["fast", "default"]
"""How abc9 maps onto lookup tables: by its default script, which restructures the logic for delay first, or only
merging what is equal, which on these adders needs about as many lookup tables and much less time
(benchmarks.bench_rtl)."""
ABC9_SCRIPTS: Mapping[Effort, str] = {
    "fast": "scratchpad -set abc9.script +&sweep;,&if,{W},{D},{R},-v",
    "default": "scratchpad -copy abc9.script.default abc9.script",
}
STAGES = (
    ("begin", "reading the cell library"),
    ("prepare", "preparing"),
    ("map_dsp", "looking for DSP slices"),
    ("coarse", "optimising words"),
    ("map_memory", "looking for memories"),
    ("fine", "mapping arithmetic"),
    ("map_cells", "mapping cells"),
    ("map_ffs", "mapping registers"),
    ("map_luts", "mapping lookup tables"),
    ("finalize", "finishing"),
    ("edif", ""),
)
"""`synth_xilinx`'s own labels (Yosys' help of the command)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FpgaCounts:
    """Cells of the netlist. `luts_by_inputs[n]` lookup tables of n inputs, which `luts` adds up; inverters that Yosys
    leaves as cells (they go into neighbouring lookup tables in placement) and lookup tables used as shift registers are
    apart. `cells` has everything by name; `tool` says who counted, and how."""

    luts: int
    luts_by_inputs: Mapping[int, int]
    shift_registers: int
    inverters: int
    wide_muxes: int
    carries: int
    carry_cell: str
    flip_flops: int
    dsps: int
    block_rams: int
    cells: Mapping[str, int] = field(repr=False)
    family: Family
    tool: str
    usage: Usage


def synthesise(
    project: RtlProject,
    *,
    family: Family = "xc7",
    effort: Effort = "fast",
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> FpgaCounts:
    """Count the cells that `project` becomes, out of context: flattened, without pads and clock buffers.

    InputError where pyosys is missing, Yosys fails, or a limit is reached.
    """
    tool = f"{yosys_version()}, synth_xilinx -family {family}, abc9 {effort}; not Vivado's counts"
    with tempfile.TemporaryDirectory(prefix="rtl-") as temporary:
        folder = Path(temporary)
        steps = [*reading(project, folder), *_steps(project.top, family, effort)]
        usage = run_yosys(steps, folder, limits=limits, progress=progress)
        cells = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    return _counts(cells, family, tool, usage)


def reading(project: RtlProject, folder: Path) -> list[Step]:
    """Copies of the project's sources in `folder`, and the step that reads them (deferred: only the top's are used)."""
    for path in project.sources:
        shutil.copy(path, folder / path.name)
    return [("reading", f"read_verilog -defer {' '.join(path.name for path in project.sources)}")]


def _steps(top: str, family: Family, effort: Effort) -> list[Step]:
    command = f"synth_xilinx -family {family} -top {top} -flatten -noiopad -noclkbuf"
    stages = [(title, f"{command} -run {begin}:{end}") for (begin, title), (end, _) in pairwise(STAGES)]
    return [
        ("choosing abc9's script", ABC9_SCRIPTS[effort]),
        *stages,
        ("counting", f"tee -q -o cells.json stat -json -top {top}"),
    ]


def _counts(cells: Mapping[str, int], family: Family, tool: str, usage: Usage) -> FpgaCounts:
    """Cells by kind, by the names of Xilinx's libraries (UG953, UG974)."""

    def matching(pattern: str) -> int:
        return sum(count for name, count in cells.items() if re.fullmatch(pattern, name))

    luts = {int(name[3:]): count for name, count in sorted(cells.items()) if re.fullmatch(r"LUT[1-6]", name)}
    carry = next((name for name in cells if re.fullmatch(r"CARRY\d", name)), "")
    return FpgaCounts(
        luts=sum(luts.values()),
        luts_by_inputs=luts,
        shift_registers=matching(r"SRL\w+"),
        inverters=matching("INV"),
        wide_muxes=matching(r"MUXF[789]"),
        carries=cells.get(carry, 0),
        carry_cell=carry,
        flip_flops=matching(r"FD[RSCP]E(_1)?"),
        dsps=matching(r"DSP\w+"),
        block_rams=matching(r"RAMB\w+|URAM288"),
        cells=dict(cells),
        family=family,
        tool=tool,
        usage=usage,
    )
