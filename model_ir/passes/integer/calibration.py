"""How large the values of every tensor get on given data, and where to clip them for 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.passes.integer.prepare import prepared

Method = Literal["max", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
HIGHEST = 127
"""Largest magnitude of the symmetric 8-bit grid."""
BINS = 2048
CLIP_TRIES = 64
DEFAULT_PERCENTILE = 99.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The magnitude at which each float tensor of the prepared graph is clipped; all above saturates.

    `method` "max" takes the largest seen, "percentile" the magnitude that `percentile` per cent stay below, "mse" the
    clip of least squared error of an 8-bit grid on what was seen.
    """

    limits: Mapping[str, float] = field(repr=False)
    method: Method
    samples: int
    percentile: float = DEFAULT_PERCENTILE

    def limit(self, tensor: str) -> float:
        """The clip of `tensor`; InputError where the data said nothing about it, or it was not finite."""
        if tensor not in self.limits:
            raise InputError("calibration", f"has no tensor {tensor!r}: it is of another network")
        if not isfinite(self.limits[tensor]):
            raise InputError("calibration", f"{tensor!r} gets values that are not finite", value=self.limits[tensor])
        return self.limits[tensor]


def calibrate(
    graph: Graph,
    batches: Iterable[Mapping[str, Any]],
    *,
    method: Method = "max",
    percentile: float = DEFAULT_PERCENTILE,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run the float network on `batches` of inputs and choose a clip for every tensor; `progress` gets batches done.

    Raises InputError for an unknown method or no data.
    """
    if method not in METHODS:
        raise InputError("calibration method", "unknown", value=method, limit=", ".join(METHODS))
    if not 0 < percentile <= 100:
        raise InputError("calibration percentile", "out of range", value=percentile, limit="above 0, at most 100")
    seen: dict[str, _Magnitudes] = {}

    def watch(name: str, value: Any) -> None:
        array = np.asarray(value)
        if np.issubdtype(array.dtype, np.floating):
            seen.setdefault(name, _Magnitudes()).add(array)

    float_graph, samples = prepared(graph), 0
    for done, feeds in enumerate(batches, 1):
        execute(float_graph, feeds, watch=watch)
        samples += next((len(feeds[name]) for name in float_graph.inputs), 0)
        if progress is not None:
            progress(done)
    if not samples:
        raise InputError("calibration", "needs at least one batch of inputs", value=0, limit=1)
    limits = {name: found.limit(method, percentile) for name, found in seen.items()}
    return Calibration(limits=limits, method=method, samples=samples, percentile=percentile)


class _Magnitudes:
    """A histogram of |x| whose range doubles as larger values come: (BINS,) counts of equal bins from 0 to `top`."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.top = 0.0
        self.largest = 0.0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count the elements of `values`."""
        magnitudes = np.abs(values, dtype=np.float64).reshape(-1)
        largest = float(magnitudes.max(initial=0.0))
        if not isfinite(largest):
            self.largest = inf
        if not isfinite(self.largest):
            return
        self.largest = max(self.largest, largest)
        if not self.top:
            self.top = largest
        while self.top < largest:
            self.counts = np.concatenate((self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)))
            self.top *= 2
        if self.top:
            self.counts += np.histogram(magnitudes, bins=BINS, range=(0.0, self.top))[0]

    def limit(self, method: Method, percentile: float) -> float:
        """The clip that `method` chooses; 1.0 for a tensor that is always zero."""
        if not self.largest:
            return 1.0
        if method == "max" or not isfinite(self.largest):
            return self.largest
        if method == "percentile":
            cumulative = np.cumsum(self.counts)
            place = int(np.searchsorted(cumulative, percentile / 100 * cumulative[-1]))
            return min(self.largest, (place + 1) * self.top / BINS)
        return least_error_clip(self.counts, self.top, self.largest)


def least_error_clip(counts: npt.NDArray[np.int64], top: float, largest: float) -> float:
    """Of CLIP_TRIES clips up to `largest` the one with the least squared error of an 8-bit grid on the histogram."""
    centres = (np.arange(BINS) + 0.5) * top / BINS
    clips = largest * np.arange(1, CLIP_TRIES + 1) / CLIP_TRIES

    def error(clip: float) -> float:
        step = clip / HIGHEST
        stored = np.minimum(np.rint(centres / step), HIGHEST) * step
        return float(np.sum(counts * (centres - stored) ** 2))

    return float(min(clips[::-1], key=error))
