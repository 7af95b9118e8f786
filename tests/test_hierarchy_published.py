"""Published numbers of the chips that the hierarchies describe."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import pytest

from mapper.hierarchy.search import hierarchy_search
from model_ir.loop_nest import LoopNest
from simulator.hierarchy.cost import hierarchy_cost
from simulator.hierarchy.dataflow import dataflow, obeys
from simulator.hierarchy.description import ROLES
from simulator.hierarchy.file import load_hierarchy
from simulator.hierarchy.mapping import HierarchyMapping, LevelMapping, SpatialLoop, TemporalLoop, check_legal
from simulator.hierarchy.nest import tensor_nest
from tests.hierarchy_cases import convolution, matmul


@dataclass(frozen=True)
class Pass:
    """Eyeriss' parameters of a layer: e rows of outputs at a time; p filters and q channels in an element; r sets of
    other channels, t of other filters (beside it or above it); the columns that a set takes; elements in use."""

    layer: LoopNest
    e: int
    p: int
    q: int
    r: int
    t: int
    columns: int
    active: int
    filters_along: str = "rows"


ALEXNET = {
    "conv1": Pass(
        convolution(55, 11, 3, 96, stride=4), e=7, p=16, q=1, r=1, t=2, columns=7, active=154, filters_along="columns"
    ),
    "conv2": Pass(convolution(27, 5, 48, 128, pad=2, groups=2), e=27, p=16, q=2, r=1, t=1, columns=14, active=135),
    "conv3": Pass(convolution(13, 3, 256, 384, pad=1), e=13, p=16, q=4, r=1, t=4, columns=13, active=156),
    "conv4": Pass(convolution(13, 3, 192, 192, pad=1, groups=2), e=13, p=16, q=3, r=2, t=2, columns=13, active=156),
    "conv5": Pass(convolution(13, 3, 192, 128, pad=1, groups=2), e=13, p=16, q=3, r=2, t=2, columns=13, active=156),
}
"""Layers of AlexNet (Krizhevsky et al., NIPS 2012) with the mapping that the chip ran (Chen et al., JSSC 2017, table of
AlexNet's shape parameters), of one image."""


def row_stationary(run: Pass) -> HierarchyMapping:
    """The chip's mapping: what an element does row by row inside, sets across the array, the rest from DRAM."""
    sizes = dict(run.layer.dims)
    outer = (("g", 1), ("p", run.e), ("oc", run.p * run.t), ("ic", run.q * run.r))
    spread = (
        ("oc", run.p, run.filters_along),
        ("ic", run.q, "rows"),
        ("r", 1, "rows"),
        ("p", run.columns, "rows"),
        ("p", 1, "columns"),
    )
    return HierarchyMapping(
        levels=(
            LevelMapping(
                temporal=tuple(TemporalLoop(dim=dim, tile=tile) for dim, tile in outer if sizes[dim] > 1), keeps=ROLES
            ),
            LevelMapping(keeps=("inputs", "outputs")),
            LevelMapping(
                temporal=(TemporalLoop(dim="q", tile=1),),
                spatial=tuple(SpatialLoop(dim=dim, tile=tile, axis=axis) for dim, tile, axis in spread),
                keeps=("weights",),
            ),
            LevelMapping(keeps=("inputs",)),
            LevelMapping(keeps=("weights",)),
            LevelMapping(
                temporal=tuple(TemporalLoop(dim=dim, tile=1) for dim in ("oc", "ic", "s")), keeps=("outputs",)
            ),
        )
    )


@pytest.mark.parametrize("run", ALEXNET.values(), ids=ALEXNET)
def test_eyeriss_own_mappings_fit_and_keep_its_elements_busy(run: Pass) -> None:
    nest, machine, mapping = tensor_nest(run.layer), load_hierarchy("eyeriss-like"), row_stationary(run)
    loops = check_legal(nest, mapping, machine)
    assert obeys(nest, loops, mapping, dataflow("row-stationary"))
    reached = prod(loop.trips for loop in loops if loop.axis is not None)
    cost = hierarchy_cost(nest, mapping, machine)
    rows, taken = dict(run.layer.dims)["p"], -(-dict(run.layer.dims)["p"] // run.e) * run.e
    assert run.active <= reached <= 168
    assert cost.macs / cost.compute_cycles == pytest.approx(run.active * rows / taken, rel=0.005)


def test_tpu_peak_is_92_tops_and_its_mlp_waits_for_weights() -> None:
    """65,536 multipliers at 700 MHz: 92 TOPS. A layer of MLP0 uses each weight for 200 examples (Jouppi et al., ISCA
    2017, table 1), far left of the ridge: its time is that of its bytes at 30 GB/s."""
    machine = load_hierarchy("tpu-like")
    assert 2 * machine.multipliers * machine.clock_hz == pytest.approx(92e12, rel=0.01)
    nest = tensor_nest(matmul(200, 2048, 2048))
    _, cost, _ = hierarchy_search(nest, machine, evaluations=600)
    assert cost.cycles / machine.clock_hz == pytest.approx((2048 * 2048 + 2 * 200 * 2048) / 30e9, rel=0.01)
