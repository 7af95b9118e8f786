"""Code generation: a nest and its mapping become Gemmini's commands.

`emit` gives one Program, `emit_chunks` the same commands in pieces of bounded memory. The order of commands is that of
`codegen.steps`; layouts on chip are those of `codegen.walk`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mapper.codegen.plan import STATE_FIELDS, STEP
from mapper.codegen.steps import emit_steps
from mapper.codegen.walk import Walk, check_field, record_of, walk_of
from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.analytical import reduction_blocks
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, ceil_div, check_legal, in_parts
from simulator.program import Program

Activation = Literal["none", "relu"]
Commands = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]

CHUNK_COMMANDS = 120_000
"""2 MB: what a piece takes up is used again for the next. Just below what `simulator.skipping` looks at as one."""
EMIT_LIMIT_COMMANDS = 8_000_000
"""Beyond this `emit` refuses (136 MB of commands); `emit_chunks` does not."""
ACTIVATIONS: dict[Activation, int] = {"none": isa.NO_ACTIVATION, "relu": isa.RELU}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Byte addresses in memory of the operands of a nest; `bias` is needed only where the nest has one, `partial`
    (above all others: dense pixels of accumulator-type sums) only where a mapping spills partial sums. Address 0 means
    zeros to an mvin, so no operand may start there."""

    a: int
    b: int
    c: int
    bias: int = 0
    partial: int = 0


def emit(
    nest: ArrayNest,
    mapping: Mapping,
    accelerator: Accelerator,
    *,
    activation: Activation = "none",
    scale: float = 1.0,
    addresses: Addresses,
) -> Program:
    """The commands that compute `nest`: input-type A and B, accumulator-type bias, result scaled, rounded half to even,
    saturated.

    Raises what `emit_chunks` raises, and InputError for more than EMIT_LIMIT_COMMANDS commands.
    """
    needed = command_bound(nest, mapping, accelerator)
    if needed > EMIT_LIMIT_COMMANDS:
        raise InputError(
            "emit", "too many commands for one Program; use emit_chunks", value=needed, limit=EMIT_LIMIT_COMMANDS
        )
    chunks = list(emit_chunks(nest, mapping, accelerator, activation=activation, scale=scale, addresses=addresses))
    if len(chunks) == 1:
        return chunks[0]
    return Program(
        funct=np.concatenate([chunk.funct for chunk in chunks]),
        rs1=np.concatenate([chunk.rs1 for chunk in chunks]),
        rs2=np.concatenate([chunk.rs2 for chunk in chunks]),
    )


def emit_chunks(
    nest: ArrayNest,
    mapping: Mapping,
    accelerator: Accelerator,
    *,
    activation: Activation = "none",
    scale: float = 1.0,
    addresses: Addresses,
    chunk_commands: int = CHUNK_COMMANDS,
) -> Iterator[Program]:
    """The Program of `emit` in consecutive pieces of about `chunk_commands` commands (more where one tile takes more).

    Raises InputError or InfeasibleError where the mapping is not legal, the machine lacks the activation, a stride does
    not fit its command field, or operands of the nest would need two transposers.
    """
    check_legal(nest, mapping, accelerator)
    part = in_parts(nest, mapping)
    walk = walk_of(part, replace(mapping, reduction_parts=1), accelerator)._replace(parts=mapping.reduction_parts)
    configuration = isa.program_of(_configuration(nest, mapping, accelerator, walk, activation, scale))
    switches = isa.program_of(_switches(nest, accelerator, walk, activation, scale))
    bases = np.array(
        (
            *_checked(addresses, nest, mapping),
            *switches.rs1.view(np.int64).tolist(),
            *switches.rs2.view(np.int64).tolist(),
        ),
        np.int64,
    )
    return _chunks(walk, configuration, bases, _repeat_offsets(part, accelerator), _step_bounds(walk), chunk_commands)


def command_bound(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> int:
    """Computes and preloads of all steps: never more than the commands of the Program, and nearly all of them."""
    tile, dim = mapping.tile, accelerator.dim
    full, rest = divmod(nest.out_columns, tile.out_columns)
    runs = nest.images * nest.out_rows * (full * ceil_div(tile.out_columns, dim) + ceil_div(rest, dim))
    blocks = reduction_blocks(nest, mapping, dim) * ceil_div(nest.out_channels, dim)
    return 2 * nest.repeat_count * runs * blocks


def _checked(addresses: Addresses, nest: ArrayNest, mapping: Mapping) -> tuple[int, int, int, int, int]:
    spills = mapping.reduction_parts > 1
    named = (
        ("a", addresses.a),
        ("b", addresses.b),
        ("c", addresses.c),
        ("bias", addresses.bias if nest.bias else 1),
        ("partial", addresses.partial if spills else 1),
    )
    for name, address in named:
        if not 0 < address < 1 << 63:
            raise InputError(f"addresses.{name}", "not a usable byte address", value=address, limit="1..2^63-1")
    others = max(addresses.a, addresses.b, addresses.c, addresses.bias)
    if spills and addresses.partial <= others:
        raise InputError("addresses.partial", "must lie above all operands", value=addresses.partial, limit=others)
    return addresses.a, addresses.b, addresses.c, addresses.bias, addresses.partial


def _switches(
    nest: ArrayNest, accelerator: Accelerator, walk: Walk, activation: Activation, scale: float
) -> list[isa.Command]:
    """What changes when partial sums come back instead of the bias, and results leave instead of partial sums."""
    row = nest.out_channels * accelerator.accumulator_bytes
    return [
        isa.config_ld(stride_bytes=row, block_stride=walk.c_plane, load_id=2),
        isa.config_st(stride_bytes=walk.c_stride * walk.input_bytes, activation=ACTIVATIONS[activation], scale=scale),
    ]


def _configuration(
    nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, walk: Walk, activation: Activation, scale: float
) -> list[isa.Command]:
    """The config commands in front: strides never change within one nest."""
    if activation != "none" and activation not in accelerator.fused_activations:
        raise InputError("activation", f"{accelerator.name} cannot apply it on the way out", value=activation)
    flow = isa.WEIGHT_STATIONARY if mapping.dataflow == "ws" else isa.OUTPUT_STATIONARY
    a_block = walk.a_chunk if nest.transpose_a else walk.a_depth
    check_field("blocks of A are too far apart on chip", a_block)
    check_field("blocks of B are too far apart on chip", walk.b_block)
    check_field("blocks of the result are too far apart on chip", walk.c_plane)
    a_bytes = walk.a_stride * walk.input_bytes * (1 if nest.transpose_a else walk.column_step)
    step = nest.column_stride // walk.column_step
    commands = [
        isa.config_ex(
            dataflow=flow,
            a_stride=1 if nest.transpose_a else step,
            a_transposed=nest.transpose_a,
            b_transposed=nest.transpose_b,
        ),
        isa.config_ld(stride_bytes=a_bytes, block_stride=a_block, load_id=0, pixel_repeats=walk.pixels),
        isa.config_ld(stride_bytes=walk.b_stride * walk.input_bytes, block_stride=walk.b_block, load_id=1),
        isa.config_st(stride_bytes=walk.c_stride * walk.input_bytes, activation=ACTIVATIONS[activation], scale=scale),
    ]
    if mapping.reduction_parts > 1:
        commands[-1] = isa.config_st(stride_bytes=nest.out_channels * accelerator.accumulator_bytes)
    if nest.bias:
        commands.append(isa.config_ld(stride_bytes=0, block_stride=walk.c_plane, load_id=2))
    return commands


def _repeat_offsets(nest: ArrayNest, accelerator: Accelerator) -> npt.NDArray[np.int64]:
    """Byte offsets (repeats, 4) of A, B, C and the bias in every repeat, the last Repeat fastest."""
    offsets = np.zeros((1, 4), np.int64)
    width = (*(accelerator.input_bytes,) * 3, accelerator.accumulator_bytes)
    for repeat in nest.repeats:
        strides = (repeat.a_stride, repeat.b_stride, repeat.c_stride, repeat.bias_stride)
        steps = np.arange(repeat.count)[:, None] * np.array([s * w for s, w in zip(strides, width, strict=True)])
        offsets = (offsets[:, None, :] + steps[None, :, :]).reshape(-1, 4)
    return np.ascontiguousarray(offsets, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepBounds:
    """Most commands of each kind that one step can have."""

    runs: int
    computes: int
    a_loads: int
    b_loads: int
    stores: int

    @property
    def loads(self) -> int:
        """Loads of two steps, the bias included."""
        return 2 * (self.a_loads + self.b_loads + self.stores)

    @property
    def commands(self) -> int:
        """Commands of one step."""
        return 2 * self.computes + self.loads + self.stores


def _step_bounds(walk: Walk) -> _StepBounds:
    runs = walk.tile_images * walk.tile_out_rows * ceil_div(walk.tile_out_columns, walk.dim)
    packs = walk.tile_kernel_rows * ceil_div(walk.tile_kernel_columns, walk.pixels)
    k_blocks = packs * ceil_div(walk.tile_in_channels, walk.dim)
    return _StepBounds(
        runs=runs,
        computes=runs * k_blocks * walk.c_blocks,
        # An mvin moves at least one row of a buffer.
        a_loads=walk.a_rows,
        b_loads=walk.b_rows,
        stores=2 * runs * walk.c_blocks,
    )


def _load_list(size: int) -> tuple[npt.NDArray[np.generic], ...]:
    """Room for `size` loads: funct, rs1, rs2, cycles of the port, position."""
    kinds = (np.uint8, np.uint64, np.uint64, np.int64, np.int64)
    return tuple(np.empty(size, kind) for kind in kinds)


def _chunks(
    walk: Walk,
    configuration: Program,
    bases: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    bounds: _StepBounds,
    chunk_commands: int,
) -> Iterator[Program]:
    loads, *ahead = (_load_list(size) for size in (bounds.loads, bounds.a_loads, bounds.b_loads))
    stores = (
        np.empty(bounds.stores, np.uint64),
        np.empty(bounds.stores, np.uint64),
        np.empty(bounds.stores, np.int64),
        np.empty(bounds.stores, np.int64),
    )
    runs, pieces = np.empty((bounds.runs, 4), np.int64), np.empty((bounds.runs, 5), np.int64)
    state = np.zeros(STATE_FIELDS, np.int64)
    steps = walk.repeats * walk.pixel_tiles * walk.channel_tiles * walk.reduction_tiles
    # One switch each of what is loaded into the accumulator and of what is stored from it.
    room, record = bounds.commands + 2, record_of(walk)
    capacity = max(chunk_commands, room) + len(configuration)
    head = configuration
    while state[STEP] < steps:
        out: Commands = (np.empty(capacity, np.uint8), np.empty(capacity, np.uint64), np.empty(capacity, np.uint64))
        out[0][: len(head)], out[1][: len(head)], out[2][: len(head)] = head.funct, head.rs1, head.rs2
        used = emit_steps(
            record, bases, offsets, state, loads, tuple(ahead), stores, runs, pieces, out, len(head), room
        )
        yield Program(funct=out[0][:used], rs1=out[1][:used], rs2=out[2][:used])
        head = Program(funct=configuration.funct[:0], rs1=configuration.rs1[:0], rs2=configuration.rs2[:0])
