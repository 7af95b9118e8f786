"""Replays command streams, several at a time, and gives the results back in the order of the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.cost import Result
from simulator.engine import simulate
from simulator.raw_commands import program_from_words
from simulator.stream_values import output_digest
from systolic.replay_rows import StreamRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A stream, what the engine observed of it, and the digest of its output where the row names I and J."""

    row: StreamRow
    result: Result
    output_sha256: str | None


def replay_row(row: StreamRow, accelerator: Accelerator, *, values: bool) -> Replayed:
    """Run one stream; with `values`, also what it computes. Raises InputError naming row, command index and field."""
    try:
        program = program_from_words(row.commands)
        result = simulate(program, accelerator, memory=row.memory, command_gap_cycles=row.command_gap_cycles)
        wanted = values and row.output is not None
        digest = output_digest(program, accelerator, *row.output) if wanted and row.output else None
    except InputError as error:
        raise InputError(f"{row.path}: {error.path}", error.problem, value=error.value, limit=error.limit) from error
    return Replayed(row=row, result=result, output_sha256=digest)


def replay_rows(
    rows: Iterable[StreamRow], accelerator: Accelerator, *, values: bool = True, workers: int = 1
) -> Iterator[Replayed]:
    """Every row of `rows` replayed, in their order, at most two a worker read ahead.

    An error comes in its row's turn: what stands before it is given back first.
    """
    waiting: deque[Future[Replayed]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for row in _failing_last(rows, waiting):
            waiting.append(pool.submit(replay_row, row, accelerator, values=values))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # On an error or an interruption, what has not begun is dropped.
        pool.shutdown(wait=True, cancel_futures=True)


def _failing_last(rows: Iterable[StreamRow], waiting: deque[Future[Replayed]]) -> Iterator[StreamRow]:
    """`rows`, where an error in reading one queues up behind the rows that wait."""
    try:
        yield from rows
    except InputError as error:
        failed: Future[Replayed] = Future()
        failed.set_exception(error)
        waiting.append(failed)
