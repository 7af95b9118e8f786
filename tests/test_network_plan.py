"""The plan across layers of real and of small networks: legal, never worse than layer by layer, and the best of all
that was offered."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_cases import machine

from mapper.across_layers.exhaustive import network_exhaustive
from mapper.across_layers.menu import MenuOptions
from mapper.across_layers.plan import NetworkPlan, PlanOptions, offered, plan_network
from mapper.across_layers.problem import conflict_of
from mapper.across_layers.program import solve_network
from mapper.across_layers.residences import possible_stays
from mapper.across_layers.steps import steps_of
from mapper.lower import lower
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import LayerNorm, Softmax
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.vector_cost import vector_cost
from systolic.pipeline import layers_of, prepare, schedule
from workloads.catalogue import build

IBERT = load_accelerator("gemmini-ibert")
GEMMINI = load_accelerator("gemmini")


def _planned(graph: Graph, accelerator: Accelerator, **options: object) -> NetworkPlan:
    prepared = prepare(graph, accelerator)
    return plan_network(prepared, lower(prepared, accelerator), accelerator, PlanOptions(**options))


@st.composite
def small_graphs(draw: st.DrawFn) -> Graph:
    """Up to five matmuls, additions, softmaxes and LayerNorms of small matrices, each on an earlier tensor."""
    b = GraphBuilder("small")
    tokens, width = draw(st.integers(1, 6)), 2 * draw(st.integers(1, 3))
    made = [b.input("x", (tokens, width))]
    for number in range(draw(st.integers(2, 5))):
        source = draw(st.sampled_from(made[-2:]))
        kind = draw(st.sampled_from(("matmul", "matmul", "add", "softmax", "norm")))
        name = f"{kind}{number}"
        if kind == "matmul":
            result = b.apply(MatMul, source, b.parameter(f"{name}.w", (width, width)), name=name)
        elif kind == "add":
            result = b.apply(Binary, source, draw(st.sampled_from(made)), name=name, function="add")
        elif kind == "softmax":
            result = b.apply(Softmax, source, name=name, axis=-1)
        else:
            result = b.apply(LayerNorm, source, b.parameter(f"{name}.s", (width,)), name=name, axis=-1)
        made.append(result)
    return b.finish(made[-1])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    small_graphs(),
    st.integers(16, 80),
    st.integers(12, 60),
    st.booleans(),
    st.sampled_from(("latency", "traffic", "energy")),
)
def test_the_plan_is_the_best_of_all_that_was_offered(
    graph: Graph, scratchpad: int, accumulator: int, result_path: bool, objective: str
) -> None:
    accelerator = machine(2, scratchpad, accumulator, base=IBERT)
    prepared = prepare(graph, accelerator)
    steps = steps_of(prepared, lower(prepared, accelerator), accelerator)
    options = PlanOptions(menu=MenuOptions(objective=objective, workers=1), result_path=result_path)
    _, problem = offered(steps, accelerator, options)
    expected = network_exhaustive(problem)
    found = solve_network(problem, workers=1)
    assert conflict_of(problem, found.choices) == ""
    assert found.key == expected.key


def _check(plan: NetworkPlan) -> None:
    assert [number for group in plan.groups for number in group.numbers] == list(range(len(plan.steps.steps)))
    assert plan.solve.gap <= 1e-3
    first, apart = (
        (plan.cycles, plan.apart_cycles) if plan.objective == "latency" else (plan.dram_bytes, plan.apart_dram_bytes)
    )
    assert first <= apart
    assert plan.solve.objective == pytest.approx(first, rel=1e-6)


def test_layer_by_layer_is_what_the_pipeline_schedules() -> None:
    graph = build("bert-base", seq=128)
    plan = _planned(graph, IBERT)
    _check(plan)
    layers = layers_of(graph, IBERT)
    plans = schedule(layers, IBERT)
    expected = sum(
        vector_cost(layer.nest, IBERT)[1].cycles if scheduled is None else scheduled.cost.cycles
        for layer, scheduled in zip(layers, plans, strict=True)
    )
    assert plan.apart_cycles == pytest.approx(expected, rel=1e-9)


def test_bert_fuses_the_softmax_and_not_the_layer_norm() -> None:
    """At 512 tokens with 128 KiB of accumulator: the survey's findings (arXiv 2302.14017, section 5.5.2), decided."""
    graph = build("bert-base", seq=512)
    plan = _planned(graph, IBERT)
    _check(plan)
    kinds = [group.kind for group in plan.groups]
    assert kinds.count("matmul + softmax") == 12
    assert not any("layer_norm" in kind for kind in kinds)
    with_path = _planned(graph, IBERT, result_path=True)
    assert [group.kind for group in with_path.groups].count("scores + softmax + values") == 12
    assert with_path.cycles <= plan.cycles


def test_resnet_adds_its_residuals_onto_the_sums() -> None:
    plan = _planned(build("resnet50"), GEMMINI)
    _check(plan)
    fused = [group for group in plan.groups if group.kind == "matmul + add"]
    assert len(fused) == 16
    for group in fused:
        apart = sum(plan.apart[number].cycles for number in group.numbers)
        assert group.cost.cycles < apart
        assert group.cost.dram_bytes < sum(plan.apart[number].dram_bytes for number in group.numbers)


def test_a_small_network_stays_on_chip() -> None:
    plan = _planned(build("jet-tagger"), GEMMINI, menu=MenuOptions(objective="traffic"))
    _check(plan)
    assert {residence.memory for residence in plan.residences} == {"accumulator"}
    parameters = sum(tensor.elements for name, tensor in build("jet-tagger").tensors.items() if name.endswith("weight"))
    assert plan.dram_bytes < plan.apart_dram_bytes
    assert plan.dram_bytes >= parameters


def test_what_is_read_elsewhere_is_stored_all_the_same() -> None:
    """Two readers, of which the accumulator serves one: the tensor is also a result, so its store remains."""
    b = GraphBuilder("two")
    x = b.input("x", (4, 16))
    y = b.apply(MatMul, x, b.parameter("w", (16, 16)), name="first")
    z = b.apply(MatMul, y, b.parameter("v", (16, 16)), name="second")
    prepared = prepare(b.finish(y, z), GEMMINI)
    steps = steps_of(prepared, lower(prepared, GEMMINI), GEMMINI)
    stays = possible_stays(steps, GEMMINI, result_path=False)
    assert [(stay.residence.tensor, stay.stored) for stay in stays] == [("first", True)]
    plan = _planned(b.finish(y, z), GEMMINI, menu=MenuOptions(objective="traffic"))
    assert plan.residences == (stays[0].residence,)
    assert plan.apart_dram_bytes - plan.dram_bytes == 4 * 16
    alone = _planned(b.finish(z), GEMMINI, menu=MenuOptions(objective="traffic"))
    assert alone.apart_dram_bytes - alone.dram_bytes == 2 * 4 * 16


def test_an_input_of_several_matmuls_is_loaded_once() -> None:
    b = GraphBuilder("shared")
    x = b.input("x", (32, 64))
    outputs = [b.apply(MatMul, x, b.parameter(f"w{part}", (64, 64)), name=f"m{part}") for part in "qkv"]
    plan = _planned(b.finish(*outputs), GEMMINI, menu=MenuOptions(objective="traffic"))
    (residence,) = plan.residences
    assert (residence.memory, residence.first, residence.last) == ("scratchpad", 0, 2)
    assert plan.apart_dram_bytes - plan.dram_bytes == 2 * 32 * 64


def test_a_machine_that_cannot_read_its_accumulator_keeps_no_sums_for_the_array() -> None:
    blind = msgspec.structs.replace(GEMMINI, array=msgspec.structs.replace(GEMMINI.array, reads_accumulator=False))
    graph = prepare(build("jet-tagger"), blind)
    steps = steps_of(graph, lower(graph, blind), blind)
    assert possible_stays(steps, blind, result_path=False) == ()


def test_views_have_no_step_and_keep_their_tensor() -> None:
    b = GraphBuilder("view")
    x = b.input("x", (4, 16))
    y = b.apply(Unary, b.apply(MatMul, x, b.parameter("w", (16, 16)), name="m"), name="relu", function="relu")
    y = b.apply(Reshape, y, name="shaped", shape=(2, 2, 16))
    y = b.apply(MatMul, y, b.parameter("v", (16, 16)), name="n")
    prepared = prepare(b.finish(y), GEMMINI)
    steps = steps_of(prepared, lower(prepared, GEMMINI), GEMMINI)
    assert [step.name for step in steps.steps] == ["m", "n"]
    assert steps.steps[1].reads[0] == steps.steps[0].writes
    assert steps.only_reader(steps.steps[0].writes) == 1


def test_energy_adds_up_and_its_product_with_delay_does_not() -> None:
    plan = _planned(build("jet-tagger"), GEMMINI, menu=MenuOptions(objective="energy"))
    energy, apart = (sum(cost.energy_pj for cost in costs) for costs in ([g.cost for g in plan.groups], plan.apart))
    assert plan.solve.objective == pytest.approx(energy, rel=1e-9)
    assert energy < apart
    with pytest.raises(InputError, match="do not add up"):
        _planned(build("jet-tagger"), GEMMINI, menu=MenuOptions(objective="energy_delay_product"))


def test_a_graph_of_nothing_is_refused() -> None:
    b = GraphBuilder("nothing")
    graph = b.finish(b.apply(Reshape, b.input("x", (2, 2)), name="r", shape=(4,)))
    with pytest.raises(InputError, match="costs anything"):
        _planned(graph, GEMMINI)


def test_depthwise_and_pointwise_are_offered_as_one() -> None:
    b = GraphBuilder("separable")
    plain = {"strides": (1, 1), "dilations": (1, 1)}
    x = b.input("x", (1, 32, 20, 20))
    y = b.apply(Conv, x, b.parameter("d", (32, 1, 3, 3)), name="deep", pads=(1, 1, 1, 1), group=32, **plain)
    y = b.apply(Conv, y, b.parameter("p", (16, 32, 1, 1)), name="point", pads=(0, 0, 0, 0), **plain)
    plan = _planned(b.finish(y), GEMMINI, menu=MenuOptions(objective="traffic"))
    assert [group.kind for group in plan.groups] == ["depthwise + pointwise"]
    between = 2 * 32 * 20 * 20
    # Less the tensor between, but for rows of overlap.
    assert plan.dram_bytes < plan.apart_dram_bytes - between + 20 * 32 * 20
