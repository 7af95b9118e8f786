"""What the chosen design takes as hardware: estimated for hls4ml, and counted by open tools on its Verilog."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import Count
from systolic.firmware.estimates import firmware_estimate
from systolic.firmware.evidence import RTL_FOLDER, Evidence
from systolic.firmware.request import FirmwareRequest, Synthesis
from systolic.firmware.stages import Arrays, Stages, constants_digest
from systolic.pipeline import Progress

if TYPE_CHECKING:
    from hls.resources.estimate import Estimate
    from hls.rtl.asic import AsicReport
    from hls.rtl.synthesise import FpgaCounts
    from hls.rtl.trace import Traced


def estimates_of(graph: Graph, request: FirmwareRequest) -> Evidence:
    """LUTs, flip-flops, DSPs and cycles of the design as hls4ml's firmware, by the model fitted to published rows."""
    from hls.resources.calibration import CONFIDENCE

    found = firmware_estimate(graph, request)
    tool = f"{found.calibration}, {found.io}; interval of {CONFIDENCE:.0%}"

    def count(what: str, value: Estimate, unit: str = "") -> Count:
        interval = (value.low, value.high)
        return Count(what=what, value=round(value.value), unit=unit, tool=tool, measured=False, interval=interval)

    interval = Count(what="initiation interval", value=found.interval_cycles, unit="cycles", tool=tool, measured=False)
    return Evidence(
        counts=(
            count("LUT", found.lut),
            count("FF", found.ff),
            count("DSP", found.dsp),
            count("latency", found.latency_cycles, f"cycles at {found.clock_ns:g} ns"),
            interval,
        ),
        notes=found.notes,
    )


def synthesised(graph: Graph, request: FirmwareRequest, stages: Stages, progress: Progress) -> Evidence:
    """Cells of the design's Verilog by every synthesis asked for; none without Verilog."""
    found = Evidence()
    # Traced at most once, and not at all where every synthesis is taken over.
    traced = cache(partial(_traced, graph))
    for kind in request.synthesis if request.rtl else ():

        def make(_: Path, kind: Synthesis = kind) -> tuple[Evidence, Arrays]:
            return _synthesised(traced(), kind, request, progress), {}

        asked = {"network": constants_digest(graph), "clock": request.clock_ns, "most": request.most_luts}
        counted, _ = stages.run(f"synthesis {kind}", asked, make, Evidence, leaf=True)
        found += counted
    return found


def _traced(graph: Graph) -> Traced:
    from hls.rtl.trace import trace

    return trace(with_batch_size(graph, 1))


def _synthesised(traced: Traced, kind: Synthesis, request: FirmwareRequest, progress: Progress) -> Evidence:
    from hls.rtl.asic import asic_report
    from hls.rtl.synthesise import synthesise
    from hls.rtl.write import write_rtl

    def advance(step: str, done: int, total: int) -> None:
        progress(f"{kind}: {step}"[:24], done, total)

    if traced.estimated_luts > request.most_luts:
        size = f"about {traced.estimated_luts:,.0f} LUTs, above --most-luts {request.most_luts:,}"
        note = f"{kind} synthesis was left out: {size}."
        return Evidence(notes=(note,))
    project = write_rtl(traced, request.out / RTL_FOLDER)
    if kind == "fpga":
        return Evidence(counts=_fpga_counts(synthesise(project, progress=advance)))
    report = asic_report(project, clock_ns=request.clock_ns, progress=advance)
    late = f"The standard cells miss the clock of {report.clock_ns:g} ns at which their power is stated."
    return Evidence(counts=_asic_counts(report), notes=() if report.meets_clock else (late,))


def _fpga_counts(found: FpgaCounts) -> tuple[Count, ...]:
    numbers = {
        "LUT": found.luts,
        "FF": found.flip_flops,
        found.carry_cell or "CARRY": found.carries,
        "wide multiplexer": found.wide_muxes,
        "LUT as shift register": found.shift_registers,
        "DSP": found.dsps,
        "block RAM": found.block_rams,
    }
    return tuple(
        Count(what=what, value=value, unit="", tool=found.tool, measured=True) for what, value in numbers.items()
    )


def _asic_counts(found: AsicReport) -> tuple[Count, ...]:
    tool = found.tools
    numbers = (
        ("standard-cell area", found.area_um2, "um^2"),
        ("standard cells", found.cell_count, ""),
        ("critical path", found.critical_path_ns, "ns"),
        ("highest clock", found.fmax_mhz, "MHz"),
        ("power", found.power_mw, f"mW at {found.clock_ns:g} ns, activity {found.activity:g}"),
    )
    return tuple(Count(what=what, value=value, unit=unit, tool=tool, measured=True) for what, value, unit in numbers)
