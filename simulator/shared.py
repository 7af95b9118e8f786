"""Several accelerators sharing one memory, as multi-core Gemminis do.

Each has its own command stream and its own way back from the memory; they share a bus that takes one request, or one
beat of a write, a cycle in turn, and the memory behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Memory
from simulator.command_check import check_next, new_check
from simulator.cost import Result
from simulator.cycle_level.kernel import DONE, PAUSED, start
from simulator.cycle_level.limits import check_machine
from simulator.cycle_level.shared import take_turns
from simulator.cycle_level.state import F_BASE, F_MORE, NEVER, P_MEMORY_KIND, P_MEMORY_PORT, new_machine
from simulator.cycle_level.window import pieces
from simulator.engine import Words, activity_of, result_of
from simulator.memory_state import M_KIND, new_memory
from simulator.program import Program

MOST_SHARERS = 16


@dataclass(slots=True)
class _Sharer:
    """One machine's run: its state, the pieces of its stream still to come, and the piece it works on."""

    name: str
    accelerator: Accelerator
    m: npt.NDArray[np.int64]
    rest: Iterator[tuple[Program, bool]]
    checked: npt.NDArray[np.int64] = field(default_factory=new_check)
    words: Words = field(default_factory=lambda: _words(None))
    accepted: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    known: int = 0
    more: bool = False
    cycles: int = 0

    def next_piece(self) -> bool:
        """Take up the next piece of the stream; False where there is none."""
        piece, self.more = next(self.rest, (None, False))
        if piece is None:
            return False
        check_next(piece, self.accelerator, self.checked, first_index=self.known, more=self.more)
        self.words, self.accepted = _words(piece), np.zeros(len(piece), np.int64)
        self.m[F_MORE], self.m[F_BASE] = self.more, self.known
        self.known += len(piece)
        return True

    def result(self, whole: bool) -> Result:
        """What the machine did, once its stream has ended."""
        return result_of(
            self.m, cycles=self.cycles, commands=self.known, accepted=self.accepted if whole else self.accepted[:0]
        )


def simulate_shared(
    programs: Sequence[Program | Iterable[Program]],
    accelerators: Sequence[Accelerator],
    memory: Memory | None = None,
    *,
    command_gap_cycles: int = 0,
) -> tuple[Result, ...]:
    """Run `programs`, one on each of `accelerators`, from the same cycle 0 on; a Result for each.

    `memory` (default: the first accelerator's) is behind all of them. A program may come in pieces, as in
    `engine.simulate`; one without commands leaves its machine idle, with a Result of zero cycles. With a cache every
    Result carries the activity of the whole memory. Raises InputError for an illegal command, named with its stream, or
    for machines that cannot share a memory.
    """
    memory = memory or accelerators[0].memory
    _check(programs, accelerators, memory, command_gap_cycles)
    behind = new_memory(memory, accelerators[0].dma.bus_bytes, ports=len(accelerators))
    sharers = []
    for number, (program, accelerator) in enumerate(zip(programs, accelerators, strict=True)):
        m = new_machine(accelerator, memory, command_gap_cycles, (0, 0))
        m[P_MEMORY_KIND], m[P_MEMORY_PORT] = behind[M_KIND], number
        rest = pieces([program] if isinstance(program, Program) else program)
        sharers.append(_Sharer(name=f"stream {number}", accelerator=accelerator, m=m, rest=rest))
    _run(sharers, behind)
    results = (sharer.result(isinstance(program, Program)) for sharer, program in zip(sharers, programs, strict=True))
    activity = activity_of(behind) if memory.cache else None
    return tuple(replace(result, memory_activity=activity) for result in results)


def _words(piece: Program | None) -> Words:
    if piece is None:
        return np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)
    # Compiled code takes the arrays of all machines together, so they must all be contiguous and writable.
    return (
        np.require(piece.funct, requirements=("C", "W")),
        np.require(piece.rs1, requirements=("C", "W")).view(np.int64),
        np.require(piece.rs2, requirements=("C", "W")).view(np.int64),
    )


def _check(
    programs: Sequence[Program | Iterable[Program]], accelerators: Sequence[Accelerator], memory: Memory, gap: int
) -> None:
    if not accelerators or len(programs) != len(accelerators):
        raise InputError(
            "programs", "needs one stream an accelerator", value=len(programs), limit=max(1, len(accelerators))
        )
    if len(accelerators) > MOST_SHARERS:
        raise InputError("accelerators", "too many for one memory", value=len(accelerators), limit=MOST_SHARERS)
    for accelerator in accelerators:
        check_machine(accelerator, memory, gap)
        if accelerator.dma.bus_bytes != accelerators[0].dma.bus_bytes:
            raise InputError(
                f"{accelerator.name}.dma.bus_bytes",
                "one memory has one width of bus",
                value=accelerator.dma.bus_bytes,
                limit=accelerators[0].dma.bus_bytes,
            )


def _next_piece(sharer: _Sharer) -> bool:
    """As `_Sharer.next_piece`, a fault of the stream named with it."""
    try:
        return sharer.next_piece()
    except InputError as error:
        raise InputError(f"{sharer.name}: {error.path}", error.problem, value=error.value, limit=error.limit) from None


def _run(sharers: list[_Sharer], behind: npt.NDArray[np.int64]) -> None:
    """Let the machines take turns until all their streams have ended."""
    times = np.full(len(sharers), NEVER, np.int64)
    for number, sharer in enumerate(sharers):
        if _next_piece(sharer):
            times[number] = start(sharer.m, *sharer.words, sharer.accepted)
    nothing, favoured = np.zeros((0, 2), np.int64), 0
    while (times < NEVER).any():
        functs, rs1s, rs2s = zip(*(sharer.words for sharer in sharers), strict=True)
        machines, accepted = tuple(sharer.m for sharer in sharers), tuple(sharer.accepted for sharer in sharers)
        number, end, favoured = take_turns(machines, behind, times, favoured, nothing, functs, rs1s, rs2s, accepted)
        sharer = sharers[number]
        if end != (PAUSED if sharer.more else DONE):
            raise RuntimeError(f"the engine made no progress at command {end} of {sharer.name}")
        if not sharer.more:
            sharer.cycles, times[number] = int(times[number]), NEVER
        else:
            _next_piece(sharer)
