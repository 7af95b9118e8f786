"""`systolic machines`: its options."""

from __future__ import annotations

from systolic.options import JsonOption


def machines(as_json: JsonOption = False) -> None:
    """List the machines of rooflines that ship with systolic; any of them, or your own TOML file, goes to --machine."""
    from simulator.rooflines.machines import all_machine_names, find_machine
    from systolic.roofline_show import print_machines

    print_machines([find_machine(name) for name in all_machine_names()], as_json=as_json)
