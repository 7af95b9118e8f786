"""Tables 3, 5, 10 and 11 and figures 4, 5, 6 and 32 of the survey: BERT-Base and GPT-2 (see `survey_parts`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulator.rooflines.machine_file import load_machine
from simulator.rooflines.work import Operator
from systolic.reproduce.published import Ours, PublishedTable
from systolic.reproduce.survey_parts import (
    CPU,
    FINITE,
    GENERATION,
    IDEAL,
    LENGTHS,
    TABLE_LENGTHS,
    Totals,
    encoder,
    encoder_totals,
    generation_totals,
    in_tables,
    part_totals,
    table_cells,
)

FEW_HEADS: Final = 4
MATMULS: Final = {
    "attention.query": "Wq, Wk, Wv",
    "attention.key": "Wq, Wk, Wv",
    "attention.value": "Wq, Wk, Wv",
    "attention.scores": "Q x K",
    "attention.attended": "S x V",
    "attention.output": "Wout",
    "feed_forward.in": "W1",
    "feed_forward.out": "W2",
}
"""Table 5's columns by our names of a layer's matmuls."""


def table_3(table: PublishedTable) -> Ours:
    """BERT-Base, every operand once."""
    return table_cells(((tokens, encoder_totals(tokens)) for tokens in TABLE_LENGTHS), table)


def table_10(table: PublishedTable) -> Ours:
    """BERT-Base with four heads, every operand once."""
    made = ((tokens, encoder_totals(tokens, heads=FEW_HEADS)) for tokens in TABLE_LENGTHS)
    return table_cells(made, table)


def table_11(table: PublishedTable) -> Ours:
    """GPT-2 generating."""
    return table_cells(((tokens, generation_totals(tokens)) for tokens in TABLE_LENGTHS), table)


def table_5(_: PublishedTable) -> Ours:
    """BERT-Base behind a finite L2."""
    machine = load_machine(FINITE)
    return {
        (f"{tokens} tokens: {row}", "FLOP/B"): totals.intensity
        for tokens in TABLE_LENGTHS
        for row, totals in part_totals(encoder(tokens), machine, _matmul_of_table_5).items()
        if row != "other"
    }


def over_lengths(table: PublishedTable) -> Ours:
    """Figures 4, 5 and 6: totals over sequence length."""
    (column,) = table.columns
    return {(row, column): in_tables(totals)[column] for row, totals in _totals_over_lengths(IDEAL)}


def analytical_latency(table: PublishedTable) -> Ours:
    """Figure 32: the time of all operators one after another on the survey's machine, over that of BERT-Base at 128
    tokens."""
    return _latency(table, FINITE)


def cpu_latency(table: PublishedTable) -> Ours:
    """Figure 9: the same on a server CPU."""
    return _latency(table, CPU)


def _latency(table: PublishedTable, machine: str) -> Ours:
    (column,) = table.columns
    least = encoder_totals(LENGTHS[0], machine)["total"].seconds
    return {(row, column): totals.seconds / least for row, totals in _totals_over_lengths(machine)}


def _totals_over_lengths(machine: str) -> Iterator[tuple[str, Totals]]:
    for tokens in LENGTHS:
        yield f"BERT-Base, {tokens} tokens", encoder_totals(tokens, machine)["total"]
        yield (
            f"GPT-2, {tokens} tokens",
            generation_totals(tokens, GENERATION if machine == IDEAL else machine)["total"],
        )


def _matmul_of_table_5(operator: Operator) -> str | None:
    if not operator.layer.startswith("layers."):
        return None
    return MATMULS.get(operator.name.removeprefix(f"{operator.layer}."), "other")
