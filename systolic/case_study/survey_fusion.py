"""Fusion on the survey's own assumptions (Kim et al., arXiv 2302.14017, section 5.5.2), on the cycle engine.

The survey estimates with Timeloop, which knows words and bandwidths, but neither commands nor a transposer. What it
assumes, and where that stands:

- the machine is `survey-timeloop`: the survey's array and memories at DRAM of 5.75 words of 8 bits a cycle;
- any element is one word there, a sum that waits for its normalisation, too, so that it leaves as a byte;
- a normalisation apart is a chain of passes over DRAM, as ucb-bar/dosa at a7a3239 states them for BERT
  (dataset/workloads/bert, mm_1_red, mm_1_ews, mm_3_red, mm_3_ews): a reduction reads two operands an element, an
  elementwise pass reads two and writes one. LayerNorm is two of each, for mean and variance ("a sum is computed first
  before a variance is computed using that sum", section 3.4.4), softmax one. Those counts are ours: printed is only
  that softmax takes "around 78 % of the total cycles" of the pair, which one of each does;
- apart, "Gemmini's default heuristic-based scheduler, which greedily maximizes loop tile factors": factors, so that
  tiles divide the loops;
- fused, "complete latency-hiding of nonlinear operations" by "additional hardware support": nothing is left of the
  normalisation but the tiles of whole rows that it demands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

import msgspec

from mapper.codegen.emit import Addresses, emit
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.mapping import Mapping, ceil_div
from simulator.program import Program
from systolic.case_study.fusion_pairs import Pair, case, matmul_tile, whole_rows
from systolic.case_study.machines import KIB

Pass = Literal["reduction", "elementwise"]
OPERANDS: Final = 2
"""Words that either pass reads for an element."""
PASSES: Final[dict[str, tuple[Pass, ...]]] = {
    "softmax": ("reduction", "elementwise"),
    "layer_norm": ("reduction", "elementwise", "reduction", "elementwise"),
}
"""Passes over DRAM of a normalisation by itself."""
ADDRESSES: Final = Addresses(a=0x80000000, b=0x90000000, c=0xA0000000)


def survey_machine_of(accumulator_kib: int) -> Accelerator:
    """`survey-timeloop` with an accumulator of so many KiB."""
    base = load_accelerator("survey-timeloop")
    accumulator = msgspec.structs.replace(base.accumulator, capacity_bytes=accumulator_kib * KIB)
    return msgspec.structs.replace(base, accumulator=accumulator)


def survey_pair(name: str, tokens: int, accumulator_kib: int) -> Pair:
    """One of `fusion_pairs.NAMES` of BERT-Base as the survey estimates it, every command simulated."""
    accelerator = survey_machine_of(accumulator_kib)
    found = case(name, tokens, accelerator)
    nest = as_read(found.nest)
    apart = apart_cycles(nest, found.function, accelerator)
    return Pair(apart=apart, fused=hidden_cycles(nest, found.function, accelerator)).times(found.count)


def as_read(nest: ArrayNest) -> ArrayNest:
    """The matmul with both operands in memory as the array reads them, without bias, once."""
    return replace(
        nest,
        a_stride=nest.in_channels,
        b_stride=nest.out_channels,
        c_stride=nest.out_channels,
        transpose_a=False,
        transpose_b=False,
        bias=False,
        repeats=(),
    )


def apart_cycles(nest: ArrayNest, function: str, accelerator: Accelerator) -> int:
    """Cycles of the matmul under `factor_heuristic` and of the passes of `function` after it."""
    matmul = emit(nest, factor_heuristic(nest, accelerator), accelerator, addresses=ADDRESSES)
    elements = nest.pixels * nest.out_channels
    passes = (emit_pass(elements, writes=one == "elementwise", accelerator=accelerator) for one in PASSES[function])
    return sum(simulate(program, accelerator).cycles for program in (matmul, *passes))


def hidden_cycles(nest: ArrayNest, function: str, accelerator: Accelerator) -> int:
    """Cycles of the matmul in tiles of whole rows, the normalisation hidden behind it."""
    return simulate(
        emit(nest, whole_rows(nest, function, accelerator), accelerator, addresses=ADDRESSES), accelerator
    ).cycles


def factor_heuristic(nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """Tile sizes grown in turn, columns, rows, depth, from one factor of their loop (in DIM blocks) to the next while
    half of each memory holds them: Gemmini's heuristic where tiles must divide the loops, as Timeloop's do."""
    dim = accelerator.dim
    scratchpad, accumulator = (rows // dim // 2 for rows in (accelerator.scratchpad_rows, accelerator.accumulator_rows))
    limits = tuple(ceil_div(size, dim) for size in (nest.out_channels, nest.out_columns, nest.in_channels))
    sizes, before = [1, 1, 1], [0, 0, 0]
    while sizes != before:
        before = list(sizes)
        for index, limit in enumerate(limits):
            larger = list(sizes)
            larger[index] = next((size for size in range(sizes[index] + 1, limit + 1) if limit % size == 0), limit)
            j, i, k = larger
            if (i * k + k * j) <= scratchpad and i * j <= accumulator:
                sizes = larger
    j, i, k = (size * dim for size in sizes)
    tile = matmul_tile(min(i, nest.out_columns), min(j, nest.out_channels), min(k, nest.in_channels))
    return Mapping(dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile")


def emit_pass(elements: int, *, writes: bool, accelerator: Accelerator) -> Program:
    """The commands of a pass over `elements` (in whole pieces of DIM rows of four blocks): two operands of a byte an
    element in, and with `writes` a result of a byte out, pieces loading while those before are stored."""
    dim = accelerator.dim
    width, rows = 4 * dim, dim
    piece, copies = width * rows, accelerator.scratchpad_rows // (OPERANDS * width)
    commands = [isa.config_ld(stride_bytes=width), isa.config_st(stride_bytes=width)]
    for number, first in enumerate(range(0, elements, piece)):
        local = number % copies * OPERANDS * width
        for operand, base in enumerate((ADDRESSES.a, ADDRESSES.b)):
            commands.append(isa.mvin(base + first, isa.local_address(local + operand * width), width, rows))
        for block in range(4 if writes else 0):
            at = isa.local_address(local + block * dim)
            commands.append(isa.mvout(ADDRESSES.c + first + block * dim, at, dim, rows))
    return isa.program_of(commands)
