"""Fully serial execution: every command alone on an idle machine, one after the other. The upper bound the engine
must keep.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.accelerator import Accelerator, Memory
from simulator.engine import simulate
from simulator.isa import COMPUTE_ACCUMULATED, COMPUTE_PRELOADED, CONFIG, CONFIG_LD, PRELOAD, field
from simulator.program import Program

Words = tuple[int, int, int]


def _slot(command: Words) -> int:
    """Which configuration a config command sets: execute, store, or one of the load configurations."""
    kind = field(command[1], 1, 0)
    return 16 + field(command[1], 4, 3) if kind == CONFIG_LD else kind


def _cycles(commands: list[Words], like: Program, accelerator: Accelerator, memory: Memory | None) -> int:
    program = replace(
        like,
        funct=np.array([command[0] for command in commands], dtype=np.uint8),
        rs1=np.array([command[1] for command in commands], dtype=np.uint64),
        rs2=np.array([command[2] for command in commands], dtype=np.uint64),
    )
    return simulate(program, accelerator, memory=memory).cycles


def serial_cycles(program: Program, accelerator: Accelerator, *, memory: Memory | None = None) -> int:
    """Cycles of `program` with no overlap at all: the sum over its commands of their time alone on the idle machine.

    A preload and its compute count as one command (neither is legal alone). The configuration a command needs
    precedes it and its one cycle a command is not counted. Meant as an oracle for small programs: every distinct
    command is simulated.
    """
    words = zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), strict=True)
    configs: dict[int, Words] = {}
    known: dict[tuple[Words, ...], int] = {}
    total, group = 0, []
    for command in words:
        if command[0] == CONFIG:
            configs[_slot(command)] = command
            total += _cycles([command], program, accelerator, memory)
            continue
        group.append(command)
        if command[0] == PRELOAD:
            continue
        if command[0] == COMPUTE_ACCUMULATED and group[0][0] == PRELOAD:
            group[-1] = (COMPUTE_PRELOADED, *command[1:])
        key = (*configs.values(), *group)
        if key not in known:
            known[key] = _cycles(list(key), program, accelerator, memory) - len(configs)
        total += known[key]
        group = []
    return total
