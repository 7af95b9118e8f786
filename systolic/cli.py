"""The commands, in the order of the help. One more is a file in `systolic/commands/` and a line in COMMANDS.

A command's file is imported when the command is asked for, so that none waits for the others' imports.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "run": "run",
    "accelerators": "accelerators",
    "hierarchies": "hierarchies",
    "machines": "machines",
    "workloads": "workloads",
    "show": "show",
    "map": "map_layers",
    "simulate": "simulate",
    "mapspace": "mapspace",
    "roofline": "roofline",
    "memory-wall": "memory_wall",
    "emit": "emit",
    "firmware": "firmware",
    "integer": "integer",
    "plan": "plan",
    "generate": "generate",
    "case-study": "case_study",
    "replay": "replay",
    "fidelity": "fidelity",
    "sensitivity": "sensitivity",
    "bits": "sensitivity:bits",
    "jets": "jets",
    "faults": "faults",
    "report": "report",
    "reproduce": "reproduce",
}
"""Where each is in `systolic.commands`: its file and, behind a colon where they differ, its function."""


def command_function(name: str) -> Callable[..., None]:
    """The function of command `name`, its file imported. Raises KeyError for a command that does not exist."""
    file, _, function = COMMANDS[name].partition(":")
    found: Callable[..., None] = getattr(import_module(f"systolic.commands.{file}"), function or file)
    return found


class LazyCommands(TyperGroup):
    """Makes a command of COMMANDS when it is looked up."""

    def list_commands(self, _context: Any) -> list[str]:
        """All names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, _context: Any, cmd_name: str) -> Any:
        """The command of that name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            one.command(name=cmd_name)(command_function(cmd_name))
            self.commands[cmd_name] = typer.main.get_command(one)
        return self.commands[cmd_name]


app = typer.Typer(
    name="systolic",
    cls=LazyCommands,
    help="Neural networks on systolic arrays: schedule by integer programming, simulate cycle by cycle, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def systolic() -> None:
    """Neural networks on systolic arrays: schedule by integer programming, simulate cycle by cycle, report."""
