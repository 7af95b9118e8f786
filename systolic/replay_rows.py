"""Reads a file of command streams, one JSON object a line, plain or gzipped, a line at a time.

Whatever is wrong is an InputError naming file, line, row, field, value and limit. What a row states beside the stream
(cycles, requests, bytes, acceptance times, digest) is what was measured of it, to compare with.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from model_ir.errors import InputError
from simulator.accelerator import Memory
from simulator.raw_commands import RawCommand

MAX_LINE_BYTES = 256 << 20
"""One row is held at a time; some six million commands fit."""
MAX_MEMORY_CYCLES = 1 << 20
"""A latency, beat or gap beyond a millisecond at 1 GHz is a slip of the pen."""
MAX_SIDE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_COUNTS = ("cycles", "read_requests", "read_bytes", "write_requests", "write_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a row says the RTL did; None or empty where it says nothing."""

    cycles: int | None
    read_requests: int | None
    read_bytes: int | None
    write_requests: int | None
    write_bytes: int | None
    accepted_at: tuple[int, ...]
    output_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """One command stream: `where` it stands (file:line), its `memory` and the host's `command_gap_cycles`.

    `output` is (I, J), the rows and columns of its int8 output, where the row names both.
    """

    where: str
    name: str
    family: str
    commands: tuple[RawCommand, ...]
    memory: Memory
    command_gap_cycles: int
    output: tuple[int, int] | None
    measured: Measured

    @property
    def path(self) -> str:
        """How messages name the row: file, line and its own name."""
        return f"{self.where} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDefaults:
    """What a row that leaves a field out gets."""

    memory: Memory
    command_gap_cycles: int


def read_rows(
    path: Path, defaults: RowDefaults, on_bytes: Callable[[int, int], None] | None = None
) -> Iterator[StreamRow]:
    """Every row of the file `path`, in order; blank lines are passed over.

    `on_bytes` is told, after every line, how many bytes of the file are read and how many there are. Raises InputError
    for a file that cannot be read, holds no row, or holds one that is malformed.
    """
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            lines = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
            found = False
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), 1):
                where = f"{path}:{number}"
                if len(line) == MAX_LINE_BYTES:
                    raise InputError(where, "line too long", value=f"at least {len(line)} bytes", limit=MAX_LINE_BYTES)
                if line.strip():
                    found = True
                    yield parse_row(line, where, defaults)
                if on_bytes is not None:
                    on_bytes(file.tell(), total)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(str(path), f"cannot be read: {_reason(error)}") from error
    if not found:
        raise InputError(str(path), "holds no command stream; one JSON object a line is expected")


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def parse_row(line: bytes, where: str, defaults: RowDefaults) -> StreamRow:
    """The row of one line; the commands' words are checked when they are turned into a Program."""
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(where, f"is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InputError(where, "must be a JSON object", value=type(row).__name__)
    name = row.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where} name", "must be a text that is not empty", value=repr(name))
    reader = _Fields(row, f"{where} {name}")
    commands = row.get("commands")
    if not isinstance(commands, list):
        raise InputError(f"{where} {name} commands", "must be a list of [funct, rs1, rs2]", value=_short(commands))
    return StreamRow(
        where=where,
        name=name,
        family=reader.text("family") or "",
        commands=tuple(commands),
        memory=Memory(
            latency_cycles=reader.cycles("latency_cycles", defaults.memory.latency_cycles, least=1),
            cycles_per_beat=reader.cycles("cycles_per_beat", defaults.memory.cycles_per_beat, least=1),
        ),
        command_gap_cycles=reader.cycles("command_gap_cycles", defaults.command_gap_cycles, least=0),
        output=reader.output(),
        measured=reader.measured(len(commands)),
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """Checked access to the optional fields of one row; null is the same as left out."""

    row: dict[str, Any]
    path: str

    def whole(self, name: str, least: int, most: int, unit: str) -> int | None:
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{self.path} {name}", f"must be a whole number of {unit}", value=_short(value))
        if not least <= value <= most:
            raise InputError(
                f"{self.path} {name}", "out of range", value=f"{value} {unit}", limit=f"{least}..{most} {unit}"
            )
        return value

    def cycles(self, name: str, default: int, *, least: int) -> int:
        value = self.whole(name, least, MAX_MEMORY_CYCLES, "cycles")
        return default if value is None else value

    def text(self, name: str) -> str | None:
        value = self.row.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{self.path} {name}", "must be a text", value=_short(value))
        return value

    def output(self) -> tuple[int, int] | None:
        rows, columns = (self.whole(side, 1, MAX_SIDE, "elements") for side in ("I", "J"))
        return None if rows is None or columns is None else (rows, columns)

    def measured(self, commands: int) -> Measured:
        units = (name.rpartition("_")[2] for name in _COUNTS)
        counts = {name: self.whole(name, 0, 1 << 62, unit) for name, unit in zip(_COUNTS, units, strict=True)}
        accepted = self.row.get("accepted_at")
        accepted = [] if accepted is None else accepted
        if not isinstance(accepted, list) or any(type(cycle) is not int for cycle in accepted):
            raise InputError(f"{self.path} accepted_at", "must be a list of cycles", value=_short(accepted))
        if accepted and len(accepted) != commands:
            raise InputError(
                f"{self.path} accepted_at", "needs one cycle a command", value=len(accepted), limit=commands
            )
        return Measured(**counts, accepted_at=tuple(accepted), output_sha256=self.text("output_sha256"))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
