"""Machines by name, whatever describes them: a roofline's own TOML, or an accelerator's."""

from __future__ import annotations

from pathlib import Path

from simulator.accelerator_file import accelerator_names, load_accelerator
from simulator.rooflines.gemmini import machine_of
from simulator.rooflines.machine import Machine
from simulator.rooflines.machine_file import SHELF, load_machine, machine_names
from simulator.strict_toml import find_source, read_table


def all_machine_names() -> tuple[str, ...]:
    """Names of the machines and accelerators that ship, sorted."""
    return tuple(sorted({*machine_names(), *accelerator_names()}))


def find_machine(name_or_path: str | Path) -> Machine:
    """The machine of a name of `all_machine_names` or of a TOML file, which describes an accelerator where it has an
    `array` with a `dma`. Raises InputError as `load_machine` and `load_accelerator` do."""
    if str(name_or_path) in accelerator_names():
        return machine_of(load_accelerator(name_or_path))
    source = find_source(name_or_path, SHELF, folder=None, where="machine")
    table = read_table(source, "a machine")
    is_accelerator = "peaks" not in table and ("dma" in table or "base" in table)
    return machine_of(load_accelerator(name_or_path)) if is_accelerator else load_machine(name_or_path)
