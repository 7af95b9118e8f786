"""What the page says in words and large figures: headline, tiles, the solver's summary, how the run was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reports.breakdown import (
    COMPUTING,
    FORMULA,
    PARTLY,
    WAITING,
    cycles_in_total,
    cycles_off_the_array,
    solved_nests,
    tried_nests,
)
from reports.tables import escaped
from reports.units import BY, byte_size, count, percent, si, times

if TYPE_CHECKING:
    from reports.record import RunRecord

_LIMITS: Final = (
    "Simulated cycles come from a cycle-level model of the machine and its memory, not from silicon.",
    "Energy is event counts times one energy per event from the accelerator's description: no leakage, no clock tree.",
    "The roofline's picture divides by the DRAM bytes really moved, so a layer that re-reads its operands stands "
    "further left than its compulsory traffic would put it; the tables' roofline cycles are of compulsory traffic.",
)


def headline(record: RunRecord) -> str:
    """One HTML sentence: how long, how well used, and what cost the most beside computing."""
    totals, machine = record.header.totals, record.header.accelerator
    sentence = (
        f"<b>{si(totals.seconds, 's')}</b> for one pass at {si(machine.clock_hz, 'Hz')}; the {count(machine.dim)}{BY}"
        f"{count(machine.dim)} mesh does <b>{percent(totals.utilisation)}</b> of the work it could."
    )
    losses = [part for part in cycles_in_total(record) if part[0] not in (COMPUTING, FORMULA)]
    if not losses or totals.cycles <= 0:
        return sentence
    cause, cycles = max(losses, key=lambda part: part[1])
    share = percent(cycles / totals.cycles)
    return f"{sentence} The largest loss is {escaped(_loss(cause))}: <b>{share}</b> of all cycles."


def _loss(cause: str) -> str:
    if cause.startswith(WAITING):
        return f"the array waiting ({cause.removeprefix(WAITING)})"
    return "a mesh only partly filled" if cause == PARTLY else f"the {cause}"


def tiles(record: RunRecord) -> list[tuple[str, str, str]]:
    """(name, value, detail) of the figures at the top of the page."""
    totals, machine = record.header.totals, record.header.accelerator
    cycles = max(totals.cycles, 1.0)
    reading, writing = (
        percent(float(record.layers[f"dram_{direction}_bytes"].sum()) / cycles / width)
        for direction, width in (("read", machine.memory_bytes_per_cycle), ("write", machine.write_bytes_per_cycle))
    )
    elsewhere = cycles_off_the_array(record.layers)
    off = ", ".join(f"{name} {percent(value / cycles)}" for name, value in elsewhere.items())
    per_mac = f"{totals.energy_pj / totals.macs:,.2f} pJ per MAC" if totals.macs else "no MACs"
    return [
        ("Latency", si(totals.seconds, "s"), f"at {si(machine.clock_hz, 'Hz')}"),
        ("Cycles", count(totals.cycles), f"{len(record.layers):,} layers"),
        (
            "Utilisation",
            percent(totals.utilisation),
            f"{si(totals.macs, 'MAC')} at {machine.peak_macs_per_cycle:,g}/cycle",
        ),
        ("DRAM traffic", byte_size(totals.dram_bytes), f"port reading {reading}, writing {writing}"),
        ("Energy", si(totals.energy_pj * 1e-12, "J"), per_mac),
        ("Off the array", percent(sum(elsewhere.values()) / cycles), off or "every cycle is the array's"),
    ]


def solver_sentence(record: RunRecord) -> str:
    """One HTML paragraph: what was proved, the largest gap, and the gain over the machine's heuristic."""
    nests = solved_nests(record.layers)
    if nests.empty:
        return "No layer of this run was scheduled by a solver."
    proved = int((nests["solver_status"].str.lower() == "optimal").sum())
    both = record.layers.loc[
        record.layers["heuristic_cycles"].notna() & record.layers["solver_objective_cycles"].notna()
    ]
    found, before = both["solver_objective_cycles"].sum(), both["heuristic_cycles"].sum()
    gain = (
        f" Over all layers the machine's own heuristic would take {times(before / found)} the cycles." if found else ""
    )
    return (
        f"<b>{count(proved)} of {count(len(nests))}</b> distinct layers are proved optimal for the analytical model; "
        f"the largest gap left is {percent(nests['solver_gap'].max())}; solving took "
        f"{si(nests['solver_wall_seconds'].sum(), 's')} in all.{gain}"
    )


def quality_sentence(record: RunRecord) -> str:
    """One HTML paragraph: how far the simulated mappings stay from their bounds, and how well the model ranks them."""
    nests = tried_nests(record.layers)
    if nests.empty:
        return "No mapping of this run was compared on the cycle engine."
    near = int((nests["gap"] <= 0.1).sum())
    sentence = (
        f"On the cycle engine <b>{count(near)} of {count(len(nests))}</b> distinct layers end within 10 % of the bound "
        f"(array cycles quantised by its size, or compulsory traffic); in the mean {percent(nests['gap'].mean())} "
        f"above it, the machine's own heuristic {percent(nests['heuristic_gap'].mean())}."
    )
    ranks = record.header.rank_correlation
    if ranks is None or ranks.overall is None:
        return sentence
    within = f", {ranks.within:.2f} in the mean within {count(ranks.layers)} layers" if ranks.within is not None else ""
    return (
        f"{sentence} Rank correlation of analytical and simulated cycles (Spearman): <b>{ranks.overall:.3f}</b> over "
        f"{count(ranks.mappings)} mappings{within}, where those tried are near-optimal and nearly tie in the model."
    )


def made_facts(record: RunRecord) -> list[tuple[str, str]]:
    """(name, value) of everything needed to repeat the run."""
    header, machine = record.header, record.header.accelerator
    return [
        ("Network", f"{header.network}, from {header.origin}"),
        ("Machine", f"{machine.name}: {machine.description}"),
        (
            "Array",
            f"{machine.dim}{BY}{machine.dim}, {machine.peak_macs_per_cycle:,g} MAC/cycle, {si(machine.clock_hz, 'Hz')}",
        ),
        (
            "Memories",
            f"scratchpad {byte_size(machine.scratchpad_bytes)}, accumulator {byte_size(machine.accumulator_bytes)}, "
            f"port {machine.memory_bytes_per_cycle:g} B/cycle in, {machine.write_bytes_per_cycle:g} out",
        ),
        ("Options", _listed(header.options)),
        ("Inputs", _listed(header.input_hashes)),
        ("Packages", _listed(header.package_versions)),
        ("Seed", str(header.seed)),
        ("Started", header.started),
        ("Took", ", ".join(f"{stage} {si(seconds, 's')}" for stage, seconds in header.wall_seconds.items())),
    ]


def note_items(record: RunRecord) -> list[str]:
    """The run's own notes, then what the numbers do not cover."""
    layers, cycles = record.layers, max(record.header.totals.cycles, 1.0)
    formula = layers.loc[layers["costed_by"] == "formula", "cycles"].sum()
    shares = [
        f"{percent(formula / cycles)} of the cycles come from formulas (elements times cycles each), not simulation."
    ]
    return [*record.header.notes, *(shares if formula else []), *_LIMITS]


def _listed(values: dict[str, str] | dict[str, str | int | float | bool | None]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "none"
