"""The last word belongs to the cycle engine: of several good mappings the one that simulates fastest, and of those as
fast the one that moves least over the memory port.

The analytical model that the integer program minimises is a lower bound; two that tie in it need not tie on the
machine. Simulated are the integer program's answer, the heuristic's, and the few candidates that promise most by how
their beginnings simulate; what the model says cannot be faster than the best so far is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from mapper.candidates import candidates
from mapper.lower import Layer
from mapper.program import layer_programs
from mapper.schedule import Scheduled
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.analytical import analytical, weight_blocks
from simulator.array_nest import ArrayNest
from simulator.cost import Result
from simulator.engine import simulate
from simulator.mapping import Mapping
from simulator.program import Program

BEGINNINGS = 32
"""Candidates of which the beginning is simulated."""

BEGINNING_ROWS = 50_000
"""Rows fed to the array in a candidate's beginning, at least: some tiles of most layers, a few milliseconds of the
engine."""

PIECE_COMMANDS = 4096

TRIES = 4
"""Candidates simulated whole beside the integer program's answer and the heuristic's, at most."""

TRIES_CYCLES = 40_000_000
"""Simulated cycles that all candidates of a layer may take by the model: two seconds of the engine."""

LEAST_RANKED = 3
"""Mappings below which a rank correlation says nothing."""

CLOSE = 1.004
"""No more candidates once the best is this close to the integer program's bound."""

EQUAL = 1.001
"""Mappings whose cycles differ by no more are equally fast: the one that moves fewest bytes runs."""


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
    """Simulate the candidates of a layer that has a command stream; what is chosen is not slower than the heuristic's.

    The heuristic's is left out where its analytical cycles, a lower bound of the simulated ones, are no fewer than what
    the integer program's mapping took and more than TRIES_CYCLES.
    """
    if plan is None:
        return Simulated(mapping=None, result=simulate(layer_programs(layer, None, accelerator), accelerator))
    nest = layer.work
    assert isinstance(nest, ArrayNest)
    tried = {plan.mapping: _result(layer, plan.mapping, accelerator)}
    best_cycles = tried[plan.mapping].cycles
    if plan.heuristic_mapping is not None and plan.heuristic_cost is not None:
        bound = plan.heuristic_cost.cycles
        if plan.heuristic_mapping not in tried and (bound < best_cycles or bound <= TRIES_CYCLES):
            tried[plan.heuristic_mapping] = _result(layer, plan.heuristic_mapping, accelerator)
            best_cycles = min(best_cycles, tried[plan.heuristic_mapping].cycles)
    if best_cycles > plan.cost.cycles * CLOSE:
        for other in _most_promising(layer, nest, plan, accelerator, best_cycles):
            tried[other] = _result(layer, other, accelerator)
            best_cycles = min(best_cycles, tried[other].cycles)
            if best_cycles <= plan.cost.cycles * CLOSE:
                break
    costs = {mapping: analytical(nest, mapping, accelerator) for mapping in tried}
    heuristic_cycles = tried[plan.heuristic_mapping].cycles if plan.heuristic_mapping in tried else None
    limit = min(best_cycles * EQUAL, inf if heuristic_cycles is None else heuristic_cycles)
    chosen = min(
        (mapping for mapping, result in tried.items() if result.cycles <= limit),
        key=lambda mapping: (costs[mapping].dram_bytes, tried[mapping].cycles),
    )
    return Simulated(
        mapping=chosen,
        result=tried[chosen],
        trials=tuple(
            Trial(mapping=mapping, analytical_cycles=costs[mapping].cycles, cycles=result.cycles)
            for mapping, result in tried.items()
        ),
        heuristic_cycles=heuristic_cycles,
    )


def _most_promising(
    layer: Layer, nest: ArrayNest, plan: Scheduled, accelerator: Accelerator, best_cycles: int
) -> list[Mapping]:
    """The candidates, not among the two simulated already, that their beginnings promise to be faster than
    `best_cycles`; best first."""
    tries = min(TRIES, int(TRIES_CYCLES // plan.cost.cycles))
    if not tries:
        return []
    found = (candidate.mapping for candidate in candidates(nest, accelerator, plan.cost.cycles, BEGINNINGS))
    promised = [
        (promised_cycles(layer, nest, mapping, accelerator), index, mapping)
        for index, mapping in enumerate(found)
        if mapping not in (plan.mapping, plan.heuristic_mapping)
        and analytical(nest, mapping, accelerator).cycles < best_cycles
    ]
    return [mapping for cycles, _, mapping in sorted(promised)[:tries] if cycles < best_cycles]


def promised_cycles(layer: Layer, nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> float:
    """Cycles that `mapping` would take if it went on as it begins: the beginning is simulated, and the rest of the
    rows that must enter the array take what they took in its second half."""
    pieces, rows = [], 0
    for piece in layer_programs(layer, mapping, accelerator, chunk_commands=PIECE_COMMANDS):
        pieces.append(piece)
        rows += int(_rows_fed(piece).sum())
        if rows >= BEGINNING_ROWS:
            break
    beginning = Program(
        funct=np.concatenate([piece.funct for piece in pieces]),
        rs1=np.concatenate([piece.rs1 for piece in pieces]),
        rs2=np.concatenate([piece.rs2 for piece in pieces]),
    )
    result = simulate(beginning, accelerator)
    fed = np.cumsum(_rows_fed(beginning))
    middle = int(np.searchsorted(fed, rows // 2))
    since = result.accepted_at[-1] - result.accepted_at[middle]
    left = weight_blocks(nest, mapping, accelerator) * nest.pixels - rows
    return float(result.cycles + left * since / max(1, rows - fed[middle]))


def _rows_fed(program: Program) -> npt.NDArray[np.int64]:
    """Rows of A of each command; 0 of what is no compute."""
    computes = (program.funct == isa.COMPUTE_PRELOADED) | (program.funct == isa.COMPUTE_ACCUMULATED)
    rows: npt.NDArray[np.int64] = np.where(computes, program.rs1 >> np.uint64(48), 0).astype(np.int64)
    return rows


def _result(layer: Layer, mapping: Mapping, accelerator: Accelerator) -> Result:
    return simulate(layer_programs(layer, mapping, accelerator), accelerator)
