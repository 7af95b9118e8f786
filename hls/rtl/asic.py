"""What RTL costs as standard cells, before layout: area by Yosys and abc, critical path and power by OpenSTA.

The library is osu018 (Oklahoma State University, 180 nm, 1.8 V), which Debian ships. Wires have no capacitance here and
the clock is ideal: a laid out chip is larger, slower and takes more power.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hls.rtl.programs import find_program, run_program
from hls.rtl.project import RtlProject
from hls.rtl.synthesise import reading
from hls.rtl.trace import Progress
from hls.rtl.yosys import Limits, Step, Usage, run_yosys, yosys_version
from model_ir.errors import InputError

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
DRIVER, LOAD_FF = "BUFX2", 20
"""What abc takes to drive inputs, and the load of an output: osu018.sh's `bufcell` and the 20 fF of its
`fanout_options`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsicReport:
    """Standard cells of the netlist, sized for `clock_ns`, and what they do at that clock.

    `critical_path_ns` is the longest path between registers or ports with the receiving register's set-up time;
    `fmax_mhz` its reciprocal. Powers are at `clock_ns` with inputs that change in `activity` of all cycles, activities
    behind them as OpenSTA propagates them. `tools` says who measured, on what library.
    """

    area_um2: float
    sequential_area_um2: float
    cells: Mapping[str, int] = field(repr=False)
    cell_count: int
    flip_flops: int
    critical_path_ns: float
    fmax_mhz: float
    clock_ns: float
    activity: float
    internal_mw: float
    switching_mw: float
    leakage_mw: float
    power_mw: float
    library: str
    tools: str
    usage: Usage

    @property
    def meets_clock(self) -> bool:
        """Whether the powers are at a clock that the netlist can follow."""
        return self.critical_path_ns <= self.clock_ns


def asic_report(
    project: RtlProject,
    *,
    clock_ns: float = 5.0,
    activity: float = 0.5,
    library: Path = OSU018,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> AsicReport:
    """Standard cells for `project`, sized for a clock of `clock_ns`.

    InputError where pyosys, OpenSTA or the library is missing, a tool fails or a limit is reached, the clock is not
    positive, or the activity outside 0 to 1.
    """
    sta = find_program("sta", "opensta")
    if not library.is_file():
        raise InputError(str(library), "is no cell library: install Debian's package qflow-tech-osu018")
    if not clock_ns > 0:
        raise InputError("clock", "must be longer than nothing", value=f"{clock_ns} ns")
    if not 0 <= activity <= 1:
        raise InputError("activity", "out of range", value=activity, limit="0 to 1 changes a cycle")
    with tempfile.TemporaryDirectory(prefix="rtl-") as temporary:
        folder = Path(temporary)
        (folder / "cells.lib").symlink_to(library.resolve())
        (folder / "abc.constr").write_text(f"set_driving_cell {DRIVER}\nset_load {LOAD_FF}\n")
        steps = [*reading(project, folder), *_steps(project.top, clock_ns)]
        usage = run_yosys(steps, folder, limits=limits, progress=progress)
        netlist = folder / "netlist.v"
        # OpenSTA's reader knows no signed declarations.
        netlist.write_text(re.sub(r"\bsigned\b", "", netlist.read_text()))
        (folder / "report.tcl").write_text(_script(project.top, clock_ns, activity))
        said = run_program((sta, "-no_splash", "-exit", "report.tcl"), folder)
        sta_version = run_program((sta, "-version"), folder).split()[-1]
        design = json.loads((folder / "area.json").read_text())["design"]
    slack, powers = _slack(said), _powers(said)
    cells = {name: int(count) for name, count in design["num_cells_by_type"].items()}
    return AsicReport(
        area_um2=float(design["area"]),
        sequential_area_um2=float(design["sequential_area"]),
        cells=cells,
        cell_count=sum(cells.values()),
        flip_flops=sum(count for name, count in cells.items() if name.startswith("DFF")),
        critical_path_ns=clock_ns - slack,
        fmax_mhz=1000 / (clock_ns - slack),
        clock_ns=clock_ns,
        activity=activity,
        internal_mw=powers[0],
        switching_mw=powers[1],
        leakage_mw=powers[2],
        power_mw=powers[3],
        library=library.stem,
        tools=f"{yosys_version()}, synth -booth and abc; OpenSTA {sta_version}; {library.stem}, before layout",
        usage=usage,
    )


def _steps(top: str, clock_ns: float) -> list[Step]:
    """abc sizes gates only with constraints; OpenSTA adds up powers of a flat design, and reads plain assignments."""
    return [
        ("synthesising", f"synth -top {top} -flatten -booth"),
        ("mapping registers", "dfflibmap -liberty cells.lib"),
        ("mapping gates", f"abc -liberty cells.lib -constr abc.constr -D {round(1000 * clock_ns)}"),
        ("cleaning", "opt_clean -purge; setundef -zero"),
        ("writing", "write_verilog -noattr -noexpr -nohex -simple-lhs netlist.v"),
        ("counting", f"tee -q -o area.json stat -json -liberty cells.lib -top {top}"),
    ]


def _script(top: str, clock_ns: float, activity: float) -> str:
    lines = (
        "read_liberty cells.lib",
        "read_verilog netlist.v",
        f"link_design {top}",
        f"create_clock -name clk -period {clock_ns:.9g} [get_ports clk]",
        "set_input_delay 0 -clock clk [get_ports model_inp*]",
        "set_output_delay 0 -clock clk [get_ports model_out*]",
        "report_checks -path_delay max -digits 6",
        f"set_power_activity -input -activity {activity:.9g} -duty 0.5",
        "report_power -digits 9",
    )
    return "\n".join(lines) + "\n"


def _slack(said: str) -> float:
    """The slack (ns) of the longest path in `report_checks`' words."""
    found = re.search(r"(-?[\d.]+)\s+slack", said)
    if found is None:
        raise InputError("OpenSTA", f"reported no path: {_last_words(said)}")
    return float(found[1])


def _powers(said: str) -> tuple[float, ...]:
    """Internal, switching, leakage and all power (mW) in `report_power`'s words, which are in W."""
    found = re.search(r"^Total((?:\s+[-+.\de]+){4})", said, re.MULTILINE)
    if found is None:
        raise InputError("OpenSTA", f"reported no power: {_last_words(said)}")
    return tuple(1000 * float(number) for number in found[1].split())


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[-1] if lines else "it said nothing")
