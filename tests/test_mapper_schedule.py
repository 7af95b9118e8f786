"""Scheduling many layers: distinct ones once, answers kept by content and checked when reused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mapper import schedule as schedule_module
from mapper.schedule import Scheduled, content_key, from_json, schedule, schedule_layers, to_json
from model_ir.errors import InfeasibleError, InputError
from simulator.array_nest import Repeat
from tests.nest_cases import GEMMINI, convolution, machine, matmul

NESTS = (matmul(64, 32, 48), convolution(1, 8, 3, 16, 16, pad=1), matmul(64, 32, 48), matmul(20, 20, 20))


def test_every_nest_gets_its_answer_in_order_and_equal_nests_one_solve() -> None:
    seen: list[tuple[int, int]] = []
    scheduled = schedule_layers(NESTS, GEMMINI, workers=2, progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert scheduled[0] is scheduled[2]
    for nest, answer in zip(NESTS, scheduled, strict=True):
        alone = schedule(nest, GEMMINI)
        assert (answer.mapping, answer.cost) == (alone.mapping, alone.cost)
        assert answer.heuristic_cost is not None
        assert answer.cost.cycles <= answer.heuristic_cost.cycles


def test_a_cache_that_went_through_json_answers_without_solving(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: dict[str, Any] = {}
    first = schedule_layers(NESTS, GEMMINI, cache=cache)
    reread = json.loads(json.dumps(cache))
    monkeypatch.setattr(schedule_module, "schedule", lambda *_, **__: pytest.fail("solved again"))
    assert schedule_layers(NESTS, GEMMINI, cache=reread) == first


def damaged(answer: dict[str, Any], how: str) -> Any:
    """A stored answer that must not be believed."""
    if how == "not a schedule":
        return {"mapping": 3}
    if how == "cheaper than it is":
        return answer | {"cost": answer["cost"] | {"cycles": 1.0}}
    tile = answer["mapping"]["tile"] | {"in_channels": 10**6}
    return answer | {"mapping": answer["mapping"] | {"tile": tile}}


@pytest.mark.parametrize("how", ["not a schedule", "cheaper than it is", "illegal"])
def test_damaged_answers_are_solved_again(how: str) -> None:
    cache: dict[str, Any] = {}
    (good,) = schedule_layers(NESTS[:1], GEMMINI, cache=cache)
    ((key, answer),) = cache.items()
    cache[key] = damaged(answer, how)
    (again,) = schedule_layers(NESTS[:1], GEMMINI, cache=cache)
    assert (again.mapping, again.cost) == (good.mapping, good.cost)
    assert from_json(cache[key]) == again


def test_key_follows_what_decides_and_nothing_else() -> None:
    nest = matmul(64, 32, 48, repeats=(Repeat(count=6, a_stride=1, b_stride=2, c_stride=3),))
    key = content_key(nest, GEMMINI, "latency")
    elsewhere = replace(
        nest,
        a_stride=99,
        repeats=(
            Repeat(count=2, a_stride=1, b_stride=1, c_stride=1),
            Repeat(count=3, a_stride=0, b_stride=1, c_stride=1),
        ),
    )
    renamed = msgspec.structs.replace(GEMMINI, name="other", description="same machine", clock_hz=2e9)
    assert content_key(elsewhere, renamed, "latency") == key
    assert content_key(replace(nest, in_channels=33), GEMMINI, "latency") != key
    assert content_key(nest, machine(16, 16384, 1000), "latency") != key
    assert content_key(nest, GEMMINI, "traffic") != key


def test_json_round_trip_and_its_error() -> None:
    answer: Scheduled = schedule(NESTS[1], GEMMINI)
    assert from_json(json.loads(json.dumps(to_json(answer)))) == answer
    with pytest.raises(InputError, match="stored schedule"):
        from_json({"mapping": {}})


def test_errors_reach_the_caller() -> None:
    with pytest.raises(InputError, match="workers"):
        schedule_layers(NESTS, GEMMINI, workers=0)
    with pytest.raises(InfeasibleError, match="accumulator"):
        schedule_layers([NESTS[0]], machine(4, 96, 1))
