"""Which colour each kind and cause has, as names of the CSS properties that hold it for the light and the dark page.

The colours themselves are in assets/page.css: hues told apart by people with the common colour deficiencies
(Okabe and Ito's set, darkened or lightened to stand out from the page), and greys. Hatching marks what is not the
array.
"""

from __future__ import annotations

from typing import Final

from reports.breakdown import COMPUTING, FORMULA, PARTLY, UNATTRIBUTED, WAITING

SERIES: Final = ("--blue", "--orange", "--green", "--purple", "--sky", "--red", "--yellow", "--brown")
OTHER: Final = "--grey"

_CAUSES: Final = {
    COMPUTING: "--blue",
    PARTLY: "--sky",
    f"{WAITING}load": "--orange",
    f"{WAITING}store": "--yellow",
    f"{WAITING}bank conflict": "--red",
    f"{WAITING}dependency": "--purple",
    f"{WAITING}command": "--brown",
    f"{WAITING}drain": "--grey",
    FORMULA: "--blue",
    UNATTRIBUTED: "--ink",
    "special unit": "--mint",
    "store path": "--green",
    "host CPU": "--slate",
}
_HATCHED: Final = {FORMULA: ".", "special unit": "/", "store path": "\\", "host CPU": "x"}


_UNITS: Final = {"load": "--orange", "execute": "--blue", "store": "--green"}


def unit_colour(unit: str) -> str:
    """The CSS property of a unit's commands; "" for what is no unit but the array's own lane."""
    return "" if unit == "array" else _UNITS.get(unit, OTHER)


def cause_colour(cause: str) -> str:
    """The CSS property of a cause of `breakdown.cycles_by_cause`."""
    return _CAUSES.get(cause, OTHER)


def cause_pattern(cause: str) -> str:
    """Plotly's name for the hatching of a cause; "" for those of the array, which are plain."""
    return _HATCHED.get(cause, "")


def kind_colours(kinds: list[str]) -> dict[str, str]:
    """A CSS property for every kind, the first kinds (the costliest, as the caller orders them) getting hues."""
    return {kind: SERIES[rank] if rank < len(SERIES) else OTHER for rank, kind in enumerate(kinds)}
