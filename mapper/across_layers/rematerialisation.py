"""Schedules of a computation whose tensors do not all fit on chip: what a stage does, what it costs, whether it fits;
and a schedule made by hand, which keeps what is read soonest and fetches the rest. No solver enters this file.

Stage t is the first to compute tensor t (Jain et al., Checkmate, arXiv 1910.02653, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model_ir.errors import InfeasibleError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A tensor and the operator that makes it from the tensors `operands` (numbers of earlier nodes).

    `cycles` to compute it with its operands on chip, `size_bytes` on chip, `fetch_cycles` and `store_cycles` to move it
    between chip and memory. `in_memory`: it is there from the start (an input of the network).
    """

    name: str
    operands: tuple[int, ...]
    cycles: int
    size_bytes: int
    fetch_cycles: int = 0
    store_cycles: int = 0
    in_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage does: tensors kept from before, fetched at its start, computed in order, written to memory."""

    kept: tuple[int, ...]
    fetched: tuple[int, ...]
    computed: tuple[int, ...]
    stored: tuple[int, ...]


def check_nodes(nodes: Sequence[Node], budget_bytes: int) -> None:
    """Raise InputError for operands that are not earlier nodes, InfeasibleError for an operator too large alone."""
    for number, node in enumerate(nodes):
        if any(not 0 <= operand < number for operand in node.operands):
            raise InputError(f"nodes[{number}].operands", "must be earlier nodes", value=node.operands)
        needed = node.size_bytes + sum(nodes[operand].size_bytes for operand in set(node.operands))
        if needed > budget_bytes:
            raise InfeasibleError(
                f"operands and result of {node.name}", demand=needed, capacity=budget_bytes, unit="bytes"
            )


def cost_of(nodes: Sequence[Node], stages: Sequence[Stage]) -> int:
    """Cycles of everything computed, fetched and stored."""
    return sum(
        sum(nodes[node].cycles for node in stage.computed)
        + sum(nodes[node].fetch_cycles for node in stage.fetched)
        + sum(nodes[node].store_cycles for node in stage.stored)
        for stage in stages
    )


def peak_of(nodes: Sequence[Node], stages: Sequence[Stage]) -> int:
    """The most bytes on chip at once in any stage; raises InputError as `peaks_of` does."""
    return max(peaks_of(nodes, stages), default=0)


def peaks_of(nodes: Sequence[Node], stages: Sequence[Stage]) -> tuple[int, ...]:
    """Replay `stages` and return the most bytes on chip at once in each; raises InputError where an operand is missing.

    A tensor leaves as soon as its last reader of the stage is done, unless the next stage keeps it.
    """
    peaks: list[int] = []
    memory = {number for number, node in enumerate(nodes) if node.in_memory}
    before: set[int] = set()
    for number, stage in enumerate(stages):
        following = set(stages[number + 1].kept) if number + 1 < len(stages) else set()
        if not set(stage.kept) <= before or not set(stage.fetched) <= memory:
            raise InputError(f"stages[{number}]", "keeps or fetches what is not there")
        present = set(stage.kept) | set(stage.fetched)
        seen = set(present)
        peak = sum(nodes[node].size_bytes for node in present)
        for place, node in enumerate(stage.computed):
            if not set(nodes[node].operands) <= present:
                raise InputError(f"stages[{number}]", "computes without an operand", value=node)
            present.add(node)
            seen.add(node)
            peak = max(peak, sum(nodes[one].size_bytes for one in present))
            later = {operand for other in stage.computed[place + 1 :] for operand in nodes[other].operands}
            present -= {one for one in (*nodes[node].operands, node) if one not in later and one not in following}
        if not set(stage.stored) <= seen:
            raise InputError(f"stages[{number}]", "stores what is not there")
        memory |= set(stage.stored)
        before = seen
        peaks.append(peak)
    return tuple(peaks)


def paged(nodes: Sequence[Node], budget_bytes: int) -> tuple[Stage, ...]:
    """A schedule within the budget that computes nothing twice: a stage keeps, beside its operands, the tensors read
    soonest, as many as fit (Belady, IBM Systems Journal 5(2), 1966), and fetches what it lacks.

    Raises as `check_nodes` does; then there is always one.
    """
    check_nodes(nodes, budget_bytes)
    reads: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        for operand in set(node.operands):
            reads[operand].append(number)
    stages: list[Stage] = []
    present: set[int] = set()
    for number, node in enumerate(nodes):
        operands = set(node.operands)
        room = budget_bytes - node.size_bytes - sum(nodes[operand].size_bytes for operand in operands)
        kept = operands & present
        waiting = {other: min((at for at in reads[other] if at > number), default=None) for other in present - operands}
        for other, _ in sorted(
            ((other, at) for other, at in waiting.items() if at is not None), key=lambda item: item[1]
        ):
            if nodes[other].size_bytes <= room:
                kept.add(other)
                room -= nodes[other].size_bytes
        fetched = tuple(sorted(operands - present))
        stages.append(Stage(kept=tuple(sorted(kept)), fetched=fetched, computed=(number,), stored=()))
        present = kept | operands | {number}
    again = {node for stage in stages for node in stage.fetched}
    return tuple(
        replace(stage, stored=(number,)) if number in again and not nodes[number].in_memory else stage
        for number, stage in enumerate(stages)
    )
