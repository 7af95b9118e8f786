"""Architecture search over the survey's space: what its published pick gains on the cycle engine, and the front of cost
against size that an evolution like theirs finds on the analytical model.

Perplexity is not measured here, nor taken from a law: the survey's networks are trained on 2 million tokens, where
size hardly helps (its pick loses 0.1 points with half of the weights), and laws of scaling (Kaplan et al.,
arXiv 2001.08361) hold for networks that their data do not limit. The weights of the layers stand in its place as what
the search keeps, and no point of the front is claimed to have a perplexity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.case_study import CaseRow, SearchPoint
from simulator.host_calls import MatmulCall
from simulator.soc import run_matmul
from systolic.case_study.architectures import (
    TOKENS,
    Architecture,
    FloatArray,
    block_costs,
    layers_of_architecture,
    random_architecture,
)
from systolic.case_study.encoder import run_integer
from systolic.case_study.machines import survey_machine
from systolic.case_study.published import (
    BERT_VOCABULARY,
    GPT2_VOCABULARY,
    HEADLINE,
    HEADLINE_EDP,
    HEADLINE_LATENCY,
    SEARCH_FEATURES,
    SEARCH_GAINS,
    SEARCH_HEADS,
    SEARCH_HIDDEN,
    SEARCH_LAYERS,
    SEARCH_START,
)

SEARCH = "architecture search"
POPULATION, ROUNDS, MUTATION = 40, 40, 0.2
"""Section 6.4.1."""
SMALLEST: Architecture = (
    SEARCH_FEATURES[0],
    (SEARCH_HEADS[0],) * SEARCH_LAYERS[0],
    (SEARCH_HIDDEN[0],) * SEARCH_LAYERS[0],
)
SLICE = 2048
"""Columns of the language model's head that are simulated; the rest takes as long for each."""
_WHERE = "section 6.4.2, table 9"
_NOT_MEASURED = (
    "theirs has one point of perplexity more and is not printed; perplexity is not measured here, so this is only the "
    "most that the space holds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """An architecture on the cycle engine: cycles and picojoules of its layers, and of a column of the language model's
    head."""

    cycles: float
    energy_pj: float
    head_cycles: float
    head_pj: float

    def with_head(self, vocabulary: int) -> tuple[float, float]:
        """(cycles, picojoules) with a head of so many words; 0: without."""
        return self.cycles + vocabulary * self.head_cycles, self.energy_pj + vocabulary * self.head_pj


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRuns:
    """The baseline, the published pick, and the smallest architecture of the space."""

    start: Simulated
    pick: Simulated
    smallest: Simulated


def simulate_architecture(architecture: Architecture) -> Simulated:
    """Every distinct layer on the SoC with integer units, scratchpad 64 KiB, accumulator 256 KiB."""
    machine = survey_machine(64, 256, units=True)
    layers = layers_of_architecture(architecture)
    runs = {layer: run_integer(layer, machine, split=False) for layer in dict.fromkeys(layers)}
    call = MatmulCall(rows=TOKENS, columns=SLICE, depth=architecture[0])
    (head,) = run_matmul(call, machine, runs=1, code_cached=True)
    table, result = machine.energy, head.result
    head_pj = (
        TOKENS * SLICE * architecture[0] * table.mac_pj
        + (result.scratchpad_read_bytes + result.scratchpad_write_bytes) * table.scratchpad_pj_per_byte
        + (result.accumulator_read_bytes + result.accumulator_write_bytes) * table.accumulator_pj_per_byte
        + (result.read_bytes + result.write_bytes) * table.dram_pj_per_byte
    )
    return Simulated(
        cycles=sum(runs[layer].all_cycles for layer in layers),
        energy_pj=sum(runs[layer].energy_pj for layer in layers),
        head_cycles=head.cycles / SLICE,
        head_pj=head_pj / SLICE,
    )


def gains(start: Simulated, pick: Simulated, vocabulary: int) -> dict[str, float]:
    """How many times less latency, energy and energy-delay product the pick takes."""
    (before, before_pj), (after, after_pj) = start.with_head(vocabulary), pick.with_head(vocabulary)
    return {
        "latency": before / after,
        "energy": before_pj / after_pj,
        "EDP": before * before_pj / (after * after_pj),
    }


def search_rows(runs: SearchRuns, gain: float | None) -> Iterator[CaseRow]:
    """`gain`: ours of the integer units, for what the headline mixes (None: not known)."""
    kinds = (
        ("layers alone", 0, "a language model's head is left out, which the pick does not shrink"),
        ("with BERT's output vocabulary", BERT_VOCABULARY, "30,522 words"),
        ("with GPT-2's output vocabulary", GPT2_VOCABULARY, "50,257 words; the survey trains a language model"),
    )
    for name, vocabulary, reason in kinds:
        for what, ours in gains(runs.start, runs.pick, vocabulary).items():
            yield CaseRow(
                step=SEARCH,
                name=f"table 9's architecture, {name}: {what}",
                ours=ours,
                published=SEARCH_GAINS[what][0],
                unit="times",
                where=_WHERE,
                gated=vocabulary == GPT2_VOCABULARY,
                reason=reason + "; whether theirs counts the head is not said",
            )
    for what, ours in gains(runs.start, runs.smallest, GPT2_VOCABULARY).items():
        yield CaseRow(
            step=SEARCH,
            name=f"smallest architecture of the space, with GPT-2's output vocabulary: {what}",
            ours=ours,
            published=SEARCH_GAINS[what][1],
            unit="times",
            where="section 6.4.2",
            gated=False,
            reason=_NOT_MEASURED,
        )
    if gain is None:
        return
    yield CaseRow(
        step="headline",
        name="gain in latency of the units, times gain in EDP of the architecture",
        ours=gain * gains(runs.start, runs.pick, GPT2_VOCABULARY)["EDP"],
        published=HEADLINE,
        unit="times",
        where="abstract and section 7",
        gated=False,
        reason=f"no gain of anything: {HEADLINE_LATENCY} is latency, {HEADLINE_EDP} energy times latency, and their "
        "product compares neither",
    )


def search(seed: int = 0) -> tuple[SearchPoint, ...]:
    """The architectures that an evolution finds not dominated in weights (more is better) and energy-delay product."""
    machine = survey_machine(64, 256, units=True)
    costs = block_costs(machine)
    start = costs.of(SEARCH_START)
    generator = np.random.default_rng(seed)
    front = [SMALLEST, SEARCH_START]
    found: dict[Architecture, FloatArray] = {one: costs.of(one) for one in front}
    for _ in range(ROUNDS):
        while len(front) < POPULATION:
            child = _mutated(front[int(generator.integers(len(front)))], generator)
            found.setdefault(child, costs.of(child))
            front.append(child)
        front = _front(found)
    return tuple(_point(one, found[one] / start, one in front) for one in found)


def _mutated(parent: Architecture, generator: np.random.Generator) -> Architecture:
    """`parent` with every choice drawn anew at the published rate; a layer more or less copies or drops one."""
    features, heads, hidden = parent
    other = random_architecture(generator)
    layers = len(other[1]) if generator.random() < MUTATION else len(heads)
    heads, hidden = ((part * 2)[:layers] for part in (heads, hidden))
    drawn = generator.random((2, layers)) < MUTATION
    return (
        other[0] if generator.random() < MUTATION else features,
        tuple(int(generator.choice(SEARCH_HEADS)) if new else h for new, h in zip(drawn[0], heads, strict=True)),
        tuple(int(generator.choice(SEARCH_HIDDEN)) if new else f for new, f in zip(drawn[1], hidden, strict=True)),
    )


def _front(found: dict[Architecture, FloatArray]) -> list[Architecture]:
    """Those that no other beats in both weights and energy-delay product, thinned to half of a population."""
    ordered = sorted(found, key=lambda one: (found[one][0] * found[one][1], -found[one][2]))
    kept, most = [], -1.0
    for one in ordered:
        if found[one][2] > most:
            kept.append(one)
            most = found[one][2]
    half = POPULATION // 2
    if len(kept) <= half:
        return kept
    return [kept[round(at)] for at in np.linspace(0, len(kept) - 1, half)]


def _point(architecture: Architecture, relative: FloatArray, on_front: bool) -> SearchPoint:
    features, heads, hidden = architecture
    return SearchPoint(
        features=features,
        heads=heads,
        hidden=hidden,
        latency=float(relative[0]),
        energy=float(relative[1]),
        weights=float(relative[2]),
        on_front=on_front,
    )
