"""Flipped bits: two's complement, damage against executing the whole network, scores on known losses, protection."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import isnan

import jax
import numpy as np
import pytest
from fixed_networks import cnn, mlp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from hls.faults.inject import Damage, damage_of
from hls.faults.ranking import rank_correlation
from hls.faults.scores import SCORES, Moves, derivatives_of, moves_of
from hls.faults.sites import Sites, all_sites, as_stored, drawn_sites, flipped, stored_constants
from hls.faults.study import MEASURED, FaultStudy, fault_study
from hls.faults.triplication import protection_curve
from hls.quantise.insert import without_quants
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.quantisation import Quant
from model_ir.passes.batch_size import with_batch_size
from model_ir.tensor import Tensor


def data_for(graph: Graph, rows: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    classes = graph.tensors[graph.outputs[0]].shape[-1]
    return generator.normal(size=(rows, *shape)).astype(np.float32), np.arange(rows) % classes


def executed_damage(graph: Graph, sites: Sites, inputs: np.ndarray, labels: np.ndarray) -> tuple[list[float], ...]:
    """Loss and accuracy changes by executing the whole network, in numpy, with the flipped integer in its memory."""
    constants = stored_constants(graph)
    network = with_batch_size(as_stored(graph, constants), len(labels))
    quants = {op.outputs[0]: op for op in graph.ops if isinstance(op, Quant)}

    def judge(changed: dict[str, np.ndarray]) -> tuple[float, float]:
        logits = execute(network, {network.inputs[0]: inputs, **changed})[network.outputs[0]].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        return float(losses.mean()), float((logits.argmax(axis=1) == labels).mean())

    before = judge({})
    changes = []
    for place in range(len(sites)):
        stored = constants[int(sites.constant[place])]
        width = int(stored.widths.ravel()[sites.element[place]])
        memory = [format(int(value) % 2**width, f"0{width}b") for value in stored.integers.ravel()]
        word = list(memory[int(sites.element[place])])
        where = width - 1 - int(sites.bit[place])
        word[where] = "1" if word[where] == "0" else "0"
        value = int("".join(word), 2)
        if stored.signed and value >= 2 ** (width - 1):
            value -= 2**width
        integers = stored.integers.copy()
        integers.ravel()[sites.element[place]] = value
        scale = graph.constants[quants[stored.tensor].inputs[1]]
        after = judge({stored.tensor: (integers * scale).astype(np.float32)})
        changes.append((after[0] - before[0], after[1] - before[1]))
    return tuple(list(column) for column in zip(*changes, strict=True))


def assert_equal_to_execution(graph: Graph, sites: Sites, rows: int) -> Damage:
    inputs, labels = data_for(graph, rows)
    damage = damage_of(graph, stored_constants(graph), sites, inputs, labels)
    losses, accuracies = executed_damage(graph, sites, inputs, labels)
    np.testing.assert_allclose(damage.loss, losses, atol=2e-6)
    np.testing.assert_allclose(damage.accuracy, accuracies, atol=1e-12)
    assert np.abs(damage.loss).max() > 0.01
    return damage


@given(st.integers(1, 20), st.booleans(), st.data())
@settings(derandomize=True, deadline=None, max_examples=100)
def test_a_flip_is_the_flip_of_that_bit_in_twos_complement(width: int, signed: bool, data: st.DataObject) -> None:
    if width == 1 and signed:
        assert flipped(np.array([-1, 1]), 0, 1, signed=True).tolist() == [1, -1]
        return
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    value, bit = data.draw(st.integers(low, high)), data.draw(st.integers(0, width - 1))
    after = int(flipped(np.array([value]), bit, width, signed=signed)[0])
    assert low <= after <= high
    assert (after % 2**width) ^ (value % 2**width) == 2**bit
    assert int(flipped(np.array([after]), bit, width, signed=signed)[0]) == value


def test_every_bit_of_every_constant_is_a_site() -> None:
    graph = mlp((3, 4, 2), weight_bits=(4, 5))
    constants = stored_constants(graph)
    sites = all_sites(constants)
    assert [stored.parameter for stored in constants] == [
        "dense_0.weight",
        "dense_0.bias",
        "dense_1.weight",
        "dense_1.bias",
    ]
    assert [stored.bits for stored in constants] == [12 * 4, 4 * 8, 8 * 5, 2 * 10]
    assert len(sites) == len(set(zip(sites.constant, sites.element, sites.bit, strict=True))) == 140
    sign_bits = sites.at(np.flatnonzero((sites.constant == 0) & (sites.bit == 3)))
    before = constants[0].integers.ravel()[sign_bits.element]
    assert sign_bits.step.tolist() == [8 if value < 0 else -8 for value in before]
    assert sign_bits.delta.tolist() == [step / 8 for step in sign_bits.step]


def test_damage_of_a_dense_network_is_that_of_executing_it() -> None:
    graph = mlp((4, 5, 4, 3), weight_bits=4, activation_bits=5)
    sites = all_sites(stored_constants(graph))
    assert assert_equal_to_execution(graph, sites, rows=23).samples == 23


def test_a_flip_that_a_relu_hides_does_nothing() -> None:
    weights = {"dense_0.weight": np.eye(4, 5, k=1), "dense_0.bias": np.array([-1.75, 0.5, 0.5, 0.5, 0.5])}
    graph = mlp((4, 5, 3), weight_bits=4, activation_bits=5, weights=weights)
    constants = stored_constants(graph)
    sites = all_sites(constants)
    hidden = np.flatnonzero((sites.constant == 0) & (sites.element % 5 == 0) & (sites.bit == 0))
    assert len(hidden) == 4
    damage = damage_of(graph, constants, sites.at(hidden), *data_for(graph, 9))
    assert damage.loss.tolist() == damage.accuracy.tolist() == [0.0] * 4


def test_damage_of_a_convolution_is_that_of_executing_it() -> None:
    graph = cnn()
    sites = drawn_sites(all_sites(stored_constants(graph)), 120, seed=3)
    assert set(sites.constant) == {0, 1, 2, 3}
    assert_equal_to_execution(graph, sites, rows=9)


def test_strides_dilations_and_groups_of_a_convolution() -> None:
    graph = cnn(size=6, channels=4)
    b = GraphBuilder("grouped")
    for name in ("image", "image.scale", "image.zero_point", "image.bits"):
        if name in graph.inputs:
            b.input(name, (2, 2, 6, 5))
        else:
            b.parameter(name, (), value=graph.constants[name])
    x = b.apply(Quant, "image", "image.scale", "image.zero_point", "image.bits", name="image.quant")
    generator = np.random.default_rng(0)
    w = b.parameter("w", (4, 1, 2, 2), value=generator.normal(size=(4, 1, 2, 2)).astype(np.float32))
    for name, value in (("w.scale", 0.25), ("w.zero_point", 0.0), ("w.bits", 4.0)):
        b.parameter(name, (), value=np.array(value, np.float32))
    w = b.apply(Quant, w, "w.scale", "w.zero_point", "w.bits", name="w.quant")
    x = b.apply(Conv, x, w, name="conv", strides=(2, 1), pads=(1, 0, 0, 1), dilations=(2, 1), group=2)
    x = b.apply(Unary, x, name="relu", function="relu")
    from model_ir.ops.movement import Reshape

    size = int(np.prod(b.shape(x)[1:]))
    ones = b.parameter("ones", (size, 3), value=generator.integers(-2, 3, (size, 3)).astype(np.float32) / 4)
    graph = b.finish(b.apply(MatMul, b.apply(Reshape, x, name="flat", shape=(2, size)), ones, name="logits"))
    assert_equal_to_execution(graph, all_sites(stored_constants(graph)), rows=6)


@pytest.mark.parametrize("bias_shape", [(4,), (1, 4)])  # one that joins its layer, one that is executed with all
def test_layers_around_a_skipped_one_and_biases_added_apart(bias_shape: tuple[int, ...]) -> None:
    plain = mlp((4, 4, 3), weight_bits=4, activation_bits=5)
    by_name = {op.name: op for op in plain.ops}
    first, last = by_name["dense_0"], by_name["dense_1"]
    ops, tensors = [], dict(plain.tensors)
    for op in plain.ops:
        if op is first:  # the bias as an addition of its own: no column of a layer
            ops.append(replace(op, inputs=op.inputs[:2], outputs=("sums",)))
            ops.append(Binary(name="biased", inputs=("sums", op.inputs[2]), outputs=op.outputs, function="add"))
            tensors["sums"] = Tensor(name="sums", shape=(4, 4))
            for name in ("dense_0.bias", "dense_0.bias.quant"):
                tensors[name] = Tensor(name=name, shape=bias_shape)
        elif op is last:  # the input skips the hidden layer
            ops.append(Binary(name="sum", inputs=(op.inputs[0], "features.quant"), outputs=("sum",), function="add"))
            tensors["sum"] = Tensor(name="sum", shape=(4, 4))
            ops.append(replace(op, inputs=("sum", *op.inputs[1:])))
        else:
            ops.append(op)
    constants = {**plain.constants, "dense_0.bias": plain.constants["dense_0.bias"].reshape(bias_shape)}
    graph = replace(plain, ops=tuple(ops), tensors=tensors, constants=constants)
    sites = all_sites(stored_constants(graph))
    chosen = np.flatnonzero((sites.constant != 1) | (sites.bit >= 5))
    assert_equal_to_execution(graph, sites.at(chosen), rows=7)


def test_batches_of_samples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = mlp((4, 5, 3), weight_bits=3)
    constants = stored_constants(graph)
    sites = drawn_sites(all_sites(constants), 40, seed=1)
    inputs, labels = data_for(graph, 50)
    seen: list[tuple[int, int]] = []
    whole = damage_of(graph, constants, sites, inputs, labels)
    monkeypatch.setattr("hls.faults.inject.MOST_ROWS", 16)
    monkeypatch.setattr("hls.faults.inject.MOST_SUMS", 64)
    pieces = damage_of(graph, constants, sites, inputs, labels, progress=lambda *told: seen.append(told))
    np.testing.assert_allclose(pieces.loss, whole.loss, atol=1e-6)
    np.testing.assert_allclose(pieces.accuracy, whole.accuracy)
    np.testing.assert_allclose(pieces.loss_error, whole.loss_error, atol=1e-6)
    assert pieces.before == pytest.approx(whole.before)
    assert seen[-1] == (160, 160)
    assert all(one[0] < other[0] for one, other in pairwise(seen))


def test_the_error_of_a_damage_is_the_spread_over_samples() -> None:
    graph = mlp((4, 5, 3), weight_bits=3)
    constants = stored_constants(graph)
    sites = drawn_sites(all_sites(constants), 5, seed=2)
    inputs, labels = data_for(graph, 12)
    whole = damage_of(graph, constants, sites, inputs, labels)
    single = np.stack([_single_losses(graph, sites, inputs, labels, place) for place in range(5)])
    np.testing.assert_allclose(whole.loss_error, single.std(axis=1) / np.sqrt(12), atol=1e-6)


def _single_losses(graph: Graph, sites: Sites, inputs: np.ndarray, labels: np.ndarray, place: int) -> np.ndarray:
    """Loss change of each sample alone under one flip."""
    constants = stored_constants(graph)
    network = with_batch_size(as_stored(graph, constants), len(labels))
    stored = constants[int(sites.constant[place])]
    changed = network.constants[stored.tensor].copy()
    changed.ravel()[sites.element[place]] += sites.delta[place]

    def losses(feeds: dict[str, np.ndarray]) -> np.ndarray:
        logits = execute(network, {network.inputs[0]: inputs, **feeds})[network.outputs[0]]
        return np.asarray(-jax.nn.log_softmax(logits)[np.arange(len(labels)), labels])

    return losses({stored.tensor: changed}) - losses({})


def test_derivatives_are_the_full_gradient_and_hessian_diagonal_of_a_relu_network() -> None:
    graph = mlp((3, 4, 3), weight_bits=6, activation_bits=8, seed=3)
    constants = stored_constants(graph)
    inputs, labels = data_for(graph, 37)
    found = derivatives_of(graph, constants, inputs, labels)
    plain = with_batch_size(without_quants(as_stored(graph, constants)), len(labels))

    def loss(name: str, moved: np.ndarray) -> float:
        logits = execute(plain, {plain.inputs[0]: inputs.astype(np.float64), name: moved})[plain.outputs[0]]
        logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]).mean())

    step = 1e-4
    for stored in constants:
        value = plain.constants[stored.tensor].astype(np.float64)
        for place in np.ndindex(value.shape):
            move = np.zeros(value.shape)
            move[place] = step
            low, middle, high = (loss(stored.tensor, value + times * move) for times in (-1, 0, 1))
            assert found.gradient[stored.tensor][place] == pytest.approx((high - low) / (2 * step), abs=2e-5)
            curvature = (high - 2 * middle + low) / step**2
            assert found.curvature[stored.tensor][place] == pytest.approx(curvature, abs=2e-4)
        assert found.curvature[stored.tensor].max() > 1e-3


def test_many_classes_draw_one_for_each_sample() -> None:
    graph = mlp((3, 4, 20), weight_bits=6, activation_bits=8, seed=3)
    constants = stored_constants(graph)
    inputs, labels = data_for(graph, 3000)
    drawn = derivatives_of(graph, constants, inputs, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hls.faults.scores.MOST_CLASSES", 20)
        exact = derivatives_of(graph, constants, inputs, labels)
    for name, value in exact.curvature.items():
        assert drawn.curvature[name].sum() == pytest.approx(value.sum(), rel=0.1)
        np.testing.assert_allclose(drawn.gradient[name], exact.gradient[name], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_on_a_quadratic_loss_the_sum_of_both_orders_ranks_exactly(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = 200
    gradient, curvature = generator.normal(size=count), generator.exponential(size=count)
    delta = generator.choice([-4.0, -1.0, -0.25, 0.25, 1.0, 4.0], count)
    moves = Moves(
        delta=delta,
        bit=np.zeros(count, np.int64),
        width=np.ones(count, np.int64),
        gradient=gradient,
        curvature=curvature,
        mean_curvature=np.full(count, curvature.mean()),
    )
    change = gradient * delta + curvature * delta**2 / 2  # the loss after each move less the loss before
    assert SCORES["gradient + Hessian"](moves) == pytest.approx(change)
    assert rank_correlation(SCORES["gradient + Hessian"](moves), change, resamples=3).rho == pytest.approx(1)
    without_slope = replace(moves, gradient=np.zeros(count))
    assert rank_correlation(
        SCORES["Hessian"](without_slope), change - gradient * delta, resamples=3
    ).rho == pytest.approx(1)
    assert rank_correlation(SCORES["gradient"](moves), gradient * delta, resamples=3).rho == pytest.approx(1)
    same = replace(moves, curvature=np.full(count, 2.0), mean_curvature=np.full(count, 2.0))
    assert rank_correlation(SCORES["Hessian trace"](same), delta**2, resamples=3).rho == pytest.approx(1)
    assert rank_correlation(SCORES["size of the move"](same), delta**2, resamples=3).rho == pytest.approx(1)


def test_the_bits_place_is_counted_from_the_sign_bit() -> None:
    graph = mlp((2, 3), weight_bits=4)
    constants = stored_constants(graph)
    sites = all_sites(constants)
    inputs, labels = data_for(graph, 8)
    moves = moves_of(constants, sites, derivatives_of(graph, constants, inputs, labels))
    place = SCORES["bit place"](moves)
    assert place[sites.bit == moves.width - 1].tolist() == [-1.0] * 9
    assert place.max() == -1
    assert moves.gradient[sites.element == 0].std() > 0


def test_rank_correlation_is_spearmans() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 9, 300)
    second = first + generator.normal(scale=3, size=300)
    found = rank_correlation(first, second, resamples=400)
    assert found.rho == pytest.approx(spearmanr(first, second).statistic)
    again = []
    for _ in range(400):
        chosen = generator.integers(0, 300, 300)
        again.append(spearmanr(first[chosen], second[chosen]).statistic)
    assert found.standard_error == pytest.approx(np.std(again), rel=0.15)
    assert isnan(rank_correlation(np.ones(5), np.arange(5)).rho)
    with pytest.raises(InputError, match="three pairs"):
        rank_correlation(np.ones(2), np.ones(2))


@given(st.integers(0, 2**32 - 1), st.integers(3, 60))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_more_triplication_never_leaves_more(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    score, damage = generator.normal(size=count), generator.normal(size=count)
    damage[0] = 1.0
    curve = protection_curve(score, damage, range(count + 1))
    assert curve[0].remaining == 1
    assert curve[-1].remaining == curve[-1].worst == 0
    for less, more in pairwise(curve):
        assert more.remaining <= less.remaining
        assert more.worst <= less.worst
        assert (more.added_bits, more.voter_luts) == (less.added_bits + 2, less.voter_luts + 1)
    harm, order = np.maximum(damage, 0), np.argsort(-score, kind="stable")
    half = curve[count // 2]
    assert half.remaining == pytest.approx(harm[order[count // 2 :]].sum() / harm.sum())
    best = protection_curve(damage, damage, range(count + 1))
    assert all(one.remaining <= other.remaining + 1e-12 for one, other in zip(best, curve, strict=True))


@pytest.fixture(scope="module")
def study() -> FaultStudy:
    graph = mlp((5, 8, 6, 3), weight_bits=5, activation_bits=6, seed=2)
    inputs, labels = data_for(graph, 200)
    return fault_study(graph, inputs, labels)


def test_a_study_holds_together(study: FaultStudy) -> None:
    assert study.exhaustive
    assert study.expected_error == 0
    assert study.samples == study.derivative_samples == 200
    assert sum(tensor.bits for tensor in study.tensors) == study.bits == study.flipped
    assert set(study.correlations) == set(study.size_correlations) == set(SCORES)
    assert set(study.curves) == {MEASURED, *SCORES}
    mean = sum(tensor.mean_loss_change * tensor.flipped for tensor in study.tensors) / study.flipped
    assert study.expected_loss_change == pytest.approx(mean)
    losses = [bit.loss_change for bit in study.worst]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == max(tensor.worst_loss_change for tensor in study.tensors)
    assert study.curves[MEASURED][0].worst == losses[0]
    for bit in study.worst:
        assert bin((bit.integer ^ bit.becomes) & 0xFFFFF).count("1") >= 1
        assert bit.element
    assert study.best_score in SCORES


def test_the_hessian_ranks_better_than_the_bits_place(study: FaultStudy) -> None:
    baseline, hessian = study.size_correlations["bit place"], study.size_correlations["Hessian"]
    assert hessian.rho - baseline.rho > 3 * (hessian.standard_error + baseline.standard_error)
    tenth = {name: curve[6].remaining for name, curve in study.curves.items()}
    assert tenth[MEASURED] <= tenth["Hessian"] < tenth["bit place"]


def test_a_sample_of_bits_estimates_all_of_them(study: FaultStudy) -> None:
    graph = mlp((5, 8, 6, 3), weight_bits=5, activation_bits=6, seed=2)
    inputs, labels = data_for(graph, 200)
    constants = stored_constants(graph)
    every = all_sites(constants)
    exhaustive = damage_of(graph, constants, every, inputs, labels).loss
    assert exhaustive.mean() == pytest.approx(study.expected_loss_change)
    part = fault_study(graph, inputs, labels, most_flips=300, seed=4)
    assert (part.flipped, part.bits, part.exhaustive) == (300, study.bits, False)
    drawn = drawn_sites(every, 300, 4)
    same = np.array(
        [
            np.flatnonzero((every.constant == c) & (every.element == e) & (every.bit == b))[0]
            for c, e, b in zip(drawn.constant, drawn.element, drawn.bit, strict=True)
        ]
    )
    assert len(set(same)) == 300
    assert part.expected_loss_change == pytest.approx(exhaustive[same].mean())
    # The spread of such means over many draws is the error that one draw states.
    means = [
        exhaustive[np.random.default_rng(seed).choice(len(every), 300, replace=False)].mean() for seed in range(500)
    ]
    assert part.expected_error == pytest.approx(np.std(means), rel=0.25)


def test_what_cannot_be_studied_is_named() -> None:
    graph = mlp((4, 5, 3))
    inputs, labels = data_for(graph, 12)
    with pytest.raises(InputError, match="stores no quantised constants"):
        fault_study(without_quants(graph), inputs, labels)
    with pytest.raises(InputError, match="out of range"):
        fault_study(graph, inputs, labels + 1)
    with pytest.raises(InputError, match="out of range"):
        fault_study(graph, inputs, labels, derivative_inputs=inputs, derivative_labels=labels + 1)
    with pytest.raises(InputError, match="wrong shape"):
        fault_study(graph, inputs[:, :3], labels)
    with pytest.raises(InputError, match="takes three"):
        fault_study(graph, inputs, labels, most_flips=2)
