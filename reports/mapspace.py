"""A study of a layer's mapping space: the sampled energy-delay products and what stands out of them. Numbers only.

Energy-delay product (EDP) is energy times latency, in joule seconds; ratios of it are relative to the least one
sampled, as the survey's are (Kim et al., arXiv 2302.14017, figures 18 and 19).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reports.mapspace_published import PublishedSpread

FloatArray = npt.NDArray[np.float64]
NEAR: Final = 3.0
"""The survey calls mappings within this many times the least EDP near-optimal."""
PJ: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedMapping:
    """One mapping of the study by name, such as the integer program's: the mapping in words and what it costs."""

    name: str
    mapping: str
    cycles: float
    energy_pj: float
    dram_bytes: int
    evidence: str = ""
    """What is proven of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapspaceStudy:
    """Costs (n,) of `n` legal mappings drawn uniformly from all of `layer`'s, and the mappings that are marked.

    `dividing` (n,) says whose tile sizes all divide their loops; `starved_cycles` (n,) are the cycles of the same
    mappings, were the array filled at random too (`systolic.mapspace_job`); `space` is the estimated number of
    legal mappings; `optimum` is the solver's for the energy-delay product, `fastest` its for latency.
    """

    layer: str
    shape: str
    accelerator: str
    clock_hz: float
    seed: int
    cycles: npt.NDArray[np.int64]
    energy_pj: FloatArray
    dividing: npt.NDArray[np.bool_]
    starved_cycles: npt.NDArray[np.int64]
    distinct: int
    space: float
    seconds: float
    best: MarkedMapping
    optimum: MarkedMapping
    fastest: MarkedMapping
    heuristic: MarkedMapping | None
    published: PublishedSpread | None = None

    def __len__(self) -> int:
        return len(self.cycles)

    @property
    def edp_js(self) -> FloatArray:
        """Energy-delay products (n,) in joule seconds."""
        edp: FloatArray = self.cycles / self.clock_hz * (self.energy_pj * PJ)
        return edp

    @property
    def relative(self) -> FloatArray:
        """Energy-delay products (n,) over the least of them."""
        edp = self.edp_js
        ratios: FloatArray = edp / edp.min()
        return ratios

    @property
    def marked(self) -> tuple[MarkedMapping, ...]:
        """The mappings to show beside the distribution."""
        return tuple(mark for mark in (self.optimum, self.fastest, self.heuristic, self.best) if mark is not None)

    def edp_of(self, mark: MarkedMapping) -> float:
        """Energy-delay product of `mark` in joule seconds."""
        return mark.cycles / self.clock_hz * (mark.energy_pj * PJ)

    def relative_of(self, mark: MarkedMapping) -> float:
        """Energy-delay product of `mark` over the least sampled one; below 1 where it beats every sample."""
        return self.edp_of(mark) / float(self.edp_js.min())

    def better_than(self, mark: MarkedMapping) -> float:
        """Share of the samples with a smaller energy-delay product than `mark`."""
        return float(np.mean(self.edp_js < self.edp_of(mark)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a distribution of ratios lies: percentiles, the largest, and the share below NEAR."""

    samples: int
    tenth_percentile: float
    median: float
    largest: float
    near_share: float


ALL, DIVIDING, STARVED = "every legal mapping", "tile sizes that divide", "array filled at random"


def spreads_of(study: MapspaceStudy) -> dict[str, Spread]:
    """The spread of all samples; of those whose tile sizes all divide, where there are any, relative to their best; and
    of all under `starved_cycles`."""
    edp = study.edp_js
    kinds = {ALL: edp, DIVIDING: edp[study.dividing], STARVED: edp / study.cycles * study.starved_cycles}
    return {kind: _spread(values / values.min()) for kind, values in kinds.items() if len(values)}


def _spread(ratios: FloatArray) -> Spread:
    tenth, median = np.percentile(ratios, (10, 50))
    return Spread(
        samples=len(ratios),
        tenth_percentile=float(tenth),
        median=float(median),
        largest=float(ratios.max()),
        near_share=float(np.mean(ratios < NEAR)),
    )


def study_as_json(study: MapspaceStudy) -> dict[str, Any]:
    """The study without its samples as plain values for `json.dumps`."""
    return {
        "layer": study.layer,
        "shape": study.shape,
        "accelerator": study.accelerator,
        "seed": study.seed,
        "samples": len(study),
        "distinct_samples": study.distinct,
        "legal_mappings_estimate": study.space,
        "seconds": study.seconds,
        "least_edp_js": float(study.edp_js.min()),
        "relative_edp": {kind: _spread_as_json(spread) for kind, spread in spreads_of(study).items()},
        "marked": [_mark_as_json(study, mark) for mark in study.marked],
        "published": _published_as_json(study.published),
    }


def _spread_as_json(spread: Spread) -> dict[str, Any]:
    return {
        "samples": spread.samples,
        "tenth_percentile": spread.tenth_percentile,
        "median": spread.median,
        "largest": spread.largest,
        "share_within_3x": spread.near_share,
    }


def _mark_as_json(study: MapspaceStudy, mark: MarkedMapping) -> dict[str, Any]:
    return {
        "name": mark.name,
        "mapping": mark.mapping,
        "cycles": mark.cycles,
        "energy_pj": mark.energy_pj,
        "dram_bytes": mark.dram_bytes,
        "edp_js": study.edp_of(mark),
        "edp_relative_to_least_sampled": study.relative_of(mark),
        "share_of_samples_better": study.better_than(mark),
        "evidence": mark.evidence,
    }


def _published_as_json(published: PublishedSpread | None) -> dict[str, Any] | None:
    if published is None:
        return None
    return {
        "name": published.name,
        "tenth_percentile": published.tenth_percentile,
        "share_within_3x": published.near_share,
        "largest": published.largest,
        "source": published.source,
    }
