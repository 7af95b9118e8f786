"""Checkmate's program with paging against a search through every stage's every choice, on small graphs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.across_layers.recomputation import Rematerialisation, rematerialise
from mapper.across_layers.rematerialisation import Node, Stage, cost_of, paged, peak_of
from model_ir.errors import InfeasibleError, InputError


@st.composite
def graphs(draw: st.DrawFn, largest: int = 4) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for number in range(draw(st.integers(2, largest))):
        operands = draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=2)) if number else set()
        nodes.append(
            Node(
                name=f"n{number}",
                operands=tuple(sorted(operands)),
                cycles=draw(st.integers(1, 6)),
                size_bytes=draw(st.integers(1, 4)),
                fetch_cycles=draw(st.integers(1, 6)),
                store_cycles=draw(st.integers(0, 4)),
                in_memory=number == 0 and draw(st.booleans()),
            )
        )
    return tuple(nodes)


def _subsets(items: frozenset[int]) -> Iterator[frozenset[int]]:
    for size in range(len(items) + 1):
        yield from map(frozenset, combinations(sorted(items), size))


def _cheapest(nodes: tuple[Node, ...], budget: int, paging: bool) -> int | None:
    """Every set kept, fetched, computed and stored in every stage; None where nothing fits."""

    @cache
    def rest(stage: int, kept: frozenset[int], memory: frozenset[int]) -> int | None:
        if stage == len(nodes):
            return 0
        best: int | None = None
        for fetched in _subsets(memory - kept if paging else frozenset()):
            fetched = frozenset(node for node in fetched if node < stage)
            cost = sum(nodes[node].fetch_cycles for node in fetched)
            for again in _subsets(frozenset(range(stage)) - kept - fetched):
                computed = sorted(again | {stage})
                here = kept | fetched | set(computed)
                for following in _subsets(here):
                    if not _fits(nodes, budget, kept | fetched, computed, following):
                        continue
                    for stored in _subsets(here - memory if paging else frozenset()):
                        after = rest(stage + 1, following, memory | stored)
                        if after is None:
                            continue
                        total = cost + after + sum(nodes[node].cycles for node in computed)
                        total += sum(nodes[node].store_cycles for node in stored)
                        best = total if best is None else min(best, total)
        return best

    return rest(0, frozenset(), frozenset(number for number, node in enumerate(nodes) if node.in_memory))


def _fits(
    nodes: tuple[Node, ...], budget: int, start: frozenset[int], computed: list[int], following: frozenset[int]
) -> bool:
    present = set(start)
    if sum(nodes[node].size_bytes for node in present) > budget:
        return False
    for place, node in enumerate(computed):
        if not set(nodes[node].operands) <= present:
            return False
        present.add(node)
        if sum(nodes[one].size_bytes for one in present) > budget:
            return False
        still = {operand for later in computed[place + 1 :] for operand in nodes[later].operands} | following
        present -= {one for one in (*nodes[node].operands, node) if one not in still}
    return True


def _solved(nodes: tuple[Node, ...], budget: int, paging: bool) -> Rematerialisation | None:
    try:
        return rematerialise(nodes, budget, paging=paging, workers=1)
    except InfeasibleError:
        return None


@settings(derandomize=True, deadline=None, max_examples=120)
@given(graphs(), st.integers(3, 12), st.booleans())
def test_the_program_finds_what_trying_everything_finds(nodes: tuple[Node, ...], budget: int, paging: bool) -> None:
    expected, found = _cheapest(nodes, budget, paging), _solved(nodes, budget, paging)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.cycles == expected
        assert found.solve.status == "optimal"
        assert found.peak_bytes <= budget
        assert cost_of(nodes, found.stages) == found.cycles
        assert all(number in stage.computed for number, stage in enumerate(found.stages))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(graphs(largest=6), st.integers(4, 14))
def test_more_memory_and_paging_never_cost(nodes: tuple[Node, ...], budget: int) -> None:
    found = _solved(nodes, budget, paging=True)
    alone = _solved(nodes, budget, paging=False)
    larger = _solved(nodes, budget + 2, paging=True)
    if alone is not None:
        assert found is not None
        assert found.cycles <= alone.cycles
    if found is not None:
        assert larger is not None
        assert larger.cycles <= found.cycles
    everything = rematerialise(nodes, sum(node.size_bytes for node in nodes), workers=1)
    # Nothing needs to be computed twice; an input that is fetched more cheaply than made does not apply here.
    assert everything.cycles == sum(node.cycles for node in nodes)
    assert everything.computed_again == everything.fetched_again == ()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(graphs(largest=7), st.integers(3, 16))
def test_paging_by_hand_fits_wherever_an_operator_does(nodes: tuple[Node, ...], budget: int) -> None:
    largest = max(node.size_bytes + sum(nodes[other].size_bytes for other in node.operands) for node in nodes)
    if largest > budget:
        with pytest.raises(InfeasibleError):
            paged(nodes, budget)
        return
    stages = paged(nodes, budget)
    assert peak_of(nodes, stages) <= budget
    assert [stage.computed for stage in stages] == [(number,) for number in range(len(nodes))]
    found = rematerialise(nodes, budget, workers=1, time_limit_seconds=0.001)
    assert found.cycles <= cost_of(nodes, stages)
    assert found.solve.bound <= found.cycles


def _skip(fetch: int, store: int, again: int) -> tuple[Node, ...]:
    """A cheap tensor needed at both ends of a chain that has no room for it in the middle."""

    def node(name: str, operands: tuple[int, ...], size: int, cycles: int = 10) -> Node:
        return Node(
            name=name, operands=operands, cycles=cycles, size_bytes=size, fetch_cycles=fetch, store_cycles=store
        )

    return (
        node("input", (), 1, 1),
        node("skip", (0,), 4, again),
        node("wide", (1,), 4),
        node("wider", (2,), 4),
        node("narrow", (3,), 1),
        node("sum", (1, 4), 4),
    )


def test_recomputation_beats_traffic_exactly_where_it_is_cheaper() -> None:
    again = rematerialise(_skip(fetch=20, store=20, again=5), 9)
    assert again.computed_again == (1,)
    assert again.fetched_again == ()
    assert rematerialise(_skip(fetch=20, store=20, again=5), 9, recompute=False).cycles == again.cycles - 5 + 40
    fetched = rematerialise(_skip(fetch=2, store=1, again=50), 9)
    assert fetched.computed_again == ()
    assert fetched.fetched_again == (1,)
    roomy = rematerialise(_skip(fetch=2, store=1, again=50), 12)
    assert roomy.computed_again == roomy.fetched_again == ()


def test_a_limited_reach_is_a_part_of_the_whole_program() -> None:
    nodes = _skip(fetch=20, store=20, again=5)
    whole, near = rematerialise(nodes, 9), rematerialise(nodes, 9, reach=5)
    assert near.cycles == whole.cycles
    assert rematerialise(nodes, 10, reach=0).cycles >= rematerialise(nodes, 10).cycles


def test_what_cannot_be_is_refused() -> None:
    nodes = _skip(fetch=1, store=1, again=1)
    with pytest.raises(InfeasibleError, match="wide: needs 8 bytes, has 7 bytes"):
        rematerialise(nodes, 7)
    with pytest.raises(InputError, match="earlier"):
        rematerialise((Node(name="n", operands=(0,), cycles=1, size_bytes=1),), 4)
    with pytest.raises(InputError, match="positive"):
        rematerialise(nodes, 9, time_limit_seconds=0)
    stray = Stage(kept=(1,), fetched=(), computed=(0,), stored=())
    with pytest.raises(InputError, match="not there"):
        peak_of(nodes, (stray,))
    with pytest.raises(InputError, match="without an operand"):
        peak_of(nodes, (Stage(kept=(), fetched=(), computed=(1,), stored=()),))
