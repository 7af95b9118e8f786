"""Hessian traces against exact ones with honest standard errors, eigenvalues and spectra against numpy."""

from itertools import product

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensitivity_cases import SHAPES, SIZE, exact_block, jet_surface, quadratic, small_data, small_dense, symmetric

from hls.parts import Part, whole
from hls.sensitivity.eigen import top_eigenvalues
from hls.sensitivity.graph_loss import graph_surface
from hls.sensitivity.spectrum import spectral_density
from hls.sensitivity.trace import Estimator, Stopping, hessian_traces
from model_ir.errors import InputError
from model_ir.graph import random_parameters


@pytest.mark.parametrize("covered", [("a", "b"), ("a",)])
def test_the_estimator_is_unbiased(covered: tuple[str, ...]) -> None:
    """Over all probes there are, joint or of one tensor, the mean of v (Hv) on a tensor is its trace, exactly."""
    matrix = symmetric(4)
    surface = quadratic(matrix)
    mask = np.concatenate([np.full(6, "a" in covered), np.full(4, "b" in covered)])
    probes = np.array(list(product((-1.0, 1.0), repeat=SIZE))) * mask
    forms = probes * (probes @ matrix)
    assert forms[:, :6].sum(axis=1).mean() == pytest.approx(np.trace(matrix[:6, :6]))
    drawn = [
        surface.forms(jax.random.key(seed), dict.fromkeys(covered, 1.0), dict.fromkeys(SHAPES)) for seed in range(40)
    ]
    possible = np.unique(np.round(forms[:, :6].sum(axis=1), 4))
    for one in drawn:
        assert abs(possible - one["a"]).min() < 1e-3
    assert len({round(float(one["a"]), 3) for one in drawn}) > 10


@pytest.mark.parametrize("estimator", ["joint", "separate"])
def test_standard_errors_are_honest(estimator: Estimator) -> None:
    """Errors over their stated standard error have a mean square near 1, for tensors and for groups of channels."""
    matrices = [symmetric(seed) for seed in (1, 2)]
    mean = sum(matrices) / 2
    surface = quadratic(*matrices)
    parts = [*(Part(tensor="a", shape=(3, 2), axis=0, start=i, stop=j) for i, j in ((0, 1), (1, 3))), whole("b", (4,))]
    exact = [np.trace(mean[i:j, i:j]) for i, j in ((0, 2), (2, 6), (6, 10))]
    stopping = Stopping(relative_change=None, least_probes=40, most_probes=40)
    scores = []
    for seed in range(30):
        found = hessian_traces(surface, parts, estimator=estimator, stopping=stopping, seed=seed)
        assert list(found.estimates) == ["a[0:1]", "a[1:3]", "b"]
        assert found.products == (40 if estimator == "joint" else 80)
        estimates = found.estimates.values()
        scores.append([(e.trace - t) / e.standard_error for e, t in zip(estimates, exact, strict=True)])
    assert 0.6 < np.mean(np.square(scores)) < 1.6
    assert abs(np.mean(scores)) < 0.4


def test_a_diagonal_needs_no_second_probe() -> None:
    matrix = np.diag(np.arange(1.0, 11.0))
    for estimator in ("joint", "separate"):
        found = hessian_traces(quadratic(matrix), estimator=estimator)  # type: ignore[arg-type]
        assert found.converged
        a, b = found.estimates.values()
        assert (a.trace, a.probes) == (pytest.approx(21), 8)
        assert (b.trace, b.mean, b.standard_error) == (
            pytest.approx(34),
            pytest.approx(8.5),
            pytest.approx(0, abs=1e-5),
        )


def test_stopping_rules() -> None:
    """Stops where its rule says, at the first probe that meets it, and says when it could not."""
    surface = quadratic(symmetric(3) + 4 * np.eye(SIZE))
    found = hessian_traces(surface, stopping=Stopping(relative_change=None, relative_error=0.02, most_probes=3000))
    assert found.converged
    assert all(estimate.relative_error <= 0.02 for estimate in found.estimates.values())
    fewer = hessian_traces(surface, stopping=Stopping(relative_change=None, relative_error=0.04, most_probes=3000))
    assert fewer.products < found.products
    none = hessian_traces(surface, stopping=Stopping(relative_change=None, relative_error=1e-6, most_probes=20))
    assert not none.converged
    assert none.products == 40
    tight = hessian_traces(surface, stopping=Stopping(relative_change=1e-7, most_probes=30))
    loose = hessian_traces(surface, stopping=Stopping(relative_change=0.5, most_probes=30))
    assert not tight.converged
    assert loose.products == 16
    with pytest.raises(InputError, match="a standard error takes two"):
        hessian_traces(surface, stopping=Stopping(least_probes=1))


def test_all_traces_of_the_jet_tagger_within_five_percent() -> None:
    surface = jet_surface()
    found = hessian_traces(surface, stopping=Stopping(relative_change=None, relative_error=0.05))
    assert found.converged
    assert len(found.estimates) == 8
    assert all(estimate.relative_error < 0.05 for estimate in found.estimates.values())
    # The smallest weight once more, exactly: one product a number.
    last = found.estimates["dense_3.weight"]
    exact = np.trace(exact_block(surface, [last.part]))
    assert abs(last.trace - exact) < 4 * last.standard_error


@settings(derandomize=True, deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), size=st.integers(2, 30))
def test_top_eigenvalues_are_numpys(seed: int, size: int) -> None:
    """A spectrum whose magnitudes are apart, so that the order is known; some of the largest are negative."""
    generator = np.random.default_rng(seed)
    values = generator.choice([-1.0, 1.0], size) * 2.0 ** -np.arange(size)
    basis, _ = np.linalg.qr(generator.standard_normal((size, size)))
    matrix = basis * values @ basis.T
    count = min(3, size)
    pairs = top_eigenvalues(lambda v: matrix @ v, size, count, tolerance=1e-9, most_iterations=1000)
    np.testing.assert_allclose([pair.value for pair in pairs], values[:count], rtol=1e-4, atol=1e-9)
    vectors = np.array([pair.vector for pair in pairs])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(count), atol=1e-8)
    np.testing.assert_allclose(abs(vectors @ basis[:, :count]), np.eye(count), atol=1e-2)
    assert all(pair.converged for pair in pairs)


def test_eigenvalues_of_a_network_are_those_of_its_hessian() -> None:
    graph = small_dense(6)
    surface = graph_surface(graph, random_parameters(graph, 3), small_data(graph, 6, 3))
    parts = [whole(name, surface.shapes[name]) for name in ("one.weight", "two.weight")]
    size, apply = surface.operator(parts)
    values = np.linalg.eigvalsh(exact_block(surface, parts))
    largest = sorted(values, key=abs)[::-1][:2]
    found = top_eigenvalues(apply, size, 2)
    np.testing.assert_allclose([pair.value for pair in found], largest, rtol=2e-2)
    tight = top_eigenvalues(apply, size, 2, tolerance=1e-6, most_iterations=500)
    np.testing.assert_allclose([pair.value for pair in tight], largest, rtol=1e-3)
    stopped = top_eigenvalues(apply, size, most_iterations=1)[0]
    assert (stopped.iterations, stopped.converged) == (1, False)
    with pytest.raises(InputError, match="as many as"):
        top_eigenvalues(apply, size, size + 1)
    many = graph_surface(graph, random_parameters(graph, 3), small_data(graph, 12, 3))
    with pytest.raises(InputError, match="one for each batch"):
        many.operator([whole("bend", surface.shapes["bend"])])


@settings(derandomize=True, deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), size=st.integers(1, 40), steps=st.integers(1, 60))
def test_quadrature_has_the_moments_of_its_start(seed: int, size: int, steps: int) -> None:
    """m steps integrate powers below 2m exactly (Gauss): start . A^k start; as many steps as dimensions find the
    spectrum itself."""
    matrix = symmetric(seed, size) / np.sqrt(size)
    found = spectral_density(lambda v: matrix @ v, size, steps=steps, seed=seed)
    start = np.random.default_rng(seed).choice([-1.0, 1.0], size) / np.sqrt(size)
    for power in range(min(2 * steps, 8)):
        expected = start @ np.linalg.matrix_power(matrix, power) @ start
        assert found.moment(power) == pytest.approx(expected, abs=1e-9)
    values = np.linalg.eigvalsh(matrix)
    assert values[0] - 1e-9 <= found.extremes[0] <= found.extremes[1] <= values[-1] + 1e-9
    if steps >= size:
        for value in found.nodes[0][found.weights[0] > 1e-8]:
            assert abs(values - value).min() < 1e-7


def test_density_of_a_known_spectrum() -> None:
    """Eigenvalues -1 (a quarter) and 2 (the rest): a repeated spectrum ends the Krylov space early."""
    values = np.repeat([-1.0, 2.0], [50, 150])
    found = spectral_density(lambda v: values * v, 200, probes=3)
    assert all(len(nodes) == 2 for nodes in found.nodes)
    np.testing.assert_allclose(found.nodes[0], [-1, 2], atol=1e-12)
    np.testing.assert_allclose(found.weights[0], [0.25, 0.75], atol=1e-12)
    grid = np.linspace(-3, 4, 701)
    density = found.density(grid, 0.1)
    assert np.sum(density) * 0.01 == pytest.approx(1, abs=1e-6)
    assert density[200] == pytest.approx(0.25 / 0.1 / np.sqrt(2 * np.pi), rel=1e-6)
    assert found.moment(1) == pytest.approx(values.mean())
    with pytest.raises(InputError, match="at least one step"):
        spectral_density(lambda v: v, 3, steps=0)


def test_the_spectrum_of_the_jet_tagger_agrees_with_its_trace_and_top_eigenvalue() -> None:
    surface = jet_surface(rows=400, batch=400)
    part = whole("dense_3.weight", surface.shapes["dense_3.weight"])
    size, apply = surface.operator([part])
    values = np.linalg.eigvalsh(exact_block(surface, [part]))
    found = spectral_density(apply, size, steps=100)
    assert found.extremes[1] == pytest.approx(values[-1], rel=1e-4)
    assert found.moment(1) == pytest.approx(values.mean(), rel=0.3)
    assert top_eigenvalues(apply, size)[0].value == pytest.approx(values[-1], rel=2e-2)
