"""Fusing BERT-Base's matmuls with the normalisation after them, beside what the full-stack survey published.

`python -m benchmarks.bench_fusion`. Published: Kim et al., arXiv 2302.14017, section 5.5.2; scratchpad 256 KiB, int8
in, int32 sums, 16x16 weight-stationary. Its memory bandwidth is not printed: ours is 8 bytes a cycle, and the last
column says what 5.3 make of it. "any rows" drops the restriction of Gemmini's library (tiles of whole DIM blocks of
rows), and shows that the loss of the second feed-forward matmul comes from it at this bandwidth.
"""

from __future__ import annotations

import msgspec

from mapper.fusion_pairs import compare_pair
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from systolic.pipeline import layers_of
from workloads.catalogue import build

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
    print(f"{'matmul':18} {'acc KiB':>7} {'published':>9} {'here':>7} {'any rows':>9} {'at 5.3 B/cycle':>15}")
    for tokens, kib, first, second, published in CASES:
        layers = {layer.name: layer for layer in layers_of(build("bert-base", seq=tokens), base)}
        work, nest = layers[f"layers.0.{first}"].work, layers[f"layers.0.{second}"].nest
        assert isinstance(work, ArrayNest)
        here = compare_pair(work, nest, _machine(base, kib, 2))
        free = compare_pair(work, nest, _machine(base, kib, 2), tile_rows="any")
        slow = compare_pair(work, nest, _machine(base, kib, 3))
        print(
            f"{first:18} {kib:7} {published:>9} {100 * here.change:+5.1f} % {100 * free.change:+7.1f} %"
            f" {100 * slow.change:+13.1f} %"
        )


def _machine(base: Accelerator, accumulator_kib: int, cycles_per_beat: int) -> Accelerator:
    replace = msgspec.structs.replace
    return replace(
        base,
        accumulator=replace(base.accumulator, capacity_bytes=accumulator_kib * 1024),
        memory=replace(base.memory, cycles_per_beat=cycles_per_beat),
    )


if __name__ == "__main__":
    main()
