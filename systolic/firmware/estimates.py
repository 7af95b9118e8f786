"""The estimator's word on a design with the request's settings: one call for every design and for the one chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from systolic.firmware.request import FirmwareRequest

if TYPE_CHECKING:
    from hls.resources.estimate import Resources


def firmware_estimate(graph: Graph, request: FirmwareRequest) -> Resources:
    """LUTs, flip-flops, DSPs and cycles of the quantised `graph` as hls4ml's firmware."""
    from hls.resources.estimate import estimate

    return estimate(
        with_batch_size(graph, 1),
        reuse=request.reuse,
        strategy=request.strategy,
        clock_ns=request.clock_ns,
        io="io_stream" if request.io_types == ("io_stream",) else "io_parallel",
    )
