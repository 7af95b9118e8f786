"""What rounding costs by every measure: exact on quadratics, equal to a network that is really rounded, and taken by
the allocation of bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensitivity_cases import SHAPES, Floats, exact_block, jet_surface, quadratic, small_data, small_dense, symmetric

from hls.allocation.allocate import allocate
from hls.allocation.costs import bit_operations, model_size, table, with_budgets
from hls.allocation.exhaustive import exhaustive
from hls.allocation.network import choices_for, quantisable
from hls.allocation.problem import Budget, Problem
from hls.parts import Part, whole
from hls.sensitivity.graph_loss import graph_surface
from hls.sensitivity.measures import MEASURES, Question, pairwise_loss_change
from hls.sensitivity.rounding import affine_levels, shift_of, squared_error, symmetric_levels
from hls.sensitivity.surface import Surface
from hls.sensitivity.trace import Stopping, hessian_traces
from model_ir.errors import InputError
from model_ir.graph import execute, random_parameters
from workloads.catalogue import build

BITS = (2, 3, 4, 8)
PARTS = tuple(whole(name, shape) for name, shape in SHAPES.items())


def convex(seed: int) -> Floats:
    matrix = symmetric(seed)
    return matrix @ matrix


def ask(surface: Surface, parts: tuple[Part, ...] = PARTS, range_groups: int = 1) -> Question:
    stopping = Stopping(relative_change=None, relative_error=0.015, most_probes=600)
    return Question(surface=surface, parts=parts, bits=BITS, range_groups=range_groups, stopping=stopping)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 999), bits=st.integers(2, 9))
def test_levels(seed: int, bits: int) -> None:
    """As many levels as bits give, zero among them, everything within half a step of one, and rounding once is
    enough."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(200) * 10.0 ** generator.integers(-3, 4) + generator.integers(0, 2)
    for levels, count in (
        (symmetric_levels(float(abs(values).max()), bits), 2**bits - 1),
        (affine_levels(float(values.min()), float(values.max()), bits), 2**bits),
    ):
        rounded = levels.nearest(values)
        assert levels.high - levels.low + 1 == count
        assert levels.nearest(np.zeros(1)) == 0
        assert abs(rounded - values).max() <= levels.scale * 0.5000001 + (levels.scale / 2 if levels.zero_point else 0)
        np.testing.assert_allclose(levels.nearest(rounded), rounded, rtol=1e-12)
        assert len(np.unique(np.round(rounded / levels.scale))) <= count


def test_levels_of_nothing_and_of_too_few_bits() -> None:
    assert symmetric_levels(0.0, 4).nearest(np.zeros(3)).tolist() == [0, 0, 0]
    assert affine_levels(0.0, 0.0, 4).nearest(np.zeros(3)).tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="at least 2"):
        symmetric_levels(1.0, 1)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_answers_for_every_part_and_falls_with_bits(name: str) -> None:
    """Of a convex quadratic at its minimum no measure is negative, and all fall from 2 to 8 bits."""
    surface = quadratic(convex(1), convex(2))
    halves = tuple(Part(tensor="a", shape=(3, 2), axis=1, start=i, stop=i + 1) for i in (0, 1))
    costs = MEASURES[name](ask(surface, (*halves, PARTS[1])))
    assert list(costs) == ["a[0:1]", "a[1:2]", "b"]
    for by_bits in costs.values():
        assert tuple(by_bits) == BITS
        assert all(np.isfinite(value) for value in by_bits.values())
        assert by_bits[2] > by_bits[8] or name == "loss-change"


def test_measures_of_a_quadratic_are_their_formulas() -> None:
    first, second = convex(1), convex(2)
    mean = (first + second) / 2
    surface = quadratic(first, second)
    costs = {name: measure(ask(surface)) for name, measure in MEASURES.items()}
    start = np.concatenate([surface.values(part.tensor, 0).ravel() for part in PARTS])
    for part, place in zip(PARTS, (slice(0, 6), slice(6, 10)), strict=True):
        block = mean[place, place]
        for bits in BITS:
            shift = np.zeros(10)
            levels = symmetric_levels(abs(start[place]).max(), bits)
            shift[place] = levels.nearest(start[place]) - start[place]
            error = shift @ shift
            assert costs["squared-error"][part.name][bits] == pytest.approx(error)
            assert costs["omega"][part.name][bits] == pytest.approx(np.trace(block) / part.elements * error, rel=0.05)
            largest = np.linalg.eigvalsh(block)[-1]
            assert costs["eigenvalue"][part.name][bits] == pytest.approx(largest * error, rel=0.02)
            alone = [np.linalg.eigvalsh(matrix[place, place])[-1] for matrix in (first, second)]
            spread = (np.mean(alone) + np.std(alone)) * error
            assert costs["eigenvalue-spread"][part.name][bits] == pytest.approx(spread, rel=0.03)
            change = start @ mean @ shift + shift @ mean @ shift / 2
            assert costs["loss-change"][part.name][bits] == pytest.approx(change, abs=2e-5)
    pairs = pairwise_loss_change(ask(surface), [(PARTS[0], PARTS[1])])
    for (one, other), value in pairs["a", "b"].items():
        shifts = [shift_of(surface, part)(bits)[0].ravel() for part, bits in zip(PARTS, (one, other), strict=True)]
        assert value == pytest.approx(shifts[0] @ mean[:6, 6:] @ shifts[1], abs=5e-5)


def test_negative_curvature_costs_nothing() -> None:
    costs = MEASURES["omega"](ask(quadratic(-convex(1))))
    assert all(value == 0 for by_bits in costs.values() for value in by_bits.values())


def test_ranges_by_groups_err_less() -> None:
    """Q-BERT's groups: as many groups as channels is one range a channel; the error falls with every division."""
    graph = build("jet-tagger", batch=5)
    parameters = random_parameters(graph)
    spread = parameters["dense_0.weight"] * np.linspace(0.1, 3, 64, dtype=np.float32)
    surface = graph_surface(graph, parameters | {"dense_0.weight": spread}, small_data(graph, 5, 5))
    part = quantisable(graph).weights[0]
    errors = [squared_error(shift_of(surface, part, groups=groups)(4)) for groups in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    step = abs(spread).max(axis=0) / 7
    channels = np.clip(np.round(spread / step), -7, 7) * step - spread
    assert errors[-1] == pytest.approx(float(np.square(channels, dtype=np.float64).sum()), rel=1e-5)
    with pytest.raises(InputError, match="number of channels"):
        shift_of(surface, part, groups=65)(4)


def test_loss_change_is_that_of_the_rounded_network() -> None:
    """Against numpy's execution of the graph with the weight, or the input, really rounded."""
    graph = small_dense(4)
    parameters, data = random_parameters(graph, 3), small_data(graph, 8, 3)
    surface = graph_surface(graph, parameters, data)
    names = ("one.weight", "x")
    costs = MEASURES["loss-change"](ask(surface, tuple(whole(name, surface.shapes[name]) for name in names)))

    def loss(weight: Floats, inputs: Floats) -> float:
        feeds = parameters | {"one.weight": weight}
        chances = [execute(graph, feeds | {"x": inputs[i : i + 4]})["chances"] for i in (0, 4)]
        return float(-np.log(np.concatenate(chances)[np.arange(8), data.labels]).mean())

    weight, inputs = (values.astype(np.float64) for values in (parameters["one.weight"], data.inputs["x"]))
    for bits in BITS:
        rounded = symmetric_levels(float(abs(weight).max()), bits).nearest(weight)
        assert costs["one.weight"][bits] == pytest.approx(loss(rounded, inputs) - loss(weight, inputs), abs=1e-6)
        rounded = affine_levels(float(inputs.min()), float(inputs.max()), bits).nearest(inputs)
        assert costs["x"][bits] == pytest.approx(loss(weight, rounded) - loss(weight, inputs), abs=1e-6)


def test_activations_of_several_batches() -> None:
    """Omega does not depend on how the data is cut: mean trace and squared error both count the batch's elements."""
    graph = small_dense(4)
    big = small_dense(8)
    parameters, data = random_parameters(graph, 3), small_data(graph, 8, 3)
    exact = Stopping(relative_change=None, relative_error=0.01, most_probes=2000)
    costs = []
    for one in (graph, big):
        surface = graph_surface(one, parameters, data, tensors=["bend"])
        part = whole("bend", surface.shapes["bend"])
        question = Question(surface=surface, parts=(part,), bits=(3,), stopping=exact)
        costs.append(MEASURES["omega"](question)["bend"][3])
        assert MEASURES["eigenvalue"](question)["bend"][3] > costs[-1]
    assert costs[0] == pytest.approx(costs[1], rel=0.06)
    with pytest.raises(InputError, match="several batches"):
        MEASURES["eigenvalue-spread"](question)


def test_from_a_graph_to_bits_with_terms_between_layers() -> None:
    """Omega and the loss change of pairs of layers, under BOPs and size at once, as good as exhaustive search."""
    graph = build("jet-tagger", batch=100)
    surface = jet_surface(rows=400)
    found = quantisable(graph)
    parts = tuple(whole(name, surface.shapes[name]) for name in found.activations) + found.weights
    stopping = Stopping(relative_change=None, relative_error=0.2)
    question = Question(surface=surface, parts=parts, bits=(3, 4, 8), stopping=stopping)
    costs = MEASURES["omega"](question)
    weights = found.weights
    terms = pairwise_loss_change(question, [(weights[0], weights[1]), (weights[2], weights[3])])
    choices = choices_for(found.variables, (3, 4, 8), held=dict.fromkeys(found.activations[:2], 8))
    problem = Problem(choices=choices, objective=table("omega", "loss", costs, terms))
    bops = bit_operations(found.products, choices)
    size = model_size(found.elements, choices)
    problem = with_budgets(problem, Budget(amount=bops, limit=200_000), Budget(amount=size, limit=2_000))
    answer, expected = allocate(problem), exhaustive(problem)
    assert expected is not None
    assert answer.objective == expected[1]
    assert answer.status == "optimal"
    assert len(set(answer.bits.values())) > 1


def test_traces_by_exact_blocks_of_channel_groups() -> None:
    """Groups of a weight's output channels get the traces of their own blocks."""
    graph = small_dense(4)
    surface = graph_surface(graph, random_parameters(graph, 3), small_data(graph, 4, 3))
    groups = quantisable(graph, groups=2).weights
    stopping = Stopping(relative_change=None, least_probes=60, most_probes=60)
    costs = MEASURES["omega"](Question(surface=surface, parts=groups, bits=(4,), stopping=stopping))
    traces = hessian_traces(surface, groups, stopping=stopping)
    for part in groups:
        estimate = traces.estimates[part.name]
        assert abs(np.trace(exact_block(surface, [part])) - estimate.trace) < 4 * estimate.standard_error
        error = squared_error(shift_of(surface, part)(4))
        assert costs[part.name][4] == pytest.approx(max(0.0, estimate.mean) * error)
