"""The last word belongs to the cycle engine: of several good mappings the one that simulates fastest.

The analytical model that the integer program minimises is a lower bound; two that tie in it need not tie on the
machine. Tried are the integer program's answer, the heuristic's, and the candidates that promise most; what the model
says cannot be faster than the best so far is not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapper.candidates import candidates
from mapper.lower import Layer
from mapper.program import layer_programs
from mapper.schedule import Scheduled
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.cost import Result
from simulator.engine import simulate
from simulator.mapping import Mapping

TRIES = 8
"""Candidates simulated beside the integer program's answer and the heuristic's, at most."""

TRIES_CYCLES = 40_000_000
"""Simulated cycles that all candidates of a layer may take by the model: two seconds of the engine."""

LEAST_RANKED = 3
"""Mappings below which a rank correlation says nothing."""

CLOSE = 1.004
"""No more candidates once the best is this close to the integer program's bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One mapping in the analytical model and on the cycle engine."""

    mapping: Mapping
    analytical_cycles: float
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A layer's commands as they ran: the mapping they came from (None for a residual add), what the engine saw, and
    every mapping that was tried (none for a residual add). `heuristic_cycles` are the engine's of the heuristic's
    mapping, None where there is none or its simulation would have taken too long."""

    mapping: Mapping | None
    result: Result
    trials: tuple[Trial, ...] = ()
    heuristic_cycles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCorrelation:
    """Spearman's rank correlation of analytical and simulated cycles: over all `mappings` that were tried for a
    network's layers, and in the mean `within` those `layers` for which at least three were (None: too few, or all the
    same in the model)."""

    mappings: int
    overall: float | None
    layers: int
    within: float | None


def rank_correlation(runs: Sequence[Simulated]) -> RankCorrelation:
    """Of the distinct layers' `runs`."""
    everything = [trial for run in runs for trial in run.trials]
    within = [rho for run in runs if (rho := _spearman(run.trials)) is not None]
    return RankCorrelation(
        mappings=len(everything),
        overall=_spearman(everything),
        layers=len(within),
        within=sum(within) / len(within) if within else None,
    )


def _spearman(trials: Sequence[Trial]) -> float | None:
    from scipy.stats import spearmanr

    model, engine = [trial.analytical_cycles for trial in trials], [trial.cycles for trial in trials]
    if len(trials) < LEAST_RANKED or min(len(set(model)), len(set(engine))) < 2:
        return None
    return float(spearmanr(model, engine).statistic)


def fastest(layer: Layer, plan: Scheduled | None, accelerator: Accelerator) -> Simulated:
    """Simulate the candidates of a layer that has a command stream; the integer program's own wins a tie.

    The heuristic's is left out where its analytical cycles, a lower bound of the simulated ones, are no fewer than what
    the integer program's mapping took and more than TRIES_CYCLES.
    """
    if plan is None:
        return Simulated(mapping=None, result=simulate(layer_programs(layer, None, accelerator), accelerator))
    assert isinstance(layer.work, ArrayNest)
    best = _result(layer, plan.mapping, accelerator)
    mapping, trials = plan.mapping, [_trial(plan.mapping, plan.cost.cycles, best)]
    heuristic_cycles = best.cycles if plan.heuristic_mapping == plan.mapping else None
    if plan.heuristic_mapping not in (None, plan.mapping) and plan.heuristic_cost is not None:
        other, bound = plan.heuristic_mapping, plan.heuristic_cost.cycles
        if bound < best.cycles or bound <= TRIES_CYCLES:
            result = _result(layer, other, accelerator)
            heuristic_cycles = result.cycles
            trials.append(_trial(other, bound, result))
            if result.cycles < best.cycles:
                best, mapping = result, other
    for other in _worth_trying(layer.work, plan, accelerator):
        bound = analytical(layer.work, other, accelerator).cycles
        if best.cycles <= plan.cost.cycles * CLOSE:
            break
        if bound >= best.cycles or any(trial.mapping == other for trial in trials):
            continue
        result = _result(layer, other, accelerator)
        trials.append(_trial(other, bound, result))
        if result.cycles < best.cycles:
            best, mapping = result, other
    return Simulated(mapping=mapping, result=best, trials=tuple(trials), heuristic_cycles=heuristic_cycles)


def _worth_trying(nest: ArrayNest, plan: Scheduled, accelerator: Accelerator) -> Iterator[Mapping]:
    tries = min(TRIES, int(TRIES_CYCLES // plan.cost.cycles))
    if tries:
        yield from (found.mapping for found in candidates(nest, accelerator, plan.cost.cycles, tries))


def _trial(mapping: Mapping, bound: float, result: Result) -> Trial:
    return Trial(mapping=mapping, analytical_cycles=bound, cycles=result.cycles)


def _result(layer: Layer, mapping: Mapping, accelerator: Accelerator) -> Result:
    return simulate(layer_programs(layer, mapping, accelerator), accelerator)
