"""The mapping-space study: every mapping as likely as any other, costed exactly, and set beside what was published."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import MACHINES, NESTS, machine
from scipy.stats import chisquare
from test_cli import assert_refused, systolic

from mapper.exhaustive import legal_mappings
from mapper.heuristic import smallest_mapping
from mapper.integer_program import solve
from mapper.mapspace_costs import LOOPS, costs, legal, tiles_of
from mapper.mapspace_sample import sample_costs, sample_mappings
from model_ir.errors import InfeasibleError, InputError
from reports.mapspace import ALL, DIVIDING, STARVED, spreads_of
from reports.mapspace_published import PUBLISHED, published_of
from simulator.accelerator_file import load_accelerator
from simulator.analytical import analytical
from simulator.mapping import PLACEMENTS, Tile, check_legal, dataflows
from simulator.packing import most_pixels_per_row
from systolic.layer_request import layer_of
from systolic.mapspace_job import MapspaceRequest, starved_cycles, study_of
from systolic.network import NetworkRequest
from systolic.recording import shape_text

FACTS = Path(__file__).parent.parent.parent / "shared" / "facts" / "published_numbers.md"
GEMMINI = load_accelerator("gemmini")
TINY = machine(4, 64, 24)


def nest_of(text):
    return layer_of(NetworkRequest(model=text), GEMMINI).work


def fits(nest, mapping, accelerator):
    try:
        check_legal(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        return False
    return True


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data(), nest=NESTS, accelerator=st.sampled_from((*MACHINES, TINY)), seed=st.integers(0, 10**6))
def test_many_mappings_at_once_cost_what_each_costs_alone(data, nest, accelerator, seed):
    flows = dataflows(nest, accelerator)
    if not flows:
        return
    rng, dim = np.random.default_rng(seed), accelerator.dim
    order, a_placement, b_placement = data.draw(st.sampled_from(PLACEMENTS))
    template = replace(
        smallest_mapping(nest, accelerator),
        dataflow=data.draw(st.sampled_from(flows)),
        order=order,
        a_placement=a_placement,
        b_placement=b_placement,
        max_pixels_per_row=data.draw(st.integers(1, most_pixels_per_row(nest, accelerator))),
    )
    sizes = np.empty((60, 7), np.int64)
    for column, name in enumerate(LOOPS):
        whole, unit = getattr(nest, name), dim if "channels" in name else 1
        blocks = -(-whole // unit)
        drawn = np.where(rng.random(60) < 0.5, rng.integers(1, blocks + 1, 60), 1 + rng.integers(0, min(3, blocks), 60))
        sizes[:, column] = np.minimum(drawn * unit, whole)
    mappings = [replace(template, tile=Tile(**dict(zip(LOOPS, row, strict=True)))) for row in sizes.tolist()]
    kept = legal(nest, template, tiles_of(sizes), accelerator)
    assert kept.tolist() == [fits(nest, mapping, accelerator) for mapping in mappings]
    found = costs(nest, template, tiles_of(sizes[kept]), accelerator)
    for index, mapping in enumerate(itertools.compress(mappings, kept)):
        cost = analytical(nest, mapping, accelerator)
        exact = cost.cycles, cost.compute_cycles, cost.energy_pj, cost.dram_bytes
        batch = found.cycles[index], found.compute_cycles[index], found.energy_pj[index], found.dram_bytes[index]
        assert exact == batch


@pytest.mark.parametrize(
    "text", ["6,9,10", "3x4x5,2x2x6,s1,p0", "1x9x6,1x3x4,n2", "4x4x6,3x1x9,d1,g3", "2x7x1,1x3x4", "1x9x2,1x4x3,p1"]
)
def test_samples_are_uniform_over_all_legal_mappings(text):
    nest = nest_of(text)
    everything = list(legal_mappings(nest, TINY))
    assert len(set(everything)) == len(everything) > 20
    sample = sample_mappings(nest, TINY, 60 * len(everything), seed=3)
    counts = Counter(sample.mapping(index) for index in range(len(sample)))
    assert set(counts) == set(everything)
    assert sample.distinct == len(everything)
    assert chisquare([counts[mapping] for mapping in everything]).pvalue > 0.001
    assert sample.space == pytest.approx(len(everything), rel=0.02)


def test_a_sample_is_its_seed_s_and_longer_ones_begin_with_it():
    nest = nest_of("512,768,768")
    first, again, other = (sample_mappings(nest, GEMMINI, 500, seed=seed) for seed in (5, 5, 6))
    longer = sample_mappings(nest, GEMMINI, 900, seed=5)
    np.testing.assert_array_equal(first.sizes, again.sizes)
    np.testing.assert_array_equal(first.sizes, longer.sizes[:500])
    assert (first.sizes != other.sizes).any()


def test_the_best_of_many_samples_is_no_better_than_the_optimum():
    nest = nest_of("6,9,10")
    best = min(analytical(nest, mapping, TINY).cycles for mapping in legal_mappings(nest, TINY))
    sample = sample_mappings(nest, TINY, 20_000)
    assert sample_costs(nest, sample, TINY).cycles.min() == best


def test_a_hundred_thousand_cost_what_each_costs_alone():
    nest = nest_of("512,768,3072")
    sample = sample_mappings(nest, GEMMINI, 100_000)
    found = sample_costs(nest, sample, GEMMINI)
    for index in range(0, 100_000, 997):
        cost = analytical(nest, sample.mapping(index), GEMMINI)
        assert (cost.cycles, cost.energy_pj) == (found.cycles[index], found.energy_pj[index])


@pytest.mark.parametrize("objective", ["latency", "traffic", "energy", "energy_delay_product"])
@pytest.mark.parametrize("text", ["512,1024,4096", "300,200,100", "14x14x64,3x3x96", "27x27x48,1x1x80,s2"])
def test_no_sampled_mapping_beats_a_proven_optimum(text, objective):
    nest = nest_of(text)
    _, found = solve(nest, GEMMINI, objective=objective)
    assert found.status == "optimal"
    sampled = sample_costs(nest, sample_mappings(nest, GEMMINI, 50_000), GEMMINI)
    values = {
        "latency": sampled.cycles,
        "traffic": sampled.dram_bytes,
        "energy": sampled.energy_pj,
        "energy_delay_product": sampled.energy_pj * sampled.cycles,
    }
    assert found.objective <= values[objective].min() * (1 + 1e-12)


def test_an_optimum_of_transposed_operands_is_beaten_by_no_sample():
    nest = replace(nest_of("150,70,90"), transpose_a=True, transpose_b=True, a_stride=150, b_stride=70)
    _, found = solve(nest, GEMMINI)
    sampled = sample_costs(nest, sample_mappings(nest, GEMMINI, 50_000), GEMMINI)
    assert found.objective <= sampled.cycles.min()


def test_nothing_to_sample_is_said():
    nest = nest_of("64,64,64")
    with pytest.raises(InputError, match="positive"):
        sample_mappings(nest, GEMMINI, 0)
    with pytest.raises(InfeasibleError, match="scratchpad"):
        sample_mappings(nest, machine(16, 8, 16), 10)


@pytest.mark.parametrize(
    ("text", "network", "name"),
    [
        ("512,768,768", NetworkRequest(model="bert-base", seq=512), "layers.0.attention.query"),
        ("7x7x512,3x3x512", NetworkRequest(model="resnet50"), "stages.3.1.conv_1"),
        ("7x7x512,1x1x2048", NetworkRequest(model="resnet50"), "stages.3.1.conv_2"),
        ("224x224x3,7x7x64,s2,p3", NetworkRequest(model="resnet50"), "stem"),
        ("56x56x64,3x3x64,n2", NetworkRequest(model="resnet50", batch=2), "stages.0.0.conv_1"),
    ],
)
def test_sizes_mean_the_layer_that_a_network_has(text, network, name):
    given = layer_of(NetworkRequest(model=text), GEMMINI)
    named = layer_of(replace(network, model=f"{network.model}:{name}"), GEMMINI)
    assert replace(given.work, bias=named.work.bias) == named.work
    assert shape_text(given) == shape_text(named)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("512,768", "NETWORK:LAYER"),
        ("resnet50", "NETWORK:LAYER"),
        ("resnet50:stam", "near it: stem"),
        ("0,4,4", "positive"),
        ("4x4x6,3x3x8,g4", "groups must divide"),
        ("4x4x6,3x3x8,s0", "positive"),
        ("4x4x6,3x3x8,s1,s2", "twice"),
        ("2x2x6,5x5x8,p0", "window is larger"),
    ],
)
def test_a_layer_that_is_none_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        layer_of(NetworkRequest(model=text), GEMMINI)


def small_study(text="64,96,80", samples=3000):
    request = MapspaceRequest(layer=NetworkRequest(model=text), samples=samples, seed=1)
    return study_of(layer_of(request.layer, GEMMINI), GEMMINI, request, lambda *_: None)


def test_a_study_says_what_plain_counting_says():
    study = small_study()
    edp = [c / 1e9 * (e * 1e-12) for c, e in zip(study.cycles.tolist(), study.energy_pj.tolist(), strict=True)]
    least = min(edp)
    spreads = spreads_of(study)
    assert spreads[ALL].near_share == sum(value / least < 3 for value in edp) / len(edp)
    assert spreads[ALL].largest == max(edp) / least
    assert sum(value / least <= spreads[ALL].tenth_percentile for value in edp) == pytest.approx(300, abs=40)
    assert spreads[DIVIDING].samples == int(study.dividing.sum()) > 0
    assert study.relative_of(study.best) == 1.0
    assert study.better_than(study.best) == 0.0
    assert study.heuristic is not None
    heuristic = study.heuristic.cycles / 1e9 * (study.heuristic.energy_pj * 1e-12)
    assert study.better_than(study.heuristic) == sum(value < heuristic for value in edp) / len(edp)
    assert study.fastest.cycles <= study.cycles.min()
    assert study.better_than(study.optimum) == 0.0
    assert "optimal" in study.optimum.evidence


def test_an_array_filled_at_random_is_never_faster_and_at_worst_256_times_slower():
    nest = nest_of("64,96,80")
    found = sample_costs(nest, sample_mappings(nest, GEMMINI, 5000), GEMMINI)
    starved = starved_cycles(found, GEMMINI, 0)
    assert (starved >= found.cycles).all()
    assert set(np.unique(starved / found.compute_cycles)[-1:]) == {256.0}
    full = (starved == found.cycles).mean()
    assert full == pytest.approx(1 / 25, abs=0.03)
    study = small_study()
    assert spreads_of(study)[STARVED].largest > spreads_of(study)[ALL].largest


def test_the_published_numbers_are_the_printed_ones():
    if not FACTS.exists():
        pytest.skip("the published numbers are not at hand")
    text = " ".join(FACTS.read_text().split())
    conv, point, projection, feed_forward = PUBLISHED[:4]
    printed = f"conv 3x3x512 {conv.tenth_percentile}, conv 1x1x2048 {point.tenth_percentile}, MHA "
    printed += f"{projection.tenth_percentile}, FFN {feed_forward.tenth_percentile}"
    assert printed in text
    shares = ", ".join(f"{100 * spread.near_share:.2f}%" for spread in PUBLISHED[:4])
    assert shares in text


def test_every_published_layer_is_found_by_its_shape():
    for published in PUBLISHED:
        layer = layer_of(NetworkRequest(model=published.layer), GEMMINI)
        assert published_of(shape_text(layer)) is published


def test_the_command_leaves_a_page_and_says_what_is_on_it(tmp_path):
    done = systolic("mapspace", "49,64,80", "--samples", "400", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (study,) = said["layers"]
    assert (study["samples"], study["relative_edp"][ALL]["samples"]) == (400, 400)
    assert [mark["name"] for mark in study["marked"]][-1] == "best sample"
    assert study["published"] is None
    assert (tmp_path / said["page"]).read_text().startswith("<!DOCTYPE html>")
    shown = systolic("mapspace", "resnet50:stem", "--samples", "400", "--out", "stem.html", folder=tmp_path)
    assert "every legal mapping" in shown.stdout
    assert max(len(line.rstrip()) for line in shown.stdout.splitlines()) <= 90
    assert (tmp_path / "stem.html").exists()


def test_the_command_refuses_what_has_no_mappings(tmp_path):
    wrong = systolic("mapspace", "resnet50:stem.pool", folder=tmp_path)
    assert_refused(wrong, tmp_path, exit_code=2, says=("no matmul or convolution", "stem.pool"))
    wrong = systolic("mapspace", "64,64,64", "--seq", "5", folder=tmp_path)
    assert_refused(wrong, tmp_path, exit_code=2, says=("takes no network options",))
