"""Commands for what needs no array: int8 tensors through the accumulator, scaled on the way in, summed, and activated
or normalised on the way out.

Loads are Gemmini's shrinking ones (config_ld's shrink: int8 in memory, int32 in the accumulator, scaled and saturated
to 8 bits in between; LoadController.scala, Scratchpad.scala of ucb-bar/gemmini at 8c3f992), as its C library loads
operands of residual additions (gemmini.h at 180c468, sp_tiled_resadd).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapper.codegen.normalise import Normalisation, Row, configured, row_passes
from model_ir.errors import InputError
from model_ir.ops.integer_arithmetic import NormConstants
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.isa_normaliser import config_norm
from simulator.mapping import ceil_div
from simulator.normaliser import IGELU, NO_ACTIVATION
from simulator.program import Program

Words = tuple[int, int, int]
MOST_SOURCES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An int8 tensor in memory at byte `address`, times `scale` (binary32) as it is loaded."""

    address: int
    scale: float = 1.0


def emit_sum_normalised(
    rows: int,
    columns: int,
    accelerator: Accelerator,
    normalisation: Normalisation,
    *,
    sources: Sequence[Source],
    gain: int,
    target: int,
) -> Program:
    """The commands that add one or two int8 matrices `gain` times over, normalise each row and store int8 at `target`;
    one block of up to DIM rows loads while the one before is normalised.

    Raises InputError where the machine has no normaliser, its accumulator does not hold two blocks of one row, or there
    are other than one or two sources.
    """
    if accelerator.normaliser is None:
        raise InputError(f"accelerator {accelerator.name}", "has no normaliser", value=normalisation.function)
    dim = accelerator.dim
    blocks = ceil_div(columns, dim)
    if 2 * blocks * dim > accelerator.accumulator_rows:
        raise InputError(
            "columns",
            "two blocks of rows do not fit the accumulator",
            value=columns,
            limit=accelerator.accumulator_rows,
        )
    commands = [*_loads_configured(sources, columns, dim), *configured(normalisation, columns)]
    copies = (0, accelerator.accumulator_rows // 2)
    waiting: list[Words] = []
    for turn, first in enumerate(range(0, rows, dim)):
        count, base = min(dim, rows - first), copies[turn % 2]
        commands += _block_loads(sources, gain, first, count, columns, base, accelerator)
        commands += waiting
        pieces = [
            Row(
                memory=target + (first + row) * columns,
                blocks={block: base + block * dim + row for block in range(blocks)},
            )
            for row in range(count)
        ]
        waiting = list(row_passes(pieces, columns, dim, normalisation))
    return isa.program_of([*commands, *waiting])


def emit_activation(
    elements: int,
    accelerator: Accelerator,
    *,
    source: Source,
    target: int,
    scale: float,
    gelu: NormConstants | None = None,
) -> Program:
    """The commands that send `elements` int8 numbers through the accumulator: with `gelu`, through i-GELU of these
    constants; times `scale`, rounded half to even, saturated, stored at `target`.

    Raises InputError for no elements, or i-GELU on a machine without a normaliser.
    """
    if elements < 1:
        raise InputError("elements", "must be positive", value=elements, limit=1)
    if gelu is not None and (accelerator.normaliser is None or "gelu" not in accelerator.fused_activations):
        raise InputError(f"accelerator {accelerator.name}", "has no integer GELU")
    dim = accelerator.dim
    activation = NO_ACTIVATION if gelu is None else IGELU
    commands = [
        *_loads_configured((source,), dim, dim),
        isa.config_st(stride_bytes=dim, activation=activation & 3, scale=scale),
    ]
    if gelu is not None:
        commands.append(config_norm(gelu, activation_msb=activation >> 2))
    copies = accelerator.accumulator_rows // dim
    for turn, first in enumerate(range(0, elements, dim * dim)):
        here = min(dim * dim, elements - first)
        full, rest = divmod(here, dim)
        base = turn % copies * dim
        for row, count, width in ((0, full, dim), (full, 1 if rest else 0, rest)):
            if not count:
                continue
            local = isa.local_address(base + row, accumulator=True)
            offset = first + row * dim
            commands.append(isa.mvin(source.address + offset, local, width, count))
            commands.append(isa.mvout(target + offset, local, width, count))
    return isa.program_of(commands)


def _loads_configured(sources: Sequence[Source], columns: int, dim: int) -> list[Words]:
    if not 1 <= len(sources) <= MOST_SOURCES:
        raise InputError("sources", "one or two tensors are added", value=len(sources), limit=MOST_SOURCES)
    return [
        isa.config_ld(stride_bytes=columns, scale=source.scale, shrink=True, block_stride=dim, load_id=place)
        for place, source in enumerate(sources)
    ]


def _block_loads(
    sources: Sequence[Source],
    gain: int,
    first: int,
    count: int,
    columns: int,
    base: int,
    accelerator: Accelerator,
) -> Iterator[Words]:
    """Rows `first` to `first + count` of every source onto accumulator rows from `base` on, `gain` times."""
    dim, accumulate = accelerator.dim, False
    width = max(dim, accelerator.dma.request_bytes // dim * dim)
    for _ in range(gain):
        for place, source in enumerate(sources):
            for column in range(0, columns, width):
                local = isa.local_address(base + column, accumulator=True, accumulate=accumulate)
                at = source.address + first * columns + column
                yield isa.mvin(at, local, min(width, columns - column), count, load_id=place)
            accumulate = True
