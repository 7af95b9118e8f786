"""The schedule that runs: never slower than the heuristic, and what runs is what was simulated."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mapper.heuristic import heuristic as heuristic_of
from mapper.lower import lower
from mapper.program import layer_program
from mapper.rerank import EQUAL, Simulated, Trial, fastest, promised_cycles, rank_correlation
from mapper.schedule import schedule
from mapper.value_check import check_values
from model_ir.passes.pipeline import run_passes
from simulator.accelerator_file import load_accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from workloads.catalogue import build

LAYERS = tuple(
    layer
    for name in ("jet-tagger", "resnet18")
    for layer in lower(
        run_passes(build(name, **({"image": 56} if name == "resnet18" else {}))), load_accelerator("gemmini")
    )
    if isinstance(layer.work, ArrayNest)
)
DISTINCT = tuple({layer.work: layer for layer in LAYERS}.values())


@pytest.mark.parametrize("machine", ["gemmini", "survey-64-256"])
@pytest.mark.parametrize("layer", DISTINCT, ids=lambda layer: layer.name)
def test_what_runs_is_never_slower_than_the_heuristic_nor_faster_than_the_model(layer, machine) -> None:
    accelerator = load_accelerator(machine)
    plan = schedule(layer.work, accelerator)
    chosen = fastest(layer, plan, accelerator)
    heuristic = simulate(layer_program(layer, plan.heuristic_mapping, accelerator), accelerator)
    assert chosen.result.cycles <= heuristic.cycles
    assert chosen.result.cycles >= plan.cost.cycles
    assert chosen.result.macs == layer.work.macs
    assert chosen.heuristic_cycles == heuristic.cycles
    fastest_cycles = min(trial.cycles for trial in chosen.trials)
    assert chosen.result.cycles <= fastest_cycles * EQUAL
    moved = {trial.mapping: analytical(layer.work, trial.mapping, accelerator).dram_bytes for trial in chosen.trials}
    assert all(moved[chosen.mapping] <= moved[t.mapping] for t in chosen.trials if t.cycles <= fastest_cycles)
    assert len({trial.mapping for trial in chosen.trials}) == len(chosen.trials)
    for trial in chosen.trials:
        assert plan.cost.cycles <= trial.analytical_cycles <= trial.cycles


def runs_of(*pairs):
    """One layer's run with a trial for each (analytical, simulated) cycles."""
    mapping = heuristic_of(DISTINCT[0].work, load_accelerator("gemmini"))
    result = SimpleNamespace(cycles=1)
    trials = tuple(Trial(mapping=mapping, analytical_cycles=model, cycles=engine) for model, engine in pairs)
    return Simulated(mapping=mapping, result=result, trials=trials)


def test_ranks_are_compared_over_the_network_and_within_layers():
    small, large = runs_of((1, 12), (2, 11), (3, 10)), runs_of((20, 30), (21, 31), (22, 33), (23, 32))
    ranks = rank_correlation([small, large, runs_of((5, 6))])
    assert (ranks.mappings, ranks.layers) == (8, 2)
    assert ranks.within == pytest.approx((-1 + 0.8) / 2)
    model, engine = [1, 2, 3, 20, 21, 22, 23, 5], [12, 11, 10, 30, 31, 33, 32, 6]
    distances = [sorted(model).index(a) - sorted(engine).index(b) for a, b in zip(model, engine, strict=True)]
    assert ranks.overall == pytest.approx(1 - 6 * sum(d * d for d in distances) / (8 * 63))


def test_one_mapping_or_all_alike_have_no_rank():
    assert rank_correlation([runs_of((1, 2), (2, 3))]).overall is None
    assert rank_correlation([runs_of((1, 2), (1, 3), (1, 4))]).within is None


def test_an_engine_trial_can_overrule_the_model():
    """A transposed operand near the model's optimum: of equals in the model the engine finds a faster one."""
    accelerator = load_accelerator("gemmini")
    layer = next(
        layer for layer in lower(run_passes(build("bert-base", seq=64)), accelerator) if "scores" in layer.name
    )
    plan = schedule(layer.work, accelerator)
    chosen = fastest(layer, plan, accelerator)
    assert chosen.mapping not in (plan.mapping, plan.heuristic_mapping)
    assert chosen.result.cycles < chosen.trials[0].cycles


@pytest.mark.parametrize("tokens", [128, 512])
def test_a_beginning_promises_what_the_whole_takes(tokens):
    """Every tile is like the one before, so the rate of the beginning holds to the end."""
    accelerator = load_accelerator("gemmini")
    layer = next(
        layer for layer in lower(run_passes(build("bert-base", seq=tokens)), accelerator) if "query" in layer.name
    )
    plan = schedule(layer.work, accelerator)
    for mapping in (plan.mapping, plan.heuristic_mapping):
        whole = simulate(layer_program(layer, mapping, accelerator), accelerator).cycles
        assert promised_cycles(layer, layer.work, mapping, accelerator) == pytest.approx(whole, rel=0.03)


def test_the_beginning_of_a_short_layer_is_the_whole():
    accelerator = load_accelerator("gemmini")
    layer = DISTINCT[0]
    mapping = heuristic_of(layer.work, accelerator)
    whole = simulate(layer_program(layer, mapping, accelerator), accelerator).cycles
    assert promised_cycles(layer, layer.work, mapping, accelerator) == whole


def test_weights_begin_at_whole_requests():
    """1000 classes: rows of 1000 bytes would begin anywhere in a 64-byte request."""
    accelerator = load_accelerator("gemmini")
    head = lower(run_passes(build("resnet18", image=32)), accelerator)[-1]
    assert (head.work.out_channels, head.work.b_stride) == (1000, 1024)
    mapping = heuristic_of(head.work, accelerator)
    assert check_values(head, mapping, accelerator).equal
    tight = replace(head, work=replace(head.work, b_stride=1000))
    cycles = [simulate(layer_program(layer, mapping, accelerator), accelerator).cycles for layer in (head, tight)]
    assert cycles[0] < 0.95 * cycles[1]
