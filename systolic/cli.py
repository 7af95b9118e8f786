"""The commands, in the order of the help. One more is a file in `systolic/commands/` and a line in COMMANDS."""

from __future__ import annotations

from collections.abc import Callable

import typer

from systolic.commands.accelerators import accelerators
from systolic.commands.case_study import case_study
from systolic.commands.emit import emit
from systolic.commands.faults import faults
from systolic.commands.fidelity import fidelity
from systolic.commands.generate import generate
from systolic.commands.hierarchies import hierarchies
from systolic.commands.integer import integer
from systolic.commands.jets import jets
from systolic.commands.machines import machines
from systolic.commands.map_layers import map_layers
from systolic.commands.mapspace import mapspace
from systolic.commands.memory_wall import memory_wall
from systolic.commands.plan import plan
from systolic.commands.replay import replay
from systolic.commands.report import report
from systolic.commands.reproduce import reproduce
from systolic.commands.roofline import roofline
from systolic.commands.run import run
from systolic.commands.sensitivity import bits, sensitivity
from systolic.commands.show import show
from systolic.commands.simulate import simulate
from systolic.commands.workloads import workloads

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "accelerators": accelerators,
    "hierarchies": hierarchies,
    "machines": machines,
    "workloads": workloads,
    "show": show,
    "map": map_layers,
    "simulate": simulate,
    "mapspace": mapspace,
    "roofline": roofline,
    "memory-wall": memory_wall,
    "emit": emit,
    "integer": integer,
    "plan": plan,
    "generate": generate,
    "case-study": case_study,
    "replay": replay,
    "fidelity": fidelity,
    "sensitivity": sensitivity,
    "bits": bits,
    "jets": jets,
    "faults": faults,
    "report": report,
    "reproduce": reproduce,
}

app = typer.Typer(
    name="systolic",
    help="Neural networks on systolic arrays: schedule by integer programming, simulate cycle by cycle, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)
