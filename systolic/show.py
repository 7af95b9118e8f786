"""What commands print: a table for people on stdout, or one JSON object for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from reports.units import percent, printable

if TYPE_CHECKING:
    from mapper.gemmini_c.c_file import Emitted
    from mapper.lower import Layer
    from mapper.schedule import Scheduled
    from mapper.value_check import ValueCheck
    from model_ir.graph import Graph
    from reports.generation import GenerationStudy
    from reports.mapspace import MapspaceStudy
    from reports.plan import PlanReport
    from reports.record import RunRecord
    from simulator.accelerator import Accelerator
    from systolic.pipeline import LayerRun


_WIDEST = 400
"""Columns of a terminal beyond which a table is cut off."""


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_whole(table: Table) -> None:
    """A table with every number in it, however narrow the terminal: a wrapped line is better than one cut off."""
    console = Console()
    natural = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    Console(width=max(console.width, natural)).print(table)


def _add_row(table: Table, *cells: str) -> None:
    """A row of plain text: a layer named "[red]" is shown as it is named."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def print_record(record: RunRecord, folder: Path, *, as_json: bool) -> None:
    """A finished run: totals, slowest layers and where the report lies."""
    from reports.terminal import causes_table, layers_table, record_as_json, summary_table

    if as_json:
        print_json({"run_folder": str(folder), **record_as_json(record)})
        return
    console = Console()
    console.print(summary_table(record))
    console.print(layers_table(record, 15))
    console.print(causes_table(record, 15))
    for note in record.header.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    console.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)


def print_accelerators(machines: Sequence[Accelerator], *, as_json: bool) -> None:
    """The machines that ship, one a row."""
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(machine) for machine in machines])
        return
    table = Table("accelerator", "array", "scratchpad", "accumulator", "memory", "functions of its own", "description")
    for machine in machines:
        unit = machine.vector_unit
        own = {*machine.fused_activations, *machine.store_path_functions, *(unit.passes if unit else ())}
        _add_row(
            table,
            machine.name,
            f"{machine.array.rows}x{machine.array.columns} int{machine.array.input_bits}",
            f"{machine.scratchpad.capacity_bytes // 1024} KiB",
            f"{machine.accumulator.capacity_bytes // 1024} KiB",
            f"{machine.memory_bytes_per_cycle:g} B/cycle",
            ", ".join(sorted(own)),
            machine.description,
        )
    Console().print(table)


def print_workloads(*, as_json: bool) -> None:
    """The catalogue, one network a row, with the options it takes and their defaults."""
    from workloads.catalogue import WORKLOADS

    if as_json:
        print_json({name: {"description": row.description, "options": row.defaults} for name, row in WORKLOADS.items()})
        return
    table = Table("network", "description", "options (default)")
    for name, row in WORKLOADS.items():
        options = ", ".join(f"--{option} {default}" for option, default in row.defaults.items())
        _add_row(table, name, row.description, options)
    Console().print(table)


def print_graph(graph: Graph, *, as_json: bool) -> None:
    """Every operator with its output shape and work, and the totals."""
    rows: list[dict[str, Any]] = [
        {
            "name": op.name,
            "kind": op.kind,
            "output_shape": list(graph.tensors[op.outputs[0]].shape),
            "macs": nest.macs,
            "flops": nest.flops,
            "compulsory_bytes": nest.compulsory_bytes,
            "arithmetic_intensity": nest.arithmetic_intensity,
        }
        for op, nest in ((op, graph.nest_of(op)) for op in graph.ops)
    ]
    macs = sum(row["macs"] for row in rows)
    if as_json:
        print_json(
            {
                "name": graph.name,
                "origin": graph.origin,
                "inputs": {name: list(graph.tensors[name].shape) for name in graph.inputs},
                "outputs": {name: list(graph.tensors[name].shape) for name in graph.outputs},
                "parameters": graph.parameter_count,
                "macs": macs,
                "operators": rows,
            }
        )
        return
    table = Table(
        "operator", "kind", "output", "MACs", "FLOP per byte", title=Text(printable(f"{graph.name} ({graph.origin})"))
    )
    for row in rows:
        shape = "x".join(str(size) for size in row["output_shape"])
        macs_text = f"{row['macs']:,}" if row["macs"] else ""
        _add_row(table, row["name"], row["kind"], shape, macs_text, f"{row['arithmetic_intensity']:.2f}")
    console = Console()
    console.print(table)
    console.print(f"{len(rows)} operators, {graph.parameter_count:,} parameters, {macs:,} MACs", highlight=False)


def print_schedules(
    layers: Sequence[Layer], schedules: Sequence[Scheduled | None], accelerator: Accelerator, *, as_json: bool
) -> None:
    """The mapping of every layer that the array runs, with the solver's bound and the heuristic beside it."""
    from systolic.recording import mapping_text, shape_text

    rows: list[dict[str, Any]] = [
        {
            "name": layer.name,
            "shape": shape_text(layer),
            "mapping": mapping_text(plan.mapping),
            "analytical_cycles": plan.cost.cycles,
            "heuristic_cycles": plan.heuristic_cost.cycles if plan.heuristic_cost else None,
            "dram_bytes": plan.cost.dram_bytes,
            "energy_pj": plan.cost.energy_pj,
            "minimised": plan.solve.minimised,
            "solver": plan.solve.solver,
            "solver_status": plan.solve.status,
            "solver_objective": plan.solve.objective,
            "solver_bound": plan.solve.bound,
            "solver_gap": plan.solve.gap,
            "solver_wall_seconds": plan.solve.wall_seconds,
        }
        for layer, plan in zip(layers, schedules, strict=True)
        if plan is not None
    ]
    if as_json:
        print_json({"accelerator": accelerator.name, "layers": rows})
        return
    least = "".join(f", least {name.replace('_', ' ')}" for name in {row["minimised"] for row in rows})
    title = accelerator.name + least
    table = Table("layer", "shape", "mapping", "cycles (model)", "heuristic", "DRAM bytes", "proof", title=title)
    for row in rows:
        _add_row(
            table,
            row["name"],
            row["shape"],
            row["mapping"],
            f"{row['analytical_cycles']:,.0f}",
            "" if row["heuristic_cycles"] is None else f"{row['heuristic_cycles']:,.0f}",
            f"{row['dram_bytes']:,}",
            f"{row['solver_status']}, gap {row['solver_gap']:.1%}",
        )
    Console().print(table)


def print_mapspace(page: Path, studies: Sequence[MapspaceStudy], *, as_json: bool) -> None:
    """How the mappings of every studied layer spread, what is marked, and where the page lies."""
    from reports.mapspace import study_as_json
    from reports.mapspace_terminal import study_tables

    if as_json:
        print_json({"page": str(page), "layers": [study_as_json(study) for study in studies]})
        return
    console = Console()
    for study in studies:
        for table in study_tables(study):
            console.print(table)
    console.print(f"page: {page}", markup=False, soft_wrap=True)


def print_generated(studies: Sequence[GenerationStudy], *, page: Path | None, as_json: bool) -> None:
    """Every study's points and where its ridge is crossed, what to know of it, and where the page lies, if there is
    one."""
    from reports.generation import study_as_json
    from reports.generation_terminal import shown_of, study_tables

    if as_json:
        found = {"studies": [study_as_json(study) for study in studies]}
        print_json(found | ({"page": str(page)} if page else {}))
        return
    console = Console()
    for study in studies:
        for table in study_tables(study):
            console.print(table)
        for note in (*study.found.notes, shown_of(study)):
            if note:
                console.print(f"note: {note}", style="dim", markup=False)
    if page is not None:
        console.print(f"page: {page}", markup=False, soft_wrap=True)


def print_models(*, as_json: bool) -> None:
    """The models that `systolic generate` knows by name, their sizes and where those come from."""
    from reports.generation_terminal import models_table
    from systolic.generate_options import known_models

    rows = known_models()
    if as_json:
        print_json(rows)
        return
    Console().print(models_table(rows))


def print_emitted(emitted: Sequence[Emitted], path: Path, *, as_json: bool) -> None:
    """What of every layer is in the C file, and where that lies."""
    rows: list[dict[str, Any]] = [
        {
            "name": one.layer.name,
            "commands": len(one.program),
            "statements": len(one.text.statements),
            "table_rows": len(one.text.moves),
            "outputs_checked": one.operands.c.size,
            "weights_of_the_network": any(memory.of_network for memory in one.operands.memories.values()),
            "operands": [memory.origin for memory in one.operands.memories.values()],
        }
        for one in emitted
    ]
    if as_json:
        print_json({"file": str(path), "layers": rows})
        return
    table = Table("layer", "commands", "as C lines", "as table rows", "outputs", "weights")
    for row in rows:
        numbers = (f"{row[key]:,}" for key in ("commands", "statements", "table_rows", "outputs_checked"))
        _add_row(table, row["name"], *numbers, "the network's" if row["weights_of_the_network"] else "drawn")
    console = Console()
    console.print(table)
    console.print(f"C file: {path}", markup=False, soft_wrap=True)


def print_plan(page: Path, report: PlanReport, *, as_json: bool) -> None:
    """A plan across layers: totals with proof, gains by kind, what stays on chip, and where the page lies."""
    from reports.plan import plan_as_json
    from reports.plan_terminal import plan_tables

    if as_json:
        print_json({"page": str(page), **plan_as_json(report)})
        return
    console = Console()
    for table in plan_tables(report):
        console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    console.print(f"page: {page}", markup=False, soft_wrap=True)


def print_simulations(
    runs: Sequence[LayerRun],
    accelerator: Accelerator,
    *,
    checked: Sequence[ValueCheck],
    commands: int,
    as_json: bool,
) -> None:
    """Cycles and stalls of every layer; with `commands`, the head of each distinct program."""
    from systolic.recording import layer_rows

    values = {check.layer: check for check in checked}
    rows = layer_rows(runs, accelerator)
    if as_json:
        for row in rows:
            if row["name"] in values:
                row["values_equal"] = values[row["name"]].equal
        print_json({"accelerator": accelerator.name, "layers": rows})
        return
    table = Table("layer", "shape", "where", "cycles", "roofline", "busy", "stalls by cause", title=accelerator.name)
    if checked:
        table.add_column("values")
    for row, run in zip(rows, runs, strict=True):
        stalls = run.result.stall_cycles if run.result else {}
        busy = f"{run.result.execute_busy_cycles / run.result.cycles:.0%}" if run.result else ""
        cells = [
            row["name"],
            row["shape"],
            f"{row['where']} ({row['costed_by']})",
            f"{row['cycles']:,.0f}",
            f"{row['roofline_cycles']:,.0f}",
            busy,
            ", ".join(
                f"{cause.replace('_', ' ')} {percent(cycles / row['cycles'])}"
                for cause, cycles in sorted(stalls.items(), key=lambda item: -item[1])
                if cycles
            ),
        ]
        if checked:
            cells.append(values[row["name"]].text if row["name"] in values else "")
        _add_row(table, *cells)
    console = Console()
    console.print(table)
    if commands:
        _print_programs(console, runs, accelerator, commands)


def _print_programs(console: Console, runs: Sequence[LayerRun], accelerator: Accelerator, commands: int) -> None:
    from mapper.program import layer_programs
    from simulator.isa import disassemble, head

    for index, run in enumerate(runs):
        if run.result is None or run.identical_to != index:
            continue
        shown = head(next(layer_programs(run.layer, run.mapping, accelerator)), commands)
        total = f"{len(shown):,} of {run.result.commands:,} commands"
        console.print(f"\n{run.layer.name}: {total}", highlight=False, markup=False)
        for line in disassemble(shown):
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
