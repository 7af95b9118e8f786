"""The terminal's tables and the JSON for scripts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from report_records import make_record
from rich.console import Console
from rich.table import Table

from reports.breakdown import costliest_sets, cycles_by_cause
from reports.terminal import causes_table, layers_table, record_as_json, summary_table
from reports.units import percent


def printed(table: Table, width: int) -> str:
    console = Console(width=width, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("layers", [0, 3, 60])
def test_numbers_are_whole_at_any_width(layers: int, width: int) -> None:
    record = make_record(layers, seed=3)
    assert f"{record.header.totals.cycles:,.0f}" in printed(summary_table(record), width)
    table = printed(layers_table(record, 15), width)
    costliest = costliest_sets(record, 15)
    assert all(f"{cycles:,.0f}" in table for cycles in costliest["cycles"])
    assert all(percent(used) in table for used in costliest["utilisation"])
    assert max(map(len, table.splitlines())) <= width
    assert f"The {len(costliest)} costliest" in table


@pytest.mark.parametrize("width", [80, 120])
def test_shares_of_every_cause_stand_beside_the_layers_name(width: int) -> None:
    record = make_record(60, seed=3)
    table = printed(causes_table(record, 60), width)
    causes = cycles_by_cause(record.layers, record.header.accelerator.peak_macs_per_cycle)
    sets = costliest_sets(record, 60)
    on_array = sets.loc[(sets["costed_by"] == "simulated") & (sets["where"] == "array")]
    lines = [line for line in table.splitlines() if "/" in line.split("  ")[0]]
    assert len(lines) == len(on_array)
    for line, index in zip(lines, on_array["index"], strict=True):
        shares = 100 * causes.loc[index] / record.layers.loc[index, "cycles"]
        expected = [f"{share:.0f}" if share >= 0.5 else "<1" for share in shares if share > 0]
        assert line.split()[-len(expected) :] == expected
    assert max(map(len, table.splitlines())) <= width


def test_a_name_is_not_markup() -> None:
    record = make_record(1, names=("[bold]x[/bold]\x1b[31m",))
    table = printed(layers_table(record), 120)
    assert "[bold]x[/bold]" in table
    assert "\x1b" not in table


def test_json_has_every_layer_and_no_nan() -> None:
    record = make_record(20, seed=2)
    plain = json.loads(json.dumps(record_as_json(record), allow_nan=False))
    assert [layer["name"] for layer in plain["layers"]] == record.layers["name"].tolist()
    assert plain["totals"]["macs"] == record.layers["macs"].sum()
    assert sum(plain["cycles_by_cause"].values()) == pytest.approx(plain["totals"]["cycles"])
    assert plain["layers"][4]["solver_gap"] is None


def test_infinite_numbers_are_not_written() -> None:
    record = make_record(2)
    endless = replace(record, layers=record.layers.assign(solver_gap=float("inf")))
    assert record_as_json(endless)["layers"][0]["solver_gap"] is None
