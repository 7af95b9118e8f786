"""How much the choice of a mapping matters: random legal mappings beside the least energy-delay product among them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mapper.heuristic import heuristic
from mapper.mapspace_sample import sample_costs, sample_mappings
from reports.case_study import CaseRow
from reports.mapspace_published import PUBLISHED, PublishedSpread
from simulator.accelerator_file import load_accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from systolic.layer_request import layer_of
from systolic.mapspace_job import starved_cycles
from systolic.network import NetworkRequest

MAPPING = "mapping"
SAMPLES = 100_000
NEAR = 3.0
DECADES = 4.0
"""Section 5.5.1: from best to worst up to 10^4."""
_SPACE = (
    "array filled at random, as Timeloop does; its factorised tile sizes and permuted loops are not our space "
    "(docs/mapspace.md)"
)
_GATED = ("BERT-Base MHA projection", "BERT FFN W1 (Base)")


def mapping_rows(spread: PublishedSpread, *, samples: int = SAMPLES, seed: int = 0) -> Iterator[CaseRow]:
    """The rows of one layer of the survey's study."""
    machine = load_accelerator("gemmini")
    nest = layer_of(NetworkRequest(model=spread.layer), machine).work
    assert isinstance(nest, ArrayNest)
    costs = sample_costs(nest, sample_mappings(nest, machine, samples, seed=seed), machine)
    starved = starved_cycles(costs, machine, seed) * costs.energy_pj
    relative = starved / starved.min()
    full = costs.cycles * costs.energy_pj
    gated = spread.name in _GATED
    where = "section 5.5.1, figures 18 and 19"
    yield CaseRow(
        step=MAPPING,
        name=f"{spread.name}: tenth percentile of EDP over the best",
        ours=float(np.percentile(relative, 10)),
        published=spread.tenth_percentile,
        unit="number",
        where=where,
        gated=gated,
        reason=_SPACE,
    )
    yield CaseRow(
        step=MAPPING,
        name=f"{spread.name}: mappings within 3 times the best",
        ours=float(np.mean(relative <= NEAR)),
        published=spread.near_share,
        unit="share",
        where=where,
        gated=gated,
        reason=_SPACE,
    )
    chosen = analytical(nest, heuristic(nest, machine), machine)
    yield CaseRow(
        step=MAPPING,
        name=f"{spread.name}: decades of EDP from best to worst, array always full",
        ours=math.log10(full.max() / full.min()),
        published=DECADES,
        unit="number",
        where=where,
        gated=gated,
        reason=f"Gemmini's heuristic is at {chosen.cycles * chosen.energy_pj / full.min():.2f} times the best",
    )


def studied() -> tuple[PublishedSpread, ...]:
    """The layers of the study that are BERT-Base's and ResNet-50's."""
    return tuple(spread for spread in PUBLISHED if "Large" not in spread.name)
