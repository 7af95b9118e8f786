"""What the program across layers chooses from: ways to execute layers, tensors that may stay on chip. Nouns and rules.

Layers run one after another in a fixed order. A `Choice` executes one layer, or several neighbours as one; a
`Residence` keeps a tensor in one memory over a window of layers. No machine and no cost model enters this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mapper.objective import Key
from mapper.solve import Solve
from model_ir.errors import InputError

Memory = Literal["scratchpad", "accumulator"]
MEMORIES: tuple[Memory, ...] = ("scratchpad", "accumulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """`tensor` stays in `memory`, in `rows` rows, from layer `first` to layer `last`; the layers in `touched` make or
    read it there, and no others do."""

    tensor: str
    memory: Memory
    rows: int
    first: int
    last: int
    touched: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to execute the neighbouring `layers`: what it costs and the rows it takes beside what is resident.

    `residences` are the numbers of exactly those residences, among the ones that touch these layers, that must be in
    effect. `key` is what it adds to what is minimised first and second. `kind` says to people what is done; `detail` is
    the caller's key to how.
    """

    layers: tuple[int, ...]
    kind: str
    residences: frozenset[int]
    key: Key
    rows: dict[Memory, int]
    detail: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProblem:
    """`layers` in their order are numbered from 0; `capacity` is in rows of each memory."""

    layers: int
    choices: tuple[Choice, ...]
    residences: tuple[Residence, ...]
    capacity: dict[Memory, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAnswer:
    """The choices taken, in the order of their layers, the residences in effect, and the solver's evidence."""

    choices: tuple[Choice, ...]
    residences: tuple[Residence, ...]
    solve: Solve

    @property
    def key(self) -> Key:
        """What was minimised first and second, of all choices together."""
        return key_of_all(self.choices)


def key_of_all(choices: Iterable[Choice]) -> Key:
    """What `choices` add up to."""
    chosen = tuple(choices)
    return sum(choice.key[0] for choice in chosen), sum(choice.key[1] for choice in chosen)


def check_problem(problem: NetworkProblem) -> NetworkProblem:
    """`problem`, if it means something; InputError says which choice or residence does not."""
    for number, choice in enumerate(problem.choices):
        where = f"choices[{number}]"
        if not choice.layers or choice.layers != tuple(range(choice.layers[0], choice.layers[-1] + 1)):
            raise InputError(where, "layers must be neighbours", value=choice.layers)
        if not 0 <= choice.layers[0] <= choice.layers[-1] < problem.layers:
            raise InputError(where, "no such layer", value=choice.layers, limit=problem.layers - 1)
        for resident in choice.residences:
            if not 0 <= resident < len(problem.residences):
                raise InputError(where, "no such residence", value=resident, limit=len(problem.residences) - 1)
            if problem.residences[resident].touched.isdisjoint(choice.layers):
                raise InputError(where, "names a residence that does not touch its layers", value=resident)
    for number, residence in enumerate(problem.residences):
        if not residence.touched or not residence.touched <= set(range(residence.first, residence.last + 1)):
            raise InputError(f"residences[{number}]", "touched outside its window", value=sorted(residence.touched))
    return problem


def conflict_of(problem: NetworkProblem, choices: Sequence[Choice]) -> str:
    """Why `choices` are no execution of the network, "" if they are one: every layer once, residences agreed upon by
    all who touch them, and everything within capacity."""
    covered = [layer for choice in choices for layer in choice.layers]
    if sorted(covered) != list(range(problem.layers)):
        return "not every layer exactly once"
    of_layer = {layer: choice for choice in choices for layer in choice.layers}
    in_effect = frozenset().union(*(choice.residences for choice in choices)) if choices else frozenset()
    for number in in_effect:
        for layer in problem.residences[number].touched:
            if number not in of_layer[layer].residences:
                return f"layer {layer} does not know of residence {number}"
    for layer in range(problem.layers):
        for memory in MEMORIES:
            used = of_layer[layer].rows.get(memory, 0) + sum(
                problem.residences[number].rows
                for number in in_effect
                if problem.residences[number].memory == memory
                and problem.residences[number].first <= layer <= problem.residences[number].last
            )
            if used > problem.capacity[memory]:
                return f"layer {layer} needs {used} {memory} rows of {problem.capacity[memory]}"
    return ""
