"""Fusing BERT-Base's matmuls with the normalisation after them, beside what the full-stack survey published.

`python -m benchmarks.bench_fusion`. Published: Kim et al., arXiv 2302.14017, section 5.5.2; scratchpad 256 KiB, int8
in, int32 sums, 16x16 weight-stationary. Its memory bandwidth is not printed: ours is 8 bytes a cycle, and one column
says what 5.3 make of it. "any rows" drops the restriction of Gemmini's library (tiles of whole DIM blocks of rows), and
shows that the loss of the second feed-forward matmul comes from it at this bandwidth. "survey" is the engine on the
survey's own assumptions (systolic.case_study.survey_fusion). "engine" runs the commands of both ways cycle by cycle
(without the bias, which the fused commands cannot prefetch); beside it the model's fused latency over the engine's.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.across_layers.fusion_pairs import compare_pair
from mapper.codegen.emit import Addresses
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation, emit_wide
from mapper.heuristic import heuristic
from model_ir.ops.integer_arithmetic import NormConstants, softmax_constants
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.fusion import Tail
from systolic.case_study.fusion_pairs import NAMES
from systolic.case_study.survey_fusion import survey_pair
from systolic.pipeline import layers_of
from workloads.catalogue import build

ADDRESSES = Addresses(a=0x80000000, b=0x90000000, c=0xA0000000, bias=0xB0000000)
CASES = (
    (512, 128, "attention.scores", "attention.softmax", "-78 %"),
    (512, 256, "attention.scores", "attention.softmax", "-78 %"),
    (512, 128, "attention.output", "attention.norm", "+83 %"),
    (512, 256, "attention.output", "attention.norm", "-4 %"),
    (512, 256, "feed_forward.out", "feed_forward.norm", "+27 %"),
)
"""Tokens, accumulator in KiB, matmul, normalisation, published change of latency."""


def main() -> None:
    """Print one line a case."""
    base = load_accelerator("survey-256-64")
    print(
        f"{'matmul':18} {'acc KiB':>7} {'published':>9} {'here':>7} {'any rows':>9} {'at 5.3 B/cycle':>15}"
        f" {'engine':>8} {'model/engine':>13} {'survey':>8}"
    )
    for tokens, kib, first, second, published in CASES:
        layers = {layer.name: layer for layer in layers_of(build("bert-base", seq=tokens), base)}
        work, nest = layers[f"layers.0.{first}"].work, layers[f"layers.0.{second}"].nest
        assert isinstance(work, ArrayNest)
        here = compare_pair(work, nest, _machine(base, kib, 2))
        free = compare_pair(work, nest, _machine(base, kib, 2), tile_rows="any")
        slow = compare_pair(work, nest, _machine(base, kib, 3))
        print(
            f"{first:18} {kib:7} {published:>9} {100 * here.change:+5.1f} % {100 * free.change:+7.1f} %"
            f" {100 * slow.change:+13.1f} %",
            end="",
            flush=True,
        )
        fused, apart, model = _on_engine(replace(work, bias=False), nest.function, _machine(base, kib, 2))
        pair = next(name for name, layers_of_pair in NAMES.items() if layers_of_pair == (first, second))
        theirs = survey_pair(pair, tokens, kib).change
        print(f" {100 * (fused / apart - 1):+6.1f} % {model / fused:13.3f} {100 * theirs:+6.1f} %", flush=True)


def _on_engine(nest: ArrayNest, function: str, accelerator: Accelerator) -> tuple[int, int, float]:
    """Cycles of the fused commands, of both programs apart, and the model's of the fused."""
    constants = softmax_constants(1e-3) if function == "softmax" else NormConstants(0, 0)
    normalisation = Normalisation(function=function, constants=constants)
    mapping, cost = fused_mapping(nest, accelerator, Tail(normalise=function), tile_rows="blocks")
    fused = simulate(emit_fused(nest, mapping, accelerator, normalisation, addresses=ADDRESSES), accelerator)
    wide = emit_wide(nest, heuristic(nest, accelerator), accelerator, addresses=ADDRESSES)
    rows = nest.repeat_count * nest.pixels
    alone = emit_normalisation(
        rows, nest.out_channels, accelerator, normalisation, source=ADDRESSES.c, target=ADDRESSES.bias
    )
    return fused.cycles, simulate(wide, accelerator).cycles + simulate(alone, accelerator).cycles, cost.cycles


def _machine(base: Accelerator, accumulator_kib: int, cycles_per_beat: int) -> Accelerator:
    of = msgspec.structs.replace
    return of(
        base,
        accumulator=of(base.accumulator, capacity_bytes=accumulator_kib * 1024),
        memory=of(base.memory, cycles_per_beat=cycles_per_beat),
    )


if __name__ == "__main__":
    main()
