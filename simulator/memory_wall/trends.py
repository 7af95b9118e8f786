"""Exponential trends: points over time, and the least-squares line through their logarithms.

The points that ship are facts with their sources in the files beside this one; a file of one's own reads the same.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from importlib.resources.abc import Traversable
from math import exp, inf, isfinite, log
from typing import Final

from model_ir.errors import InputError

HARDWARE_SERIES: Final = ("compute", "dram", "interconnect")
"""Operations, bytes and transfers a second."""
MODELS: Final = "models"
MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value (in the series' unit) at a moment, in years."""

    year: float
    value: float
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """value(year) = exp(intercept + slope x (year - 2000)), fitted to `points`."""

    series: str
    unit: str
    points: tuple[Point, ...]
    slope: float
    intercept: float

    @property
    def per_two_years(self) -> float:
        """Factor of growth in two years."""
        return exp(2 * self.slope)

    @property
    def determination(self) -> float:
        """Share of the logarithms' variance that the line explains (R squared)."""
        logs = [log(point.value) for point in self.points]
        mean = sum(logs) / len(logs)
        left = sum((log(point.value) - log(self.at(point.year))) ** 2 for point in self.points)
        whole = sum((value - mean) ** 2 for value in logs)
        return 1 - left / whole if whole else 1.0

    def at(self, year: float) -> float:
        """The line's value."""
        return exp(self.intercept + self.slope * (year - 2000))


def fit(series: str, unit: str, points: Sequence[Point]) -> Trend:
    """The least-squares line through the logarithms of at least two points of different times; InputError for less, and
    for a value that has no logarithm."""
    if len({point.year for point in points}) < 2:
        raise InputError(series, "a trend needs points of two different times", value=len(points))
    for point in points:
        if not 0 < point.value < inf:
            raise InputError(f"{series}: {point.year:.2f}", "has no logarithm", value=point.value, limit="above 0")
    count = len(points)
    middle = sum(point.year for point in points) / count
    level = sum(log(point.value) for point in points) / count
    spread = sum((point.year - middle) ** 2 for point in points)
    slope = sum((point.year - middle) * (log(point.value) - level) for point in points) / spread
    return Trend(series=series, unit=unit, points=tuple(points), slope=slope, intercept=level - slope * (middle - 2000))


def hardware_trends(file: Traversable | None = None) -> dict[str, Trend]:
    """The trend of every series of a CSV file with columns series, date, value and unit (the one that ships unless
    given). Raises InputError for a file that cannot be read and for a row that is no point."""
    rows = list(_rows(file or _shipped("hardware.csv"), ("series", "date", "value", "unit")))
    series = dict.fromkeys(row["series"] for _, row in rows)
    missing = [name for name in HARDWARE_SERIES if name not in series]
    if missing:
        raise InputError(str(file), "lacks a series", value=", ".join(missing))
    return {
        name: fit(
            name,
            next(row["unit"] for _, row in rows if row["series"] == name),
            [_point(where, row, "value") for where, row in rows if row["series"] == name],
        )
        for name in series
    }


def model_trend(file: Traversable | None = None) -> Trend:
    """The trend of language models' parameters: columns name, date, parameters, source. Raises InputError as
    `hardware_trends`."""
    rows = _rows(file or _shipped("models.csv"), ("name", "date", "parameters", "source"))
    return fit(MODELS, "parameters", [_point(where, row, "parameters") for where, row in rows])


def year_of(day: date) -> float:
    """A date as a number of years."""
    first, next_first = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return day.year + (day - first).days / (next_first - first).days


def _shipped(name: str) -> Traversable:
    return resources.files("simulator").joinpath("memory_wall", name)


def _point(where: str, row: Mapping[str, str], column: str) -> Point:
    try:
        moment, value = date.fromisoformat(row["date"]), float(row[column])
    except ValueError as error:
        raise InputError(where, f"is no point: {error}") from None
    if not isfinite(value):
        raise InputError(where, "is no point: not a finite number", value=value)
    return Point(year=year_of(moment), value=value, name=row.get("name") or "")


def _rows(file: Traversable, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every row of the CSV file with where it stands; lines that start with # are comments."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(file), f"cannot be read: {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(str(file), "too long for a list of points", limit=f"{MAX_FILE_BYTES} bytes")
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line and not line.startswith("#")]
    reader = csv.DictReader(line for _, line in lines)
    if not set(columns) <= set(reader.fieldnames or ()):
        raise InputError(str(file), "lacks a column", value=reader.fieldnames, limit=", ".join(columns))
    for (number, _), row in zip(lines[1:], reader, strict=False):
        if None in row.values() or None in row:
            raise InputError(f"{file.name}: line {number}", "has too few or too many columns")
        yield f"{file.name}: line {number}", row
