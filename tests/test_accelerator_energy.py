"""Energy is the event counts times the table, in picojoules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.accelerator_file import load_accelerator
from simulator.energy import energy_pj

GEMMINI = load_accelerator("gemmini")
COUNTS = st.fixed_dictionaries(
    {key: st.integers(0, 10**12) for key in ("macs", "scratchpad_bytes", "accumulator_bytes", "dram_bytes")}
)


def test_one_event_of_each_kind_costs_the_published_energy() -> None:
    nothing = {"macs": 0, "scratchpad_bytes": 0, "accumulator_bytes": 0, "dram_bytes": 0}
    # 45 nm: an 8-bit multiply 0.2 and a 32-bit add 0.1 pJ; 4 bytes of SRAM 5 pJ, of DRAM 640 pJ
    for changes, published in (
        ({"macs": 1}, 0.2 + 0.1),
        ({"scratchpad_bytes": 4}, 5.0),
        ({"accumulator_bytes": 4}, 5.0),
        ({"dram_bytes": 4}, 640.0),
        ({}, 0.0),
    ):
        assert energy_pj(GEMMINI, **nothing | changes) == pytest.approx(published)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(first=COUNTS, second=COUNTS)
def test_energies_of_parts_add_up(first: dict[str, int], second: dict[str, int]) -> None:
    together = {key: first[key] + second[key] for key in first}
    assert energy_pj(GEMMINI, **together) == pytest.approx(
        energy_pj(GEMMINI, **first) + energy_pj(GEMMINI, **second), rel=1e-12
    )
