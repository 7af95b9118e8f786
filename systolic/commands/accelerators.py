"""`systolic accelerators`: its options."""

from __future__ import annotations

from systolic.options import JsonOption


def accelerators(as_json: JsonOption = False) -> None:
    """List the machines that ship with systolic; any of them, or your own TOML file, goes to --accelerator."""
    from simulator.accelerator_file import accelerator_names, load_accelerator
    from systolic.show import print_accelerators

    print_accelerators([load_accelerator(name) for name in accelerator_names()], as_json=as_json)
