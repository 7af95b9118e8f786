"""Clock cycles of the hardware that hls4ml's templates describe.

A layer takes L_mult + (R - 1) II_mult cycles, R its reuse factor, and the layers follow one another (Duarte et al.,
arXiv 1804.06913, section 3; Fahim et al., arXiv 2103.05579, section 4.2). Which loops are pipelined how is read in
hls4ml 1.3.0: nnet_dense_latency.h and nnet_conv2d_latency.h (PIPELINE II=reuse_factor; a convolution's positions one
after another), nnet_conv2d_stream.h (every pixel of the padded input one after another), passes/pipeline_style.py (one
pipeline of all layers, unless there are convolutions, streams or the resource strategy: then a pipeline a layer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from hls.resources.layers import FixedLayer

IoType = Literal["io_parallel", "io_stream"]
Strategy = Literal["latency", "resource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTiming:
    """`depth_cycles` from an input of the layer's products to their sum, `latency_cycles` of a whole sample,
    `interval_cycles` between samples, `fill_cycles` before the next layer can start on what a stream brings."""

    depth_cycles: int
    latency_cycles: int
    interval_cycles: int
    fill_cycles: int


def depth(levels: int, level_ns: float, clock_ns: float) -> int:
    """Cycles of `levels` adders behind one another, each taking `level_ns`."""
    return max(1, ceil(levels * level_ns / clock_ns))


def layer_timing(layer: FixedLayer, depth_cycles: int, reuse: int, io: IoType) -> LayerTiming:
    """Cycles of `layer` whose products and sums are `depth_cycles` deep."""
    steps = layer.stream_positions if io == "io_stream" else layer.positions
    busy = (steps - 1) * reuse + reuse
    fill = layer.stream_fill * reuse if io == "io_stream" else busy
    return LayerTiming(
        depth_cycles=depth_cycles,
        latency_cycles=depth_cycles + busy - 1,
        interval_cycles=busy,
        fill_cycles=depth_cycles + fill - 1,
    )


def network_cycles(
    layers: Sequence[FixedLayer], timings: Sequence[LayerTiming], io: IoType, strategies: Sequence[Strategy]
) -> tuple[int, int]:
    """(latency, initiation interval) of the whole network in cycles.

    In a stream a layer starts when its first window is there, and the slowest layer sets the pace; otherwise each
    waits for the one before. One pipeline accepts a sample every largest interval; layers with a pipeline each must
    have finished first.
    """
    slowest = max(timing.interval_cycles for timing in timings)
    if io == "io_stream":
        return sum(timing.fill_cycles for timing in timings) + slowest - 1, slowest
    latency = sum(timing.latency_cycles for timing in timings)
    one_pipeline = all(layer.positions == 1 for layer in layers) and "resource" not in strategies
    return latency, slowest if one_pipeline else max(timing.latency_cycles for timing in timings)
