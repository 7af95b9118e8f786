"""`Machine`: all that a roofline needs of one. Nouns only; `machine_file` reads them from TOML."""

from __future__ import annotations

import msgspec

from model_ir.errors import InputError
from simulator.rooflines.counting import Counting


class Peak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operations a second of the matrix unit in one number format (a multiply-accumulate is two), dense."""

    format: str
    operations_per_second: float
    source: str


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A memory, and the way between it and the next one out: `bandwidth_bytes_per_second`, for each direction where it
    is `duplex`, for both together otherwise, all instances together. The outermost memory has none."""

    name: str
    capacity_bytes: float
    instances: int = 1
    """How many there are, of that capacity each; a tile lies in one of them."""
    bandwidth_bytes_per_second: float | None = None
    duplex: bool = False
    square_tile: int | None = None
    """Matmuls are cut into tiles of at most so many rows and columns here; None: the best that fits."""
    source: str


class Vector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is no matmul: elements a second of the functions listed, otherwise operations a second."""

    operations_per_second: float
    elements_per_second: dict[str, float] = {}
    source: str


class Array(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weight-stationary array: matmuls take the time of their depth and columns rounded up to its sides."""

    rows: int
    columns: int


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Peaks by number format, memories from the outermost in, and the rate of all that is no matmul."""

    name: str
    description: str
    year: float | None = None
    """When it came to market."""
    is_model: bool = False
    """It stands for a paper's model, not for something sold."""
    peaks: tuple[Peak, ...]
    levels: tuple[Level, ...]
    vector: Vector
    array: Array | None = None
    counting: Counting = Counting()
    """The conventions its numbers are meant with, where it stands for a paper's model."""

    @property
    def boundaries(self) -> tuple[Level, ...]:
        """The memories that have a way out: all but the outermost, from the outside in."""
        return self.levels[1:]

    @property
    def formats(self) -> tuple[str, ...]:
        """Number formats that the matrix unit computes in."""
        return tuple(peak.format for peak in self.peaks)


def peak_of(machine: Machine, number_format: str) -> Peak:
    """The peak in a number format; InputError names those it has."""
    for peak in machine.peaks:
        if peak.format == number_format:
            return peak
    raise InputError(
        f"{machine.name}: precision",
        "no peak is known for this format",
        value=number_format,
        limit=", ".join(machine.formats),
    )


def bandwidth_of(level: Level) -> float:
    """Bytes a second between the level and the next one out; InputError for the outermost."""
    if level.bandwidth_bytes_per_second is None:
        raise InputError(level.name, "is the outermost memory: nothing lies beyond it")
    return level.bandwidth_bytes_per_second


def ridge_point(machine: Machine, number_format: str, level: Level) -> float:
    """FLOPs per byte across `level`'s boundary at which compute and that boundary take equally long (Williams et al.,
    CACM 2009)."""
    return peak_of(machine, number_format).operations_per_second / bandwidth_of(level)
