"""Values of command streams: random ones against numpy integers, measured ones against their digests."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_machine import PlainMachine
from simulator_programs import BASE, ROOT, gemmini

from simulator import isa
from simulator.functional import execute
from simulator.raw_commands import program_from_words
from simulator.stream_values import output_digest

STREAMS = ROOT.parent / "shared" / "ground_truth" / "command_streams.jsonl.gz"
IMAGE_BYTES = 1 << 16
ACC = isa.ACCUMULATOR_BIT
ROWS = st.integers(0, 5).map(lambda block: 8 * block)
"""Blocks overlap one another by halves: every kind of hazard."""
SIZE = st.integers(1, 16)
PLACE = st.integers(0, (IMAGE_BYTES - 8192) // 64).map(lambda at: BASE + 64 * at)
OPERAND = st.one_of(ROWS, st.just(isa.GARBAGE))
RESULT = st.one_of(
    ROWS, ROWS.map(lambda row: ACC | row), ROWS.map(lambda row: ACC | isa.ACCUMULATE_BIT | row), st.just(isa.GARBAGE)
)
LOADS = st.one_of(
    st.tuples(PLACE, ROWS, st.integers(1, 64), SIZE),
    st.tuples(PLACE, ROWS.map(lambda row: ACC | row), SIZE, SIZE),
    st.tuples(PLACE, ROWS.map(lambda row: ACC | isa.ACCUMULATE_BIT | row), SIZE, SIZE),
).map(lambda parts: [isa.mvin(*parts)])
STORES = st.tuples(PLACE, st.one_of(ROWS, ROWS.map(lambda row: ACC | row)), st.integers(1, 64), SIZE).map(
    lambda parts: [isa.mvout(*parts)]
)


@st.composite
def products(draw):
    """A preload and its compute. The mesh reads DIM x DIM blocks; sizes of B and D are their real ones."""
    result, again = draw(RESULT), draw(st.booleans())
    preload = isa.preload(draw(OPERAND), result, stationary_columns=draw(SIZE), stationary_rows=draw(SIZE),
                          result_columns=draw(SIZE), result_rows=draw(SIZE))  # fmt: skip
    compute = isa.compute_accumulated if again else isa.compute_preloaded
    return [preload, compute(draw(OPERAND), draw(OPERAND), a_columns=draw(SIZE), a_rows=draw(SIZE),
                             other_columns=draw(SIZE), other_rows=draw(SIZE))]  # fmt: skip


@st.composite
def streams(draw):
    dataflow, relu = draw(st.sampled_from([0, 1])), draw(st.sampled_from([0, 1]))
    shift = 0 if dataflow else draw(st.integers(0, 6))
    configuration = [
        isa.config_ex(dataflow=dataflow, activation=relu, shift=shift),
        isa.config_ld(stride_bytes=draw(st.sampled_from([0, 16, 64, 100]))),
        isa.config_st(stride_bytes=draw(st.sampled_from([16, 64, 100])), activation=relu),
    ]
    parts = draw(st.lists(st.one_of(LOADS, products(), products(), STORES), min_size=4, max_size=25))
    return configuration + [command for part in parts for command in part]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(streams(), st.integers(0, 1 << 30))
def test_random_streams_equal_integer_numpy(commands, seed):
    image = np.random.default_rng(seed).integers(0, 256, IMAGE_BYTES, dtype=np.uint8)
    expected = image.copy()
    PlainMachine(expected, BASE).run(commands)
    execute(isa.program_of(commands), gemmini(), image, BASE)
    np.testing.assert_array_equal(image, expected)


def test_every_measured_digest_is_equal():
    if not STREAMS.exists():
        pytest.skip("the measured command streams are not beside this clone (../shared/ground_truth)")
    with gzip.open(STREAMS, "rt") as lines:
        rows = [row for row in map(json.loads, lines) if row.get("output_sha256")]

    def digest(row):
        return output_digest(program_from_words(row["commands"]), gemmini(), row["I"], row["J"])

    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(digest, rows))
    assert len(rows) == 150
    assert [row["name"] for row, found in zip(rows, digests, strict=True) if found != row["output_sha256"]] == []
