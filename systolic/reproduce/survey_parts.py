"""The survey's networks through the suite's own models: `simulator.rooflines` on graphs of `workloads`, on the machine
files that hold the paper's assumptions (simulator/machines/survey*.toml). Nothing here counts an operation or a byte.

Source of the networks: Kim et al., arXiv 2302.14017v1, table 1 and section 3; embeddings, pooler and output projection
are not counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph
from simulator.rooflines.attainable import attained
from simulator.rooflines.formats import storage_of
from simulator.rooflines.machine import Machine
from simulator.rooflines.machine_file import load_machine
from simulator.rooflines.operators import operators_of
from simulator.rooflines.traffic import tiled
from simulator.rooflines.work import Operator
from systolic.reproduce.published import Ours, PublishedTable
from workloads import bert, gpt2

IntArray = npt.NDArray[np.int64]
IDEAL: Final = "survey-infinite"
FINITE: Final = "survey"
GENERATION: Final = "survey-generation"
CPU: Final = "xeon-8480"
FORMATS: Final = {CPU: "fp32"}
"""The number format on each machine; int8 where none stands here."""
LENGTHS: Final = (128, 256, 512, 1024, 2048, 4096)
TABLE_LENGTHS: Final = (128, 512, 4096)
MOST_TOKENS: Final = 4096
ENCODER: Final = replace(bert.BERT_BASE, positions=MOST_TOKENS, pooler=False)
DECODER: Final = replace(gpt2.GPT2_SMALL, positions=MOST_TOKENS, joint_projection=False)
SAMPLED_STEPS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Operations and bytes of some operators, and their time one after another."""

    flops: float = 0.0
    moved_bytes: float = 0.0
    seconds: float = 0.0

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.moved_bytes

    def plus(self, other: Totals) -> Totals:
        """These and the others."""
        return Totals(
            flops=self.flops + other.flops,
            moved_bytes=self.moved_bytes + other.moved_bytes,
            seconds=self.seconds + other.seconds,
        )


Part = Callable[[Operator], str | None]
"""The row of a table that an operator belongs to; None for none."""


def in_tables(totals: Totals) -> dict[str, float]:
    """The columns of tables 3, 4, 10, 11 and 12."""
    return {"GFLOP": totals.flops / 1e9, "GMOP": totals.moved_bytes / 1e9, "FLOP/B": totals.intensity}


def printed_cells(row: str, totals: Totals, table: PublishedTable) -> Ours:
    """Our numbers of a row, for those of its cells that are printed."""
    ours, printed = in_tables(totals), zip(table.columns, table.rows[row], strict=True)
    return {(row, column): ours[column] for column, cell in printed if cell}


@cache
def encoder(tokens: int, heads: int = ENCODER.heads) -> Graph:
    """BERT-Base of `tokens` tokens."""
    return bert.build(replace(ENCODER, heads=heads), seq=tokens)


@cache
def decoder_step(context: int) -> Graph:
    """GPT-2 making one token after `context` others; the first is a prompt of one."""
    if context == 0:
        return gpt2.build(DECODER, seq=1, phase="prefill")
    return gpt2.build(DECODER, seq=1, context=context, phase="decode")


def part_of_transformer(operator: Operator) -> str | None:
    """Projections, act-to-act, feed-forward or other, as tables 3, 10 and 11 divide a layer; None outside layers."""
    if not operator.layer.startswith("layers."):
        return None
    if not operator.work.is_matmul:
        return "other"
    if operator.kind == "matmul of activations":
        return "act-to-act"
    return "feed-forward" if ".feed_forward." in operator.name else "projections"


def part_totals(graph: Graph, machine: Machine, part: Part) -> dict[str, Totals]:
    """Totals by part, and of all of them as "total": bytes are those across the machine's outermost boundary."""
    boundary, found = machine.boundaries[0], dict[str, Totals]()
    number_format = FORMATS.get(machine.name, "int8")
    for operator in operators_of(graph, storage_of(number_format), machine.counting):
        if (name := part(operator)) is None:
            continue
        moved = tiled(operator.work, boundary)
        one = Totals(
            flops=float(operator.work.flops),
            moved_bytes=float(moved.bytes),
            seconds=float(attained(operator.work, machine, number_format).seconds),
        )
        for row in (name, "total"):
            found[row] = found.get(row, Totals()).plus(one)
    return found


@cache
def encoder_totals(tokens: int, machine: str = IDEAL, heads: int = ENCODER.heads) -> dict[str, Totals]:
    """BERT-Base's parts on one of the survey's machines."""
    return part_totals(encoder(tokens, heads), load_machine(machine), part_of_transformer)


@cache
def step_totals(context: int, machine: str) -> dict[str, Totals]:
    """GPT-2's parts in the step after `context` tokens."""
    return part_totals(decoder_step(context), load_machine(machine), part_of_transformer)


def generation_totals(tokens: int, machine: str = GENERATION) -> dict[str, Totals]:
    """GPT-2's parts summed over the steps that make `tokens` tokens without a prompt.

    Operations and compulsory bytes are linear in the context, so the first and the last step say them all exactly;
    times are a maximum of such, and are interpolated between SAMPLED_STEPS steps.
    """
    contexts = np.unique(np.linspace(0, tokens - 1, SAMPLED_STEPS).astype(int))
    steps = [step_totals(int(context), machine) for context in contexts]
    return {part: _summed(tokens, contexts, [step[part] for step in steps]) for part in steps[0]}


def _summed(tokens: int, contexts: IntArray, totals: Sequence[Totals]) -> Totals:
    every = np.arange(tokens)

    def total(name: str) -> float:
        return float(np.interp(every, contexts, [getattr(one, name) for one in totals]).sum())

    return Totals(flops=total("flops"), moved_bytes=total("moved_bytes"), seconds=total("seconds"))


def table_cells(made: Iterable[tuple[int, dict[str, Totals]]], table: PublishedTable) -> Ours:
    """Rows "l tokens: part" of tables 3, 10 and 11, those cells that are printed."""
    found: Ours = {}
    for tokens, parts in made:
        for part, totals in parts.items():
            found |= printed_cells(f"{tokens} tokens: {part}", totals, table)
    return found
