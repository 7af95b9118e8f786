"""The allocation of bits: integer programs, dynamic programme and exhaustive search agree, exactly; published fixtures;
budgets that cannot be met say what is missing."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from math import inf, log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.allocation.allocate import SOLVERS, SolverName, allocate, minima
from hls.allocation.costs import Product, between, bit_operations, layer_bops, model_size, table
from hls.allocation.exhaustive import exhaustive
from hls.allocation.network import choices_for, quantisable
from hls.allocation.pareto import ParetoPoint, front_by_dynamic_programme, front_by_programs, unlimited
from hls.allocation.problem import Amount, Budget, BudgetError, Problem
from model_ir.errors import InputError
from tests.allocation_cases import hawq_style, with_activations
from workloads import jet_tagger, resnet
from workloads.catalogue import build

PTQ_TABLE = Path(__file__).parent.parent.parent / "shared" / "jets" / "ptq_table.npz"
NAMES: tuple[SolverName, ...] = ("cp-sat", "highs")

WIDTHS = (16, 64, 32, 32, 5)
TRACES = (6.451294, 0.8976602, 0.18409997, 0.08547983)
"""Jet tagger of arXiv 2304.06745: layer widths, and the mean Hessian trace of each layer."""


def omega_of_steps(bits: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """Trace times the square of a symmetric quantiser's step on [-1, 1]."""
    return {f"w{index}": {b: trace / (2 ** (b - 1) - 1) ** 2 for b in bits} for index, trace in enumerate(TRACES)}


def published_bops(coupled: bool, bits: tuple[int, ...]) -> Amount:
    """The published accounting: 16-bit inputs, activations of 3 more bits than the weights of their own layer or,
    coupled, of the layer that makes them."""
    singles: dict[str, dict[int, float]] = {}
    pairs: dict[tuple[str, str], dict[tuple[int, int], float]] = {}
    for index, (n, m) in enumerate(pairwise(WIDTHS)):
        if index == 0:
            singles["w0"] = {b: layer_bops(m * n, n, 16, b) for b in bits}
        elif coupled:
            cost = {(a, b): layer_bops(m * n, n, a + 3, b) for a in bits for b in bits}
            pairs[f"w{index - 1}", f"w{index}"] = cost
        else:
            singles[f"w{index}"] = {b: layer_bops(m * n, n, b + 3, b) for b in bits}
    return Amount(name="bops", unit="bit operations", singles=singles, pairs=pairs)


def published(coupled: bool) -> Problem:
    bits = (4, 5, 6, 7, 8)
    return Problem(
        choices={f"w{index}": bits for index in range(4)},
        objective=Amount(name="omega", unit="loss", singles=omega_of_steps(bits)),
        budgets=(Budget(amount=published_bops(coupled, bits), limit=350_000),),
    )


def test_published_bit_operations() -> None:
    """Every homogeneous count of the paper's table."""
    bops = published_bops(False, (4, 5, 6, 7, 8))
    counts = [bops.of(dict.fromkeys(bops.singles, bits)) for bits in (4, 5, 6, 7, 8)]
    assert counts == [234_368, 297_024, 366_144, 441_728, 523_776]
    for bits, expected in ((16, 1_248_032), (32, 4_652_832)):
        layers = pairwise(WIDTHS)
        assert sum(layer_bops(m * n, n, bits, bits) for n, m in layers) == expected


@pytest.mark.parametrize("solver", NAMES)
def test_published_allocation(solver: SolverName) -> None:
    answer = allocate(published(coupled=False), solver=solver)
    assert tuple(answer.bits.values()) == (8, 5, 5, 5)
    assert answer.amounts == {"bops": 349_248}
    assert answer.status == "optimal"


@pytest.mark.parametrize("solver", NAMES)
def test_really_coupled_the_published_allocation_breaks_its_limit(solver: SolverName) -> None:
    problem = published(coupled=True)
    bops = problem.budgets[0].amount
    assert bops.of({"w0": 8, "w1": 5, "w2": 5, "w3": 5}) == 386_112
    answer = allocate(problem, solver=solver)
    assert answer.amounts["bops"] <= 350_000
    assert (answer.bits, answer.objective) == exhaustive(problem)


def ptq_problem(measure: str) -> tuple[Problem, "np.lib.npyio.NpzFile"]:
    """The measured table's four weights, additive in `measure`, with 8-bit activations."""
    if not PTQ_TABLE.exists():
        pytest.skip(f"{PTQ_TABLE} is not there")
    data = np.load(PTQ_TABLE)
    bits = tuple(range(2, 9))
    at = {tuple(map(int, row)): float(value) for row, value in zip(data["bits"], data[measure], strict=True)}
    singles: dict[str, dict[int, float]] = {}
    for layer in range(4):
        rows = {b: tuple(b if index == layer else 8 for index in range(4)) for b in bits}
        singles[f"w{layer}"] = {b: at[row] - at[8, 8, 8, 8] for b, row in rows.items()}
    choices = dict.fromkeys(singles, bits)
    products = [
        Product(activation="input", weight=f"w{index}", macs=m * n, reduction=n)
        for index, (n, m) in enumerate(pairwise(WIDTHS))
    ]
    bops = bit_operations(products, choices, fixed={"input": 8})
    objective = Amount(name=measure, unit="1", singles=singles, constant=at[8, 8, 8, 8])
    return Problem(choices=choices, objective=objective, budgets=(Budget(amount=bops),)), data


def test_the_measured_table_is_the_problem_built_for_it() -> None:
    for measure in ("omega", "l2"):
        problem, data = ptq_problem(measure)
        for row, bops, value in zip(data["bits"], data["bops"], data[measure], strict=True):
            bits = dict(zip(problem.choices, map(int, row), strict=True))
            assert problem.budgets[0].amount.of(bits) == bops
            assert problem.objective.of(bits) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("measure", "solver"), list(product(("omega", "l2"), NAMES)))
def test_equal_to_brute_force_for_every_budget_of_the_measured_table(measure: str, solver: SolverName) -> None:
    """Brute force is the minimum over the table itself, which knows nothing of this package."""
    problem, data = ptq_problem(measure)
    budgets = np.unique(data["bops"])
    for limit in budgets if solver == "cp-sat" else budgets[::5]:
        limited = replace(problem, budgets=(replace(problem.budgets[0], limit=float(limit)),))
        answer = allocate(limited, solver=solver)
        assert answer.objective == pytest.approx(data[measure][data["bops"] <= limit].min(), rel=1e-9)
        assert answer.amounts["bops"] <= limit
        assert answer.status == "optimal"
    below = replace(problem, budgets=(replace(problem.budgets[0], limit=float(budgets[0]) - 1),))
    with pytest.raises(BudgetError, match="minimum 132960"):
        allocate(below, solver=solver)


@pytest.mark.parametrize("measure", ["omega", "l2"])
def test_dynamic_programme_has_the_front_of_the_measured_table(measure: str) -> None:
    problem, data = ptq_problem(measure)
    front = front_by_dynamic_programme(problem, "bops")
    expected, best = [], inf
    for bops in np.unique(data["bops"]):
        least = data[measure][data["bops"] == bops].min()
        if least < best - 1e-12:
            expected.append((bops, least))
            best = least
    np.testing.assert_allclose([(point.amount, point.objective) for point in front], expected, rtol=1e-9)
    assert front_by_programs(problem, "bops") == front


COSTS = st.integers(0, 40)


@st.composite
def problems(draw: st.DrawFn, *, pairs: bool = True, budgets: int = 2) -> Problem:
    """Small problems with integer tables, some of two variables, whose budgets may or may not be met."""
    count = draw(st.integers(1, 4))
    choices = {
        f"v{i}": tuple(draw(st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True))) for i in range(count)
    }

    def amount(name: str) -> Amount:
        singles = {v: {b: float(draw(COSTS)) for b in bits} for v, bits in choices.items() if draw(st.booleans())}
        twos = {}
        if pairs and count > 1:
            for first, second in draw(
                st.lists(st.permutations(sorted(choices)).map(lambda p: (p[0], p[1])), max_size=2)
            ):
                cost = {(a, b): float(draw(COSTS)) for a in choices[first] for b in choices[second]}
                twos[first, second] = cost
        return Amount(name=name, unit="u", singles=singles, pairs=twos, constant=float(draw(COSTS)))

    limits = [Budget(amount=amount(f"b{i}"), limit=draw(st.integers(0, 120))) for i in range(budgets)]
    return Problem(choices=choices, objective=amount("cost"), budgets=tuple(limits))


def brute(problem: Problem) -> Iterator[tuple[float, tuple[float, ...], dict[str, int]]]:
    """Objective, amounts and bits of every choice, by the tables' own definition."""
    for chosen in product(*problem.choices.values()):
        bits = dict(zip(problem.choices, chosen, strict=True))
        yield problem.objective.of(bits), tuple(budget.amount.of(bits) for budget in problem.budgets), bits


@pytest.mark.parametrize("solver", NAMES)
@settings(derandomize=True, deadline=None, max_examples=60)
@given(problem=problems())
def test_equal_to_brute_force(solver: SolverName, problem: Problem) -> None:
    everything = list(brute(problem))
    limits = [budget.limit for budget in problem.budgets]
    good = [cost for cost, amounts, _ in everything if all(a <= b for a, b in zip(amounts, limits, strict=True))]
    if not good:
        with pytest.raises(BudgetError) as error:
            allocate(problem, solver=solver)
        for index, budget in enumerate(problem.budgets):
            assert error.value.minima[budget.amount.name] == min(amounts[index] for _, amounts, _ in everything)
        assert error.value.demand > error.value.capacity
        assert exhaustive(problem) is None
        return
    answer = allocate(problem, solver=solver)
    assert answer.objective == min(good)
    assert problem.objective.of(answer.bits) == answer.objective
    assert answer.bound <= answer.objective
    for budget in problem.budgets:
        assert budget.amount.of(answer.bits) == answer.amounts[budget.amount.name] <= budget.limit
    found = exhaustive(problem)
    assert found is not None
    assert found[1] == answer.objective


@pytest.mark.parametrize("solver", NAMES)
def test_a_pair_may_be_named_in_either_order(solver: SolverName) -> None:
    """One table has rows of u, the other of v; the least of their sum is at one place only."""
    choices = {"u": (2, 4, 6), "v": (3, 5)}
    one = {(u, v): float(10 * u + v) for u in choices["u"] for v in choices["v"]}
    other = {(v, u): float(u * v) for u in choices["u"] for v in choices["v"]}
    problem = Problem(
        choices=choices,
        objective=table("cost", "loss", {}, {("u", "v"): {key: -cost for key, cost in one.items()}}),
        budgets=(Budget(amount=table("work", "u", {}, {("v", "u"): other}), limit=19),),
    )
    answer = allocate(problem, solver=solver)
    assert (answer.bits, answer.objective) == ({"u": 6, "v": 3}, -63)
    assert exhaustive(problem) == ({"u": 6, "v": 3}, -63)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=problems(pairs=False, budgets=1))
def test_fronts_have_exactly_the_points_that_nothing_beats(problem: Problem) -> None:
    limit = problem.budgets[0].limit
    points = {(amounts[0], cost) for cost, amounts, _ in brute(problem) if amounts[0] <= limit}
    best = sorted((a, c) for a, c in points if not any((b <= a and d <= c) and (b, d) != (a, c) for b, d in points))

    def pairs(front: tuple[ParetoPoint, ...]) -> list[tuple[float, float]]:
        return [(point.amount, point.objective) for point in front]

    assert pairs(front_by_dynamic_programme(problem, "b0")) == best
    assert pairs(front_by_programs(problem, "b0")) == best


@settings(derandomize=True, deadline=None, max_examples=25)
@given(problem=problems())
def test_front_by_programs_heeds_pairs_and_other_budgets(problem: Problem) -> None:
    limits = [budget.limit for budget in problem.budgets]
    points = {
        (amounts[0], cost)
        for cost, amounts, _ in brute(problem)
        if all(a <= b for a, b in zip(amounts, limits, strict=True))
    }
    best = sorted((a, c) for a, c in points if not any((b <= a and d <= c) and (b, d) != (a, c) for b, d in points))
    assert [(point.amount, point.objective) for point in front_by_programs(problem, "b0")] == best


@pytest.mark.parametrize("solver", NAMES)
def test_fifty_layers_under_three_budgets_are_proven_optimal(solver: SolverName) -> None:
    for seed in range(3):
        problem = hawq_style(seed)
        answer = allocate(problem, solver=solver)
        assert answer.status == "optimal"
        assert answer.gap < 1e-4
        assert all(answer.amounts[budget.amount.name] <= budget.limit * (1 + 1e-11) for budget in problem.budgets)


def test_fifty_layers_with_activations_of_their_own_too() -> None:
    """A hundred variables, BOPs and cycles that depend on both operands' bits."""
    answer = allocate(with_activations(3))
    assert answer.status == "optimal"
    assert answer.gap < 1e-6
    assert len(set(answer.bits.values())) > 2


def test_both_solvers_agree_on_large_instances() -> None:
    for seed in range(3):
        problem = hawq_style(seed)
        first, second = (allocate(problem, solver=solver) for solver in NAMES)
        assert first.objective == pytest.approx(second.objective, rel=1e-6)
        assert first.bound <= second.objective
        assert second.bound <= first.objective


def test_dynamic_programme_equals_the_program_on_a_large_instance() -> None:
    """At every tenth of its front, the integer program at that limit finds the same objective."""
    problem = hawq_style(1, layers=12)
    sized = replace(unlimited(problem), budgets=unlimited(problem).budgets[:1])
    front = front_by_dynamic_programme(sized, "size")
    assert all(a.amount < b.amount and a.objective > b.objective for a, b in pairwise(front))
    for point in front[:: max(1, len(front) // 10)]:
        limited = replace(sized, budgets=(replace(sized.budgets[0], limit=point.amount),))
        assert allocate(limited).objective == pytest.approx(point.objective, rel=1e-9)


def test_budgets_that_exclude_each_other_say_what_is_missing() -> None:
    """Each alone can be met."""
    problem = Problem(
        choices={"v": (2, 8)},
        objective=table("cost", "loss", {"v": {2: 1.0, 8: 0.0}}),
        budgets=(
            Budget(amount=table("size", "bytes", {"v": {2: 2.0, 8: 8.0}}), limit=4),
            Budget(amount=table("error", "points", {"v": {2: 9.0, 8: 1.0}}), limit=5),
        ),
    )
    assert minima(problem) == {"size": 2, "error": 1}
    for solver in NAMES:
        with pytest.raises(BudgetError, match="budget 'error', minimum 9: needs 9 points, has 5 points") as error:
            allocate(problem, solver=solver)
        assert "size 2 bytes, error 1 points" in str(error.value)


def test_a_layers_input_precision_is_its_producers() -> None:
    """One variable an activation tensor: two layers that read the same tensor, and one that reads it reshaped."""
    found = quantisable(build("jet-tagger"))
    assert found.activations == ("features", "dense_0.relu", "dense_1.relu", "dense_2.relu")
    assert [(item.macs, item.reduction) for item in found.products] == [(1024, 16), (2048, 64), (1024, 32), (160, 32)]
    choices = choices_for(found.variables, (4, 8), held={"features": 8})
    bops = bit_operations(found.products, choices)
    bits = dict.fromkeys(choices, 4) | {"features": 8, "dense_0.relu": 8}
    expected = layer_bops(1024, 16, 8, 4) + layer_bops(2048, 64, 8, 4)
    assert bops.of(bits) == expected + layer_bops(1024, 32, 4, 4) + layer_bops(160, 32, 4, 4)

    branched = quantisable(resnet.build(resnet.RESNET_18, image=32))
    readers = [item.weight for item in branched.products if item.activation == "stages.0.1.relu"]
    assert readers == ["stages.1.0.conv_0.weight", "stages.1.0.shortcut.weight"]
    assert branched.products[-1].activation == "pool"  # the classifier reads it flattened


def test_positions_and_unrolled_hardware_and_groups() -> None:
    graph = resnet.build(resnet.RESNET_18, image=32, batch=2)
    worked, unrolled = quantisable(graph), quantisable(graph, counting="unrolled")
    assert sum(item.macs for item in worked.products) * 2 == graph.macs
    assert [item.macs for item in unrolled.products] == list(unrolled.elements.values())
    grouped = quantisable(graph, groups=4)
    assert sum(grouped.elements.values()) == sum(worked.elements.values())
    assert sum(item.macs for item in grouped.products) == sum(item.macs for item in worked.products)
    assert grouped.weights[1].name == "stem.weight[16:32]"
    with pytest.raises(InputError, match="more than it has channels"):
        quantisable(jet_tagger.build(jet_tagger.JET_TAGGER), groups=6)


def test_pruning_enters_bit_operations() -> None:
    found = quantisable(build("jet-tagger"), nonzero={"dense_1.weight": 0.25})
    bits = dict.fromkeys(found.variables, 6)
    whole, pruned = (
        bit_operations(item.products, {}, fixed=bits).constant for item in (quantisable(build("jet-tagger")), found)
    )
    assert whole - pruned == 2048 * 0.75 * 36


def test_budget_rule_between_four_and_eight_bits() -> None:
    """HAWQ-V3's rule, first and last layer held at 8 bits."""
    choices = {"first": (8,), "a": (4, 8), "last": (8,)}
    size = model_size({"first": 100, "a": 1000, "last": 50}, choices)
    assert [between(size, choices, f) for f in (0, 0.25, 0.5, 1)] == [650, 775, 900, 1150]
    with pytest.raises(InputError, match="4 bits are not among them"):
        between(size, {**choices, "a": (6, 8)}, 0.5)


def test_bits_of_a_product_never_worse_with_more_budget() -> None:
    problem = published(coupled=True)
    costs = [
        allocate(replace(problem, budgets=(replace(problem.budgets[0], limit=limit),))).objective
        for limit in range(240_000, 600_000, 40_000)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_irrational_tables_meet_a_limit_that_is_their_own_sum() -> None:
    """Whatever way the sum rounds, the choice that makes the limit is in."""
    names = [f"w{index}" for index in range(11)]
    choices = dict.fromkeys(names, (3, 5))
    amount = table("bops", "bit operations", {n: {b: b * log2(7 + i) for b in (3, 5)} for i, n in enumerate(names)})
    worth = table("cost", "loss", {n: {3: 1.0 + i, 5: 0.0} for i, n in enumerate(names)})
    for mask in range(0, 1 << 11, 97):
        bits = {name: 5 if mask >> i & 1 else 3 for i, name in enumerate(names)}
        problem = Problem(choices=choices, objective=worth, budgets=(Budget(amount=amount, limit=amount.of(bits)),))
        assert allocate(problem).objective <= worth.of(bits)


@pytest.mark.parametrize("solver", NAMES)
def test_a_limit_is_not_broken_by_a_millionth_either(solver: SolverName) -> None:
    """By less than what HiGHS takes for kept."""
    names = ("v", "w")
    work = table("work", "u", {name: {2: 1.0, 8: 1_000_000.001 if name == "v" else 1.0} for name in names})
    problem = Problem(
        choices=dict.fromkeys(names, (2, 8)),
        objective=table("cost", "loss", {"v": {2: 3.0, 8: 0.0}, "w": {2: 1.0, 8: 0.0}}),
        budgets=(Budget(amount=work, limit=1_000_001.0),),
    )
    assert allocate(problem, solver=solver).bits == {"v": 2, "w": 8}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": {}}, "nothing to choose"),
        ({"choices": {"v": (0, 2)}}, "at least 1 bit"),
        ({"choices": {"v": (2, 4, 6)}}, "at 6 bits: has no entry"),
        ({"choices": {"u": (2, 4)}}, "no choices of bits"),
        ({"objective": table("cost", "loss", {"v": {2: float("nan"), 4: 0.0}})}, "not a finite number"),
        ({"objective": table("cost", "loss", {}, {("v", "v"): {}})}, "with itself"),
        ({"objective": table("size", "bytes", {})}, "share a name"),
    ],
)
def test_malformed_problems(change: dict[str, object], message: str) -> None:
    good = Problem(
        choices={"v": (2, 4)},
        objective=table("cost", "loss", {"v": {2: 1.0, 4: 0.0}}),
        budgets=(Budget(amount=table("size", "bytes", {"v": {2: 1.0, 4: 2.0}}), limit=1),),
    )
    assert allocate(good).bits == {"v": 2}
    with pytest.raises(InputError, match=message):
        allocate(replace(good, **change))  # type: ignore[arg-type]


def test_every_solver_is_tested_here() -> None:
    assert set(SOLVERS) == set(NAMES)
    with pytest.raises(InputError, match="unknown solver"):
        allocate(published(coupled=False), solver="simplex")  # type: ignore[arg-type]
