"""How well a score ranks: Spearman's rank correlation with what was measured, with its bootstrap error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Array = npt.NDArray[Any]
RESAMPLES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCorrelation:
    """Spearman's rho of `count` pairs, ties at their mean rank; `standard_error` over bootstrap samples of the pairs
    (Efron, Annals of Statistics 7, 1979). nan where one side does not vary."""

    rho: float
    standard_error: float
    count: int


def rank_correlation(score: Array, measured: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> RankCorrelation:
    """The rank correlation of `score` with `measured`, each (pairs,). Raises InputError for fewer than three pairs."""
    count = len(score)
    if count != len(measured) or count < 3:
        raise InputError("rank correlation", "takes three pairs", value=(count, len(measured)))
    places = [np.unique(values, return_inverse=True)[1] for values in (score, measured)]
    rho = _spearman(places, np.ones(count))
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(0 if isnan(rho) else resamples):
        # How often each pair is drawn says all of a resample: its ranks need no sorting.
        drawn.append(_spearman(places, np.bincount(generator.integers(0, count, count), minlength=count)))
    error = float(np.nanstd(drawn, ddof=1)) if len(drawn) > 1 else nan
    return RankCorrelation(rho=rho, standard_error=error, count=count)


def _spearman(places: Sequence[Array], times: Array) -> float:
    """Pearson's correlation of the ranks of pairs that are there so many `times`; nan where either side is constant.
    `places`: of each side the position of every pair's value among the distinct ones."""
    ranks = [_ranks(place, times) for place in places]
    squares = [float(times @ (rank * rank)) for rank in ranks]
    length = float(np.sqrt(squares[0] * squares[1]))
    return float(times @ (ranks[0] * ranks[1])) / length if length else nan


def _ranks(place: Array, times: Array) -> Array:
    """Mean rank of every pair among all, less the mean of all ranks."""
    equal = np.bincount(place, times)
    middle = np.cumsum(equal) - (equal - 1) / 2
    return np.asarray((middle - (times.sum() + 1) / 2)[place])
