"""The data behind the page's timeline: the intervals of the layers that have them, packed for the page's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reports.breakdown import cycles_by_cause
from reports.palette import cause_colour, unit_colour
from reports.units import count, percent, printable, shortened

if TYPE_CHECKING:
    import pandas as pd

    from reports.record import RunRecord

_LANES: Final = ("array", "execute", "load", "store")


def schedule_views(record: RunRecord) -> list[dict[str, Any]]:
    """One entry per layer with intervals, in network order.

    `title` and `mapping` are text, `cycles` the layer's; `causes` says where they went as (cause, text, share, colour)
    in the order of the breakdown; `windows` are the stretches of it that were watched, each as `_window` says.
    """
    causes = cycles_by_cause(record.layers, record.header.accelerator.peak_macs_per_cycle)
    return [
        _view(
            index,
            record.timelines.loc[record.timelines["layer"] == index],
            record.layers.iloc[index],
            causes.iloc[index],
        )
        for index in sorted(int(layer) for layer in record.timelines["layer"].unique())
    ]


def _view(index: int, rows: pd.DataFrame, layer: pd.Series, causes: pd.Series) -> dict[str, Any]:
    cycles = float(layer["cycles"])
    return {
        "title": f"{index}: {shortened(layer['name'], 60)} ({count(cycles)} cycles)",
        "mapping": printable(layer["mapping"]),
        "cycles": cycles,
        "causes": [
            (printable(str(cause)), f"{percent(spent / cycles)}, {count(spent)} cycles", spent / cycles, colour)
            for cause, spent, colour in ((c, float(s), cause_colour(str(c))) for c, s in causes.items())
            if spent > 0
        ],
        "windows": [_window(str(name), group) for name, group in rows.groupby("window", sort=False)],
    }


def _window(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """`lanes` are the units (array, execute, load and store first, idle or not); `labels` distinct texts with their
    `colours`; `lane`, `label` (indices), `track`, `start` and `length` (cycles) are parallel lists, sorted by lane and
    start. Intervals of one lane that overlap are on different tracks, of which lane l has `tracks[l]`.
    """
    found = list(dict.fromkeys(rows["unit"]))
    lanes = [*_LANES, *(unit for unit in found if unit not in _LANES)]
    keys = list(dict.fromkeys(zip(rows["unit"], rows["label"], strict=True)))
    entries = {key: position for position, key in enumerate(keys)}
    entry = [entries[key] for key in zip(rows["unit"], rows["label"], strict=True)]
    packed = rows.assign(lane=rows["unit"].map(lanes.index), entry=entry)
    packed = packed.sort_values(["lane", "start_cycle"], kind="stable")
    track = [number for _, lane in packed.groupby("lane") for number in _tracks(lane)]
    by_lane = packed.assign(track=track).groupby("lane")["track"].max()
    return {
        "name": printable(name, 40),
        "tracks": [int(by_lane.get(lane, 0)) + 1 for lane in range(len(lanes))],
        "track": track,
        "lanes": [printable(lane, 20) for lane in lanes],
        "labels": [printable(label, 160) for _, label in keys],
        "colours": [unit_colour(unit) or cause_colour(label) for unit, label in keys],
        "lane": packed["lane"].tolist(),
        "label": packed["entry"].tolist(),
        "start": packed["start_cycle"].tolist(),
        "length": (packed["end_cycle"] - packed["start_cycle"]).tolist(),
    }


def _tracks(rows: pd.DataFrame) -> list[int]:
    """For intervals in the order of their start, the lowest track that is free then."""
    ends: list[float] = []
    chosen: list[int] = []
    for start, end in zip(rows["start_cycle"], rows["end_cycle"], strict=True):
        track = next((number for number, busy_until in enumerate(ends) if busy_until <= start), len(ends))
        ends[track : track + 1] = [end]
        chosen.append(track)
    return chosen
