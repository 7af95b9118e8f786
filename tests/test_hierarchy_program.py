"""The integer program of a memory hierarchy against exhaustive search, its parts against trying everything."""

from __future__ import annotations

import random
from itertools import islice
from typing import get_args
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mapper.hierarchy import integer_program
from mapper.hierarchy.descent import Found, Question
from mapper.hierarchy.descent import found as found_mapping
from mapper.hierarchy.integer_program import solve_on_hierarchy
from mapper.hierarchy.objective import compared
from mapper.hierarchy.space import legal_hierarchy_mappings
from mapper.hierarchy.tables import fetched, held, sizes_of
from mapper.solve import Objective, SolverName
from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.cost import hierarchy_cost
from simulator.hierarchy.dataflow import dataflow, obeys
from simulator.hierarchy.description import Hierarchy
from simulator.hierarchy.file import load_hierarchy
from simulator.hierarchy.mapping import check_legal
from simulator.hierarchy.nest import TensorAxis, TensorNest, tensor_nest
from tests.hierarchy_cases import convolution, machines, matmul, small_nests

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
MOST_MAPPINGS = 500


@st.composite
def cases(draw: st.DrawFn) -> tuple[TensorNest, Hierarchy]:
    """A nest of a few points and a machine with memories of a few bytes."""
    nest, machine = tensor_nest(draw(small_nests(points=24))), draw(machines())
    levels = [machine.levels[0]]
    for level in machine.levels[1:]:
        levels.append(msgspec.structs.replace(level, capacity_bytes=draw(st.integers(2, 40))))
    return nest, msgspec.structs.replace(machine, levels=tuple(levels))


@pytest.mark.parametrize(("solver", "examples"), [("highs", 25), ("cp-sat", 12)])
def test_found_is_the_exhaustive_optimum_and_no_bound_is_above_it(solver: SolverName, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(case=cases(), bypass=st.booleans(), objective=st.sampled_from(OBJECTIVES))
    def check(case: tuple[TensorNest, Hierarchy], bypass: bool, objective: Objective) -> None:
        nest, machine = case
        every = legal_hierarchy_mappings(nest, machine, tiles="any", bypass=bypass)
        mappings = list(islice(every, MOST_MAPPINGS + 1))
        assume(0 < len(mappings) <= MOST_MAPPINGS)
        best = min(compared(hierarchy_cost(nest, mapping, machine), objective)[0] for mapping in mappings)
        mapping, cost, found = solve_on_hierarchy(
            nest, machine, objective=objective, solver=solver, bypass=bypass, time_limit_seconds=0.7
        )
        assert hierarchy_cost(nest, mapping, machine) == cost
        assert (found.objective, found.tie_objective) == compared(cost, objective)
        assert found.objective == pytest.approx(best, rel=1e-9)
        assert found.bound <= best * (1 + 1e-9)

    check()


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(case=cases(), objective=st.sampled_from(OBJECTIVES), gap=st.sampled_from((0.05, 0.3)))
def test_what_is_proven_by_asking_is_true_from_the_worst_mapping_on(
    case: tuple[TensorNest, Hierarchy], objective: Objective, gap: float
) -> None:
    nest, machine = case
    mappings = list(islice(legal_hierarchy_mappings(nest, machine, tiles="any"), MOST_MAPPINGS + 1))
    assume(0 < len(mappings) <= MOST_MAPPINGS)
    ranked = sorted(mappings, key=lambda each: compared(hierarchy_cost(nest, each, machine), objective))
    best = compared(hierarchy_cost(nest, ranked[0], machine), objective)[0]

    def worst(question: Question) -> Found | None:
        return found_mapping(question, ranked[-1])

    with patch.object(integer_program, "first_mapping", worst):
        found = solve_on_hierarchy(nest, machine, objective=objective, gap=gap, time_limit_seconds=2.0)[2]
    assert found.bound <= best * (1 + 1e-9)
    assert best * (1 - 1e-9) <= found.objective


LAYERS = {
    "3x3 64-64 @56": convolution(56, 3, 64, 64, pad=1),
    "3x3 512-512 @7": convolution(7, 3, 512, 512, pad=1),
    "1x1 64-256 @56": matmul(3136, 64, 256),
}


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("3x3 64-64 @56", "energy"),
        ("3x3 512-512 @7", "energy"),
        ("3x3 512-512 @7", "traffic"),
        ("1x1 64-256 @56", "latency"),
    ],
)
def test_layers_on_five_memories_are_proven_within_five_percent(name: str, objective: Objective) -> None:
    nest, simba = tensor_nest(LAYERS[name]), load_hierarchy("simba-like")
    mapping, cost, found = solve_on_hierarchy(nest, simba, objective=objective, gap=0.05, time_limit_seconds=60.0)
    check_legal(nest, mapping, simba)
    assert found.objective == compared(cost, objective)[0]
    assert 0 <= found.gap <= 0.05


def test_the_dataflow_is_obeyed() -> None:
    nest, eyeriss = tensor_nest(convolution(14, 3, 16, 32, pad=1)), load_hierarchy("eyeriss-like")
    flow = dataflow("row-stationary")
    limits = {"gap": 0.2, "time_limit_seconds": 10.0}
    mapping, _, found = solve_on_hierarchy(nest, eyeriss, objective="energy", flow=flow, **limits)
    assert obeys(nest, check_legal(nest, mapping, eyeriss), mapping, flow)
    free = solve_on_hierarchy(nest, eyeriss, objective="energy", **limits)[2]
    assert free.bound <= found.objective


def test_infeasible_says_by_how_much() -> None:
    simba = load_hierarchy("simba-like")
    replace = msgspec.structs.replace
    levels = (*simba.levels[:4], replace(simba.levels[4], capacity_bytes=1), simba.levels[5])
    wide = replace(simba, word_bits=replace(simba.word_bits, outputs=16), levels=levels)
    with pytest.raises(InfeasibleError, match=r"accumulation_buffer: needs [23] bytes, has 1 bytes"):
        solve_on_hierarchy(tensor_nest(matmul(8, 1, 8)), wide)


def test_questions_that_make_no_sense_are_refused() -> None:
    nest, simba = tensor_nest(matmul(8, 8, 8)), load_hierarchy("simba-like")
    with pytest.raises(InputError, match="time_limit_seconds"):
        solve_on_hierarchy(nest, simba, time_limit_seconds=0)
    with pytest.raises(InputError, match="gap"):
        solve_on_hierarchy(nest, simba, gap=1.0)
    with pytest.raises(InputError, match="objective"):
        solve_on_hierarchy(nest, simba, objective="cycles")  # type: ignore[arg-type]


def test_windows_fetch_no_less_than_the_table_says() -> None:
    """Random cuts of both loops of an axis into chunks of at most a tile, element by element."""
    generator = random.Random(0)
    for _ in range(4000):
        sizes = generator.randint(2, 9), generator.randint(2, 4)
        steps = generator.choice((1, 1, 2, 3, -1)), generator.choice((1, 1, 2, -1))
        axis = TensorAxis(
            size=generator.randint(1, 14),
            offset=generator.randint(-3, 1),
            terms=(("p", steps[0]), ("r", steps[1])),
            dense=False,
        )
        tile = tuple(generator.randint(1, size) for size in sizes)
        chunks = [chopped(generator, size, most) for size, most in zip(sizes, tile, strict=True)]
        touched = [
            len({index for p in outer for r in inner if 0 <= (index := at(axis, p, r)) < axis.size})
            for outer in chunks[0]
            for inner in chunks[1]
        ]
        assert fetched(axis, sizes, tile, once=False) <= sum(touched)
        assert fetched(axis, sizes, sizes, once=True) <= sum(touched)
        assert max(touched) <= held(axis, tile)


def chopped(generator: random.Random, size: int, most: int) -> list[range]:
    chunks, start = [], 0
    while start < size:
        count = generator.randint(1, min(most, size - start))
        chunks.append(range(start, start + count))
        start += count
    return chunks


def at(axis: TensorAxis, p: int, r: int) -> int:
    return axis.offset + axis.terms[0][1] * p + axis.terms[1][1] * r


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 56, 1000])
def test_ranges_of_sizes_cover_each_size_once(size: int) -> None:
    ranges = sizes_of(size).ranges
    assert [each for least, most in ranges for each in range(least, most + 1)] == list(range(1, size + 1))
    for least, most in ranges:
        assert least == most or -(-size // least) == -(-size // most)
