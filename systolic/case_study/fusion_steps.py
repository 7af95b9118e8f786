"""Fusing matmuls with the normalisation after them: every command on the cycle engine at 512 tokens, the analytical
model at 4096 (docs/across-layers.md says more)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.across_layers.fusion_pairs import compare_pair
from mapper.codegen.emit import Addresses
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation, emit_wide
from mapper.heuristic import heuristic
from mapper.lower import Layer
from model_ir.ops.integer_arithmetic import NormConstants, softmax_constants
from reports.case_study import CaseRow
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.fusion import Tail
from systolic.case_study.encoder import SOFTMAX_SCALE
from systolic.case_study.machines import KIB
from systolic.pipeline import layers_of
from workloads.bert import BERT_BASE, build

FUSION = "fusion"
_ADDRESSES = Addresses(a=0x80000000, b=0x90000000, c=0xA0000000, bias=0xB0000000)
_LAYER = "layers.0"
PAIRS = {
    "scores": ("attention.scores", "attention.softmax"),
    "output": ("attention.output", "attention.norm"),
    "second": ("feed_forward.out", "feed_forward.norm"),
}
"""Query times key with softmax, W_out with LayerNorm, W_2 with LayerNorm."""
SIMULATED_PAIRS = (("scores", 128), ("scores", 256), ("output", 128), ("output", 256), ("second", 256))
"""(name, accumulator in KiB)."""
_DIVISIONS = (
    "the division that ends each row takes the normaliser as long fused as apart (Normalizer.scala); their latency is "
    "Timeloop's estimate"
)
_BANDWIDTH = (
    "on the edge: the weights are read again for each tile of 32 rows, and at our 8 bytes a cycle that just fills the "
    "port while the array works; with 5.3 it loses as printed. Their bandwidth is not printed"
)
_LONG = "the analytical model, with tiles of 8 rows (16 fit once only); their tiles of the longer rows go to DRAM"


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


def engine_pair(name: str, accumulator_kib: int) -> Pair:
    """One of `PAIRS` of BERT-Base at 512 tokens, every command simulated: apart, sums leave at full width and come back
    (section 3.3); the bias is left out on both sides. Of the scores one head is simulated, and counts for all."""
    accelerator = _machine(accumulator_kib)
    nest, function = _nests(name, 512, accelerator)
    heads = nest.repeat_count
    nest = replace(nest, bias=False, repeats=())
    constants = softmax_constants(SOFTMAX_SCALE) if function == "softmax" else NormConstants(0, 0)
    how = Normalisation(function=function, constants=constants)
    mapping, _ = fused_mapping(nest, accelerator, Tail(normalise=function), tile_rows="blocks")
    programs = (
        emit_fused(nest, mapping, accelerator, how, addresses=_ADDRESSES),
        emit_wide(nest, heuristic(nest, accelerator), accelerator, addresses=_ADDRESSES),
        emit_normalisation(
            nest.pixels, nest.out_channels, accelerator, how, source=_ADDRESSES.c, target=_ADDRESSES.bias
        ),
    )
    fused, wide, alone = (heads * simulate(program, accelerator).cycles for program in programs)
    return Pair(apart=wide + alone, fused=fused)


def model_pair(name: str, tokens: int, accumulator_kib: int) -> Pair:
    """The same pair by the analytical model, at any length, with tiles of any number of rows."""
    accelerator = _machine(accumulator_kib)
    layers = _layers(tokens, accelerator)
    matmul, normalisation = (layers[f"{_LAYER}.{part}"] for part in PAIRS[name])
    assert isinstance(matmul.work, ArrayNest)
    found = compare_pair(matmul.work, normalisation.nest, accelerator, tile_rows="any")
    return Pair(apart=found.matmul.cycles + found.normalisation.cycles, fused=found.fused.cycles)


def fusion_rows(pairs: dict[tuple[str, int], Pair]) -> Iterator[CaseRow]:
    """`pairs`: what `engine_pair` found for each of `SIMULATED_PAIRS`."""
    for kib in (128, 256):
        name = f"query x key with softmax, accumulator {kib} KiB"
        yield _row(name, pairs["scores", kib].change, -0.78, gated=False, reason=_DIVISIONS)
    first = "every tile of 16 rows reads the weights again"
    yield _row("W_out with LayerNorm, accumulator 128 KiB", pairs["output", 128].change, 0.83, gated=True, reason=first)
    second = "tiles of 32 rows read the weights half as often"
    yield _row(
        "W_out with LayerNorm, accumulator 256 KiB", pairs["output", 256].change, -0.04, gated=True, reason=second
    )
    for kib, published in ((128, -0.23), (256, -0.52)):
        both = pairs["scores", kib] + pairs["output", kib]
        yield _row(
            f"both in the attention, accumulator {kib} KiB",
            both.change,
            published,
            gated=kib == 128,
            reason="softmax gains less than printed: " + _DIVISIONS,
        )
    yield _row(
        "W_2 with LayerNorm, accumulator 256 KiB", pairs["second", 256].change, 0.27, gated=False, reason=_BANDWIDTH
    )
    scores, output = (model_pair(name, 4096, 256) for name in ("scores", "output"))
    yield _row("query x key with softmax, 4096 tokens", scores.change, -0.22, gated=False, reason=_LONG)
    yield _row("both in the attention, 4096 tokens", (scores + output).change, -0.21, gated=False, reason=_LONG)
    longer = model_pair("second", 4096, 256).change
    yield _row("W_2 with LayerNorm, 4096 tokens", longer, 0.27, gated=False, reason=_BANDWIDTH)


def _row(name: str, ours: float, published: float, *, gated: bool, reason: str) -> CaseRow:
    where = "section 5.5.2, figures 21 and 22"
    return CaseRow(
        step=FUSION, name=name, ours=ours, published=published, unit="change", where=where, gated=gated, reason=reason
    )


def _nests(name: str, tokens: int, accelerator: Accelerator) -> tuple[ArrayNest, str]:
    layers = _layers(tokens, accelerator)
    matmul, normalisation = (layers[f"{_LAYER}.{part}"] for part in PAIRS[name])
    assert isinstance(matmul.work, ArrayNest)
    return matmul.work, normalisation.nest.function


def _layers(tokens: int, accelerator: Accelerator) -> dict[str, Layer]:
    graph = build(replace(BERT_BASE, layers=1, positions=max(tokens, BERT_BASE.positions)), seq=tokens)
    return {layer.name: layer for layer in layers_of(graph, accelerator)}


def _machine(accumulator_kib: int) -> Accelerator:
    base = load_accelerator("survey-256-64")
    accumulator = msgspec.structs.replace(base.accumulator, capacity_bytes=accumulator_kib * KIB)
    return msgspec.structs.replace(base, accumulator=accumulator)
