"""An integer-only network executed twice, by the graph executor and by its commands, and compared number by number.

Every step of the machine gets what the machine's own steps before it made, never what the graph executor has; the host
computes its steps with the operators' definitions, on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.grouped import block_diagonal
from mapper.integer.code import StepCode, step_code
from mapper.integer.steps import Step, integer_steps, on_machine
from mapper.layout import channels_last_tensors
from mapper.program import BASE_ADDRESS
from mapper.schedule import schedule_layers
from model_ir.graph import Graph, execute
from model_ir.loop_nest import LoopNest
from model_ir.ops.contraction import Conv
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.functional import execute as execute_commands
from simulator.fusion import Tail
from simulator.mapping import Mapping as Tiling

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
"""Called with a stage, how many of its steps are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerProgram:
    """An integer-only `graph` compiled for a machine: its steps, and for those that are commands the code and, where
    the array works, the mapping that the code follows (None elsewhere)."""

    graph: Graph = field(repr=False)
    accelerator: Accelerator = field(repr=False)
    steps: tuple[Step, ...]
    codes: tuple[StepCode | None, ...] = field(repr=False)
    mappings: tuple[Tiling | None, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCheck:
    """How many elements of a step's result differ between the commands and the graph executor, over all inputs."""

    step: Step
    elements: int
    mismatches: int

    @property
    def equal(self) -> bool:
        """Whether every element is the same."""
        return self.mismatches == 0


def compile_integers(
    graph: Graph,
    accelerator: Accelerator,
    *,
    time_limit_seconds: float = 10.0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> IntegerProgram:
    """Schedule every step and write its commands.

    Products are mapped by the integer program (`mapper.schedule`); those whose rows a softmax normalises in the
    accumulator by `mapper.across_layers.fused_mapping`. Raises InputError for a machine
    that has no int8, InfeasibleError where not even the smallest tile of a product fits.
    """
    steps = integer_steps(graph, accelerator)
    fused = {
        step.name: fused_mapping(step.work, accelerator, Tail(normalise="softmax"))[0]
        for step in steps
        if step.place == "array + normaliser" and step.work is not None
    }
    products = [step for step in steps if step.work is not None and step.name not in fused]
    scheduled = schedule_layers(
        [step.work for step in products if step.work is not None],
        accelerator,
        time_limit_seconds=time_limit_seconds,
        workers=workers,
        progress=None if progress is None else lambda done, total, _: progress("schedule", done, total),
    )
    mappings = fused | {step.name: plan.mapping for step, plan in zip(products, scheduled, strict=True)}
    machine = {step.name for step in on_machine(steps)}
    codes = tuple(
        step_code(graph, step, mappings.get(step.name), accelerator) if step.name in machine else None for step in steps
    )
    return IntegerProgram(
        graph=graph,
        accelerator=accelerator,
        steps=steps,
        codes=codes,
        mappings=tuple(mappings.get(step.name) for step in steps),
    )


def run_commands(program: IntegerProgram, feeds: Mapping[str, Any]) -> dict[str, Array]:
    """Every step's result by tensor name: commands on the functional simulator, the rest on the host."""
    values: dict[str, Array] = {name: np.asarray(value) for name, value in feeds.items()}
    values.update(program.graph.constants)
    channels_last = channels_last_tensors(program.graph)
    for step, code in zip(program.steps, program.codes, strict=True):
        if code is None:
            for op in step.ops:
                results = op.evaluate(np, *(values[name] if name else None for name in op.inputs))
                values.update(zip(op.outputs, results, strict=True))
        else:
            values[step.output] = _run_step(program, step, code, values, channels_last)
    return values


def check_integers(
    program: IntegerProgram, batches: Sequence[Mapping[str, Any]], *, progress: Progress | None = None
) -> tuple[StepCheck, ...]:
    """Run every batch both ways and count, step by step, the elements that differ."""
    elements, wrong = [0] * len(program.steps), [0] * len(program.steps)
    for done, feeds in enumerate(batches, 1):
        expected: dict[str, Array] = {}
        execute(program.graph, feeds, watch=expected.__setitem__)
        found = run_commands(program, feeds)
        for place, step in enumerate(program.steps):
            elements[place] += expected[step.output].size
            wrong[place] += int(np.count_nonzero(found[step.output] != expected[step.output]))
        if progress is not None:
            progress("compare", done, len(batches))
    return tuple(
        StepCheck(step=step, elements=count, mismatches=errors)
        for step, count, errors in zip(program.steps, elements, wrong, strict=True)
    )


def engine_cycles(program: IntegerProgram, *, progress: Progress | None = None) -> tuple[int | None, ...]:
    """Cycles of every step's commands on the cycle-level engine, one step after another; None for the host's steps and
    moves. Raises InputError for commands that the engine cannot time."""
    found: list[int | None] = []
    for done, code in enumerate(program.codes, 1):
        runs = () if code is None else (simulate(part, program.accelerator) for part in code.programs)
        found.append(None if code is None else sum(run.cycles for run in runs))
        if progress is not None:
            progress("simulate", done, len(program.codes))
    return tuple(found)


def _run_step(
    program: IntegerProgram, step: Step, code: StepCode, values: Mapping[str, Array], channels_last: frozenset[str]
) -> Array:
    tensor = program.graph.tensors[step.output]
    image = np.zeros(code.image_bytes, np.uint8)
    for address, stored in zip(code.operands, _operands(step, values, tensor.shape, channels_last), strict=True):
        raw = np.ascontiguousarray(stored).reshape(-1).view(np.uint8)
        image[address - BASE_ADDRESS : address - BASE_ADDRESS + raw.size] = raw
    for commands in code.programs:
        execute_commands(commands, program.accelerator, image, BASE_ADDRESS)
    size = tensor.elements * (4 if code.wide else 1)
    result = image[code.result - BASE_ADDRESS :][:size].view(np.int32 if code.wide else np.int8)
    if step.nest is None or not _is_channels_last(step, tensor.name, channels_last, len(tensor.shape)):
        return result.reshape(tensor.shape).copy()
    shape = (tensor.shape[0], *tensor.shape[2:], tensor.shape[1])
    return np.ascontiguousarray(np.moveaxis(result.reshape(shape), -1, 1))


def _operands(
    step: Step, values: Mapping[str, Array], shape: tuple[int, ...], channels_last: frozenset[str]
) -> list[Array]:
    """What the step reads, as it lies in memory."""
    if step.work is None or step.nest is None:
        reads = [values[name] for name in step.inputs]
        return [np.broadcast_to(value, shape) if len(reads) > 1 else value for value in reads]
    op = step.ops[0]
    found = []
    for place, access in enumerate(step.nest.reads):
        value = values[access.tensor]
        if isinstance(op, Conv) and place == 1:
            value = value.transpose(*range(2, value.ndim), 1, 0)
        elif place != 1 and _is_channels_last(step, access.tensor, channels_last, value.ndim):
            value = np.moveaxis(value, 1, -1)
        found.append(value.reshape(-1))
    if _is_swapped(step.nest):
        found[:2] = found[1::-1]
    found[1] = _in_blocks(step.work, found[1])
    return found


def _is_channels_last(step: Step, tensor: str, channels_last: frozenset[str], rank: int) -> bool:
    """Whether an activation lies with its channels side by side: what convolutions read and write."""
    return rank > 2 and (isinstance(step.ops[0], Conv) or tensor in channels_last)


def _in_blocks(work: ArrayNest, weights: Array) -> Array:
    """The weights of packed groups as block-diagonal matrices; others as they are."""
    if work.groups == 1:
        return weights
    depth, width = work.in_channels // work.groups, work.out_channels // work.groups
    single = weights.reshape(work.kernel_rows, work.kernel_columns, depth, -1, width)
    return block_diagonal(single, work.groups).reshape(-1)


def _is_swapped(nest: LoopNest) -> bool:
    """Whether the array keeps the nest's first operand: only its loops run along the result's contiguous axis
    (`simulator.nest_view` swaps them then)."""
    first, second = ({name for index in read.indices for name, _ in index.terms} for read in nest.reads[:2])
    along = {name for name, _ in nest.write.indices[-1].terms} if nest.write.indices else set()
    return bool(along & first) and not along & second
