"""Which tensors may stay on chip between layers, where and for how long, on a machine as it is or with one path more.

Three ways, each a window over the order of execution:

* sums stay in the accumulator. The array takes them from there as its next input (ex_read_from_acc), a residual add
loads its other operand onto them, the vector unit normalises them where they are. They are int32: four bytes an
element. * an input that several matmuls read stays in the scratchpad once the first of them has loaded it whole. * with
a path from the accumulator to the scratchpad, which Gemmini lacks, results stay in the scratchpad as inputs of what
comes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mapper.across_layers.problem import Memory, Residence
from mapper.across_layers.steps import Step, Steps, normalises_rows
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import ceil_div, input_extent

Role = Literal["makes", "loads", "reads"]
LONGEST_WINDOW = 24
"""Layers over which a tensor may stay: longer windows crowd out more than they save, and make the program larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A residence with what each layer that touches it does, and whether the tensor is stored in memory as well."""

    residence: Residence
    roles: dict[int, Role]
    stored: bool


def possible_stays(steps: Steps, accelerator: Accelerator, *, result_path: bool) -> tuple[Stay, ...]:
    """Every stay that fits its memory alone; `result_path`: results can go to the scratchpad."""
    stays: list[Stay] = []
    makers = {step.writes: number for number, step in enumerate(steps.steps)}
    for tensor, readers in steps.readers.items():
        maker = makers.get(tensor)
        if maker is not None and len(steps.steps[maker].op.outputs) == 1:
            stays += _of_sums(steps, tensor, maker, readers, accelerator)
            if result_path:
                stays += _of_results(steps, tensor, maker, readers, accelerator)
        stays += _of_inputs(steps, tensor, readers, accelerator)
    capacity = {"scratchpad": accelerator.scratchpad_rows, "accumulator": accelerator.accumulator_rows}
    return tuple(
        stay
        for stay in stays
        if stay.residence.rows <= capacity[stay.residence.memory]
        and stay.residence.last - stay.residence.first <= LONGEST_WINDOW
    )


def _of_sums(steps: Steps, tensor: str, maker: int, readers: tuple[int, ...], accelerator: Accelerator) -> list[Stay]:
    """Stays in the accumulator, until each of the readers that can work there; an addition overwrites the sums, so it
    is the last."""
    sizes = _matrix(steps.steps[maker])
    if sizes is None:
        return []
    pixels, channels = sizes
    able: list[int] = []
    stays = []
    for reader in readers:
        step = steps.steps[reader]
        if not _reads_sums(step, tensor, sizes, accelerator):
            continue
        able.append(reader)
        stays.append(
            _stay(steps, tensor, "accumulator", pixels * ceil_div(channels, accelerator.dim), maker, able, readers)
        )
        if step.is_add:
            break
    return stays


def _of_results(
    steps: Steps, tensor: str, maker: int, readers: tuple[int, ...], accelerator: Accelerator
) -> list[Stay]:
    """Stays of int8 results in the scratchpad; whatever passes the store path can go there."""
    step = steps.steps[maker]
    if step.array_work is None and step.place not in ("unit", "store path"):
        return []
    able: list[int] = []
    stays = []
    for reader in readers:
        nest = steps.steps[reader].array_work
        if nest is None or not _is_whole_input(steps.steps[reader], tensor):
            continue
        if able and _layout(nest) != _layout(steps.steps[able[0]].array_work):
            continue
        able.append(reader)
        stays.append(_stay(steps, tensor, "scratchpad", input_rows(nest, accelerator), maker, able, readers))
    return stays


def _of_inputs(steps: Steps, tensor: str, readers: tuple[int, ...], accelerator: Accelerator) -> list[Stay]:
    """Stays in the scratchpad of what the first of several matmuls loaded."""
    able = [number for number in readers if _is_whole_input(steps.steps[number], tensor)]
    able = [
        number for number in able if _layout(steps.steps[number].array_work) == _layout(steps.steps[able[0]].array_work)
    ]
    stays = []
    for last in range(2, len(able) + 1):
        first, *others = able[:last]
        nest = steps.steps[first].array_work
        assert nest is not None, "a whole input is a matmul's"
        roles: dict[int, Role] = dict.fromkeys(others, "reads")
        roles[first] = "loads"
        residence = Residence(
            tensor=tensor,
            memory="scratchpad",
            rows=input_rows(nest, accelerator),
            first=first,
            last=others[-1],
            touched=frozenset(roles),
        )
        stays.append(Stay(residence=residence, roles=roles, stored=True))
    return stays


def _stay(
    steps: Steps,
    tensor: str,
    memory: Memory,
    rows: int,
    maker: int,
    able: list[int],
    readers: tuple[int, ...],
) -> Stay:
    roles: dict[int, Role] = dict.fromkeys(able, "reads")
    roles[maker] = "makes"
    residence = Residence(tensor=tensor, memory=memory, rows=rows, first=maker, last=able[-1], touched=frozenset(roles))
    stored = tensor in steps.kept or len(able) < len(readers)
    return Stay(residence=residence, roles=roles, stored=stored)


def _matrix(step: Step) -> tuple[int, int] | None:
    """Pixels and channels of a result whose sums the accumulator can hold as rows; None for other layers."""
    nest = step.array_work
    if nest is not None:
        return (nest.pixels, nest.out_channels) if nest.repeat_count == 1 else None
    if step.is_add:
        shape = step.layer.nest.write.shape
        return step.layer.nest.points // shape[-1], shape[-1]
    return None


def _reads_sums(step: Step, tensor: str, sizes: tuple[int, int], accelerator: Accelerator) -> bool:
    nest = step.array_work
    if nest is not None:
        pointwise = nest.kernel_rows * nest.kernel_columns * nest.column_stride * nest.row_stride == 1
        same = (nest.pixels, nest.in_channels) == sizes
        return accelerator.array.reads_accumulator and pointwise and same and _is_whole_input(step, tensor)
    if step.is_add:
        return step.reads.count(tensor) == 1
    return (
        normalises_rows(step, accelerator) and step.reads[0] == tensor and step.layer.nest.write.shape[-1] == sizes[1]
    )


def _is_whole_input(step: Step, tensor: str) -> bool:
    """Whether the step is one matmul or convolution whose first operand, as it lies, is all of `tensor`."""
    nest = step.array_work
    if nest is None or nest.repeat_count > 1 or nest.transpose_a or step.reads.count(tensor) != 1:
        return False
    return step.reads[0] == tensor


def _layout(nest: ArrayNest | None) -> tuple[int, ...]:
    """What decides how an input lies in the scratchpad."""
    assert nest is not None, "only matmuls have inputs there"
    if nest.kernel_rows * nest.kernel_columns * nest.row_stride * nest.column_stride == 1:
        return nest.pixels, nest.in_channels
    window = (nest.kernel_rows, nest.kernel_columns, nest.row_stride, nest.column_stride, nest.top_pad, nest.left_pad)
    return (
        nest.images,
        nest.in_rows,
        nest.in_columns,
        nest.in_channels,
        nest.row_dilation,
        nest.column_dilation,
        *window,
    )


def input_rows(nest: ArrayNest, accelerator: Accelerator) -> int:
    """Scratchpad rows of all of A, as `simulator.mapping.buffers` counts one copy of a whole one."""
    rows = input_extent(nest.out_rows, nest.row_stride, nest.kernel_rows, nest.row_dilation)
    columns = input_extent(nest.out_columns, nest.column_stride, nest.kernel_columns, nest.column_dilation)
    return nest.images * rows * columns * ceil_div(nest.in_channels, accelerator.dim)
