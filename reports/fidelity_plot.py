"""The scatter plot of simulated against measured cycles, as SVG text that a browser and a repository both show."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Final

from reports.fidelity import FidelityRow
from reports.units import printable

_SIDE: Final = 360
_LEFT, _TOP, _GAP, _BOTTOM = 64, 46, 96, 64
_WIDTH: Final = _LEFT + 2 * _SIDE + _GAP + 44
_COLOURS: Final = ("#2563ab", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#be123c", "#0e7490", "#4d7c0f")
_INK, _GRID = "#1f2937", "#d1d5db"


def scatter_svg(rows: Sequence[FidelityRow]) -> str:
    """Two panels over the measured cycles: the simulated cycles, both logarithmic, and the error in per cent.

    Rows without measured cycles are left out; a family has one colour. Raises ValueError where no row is measured.
    """
    drawn = [row for row in rows if row.error is not None]
    if not drawn:
        raise ValueError("no row has measured cycles")
    families = list(dict.fromkeys(row.family for row in drawn))
    colours = {family: _COLOURS[index % len(_COLOURS)] for index, family in enumerate(families)}
    cycles = [value for row in drawn for value in (row.cycles, row.measured_cycles or 1)]
    low, high = math.floor(math.log10(max(min(cycles), 1))), math.ceil(math.log10(max(cycles)))
    high = max(high, low + 1)
    limit = _nice_limit(max(abs(100 * (row.error or 0.0)) for row in drawn))
    height = _TOP + _SIDE + _BOTTOM + 18 * math.ceil(len(families) / 6)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *_decades(low, high),
        *_error_axis(limit),
        *_titles(),
    ]
    for row in drawn:
        x = _scaled(math.log10(row.measured_cycles or 1), low, high)
        y = _scaled(math.log10(max(row.cycles, 1)), low, high)
        error = _scaled(100 * (row.error or 0.0), -limit, limit)
        parts.append(_dot(_LEFT + x, _TOP + _SIDE - y, colours[row.family]))
        parts.append(_dot(_LEFT + _SIDE + _GAP + x, _TOP + _SIDE - error, colours[row.family]))
    parts += _legend(families, colours)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scaled(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) * _SIDE


def _nice_limit(worst: float) -> float:
    """The least of 1, 2, 5, 10, ... per cent that holds the worst error."""
    steps = [factor * 10.0**power for power in range(-1, 4) for factor in (1, 2, 5)]
    return next((step for step in steps if step >= worst), worst)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity=".55"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = _GRID) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", turn: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{html.escape(printable(text))}</text>'


def _decades(low: int, high: int) -> list[str]:
    """Grid and labels of the decades: both axes on the left, the horizontal one on the right; the diagonal."""
    parts = []
    for power in range(low, high + 1):
        at, label = _scaled(power, low, high), f"{10**power:,}"
        for left in (_LEFT, _LEFT + _SIDE + _GAP):
            parts.append(_line(left + at, _TOP, left + at, _TOP + _SIDE))
            parts.append(_text(left + at, _TOP + _SIDE + 18, label))
        parts.append(_line(_LEFT, _TOP + _SIDE - at, _LEFT + _SIDE, _TOP + _SIDE - at))
        parts.append(_text(_LEFT - 6, _TOP + _SIDE - at + 4, label, "end"))
    return [*parts, _line(_LEFT, _TOP + _SIDE, _LEFT + _SIDE, _TOP, _INK)]


def _error_axis(limit: float) -> list[str]:
    parts = []
    left = _LEFT + _SIDE + _GAP
    for fraction in (-1.0, -0.5, 0.0, 0.5, 1.0):
        y = _TOP + _SIDE - _scaled(fraction * limit, -limit, limit)
        parts.append(_line(left, y, left + _SIDE, y, _INK if fraction == 0 else _GRID))
        parts.append(_text(left - 6, y + 4, f"{fraction * limit:+g}" if fraction else "0", "end"))
    return parts


def _titles() -> list[str]:
    left = _LEFT + _SIDE + _GAP
    return [
        _text(_LEFT + _SIDE / 2, _TOP - 18, "simulated cycles"),
        _text(left + _SIDE / 2, _TOP - 18, "error of the simulated cycles, per cent"),
        _text(_LEFT + _SIDE / 2, _TOP + _SIDE + 38, "measured cycles"),
        _text(left + _SIDE / 2, _TOP + _SIDE + 38, "measured cycles"),
    ]


def _legend(families: Sequence[str], colours: dict[str, str]) -> list[str]:
    parts = []
    for index, family in enumerate(families):
        x, y = _LEFT + 130 * (index % 6), _TOP + _SIDE + 60 + 18 * (index // 6)
        parts += [_dot(x, y - 4, colours[family]), _text(x + 8, y, family, "start")]
    return parts
