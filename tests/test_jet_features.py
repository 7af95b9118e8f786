"""Features of jets against plain Python and against what can be said by hand; grooming against FastJet."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jet_oracle import features as plain_features

from workloads.jets.features import jet_features
from workloads.jets.grooming import groomed
from workloads.jets.jets_file import FEATURES
from workloads.jets.settings import SOFT_DROP

Array = npt.NDArray[Any]
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
PARTICLE = st.tuples(
    st.floats(0.1, 300), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.sampled_from([0.0, 0.13957, 0.93827])
)


def found(*jets: list[tuple[float, ...]]) -> Array:
    rows = np.array([particle for jet in jets for particle in jet], np.float64)
    return jet_features(rows, np.cumsum([0, *map(len, jets)]))


def assert_defined(row: Array, jet: list[tuple[float, ...]]) -> None:
    """Raise where a feature is not the plain definition's, but for what float32 leaves."""
    expected = plain_features(jet)  # type: ignore[arg-type]
    assert set(expected) == set(FEATURES)
    names = [name for name in FEATURES if name != "mass_mmdt"]
    by_name = dict(zip(FEATURES, map(float, row), strict=True))
    assert [by_name[name] for name in names] == pytest.approx([expected[name] for name in names], rel=2e-5, abs=2e-6)
    # A mass is the root of a difference of squares of energies, of which float64 keeps 1e-16.
    energy = sum(pt * math.cosh(eta) for pt, eta, _, _ in jet)
    assert by_name["mass_mmdt"] == pytest.approx(expected["mass_mmdt"], rel=2e-5, abs=1e-7 * energy)


def shower(particles: int, seed: int, eta: float = 0.0, azimuth: float = 0.0) -> list[tuple[float, ...]]:
    """A made-up jet: two hard cores and soft particles around."""
    generator = np.random.default_rng(seed)
    cores = generator.uniform(-0.2, 0.2, (2, 2))
    places = cores[generator.integers(0, 2, particles)] + generator.normal(0, 0.08, (particles, 2))
    pts = generator.exponential(1, particles) ** 2 * 20 + 0.2
    masses = generator.choice([0.0, 0.13957, 0.93827], particles)
    return [
        (float(pt), float(y + eta), float(phi + azimuth), float(mass))
        for pt, (y, phi), mass in zip(pts, places, masses, strict=True)
    ]


@pytest.mark.parametrize("particles", [1, 2, 3, 4, 10, 25])
@pytest.mark.parametrize(("eta", "azimuth"), [(0.0, 0.0), (1.9, 3.1), (-2.2, -3.0)])
def test_features_are_those_of_the_definitions(particles: int, eta: float, azimuth: float) -> None:
    jets = [shower(particles, seed, eta, azimuth) for seed in range(3)]
    for row, jet in zip(found(*jets), jets, strict=True):
        assert_defined(row, jet)


@SETTINGS
@given(st.lists(PARTICLE, min_size=1, max_size=9, unique=True))
def test_any_jet_has_the_features_of_the_definitions(jet: list[tuple[float, ...]]) -> None:
    (row,) = found(jet)
    assert_defined(row, jet)


def test_two_particles_by_hand() -> None:
    (row,) = found([(60.0, 0.0, 0.1, 0.0), (40.0, 0.0, -0.2, 0.0)])
    by_name = dict(zip(FEATURES, row, strict=True))
    assert by_name["zlogz"] == pytest.approx(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert by_name["c1_b0_mmdt"] == pytest.approx(0.24)
    assert by_name["c1_b1_mmdt"] == pytest.approx(0.24 * 0.3)
    assert by_name["c1_b2_mmdt"] == pytest.approx(0.24 * 0.09)
    assert by_name["mass_mmdt"] == pytest.approx(math.sqrt(2 * 60 * 40 * (1 - math.cos(0.3))))
    assert by_name["multiplicity"] == 2
    # No triple, no second prong's structure.
    assert all(by_name[name] == 0 for name in FEATURES if name[:2] in ("c2", "d2", "m2", "n2"))


def test_an_equilateral_jet_by_hand() -> None:
    side = 0.2
    corners = [(0.0, 0.0), (side, 0.0), (side / 2, side * math.sqrt(3) / 2)]
    (row,) = found([(50.0, eta, azimuth, 0.0) for eta, azimuth in corners])
    by_name = dict(zip(FEATURES, row, strict=True))
    e2, e3 = 3 / 9 * side, 1 / 27 * side**3
    assert by_name["c1_b1_mmdt"] == pytest.approx(e2)
    assert by_name["c2_b1_mmdt"] == pytest.approx(e3 / e2**2)
    assert by_name["d2_b1_mmdt"] == pytest.approx(e3 / e2**3) == pytest.approx(1)
    assert by_name["m2_b1_mmdt"] == pytest.approx(side / 27 / e2)
    assert by_name["n2_b1_mmdt"] == pytest.approx(side**2 / 27 / e2**2)


def test_soft_particles_at_wide_angles_are_groomed_away_and_still_counted() -> None:
    core = shower(12, 5)
    total = sum(particle[0] for particle in core)
    soft = [(0.02 * total, 0.9, 0.9, 0.0), (0.01 * total, -0.9, 0.8, 0.0)]
    alone, surrounded = found(core, core + soft)
    assert np.array_equal(alone[1:15], surrounded[1:15])
    assert (alone[15], surrounded[15]) == (12, 14)
    assert alone[0] != surrounded[0]


@SETTINGS
@given(st.integers(0, 1000), st.floats(-3.0, 3.0), st.floats(0.1, 10))
def test_azimuth_and_scale_leave_all_but_the_mass(seed: int, turn: float, factor: float) -> None:
    jet = [(*particle[:3], 0.0) for particle in shower(8, seed)]
    turned = [(pt * factor, eta, azimuth + turn, mass) for pt, eta, azimuth, mass in jet]
    one, other = found(jet, turned)
    assert other[:14] == pytest.approx(one[:14], rel=1e-4, abs=1e-7)
    assert other[14] == pytest.approx(one[14] * factor, rel=1e-4, abs=1e-4)


@pytest.mark.skipif(find_spec("fastjet") is None, reason="fastjet, of the extra jets, is not installed")
def test_grooming_keeps_what_fastjet_keeps() -> None:
    import awkward
    import fastjet

    jets = [shower(particles, seed, 0.7, 1.5) for particles in (5, 20, 60) for seed in range(4)]
    for jet in jets:
        pt, eta, azimuth, mass = np.array(jet).T
        pz = pt * np.sinh(eta)
        energy = np.sqrt(pt**2 + pz**2 + mass**2)
        momenta = np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pz, energy], axis=1)
        named = dict(zip(("px", "py", "pz", "E"), momenta.T, strict=True))
        definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
        theirs = fastjet.ClusterSequence(awkward.Array(named), definition).exclusive_jets_softdrop_grooming(
            njets=1, beta=0.0, symmetry_cut=SOFT_DROP, symmetry_measure="scalar_z", R0=0.4
        )
        ours = momenta[groomed(momenta, SOFT_DROP)]
        kept = np.asarray(theirs.constituents.px)
        assert sorted(ours[:, 0]) == pytest.approx(sorted(kept))
        total = ours.sum(axis=0)
        mass = math.sqrt(max(0, total[3] ** 2 - np.sum(total[:3] ** 2)))
        assert theirs.msoftdrop == pytest.approx(mass, rel=1e-6, abs=1e-7 * total[3])
