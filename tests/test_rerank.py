"""The schedule that runs: never slower than the heuristic, and what runs is what was simulated."""

import pytest

from mapper.lower import lower
from mapper.program import layer_program
from mapper.rerank import fastest
from mapper.schedule import schedule
from model_ir.passes.pipeline import run_passes
from simulator.accelerator_file import load_accelerator
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
