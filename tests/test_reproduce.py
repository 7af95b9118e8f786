"""`systolic reproduce`: the printed numbers, ours, the verdicts; a wrong rule of counting must show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from model_ir.errors import InputError
from reports.case_study import CaseRow
from reports.reproduction import ReproducedRow, ReproducedTable, last_digit, outside
from reports.reproduction_page import difference_text, ours_text, render_reproduction
from reports.reproduction_terminal import judged_text, reproduction_tables
from reports.units import BY
from simulator.rooflines.machine_file import load_machine
from systolic.cli import app
from systolic.reproduce import survey_parts
from systolic.reproduce.case_study_rows import reproduced_row
from systolic.reproduce.published import Missing, PublishedTable, beside, published_table, published_tables
from systolic.reproduce.run import ReproduceRequest, chosen, makers, reproduced

FACTS = Path(__file__).parents[2] / "shared" / "facts" / "fullstack_survey.json"
ISSUE_BOUNDS = {
    "table-3": {"GFLOP": 0.005, "GMOP": 0.005, "FLOP/B": 0.005},
    "table-4": {"FLOP/B": 0.02},
    "table-5": {"FLOP/B": 0.001},
    "table-11": {"GFLOP": 0.005},
    "figure-4": {"GFLOP": 0.0},
    "figure-5": {"GMOP": 0.0},
    "figure-6": {"FLOP/B": 0.0},
}


def made(identifier: str) -> ReproducedTable:
    (table,) = reproduced(ReproduceRequest(only=(identifier,)), lambda *_: None)
    return table


@pytest.fixture
def fresh_totals():
    for cached in (survey_parts.encoder_totals, survey_parts.step_totals):
        cached.cache_clear()
    yield
    for cached in (survey_parts.encoder_totals, survey_parts.step_totals):
        cached.cache_clear()


def row(printed: str, ours: float | None, bound: float | None = None) -> ReproducedRow:
    return ReproducedRow(what="x", unit="u", printed=printed, ours=ours, bound=bound)


@pytest.mark.parametrize(
    "identifier", ["table-3", "table-4", "table-5", "table-11", "figure-4", "figure-5", "figure-6"]
)
def test_what_is_printed_comes_out(identifier: str) -> None:
    table = made(identifier)
    assert table.outside == ()
    bounds = ISSUE_BOUNDS[identifier]
    assert {one.unit: one.bound for one in table.judged} == bounds
    assert len(table.judged) == sum(one.unit in bounds for one in table.rows)


def test_every_intensity_of_table_5_is_printed_to_its_last_digit() -> None:
    table = made("table-5")
    assert len(table.rows) == 18 + 3
    # 170.670 is printed for 170.666...: two digits, and a zero.
    assert [one.what for one in table.rows if not one.same_in_print] == ["128 tokens: Wq, Wk, Wv"]


BROKEN = {
    "a sum of k products is 2k": ("survey-infinite", {"first_product_free": ()}, ("table-3", "figure-4")),
    "biases once": ("survey", {"biases": "once"}, ("table-5",)),
    "results always rounded": ("survey", {"wide_before": ()}, ("table-5",)),
    "five operations a score": ("survey-infinite", {"flops_per_element": {"softmax": 5}}, ("table-3",)),
    "LayerNorm's operands once": ("survey-infinite", {"bytes_per_element": {"batch_norm": 3}}, ("table-3", "table-4")),
    "probabilities read again": ("survey-generation", {"handed_on": ()}, ("figure-5",)),
    "scales in 32 bits": ("survey-infinite", {"scale_bits": 32}, ("table-3",)),
}


@pytest.mark.usefixtures("fresh_totals")
@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_of_counting_shows(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, change, tables = BROKEN[rule]

    def broken(wanted: str):
        machine = load_machine(wanted)
        if wanted != name:
            return machine
        return msgspec.structs.replace(machine, counting=msgspec.structs.replace(machine.counting, **change))

    monkeypatch.setattr(survey_parts, "load_machine", broken)
    monkeypatch.setattr("systolic.reproduce.survey_transformers.load_machine", broken)
    assert any(made(identifier).outside for identifier in tables)


@pytest.mark.usefixtures("fresh_totals")
def test_steps_of_generation_add_up() -> None:
    every = [survey_parts.step_totals(context, survey_parts.GENERATION)["total"] for context in range(12)]
    summed = survey_parts.generation_totals(12)["total"]
    assert summed.flops == pytest.approx(sum(one.flops for one in every))
    assert summed.moved_bytes == pytest.approx(sum(one.moved_bytes for one in every))


def test_the_hardware_grows_as_printed() -> None:
    for identifier in ("memory-wall", "memory-wall-points"):
        table = made(identifier)
        assert table.outside == ()
        assert [one.bound for one in table.judged] == [0.01] * 3


def test_integer_functions_and_bit_operations() -> None:
    assert made("i-bert").outside == ()
    assert all(one.ours == one.published for one in made("jets").rows)
    assert all(one.closeness in ("exact", "close") for one in made("hawq-v3").rows)


def test_without_the_measured_streams_the_row_says_so(tmp_path: Path) -> None:
    request = ReproduceRequest(only=("rtl",), ground_truth=tmp_path)
    ((one,),) = (table.rows for table in reproduced(request, lambda *_: None))
    assert one.ours is None
    assert one.closeness == "skipped"
    assert one.passes is None
    assert str(tmp_path) in one.reason


def test_every_published_table_has_a_maker_and_a_source() -> None:
    assert set(makers(ReproduceRequest())) == {table.id for table in published_tables()}
    assert all(table.source and table.command and table.rows for table in published_tables())


@pytest.mark.skipif(not FACTS.exists(), reason=f"{FACTS} is not there")
def test_shipped_numbers_are_the_facts() -> None:
    facts = json.loads(FACTS.read_text())["fullstack_2302_14017"]
    lengths, checked = facts["fig4_GFLOPs"]["l"], 0
    for identifier, key in (
        ("figure-9", "fig9_cpu_norm_latency"),
        ("figure-4", "fig4_GFLOPs"),
        ("figure-5", "fig5_GMOPs"),
        ("figure-6", "fig6_AI"),
        ("figure-32", "fig32_analytic_norm_latency"),
    ):
        table = published_table(identifier)
        for model in ("BERT-Base", "GPT-2"):
            for length, value in zip(lengths, facts[key][model], strict=True):
                assert float(table.rows[f"{model}, {length} tokens"][0]) == value
                checked += 1
    parts = {
        "MHA proj": "projections",
        "act-act": "act-to-act",
        "FFN": "feed-forward",
        "Other": "other",
        "Total": "total",
    }
    for identifier, key in (
        ("table-3", "table3_BERTBase_h12"),
        ("table-10", "table10_BERTBase_h4"),
        ("table-11", "table11_GPT2"),
    ):
        table = published_table(identifier)
        for length in (128, 512, 4096):
            for part, *values in facts[key][str(length)]:
                printed = table.rows[f"{length} tokens: {parts[part]}"]
                for column, cell, value in zip(table.columns, printed, values, strict=True):
                    if (identifier, length, part, column) == ("table-3", 128, "act-act", "GMOP"):
                        continue  # transcribed in two ways; the row's reason says which one is shown
                    assert (float(cell) if cell else None) == value
                    checked += 1
    for name, printed in zip(
        ("Conv", "BN", "ReLU", "Other", "Unfused", "Fused"), published_table("table-4").rows.values(), strict=True
    ):
        (values,) = ([*rest] for first, *rest in facts["table4_resnet50"]["rows"] if first == name)
        assert [float(cell) for cell in printed] == values
    shown = published_table("table-5")
    for length in (128, 512, 4096):
        values = facts["table5_nonideal_AI"][str(length)]
        cells = [float(cells[0]) for what, cells in shown.rows.items() if what.startswith(f"{length} tokens")]
        assert cells == values
    assert checked == 5 * 12 + 45 + 45 + 45 - 1


def test_print_precision() -> None:
    assert [last_digit(text) for text in ("22.42", "224", "1.91e-3", "0.10")] == pytest.approx([0.01, 1, 1e-5, 0.01])
    assert row("117", 117.96).same_in_print  # cut off
    assert row("160", 159.68).same_in_print  # rounded
    assert not row("117", 118.0).same_in_print
    assert not row("117", 116.4).same_in_print
    assert row("-78", -78.9).same_in_print
    assert not row("-78", -77.4).same_in_print


def test_verdicts() -> None:
    assert row("100", 104.0, bound=0.05).passes
    assert row("100", 106.0, bound=0.05).passes is False
    assert row("0.04", 0.0377, bound=0.005).passes  # prints the same
    assert row("100", 106.0).passes is None
    assert [row("1000", ours).closeness for ours in (1004, 1040, 1200, 1300, None)] == [
        "exact",
        "close",
        "near",
        "far",
        "skipped",
    ]
    better = replace(row("0.23", 0.01), less_is_better=True)
    assert better.closeness == "exact"
    assert row("0.23", 0.01).closeness == "far"
    assert row("0", 1.0).difference is None


TABLE = PublishedTable(
    id="t",
    title="<b>t",
    source="s",
    kind="seen",
    columns=("u", "v"),
    command="c",
    rows={"a": ("1", ""), "b": ("2.0", "-3")},
    bounds={"u": 0.1},
    reasons={"b": "because <i>"},
)


def test_ours_must_fill_the_printed_cells() -> None:
    ours = {("a", "u"): 2.0, ("b", "u"): 2.0, ("b", "v"): Missing("none")}
    table = beside(TABLE, ours, 0.5)
    assert [one.what for one in table.outside] == ["a"]
    assert outside([table]) == table.outside
    assert judged_text(table) == "1 of 2"
    with pytest.raises(InputError, match="different cells"):
        beside(TABLE, {("a", "u"): 2.0}, 0.0)
    with pytest.raises(InputError, match="different cells"):
        beside(TABLE, {**ours, ("c", "u"): 1.0}, 0.0)


def test_the_page_escapes_and_marks_what_is_outside() -> None:
    table = beside(TABLE, {("a", "u"): 2.0, ("b", "u"): 2.0, ("b", "v"): Missing("no data")}, 0.5)
    page = render_reproduction([table])
    assert "<b>t" not in page
    assert "because &lt;i&gt;" in page
    assert "✗ 1 of 2" in page
    assert "✗ outside" in page
    assert len(list(reproduction_tables([table]))) == 2
    assert difference_text(row("1", 20.0)) == f"20{BY}"
    assert ours_text(row("1.91e-3", 0.0019130)) == "1.913e\N{MINUS SIGN}03"


def test_the_command_writes_page_and_numbers_and_exits_by_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["reproduce", "--only", "table-12", "--only", "jets", "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert [table["id"] for table in printed["tables"]] == ["table-12", "jets"]
    assert json.loads((tmp_path / "reproduce.json").read_text())["tables"] == printed["tables"]
    assert "arXiv 2302.14017v1, table 12" in (tmp_path / "reproduce.html").read_text()
    wrong = msgspec.structs.replace(
        published_table("jets"), bound=0.0, rows={**published_table("jets").rows, "parameters": ("4390",)}
    )
    monkeypatch.setattr("systolic.reproduce.run.published_tables", lambda: (wrong,))
    assert CliRunner().invoke(app, ["reproduce", "--only", "jets", "--out", str(tmp_path)]).exit_code == 1


def test_a_change_is_compared_by_what_is_left_and_by_its_direction() -> None:
    change = replace(row("-78", -67.0, bound=0.25), is_change=True)
    assert change.difference == pytest.approx(0.33 / 0.22 - 1)
    assert change.passes is False
    assert replace(change, ours=-75.0).passes
    turned = replace(row("-4", 4.0, bound=0.25), is_change=True)
    assert abs(turned.difference or 1) < 0.1
    assert turned.passes is False
    assert turned.closeness == "far"


@pytest.mark.parametrize(
    ("unit", "ours", "published", "shown"),
    [("share", 0.97, 0.96, "96"), ("times", 38.0, 39.6, "39.6"), ("change", -0.12, -0.24, "-24")],
)
@pytest.mark.parametrize("gated", [True, False])
def test_rows_of_the_case_study_keep_their_verdict(
    unit: str, ours: float, published: float, shown: str, gated: bool
) -> None:
    case = CaseRow(step="s", name="n", ours=ours, published=published, unit=unit, where="section 3", gated=gated)
    made_row = reproduced_row(case)
    assert made_row.printed == shown
    assert made_row.difference == pytest.approx(case.difference)
    assert made_row.passes == (case.within if gated else None)


def test_only_names_tables_or_their_beginnings() -> None:
    assert chosen(["table-5"]) == ("table-5",)
    assert chosen(["figure"]) == ("figure-4", "figure-5", "figure-6", "figure-9", "figure-32")
    assert chosen([]) == (*(table.id for table in published_tables()), "case-study")
    with pytest.raises(InputError, match="no such table"):
        chosen(["tabel"])
