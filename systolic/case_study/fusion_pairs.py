"""A matmul of BERT-Base and its normalisation, one after the other and as one: the commands that Gemmini runs, all of
them on the cycle engine (docs/across-layers.md says more)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.codegen.emit import Addresses
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation, emit_wide
from mapper.heuristic import heuristic
from model_ir.errors import InfeasibleError
from model_ir.ops.integer_arithmetic import NormConstants, softmax_constants
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.fusion import Tail
from simulator.mapping import Mapping, Tile, check_legal
from systolic.case_study.encoder import SOFTMAX_SCALE
from systolic.case_study.machines import KIB
from systolic.pipeline import layers_of
from workloads.bert import BERT_BASE, build

NAMES: Final = {
    "scores": ("attention.scores", "attention.softmax"),
    "output": ("attention.output", "attention.norm"),
    "second": ("feed_forward.out", "feed_forward.norm"),
}
"""Query times key with softmax, W_out with LayerNorm, W_2 with LayerNorm."""
SHORT: Final = 512
_ADDRESSES: Final = Addresses(a=0x80000000, b=0x90000000, c=0xA0000000, bias=0xB0000000)
_LAYER: Final = "layers.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Cycles of a matmul and its normalisation one after the other, and as one."""

    apart: float
    fused: float

    @property
    def change(self) -> float:
        """Of the latency by fusing."""
        return self.fused / self.apart - 1

    def __add__(self, other: Pair) -> Pair:
        """Both pairs, one after the other."""
        return Pair(apart=self.apart + other.apart, fused=self.fused + other.fused)

    def times(self, count: int) -> Pair:
        """The pair so many times over."""
        return Pair(apart=self.apart * count, fused=self.fused * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One of `NAMES` of BERT-Base with so many tokens, the matmul as a nest, how often it runs, its normalisation."""

    nest: ArrayNest
    count: int
    function: str


def case(name: str, tokens: int, accelerator: Accelerator) -> Case:
    """Matmul and normalisation `name` as the engine runs them: without the bias, which fused commands cannot load
    ahead; of the scores one head, which counts for all; of rows that know nothing of each other 512 at a time."""
    scores = name == "scores"
    rows = tokens if scores else min(tokens, SHORT)
    graph = build(replace(BERT_BASE, layers=1, positions=max(rows, BERT_BASE.positions)), seq=rows)
    layers = {layer.name: layer for layer in layers_of(graph, accelerator)}
    matmul, normalisation = (layers[f"{_LAYER}.{part}"] for part in NAMES[name])
    assert isinstance(matmul.work, ArrayNest)
    return Case(
        nest=replace(matmul.work, bias=False, repeats=()),
        count=matmul.work.repeat_count * tokens // rows,
        function=normalisation.nest.function,
    )


def engine_pair(name: str, tokens: int, accumulator_kib: int) -> Pair:
    """One of `NAMES` of BERT-Base, every command simulated: apart, sums leave at full width and come back (section 3.3
    of the survey)."""
    accelerator = _machine(accumulator_kib)
    found = case(name, tokens, accelerator)
    nest, function = found.nest, found.function
    constants = softmax_constants(SOFTMAX_SCALE) if function == "softmax" else NormConstants(0, 0)
    how = Normalisation(function=function, constants=constants)
    programs = (
        emit_fused(nest, whole_rows(nest, function, accelerator), accelerator, how, addresses=_ADDRESSES),
        emit_wide(nest, heuristic(nest, accelerator), accelerator, addresses=_ADDRESSES),
        emit_normalisation(
            nest.pixels, nest.out_channels, accelerator, how, source=_ADDRESSES.c, target=_ADDRESSES.bias
        ),
    )
    fused, wide, alone = (simulate(program, accelerator).cycles for program in programs)
    return Pair(apart=wide + alone, fused=fused).times(found.count)


def whole_rows(nest: ArrayNest, function: str, accelerator: Accelerator) -> Mapping:
    """The best mapping with whole rows in the accumulator: tiles of blocks of DIM rows, two copies of a tile, or one of
    the smallest where the accumulator does not hold two. Raises InfeasibleError where it does not hold one."""
    try:
        return fused_mapping(nest, accelerator, Tail(normalise=function), tile_rows="blocks")[0]
    except InfeasibleError:
        return _one_copy(nest, accelerator)


def _one_copy(nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """DIM whole rows at a time in one copy, of as many input channels as the scratchpad holds twice."""
    dim = accelerator.dim
    problem = InfeasibleError("depth of a tile", demand=1, capacity=0, unit="blocks")
    for depth in range(nest.in_channels, 0, -dim):
        tile = matmul_tile(min(dim, nest.out_columns), nest.out_channels, depth)
        mapping = Mapping(
            dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile", c_copies=1
        )
        try:
            check_legal(nest, mapping, accelerator)
        except InfeasibleError as error:
            problem = error
            continue
        return mapping
    raise problem


def matmul_tile(rows: int, columns: int, depth: int) -> Tile:
    """A tile of a matmul."""
    return Tile(
        images=1,
        out_rows=1,
        out_columns=rows,
        out_channels=columns,
        kernel_rows=1,
        kernel_columns=1,
        in_channels=depth,
    )


def _machine(accumulator_kib: int) -> Accelerator:
    base = load_accelerator("survey-256-64")
    accumulator = msgspec.structs.replace(base.accumulator, capacity_bytes=accumulator_kib * KIB)
    return msgspec.structs.replace(base, accumulator=accumulator)
