"""The integer program against exhaustive search, Gemmini's heuristic and its own claims."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.exhaustive import exhaustive
from mapper.heuristic import heuristic
from mapper.integer_program import solve
from mapper.mapping_space import copies_for
from mapper.objective import energy_of, energy_quanta, in_units, key_of
from mapper.solve import Objective, SolverName
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.mapping import check_legal
from tests.nest_cases import BERT, GEMMINI, RESNET50, convolution, few_channels, machine, machines, matmul, nests

TOLERANCE = {"cp-sat": 0.0, "highs": 1e-4}
"""The gap that a proof may leave: HiGHS computes in floating point and its bound is lowered by that."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@pytest.mark.parametrize("solver", get_args(SolverName))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(nest=nests(largest=4), accelerator=machines(), objective=st.sampled_from(OBJECTIVES))
def test_optimum_is_the_exhaustive_optimum(
    nest: ArrayNest, accelerator: Accelerator, objective: Objective, solver: SolverName
) -> None:
    try:
        _, _, oracle = exhaustive(nest, accelerator, objective=objective)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve(nest, accelerator, objective=objective, solver=solver)
        return
    mapping, found = solve(nest, accelerator, objective=objective, solver=solver)
    first, second = key_of(analytical(nest, mapping, accelerator), accelerator, objective)
    numbers = (in_units(first, accelerator, objective), second)
    assert (found.objective, found.tie_objective) == numbers == (oracle.objective, oracle.tie_objective)
    assert found.bound <= found.objective
    assert found.gap <= TOLERANCE[solver]
    if solver == "cp-sat":
        assert (found.status, found.bound, found.tie_bound, found.tie_gap) == ("optimal", *numbers, 0.0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    nest=few_channels(largest=7),
    accelerator=machines(),
    objective=st.sampled_from(OBJECTIVES),
    solver=st.sampled_from(get_args(SolverName)),
)
def test_optimum_with_packed_kernel_columns_is_the_exhaustive_optimum(
    nest: ArrayNest, accelerator: Accelerator, objective: Objective, solver: SolverName
) -> None:
    try:
        _, _, oracle = exhaustive(nest, accelerator, objective=objective)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve(nest, accelerator, objective=objective, solver=solver)
        return
    mapping, found = solve(nest, accelerator, objective=objective, solver=solver)
    first, second = key_of(analytical(nest, mapping, accelerator), accelerator, objective)
    numbers = (in_units(first, accelerator, objective), second)
    assert (found.objective, found.tie_objective) == numbers == (oracle.objective, oracle.tie_objective)
    assert found.bound <= found.objective
    assert found.gap <= TOLERANCE[solver]
    without = msgspec.structs.replace(accelerator, dma=msgspec.structs.replace(accelerator.dma, pixel_repeater=False))
    assert found.objective <= solve(nest, without, objective=objective)[1].objective


LAYERS = {
    **{f"resnet {name}": nest for name, nest in RESNET50.items()},
    **{f"bert {name}": BERT[name] for name in BERT},
}


@pytest.mark.parametrize("name", LAYERS)
def test_real_layers_are_proven_and_never_worse_than_the_heuristic(name: str) -> None:
    nest = LAYERS[name]
    mapping, found = solve(nest, GEMMINI)
    check_legal(nest, mapping, GEMMINI)
    cost, baseline = analytical(nest, mapping, GEMMINI), analytical(nest, heuristic(nest, GEMMINI), GEMMINI)
    assert (found.status, found.gap, found.tie_gap) == ("optimal", 0.0, 0.0)
    assert (found.objective, found.tie_objective) == (cost.cycles, cost.dram_bytes)
    assert (cost.cycles, cost.dram_bytes) <= (baseline.cycles, baseline.dram_bytes)


@pytest.mark.parametrize("solver", get_args(SolverName))
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ["resnet 14 1x1/2 1024-2048", "bert projection"])
def test_no_objective_is_worse_than_the_heuristic_or_another_objectives_optimum(
    name: str, objective: Objective, solver: SolverName
) -> None:
    nest = LAYERS[name]
    mapping, found = solve(nest, GEMMINI, objective=objective, solver=solver)
    check_legal(nest, mapping, GEMMINI)
    assert found.gap <= (0.0 if solver == "cp-sat" else 1e-3)
    # What saves bytes with single buffers is no candidate where time counts.
    rivals = [other for other in OBJECTIVES if copies_for(other) >= copies_for(objective)]
    others = [heuristic(nest, GEMMINI), *(solve(nest, GEMMINI, objective=other)[0] for other in rivals)]
    keys = [key_of(analytical(nest, other, GEMMINI), GEMMINI, objective) for other in others]
    best = min(first for first, _ in keys)
    assert key_of(analytical(nest, mapping, GEMMINI), GEMMINI, objective)[0] == best
    assert found.bound <= in_units(best, GEMMINI, objective)


def test_quanta_are_the_energy_model_in_integers() -> None:
    nest = BERT["scores"]
    cost = analytical(nest, heuristic(nest, GEMMINI), GEMMINI)
    quanta = energy_quanta(GEMMINI)
    assert (quanta.per_pj, quanta.dram_byte, quanta.mac) == (20, 3200, 6)  # 0.3, 1.25 and 160 pJ
    assert energy_of(cost, quanta) / quanta.per_pj == pytest.approx(cost.energy_pj, rel=1e-12)
    odd = msgspec.structs.replace(GEMMINI.energy, mac_pj=1 / 3)
    fine = energy_quanta(msgspec.structs.replace(GEMMINI, energy=odd))
    assert (fine.per_pj, fine.mac, fine.dram_byte) == (10**6, 333333, 160 * 10**6)


def test_single_buffers_save_traffic_and_double_ones_come_back_where_there_is_room() -> None:
    """512 x 3072 x 768: a panel of 80 channels fills the scratchpad once, so A is read ten times, not twelve."""
    nest = matmul(512, 3072, 768, bias=False)
    mapping, found = solve(nest, GEMMINI, objective="traffic")
    assert found.objective == analytical(nest, mapping, GEMMINI).dram_bytes <= 18_481_152
    assert (mapping.b_placement, mapping.b_copies) == ("panel", 1)
    assert found.objective < solve(nest, GEMMINI)[1].tie_objective
    small = solve(matmul(64, 64, 64), GEMMINI, objective="traffic")[0]
    assert (small.a_copies, small.b_copies, small.c_copies) == (2, 2, 2)


def test_traffic_first_moves_no_more_bytes_than_cycles_first() -> None:
    nest = BERT["feed forward 2"]
    by_cycles, fast = solve(nest, GEMMINI)
    by_traffic, lean = solve(nest, GEMMINI, objective="traffic")
    assert lean.objective <= fast.tie_objective
    assert lean.tie_objective >= fast.objective
    assert analytical(nest, by_traffic, GEMMINI).dram_bytes == lean.objective
    assert analytical(nest, by_cycles, GEMMINI).dram_bytes == fast.tie_objective


GROWING = (
    matmul(96, 40, 72),
    matmul(50, 64, 33, bias=False, transpose_b=True),
    convolution(1, 12, 3, 20, 24, pad=1),
    convolution(2, 9, 3, 8, 40, stride=2),
)


@pytest.mark.parametrize("nest", GROWING)
def test_more_memory_is_never_slower(nest: ArrayNest) -> None:
    cycles = [solve(nest, machine(4, rows, 64))[1].objective for rows in (48, 96, 100, 200, 1000)]
    assert cycles == sorted(cycles, reverse=True)
    cycles = [solve(nest, machine(4, 256, rows))[1].objective for rows in (2, 8, 11, 40, 200)]
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("nest", GROWING)
def test_more_bandwidth_is_never_slower(nest: ArrayNest) -> None:
    cycles = [
        solve(nest, machine(4, 96, 32, bus_bytes=bus, request_bytes=64))[1].objective for bus in (2, 4, 8, 16, 32)
    ]
    assert cycles == sorted(cycles, reverse=True)


def test_same_question_same_answer() -> None:
    nest = RESNET50["56 3x3/2 128"]
    assert solve(nest, GEMMINI)[0] == solve(nest, GEMMINI)[0]


def test_a_nest_too_large_for_presolve_free_search_is_still_proven() -> None:
    """A decoder's feed-forward matmul over 32768 tokens: products beyond 2^42."""
    nest = matmul(32768, 4096, 11008, bias=False)
    mapping, found = solve(nest, GEMMINI, time_limit_seconds=60.0)
    assert found.status == "optimal"
    assert found.objective == analytical(nest, mapping, GEMMINI).cycles


@pytest.mark.parametrize("solver", get_args(SolverName))
def test_infeasible_says_by_how_much(solver: SolverName) -> None:
    with pytest.raises(InfeasibleError, match=r"accumulator: needs 2 rows, has 1 rows \(1 rows too many\)"):
        solve(matmul(8, 8, 8), machine(4, 96, 1), solver=solver)


def test_too_little_time_gives_an_honest_answer() -> None:
    nest = RESNET50["conv1"]
    mapping, found = solve(nest, GEMMINI, time_limit_seconds=1e-6)
    check_legal(nest, mapping, GEMMINI)
    assert found.bound <= found.objective <= analytical(nest, heuristic(nest, GEMMINI), GEMMINI).cycles
    assert found.status == "feasible"


def test_questions_that_make_no_sense_are_refused() -> None:
    nest = matmul(8, 8, 8)
    with pytest.raises(InputError, match="time_limit_seconds"):
        solve(nest, GEMMINI, time_limit_seconds=0)
    with pytest.raises(InputError, match=r"objective: must be one of latency.*value cycles"):
        solve(nest, GEMMINI, objective="cycles")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="solver: must be one of"):
        solve(nest, GEMMINI, solver="glpk")  # type: ignore[arg-type]
