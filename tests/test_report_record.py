"""The run record: what is written is what is read, and what is no run says so with its path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_records import MACHINE, make_record

from model_ir.errors import InputError
from reports.columns import LAYER_COLUMNS, counter_columns, layers_frame, stall_columns, timelines_frame
from reports.page import render_page
from reports.record import NEW_IN_3, RunRecord, read_record, totals_of, verified, write_record

MINIMAL = {
    "index": 0,
    "name": "a",
    "kind": "conv",
    "where": "array",
    "costed_by": "simulated",
    "identical_to": 0,
    "macs": 1,
    "cycles": 2.0,
}


def assert_equal(left: RunRecord, right: RunRecord) -> None:
    assert left.header == right.header
    pd.testing.assert_frame_equal(left.layers, right.layers)
    pd.testing.assert_frame_equal(left.timelines, right.timelines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_record(make_record(30, seed=3), tmp_path)
    return tmp_path


@pytest.mark.parametrize("layers", [0, 1, 40])
def test_what_is_written_is_read(layers: int, tmp_path: Path) -> None:
    record = make_record(layers, seed=layers)
    write_record(record, tmp_path)
    assert_equal(read_record(tmp_path), record)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    name=st.text(st.characters(exclude_categories=("Cs",))),
    value=st.floats(allow_nan=True),
    whole=st.integers(0, 2**62),
    options=st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers(-(2**53), 2**53)),
)
def test_any_text_and_number_survives(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: float, whole: int, options: dict[str, int]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    record = make_record(9)
    layers = record.layers.assign(name=name, heuristic_cycles=value, macs=whole)
    header = msgspec.structs.replace(record.header, network=name, notes=(name,), options=options)
    record = RunRecord(header=header, layers=layers, timelines=record.timelines)
    write_record(record, folder)
    assert_equal(read_record(folder), record)


def test_a_further_stall_cause_is_kept(tmp_path: Path) -> None:
    record = make_record(9)
    layers = record.layers.assign(stall_transpose_cycles=1.0)
    write_record(replace(record, layers=layers), tmp_path)
    assert "stall_transpose_cycles" in stall_columns(read_record(tmp_path).layers)


def test_columns_left_out_are_unmeasured() -> None:
    frame = layers_frame([MINIMAL])
    assert list(frame.columns) == list(LAYER_COLUMNS)
    assert frame["dram_read_bytes"].isna().all()
    assert list(frame["mapping"]) == [""]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": None}, "row 0.*name"),
        ({"cycels": 1.0}, "unknown column.*cycels"),
        ({"macs": "many"}, "macs"),
        ({"macs": 1.5}, "macs.*not whole"),
        ({"cycles": "3"}, "cycles"),
        ({"energy_pj": object()}, "energy_pj"),
        ({"mapping": 3}, "mapping"),
    ],
)
def test_rows_of_another_form_are_errors(change: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        layers_frame([MINIMAL | change])


def test_an_interval_needs_every_column() -> None:
    with pytest.raises(InputError, match="start_cycle"):
        timelines_frame([{"layer": 0, "window": "start", "unit": "load", "label": "mvin", "end_cycle": 3}])


def test_totals_are_sums_over_the_layers() -> None:
    layers = make_record(20, seed=5).layers
    totals = totals_of(layers, MACHINE)
    assert totals.cycles == pytest.approx(sum(layers["cycles"]))
    assert totals.seconds == pytest.approx(totals.cycles / 1e9)
    assert totals.macs == sum(layers["macs"])
    assert totals.utilisation == pytest.approx(totals.macs / totals.cycles / 256)


@pytest.mark.parametrize(
    ("column", "value"),
    [("where", "moon"), ("costed_by", "guess"), ("identical_to", 99), ("identical_to", -1), ("index", 7)],
)
def test_values_that_mean_nothing_are_errors(column: str, value: object) -> None:
    record = make_record(9)
    with pytest.raises(InputError, match=r"here: layers"):
        verified(replace(record, layers=record.layers.assign(**{column: value})), "here")


def test_a_layer_is_identical_to_the_first_of_its_kind() -> None:
    record = make_record(3)
    with pytest.raises(InputError, match="not the first of its kind"):
        verified(replace(record, layers=record.layers.assign(identical_to=[0, 0, 1])))


def test_totals_must_be_numbers() -> None:
    record = make_record(9)
    totals = msgspec.structs.replace(record.header.totals, energy_pj=float("nan"))
    header = msgspec.structs.replace(record.header, totals=totals)
    with pytest.raises(InputError, match=r"totals\.energy_pj"):
        verified(replace(record, header=header))


def test_a_timeline_belongs_to_a_layer() -> None:
    record = make_record(9)
    with pytest.raises(InputError, match=r"no such layer.*44"):
        verified(replace(record, timelines=record.timelines.assign(layer=44)))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder") as caught:
        read_record(tmp_path)
    assert caught.value.path == str(tmp_path)
    with pytest.raises(InputError, match="not a run folder"):
        read_record(tmp_path / "absent")


def test_another_schema_version_is_named_even_with_other_fields(folder: Path) -> None:
    (folder / "run.json").write_text('{"schema_version": 4, "novelty": []}')
    with pytest.raises(InputError, match="another schema version") as caught:
        read_record(folder)
    assert (caught.value.value, caught.value.limit) == (4, 3)


def test_a_run_of_the_first_schema_is_read_as_one_of_today(folder: Path) -> None:
    today = read_record(folder)
    header = json.loads((folder / "run.json").read_text())
    del header["counter_meanings"], header["rank_correlation"]
    (folder / "run.json").write_text(json.dumps(header | {"schema_version": 1}))
    counters = counter_columns(today.layers)
    assert counters
    today.layers.drop(columns=[*counters, *NEW_IN_3]).to_parquet(folder / "layers.parquet", index=False)
    commands = today.timelines.loc[today.timelines["unit"] != "array"].drop(columns="window")
    commands.to_parquet(folder / "timelines.parquet", index=False)
    old = read_record(folder)
    assert old.header == msgspec.structs.replace(today.header, counter_meanings={}, rank_correlation=None)
    assert old.layers[list(NEW_IN_3)].isna().all(axis=None)
    assert "No mapping of this run was compared" in render_page(old)
    assert set(old.timelines["window"]) == {"start"}
    assert counter_columns(old.layers) == []
    assert render_page(old).count("No hardware counters") == 1
    write_record(old, folder)
    assert read_record(folder).header.schema_version == 3


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"schema_version": "1"}', b"[" * 100_000])
def test_a_damaged_header_is_an_error_with_its_path(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_record(folder)
    assert caught.value.path == str(folder / "run.json")


def test_an_unknown_field_is_an_error(folder: Path) -> None:
    header = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(header | {"colour": "red"}))
    with pytest.raises(InputError, match="colour"):
        read_record(folder)


@pytest.mark.parametrize("table", ["layers.parquet", "timelines.parquet"])
def test_a_missing_or_damaged_table_is_an_error_with_its_path(folder: Path, table: str) -> None:
    whole = (folder / table).read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-9] + b"\0" * 9):
        (folder / table).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_record(folder)
        assert caught.value.path == str(folder / table)
    (folder / table).unlink()
    with pytest.raises(InputError, match="missing"):
        read_record(folder)


def test_a_table_without_a_column_is_an_error(folder: Path) -> None:
    pd.read_parquet(folder / "layers.parquet").drop(columns="cycles").to_parquet(folder / "layers.parquet")
    with pytest.raises(InputError, match="cycles"):
        read_record(folder)
