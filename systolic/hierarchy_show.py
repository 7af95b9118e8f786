"""What `systolic map --hierarchy` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

import msgspec
from rich.console import Console
from rich.table import Table

from reports.units import byte_size, percent, si
from simulator.hierarchy.description import Hierarchy
from simulator.hierarchy.text import loop_text
from systolic.hierarchy_job import HierarchyRequest, HierarchyRun, layer_rows, map_onto_hierarchy
from systolic.show import print_json
from systolic.terminal import stage_progress


def run_and_print(request: HierarchyRequest, *, loops: bool, as_json: bool) -> None:
    """Map, with a bar on the terminal, and print."""
    with stage_progress() as progress:
        run = map_onto_hierarchy(request, progress)
    print_hierarchy_run(run, loops=loops, as_json=as_json)


def print_hierarchies(hierarchies: Sequence[Hierarchy], *, as_json: bool) -> None:
    """Name, size and memories of each hierarchy."""
    if as_json:
        print_json([msgspec.to_builtins(hierarchy) for hierarchy in hierarchies])
        return
    table = Table("name", "multipliers", "memories below DRAM (instances)", "what it is")
    for hierarchy in hierarchies:
        memories = ", ".join(
            f"{level.name} {byte_size(level.capacity_bytes or inf)} ({hierarchy.instances(index):,})"
            for index, level in enumerate(hierarchy.levels)
            if index
        )
        table.add_row(hierarchy.name, f"{hierarchy.multipliers:,}", memories, hierarchy.description)
    Console().print(table)


def print_hierarchy_run(run: HierarchyRun, *, loops: bool, as_json: bool) -> None:
    """A row for equal layers, then, with `loops`, the loops of every distinct mapping."""
    texts = {
        layer.name: loop_text(layer.nest, layer.mapping, run.hierarchy)
        for index, layer in enumerate(run.layers)
        if loops and layer.identical_to == index
    }
    if as_json:
        rows = layer_rows(run)
        for row in rows:
            if row["identical_to"] in texts:
                row["loops"] = texts[row["identical_to"]].splitlines()
        print_json(
            {
                "hierarchy": run.hierarchy.name,
                "dataflow": run.dataflow,
                "objective": run.objective,
                "layers": rows,
                "left_out": list(run.left_out),
            }
        )
        return
    console = Console()
    console.print(_table(run))
    for reason in run.left_out:
        console.print(f"left out: {reason}", markup=False)
    for name, text in texts.items():
        console.print(f"\n{name}\n{text}", markup=False, highlight=False)


def _table(run: HierarchyRun) -> Table:
    title = f"{run.hierarchy.name}, {run.dataflow} dataflow, least {run.objective.replace('_', ' ')}"
    names = ", ".join(level.name for level in run.hierarchy.levels)
    total = sum(layer.cost.cycles for layer in run.layers)
    rate = f"{si(total / run.hierarchy.clock_hz, 's')} at {si(run.hierarchy.clock_hz, 'Hz')}"
    table = Table(title=title, caption=f"{rate}; energy by level in %: {names}, arithmetic")
    table.add_column("layer", overflow="fold")
    table.add_column("loops", overflow="fold")
    for heading in ("times", "cycles", "util.", "energy", "by level %", "DRAM", "proof", "seconds"):
        table.add_column(heading, justify="right" if heading != "by level %" else "left", overflow="fold")
    times = Counter(layer.identical_to for layer in run.layers)
    for index, count in sorted(times.items()):
        layer = run.layers[index]
        cost, solve = layer.cost, layer.solve
        parts = (*(level.energy_pj for level in cost.levels), cost.mac_energy_pj)
        table.add_row(
            layer.name,
            " ".join(f"{name}={size}" for name, size in layer.nest.dims),
            str(count),
            f"{cost.cycles:,.0f}",
            percent(cost.utilisation),
            si(cost.energy_pj * 1e-12, "J"),
            "/".join(f"{100 * part / cost.energy_pj:.0f}" for part in parts),
            si(cost.dram_bytes, "B"),
            "optimal" if solve.gap == 0 else f"{solve.status}, gap {percent(solve.gap)}",
            f"{solve.wall_seconds:.1f}",
        )
    energy = sum(layer.cost.energy_pj for layer in run.layers)
    traffic = sum(layer.cost.dram_bytes for layer in run.layers)
    busy = sum(layer.cost.macs for layer in run.layers) / (total * run.hierarchy.multipliers)
    table.add_section()
    table.add_row(
        "all",
        "",
        str(len(run.layers)),
        f"{total:,.0f}",
        percent(busy),
        si(energy * 1e-12, "J"),
        "",
        si(traffic, "B"),
        "",
        "",
    )
    return table
