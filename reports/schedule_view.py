"""The data behind the page's timeline: the intervals of the layers that have them, packed for the page's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reports.units import count, printable, shortened

if TYPE_CHECKING:
    import pandas as pd

    from reports.record import RunRecord

_LANES: Final = ("load", "execute", "store")


def schedule_views(record: RunRecord) -> list[dict[str, Any]]:
    """One entry per layer with intervals, in network order.

    `title` and `mapping` are text; `lanes` the units (load, execute and store first, idle or not); `labels` distinct
    commands; `lane`, `label` (indices), `track`, `start` and `length` (cycles) are parallel lists, sorted by lane and
    start. Intervals of one lane that overlap are on different tracks, of which lane l has `tracks[l]`.
    """
    names = record.layers["name"]
    return [
        _view(
            index,
            record.timelines.loc[record.timelines["layer"] == index],
            names.iloc[index],
            record.layers.iloc[index],
        )
        for index in sorted(int(layer) for layer in record.timelines["layer"].unique())
    ]


def _view(index: int, rows: pd.DataFrame, name: str, layer: pd.Series) -> dict[str, Any]:
    found = list(dict.fromkeys(rows["unit"]))
    lanes = [*_LANES, *(unit for unit in found if unit not in _LANES)]
    labels = {label: position for position, label in enumerate(dict.fromkeys(rows["label"]))}
    packed = rows.assign(lane=rows["unit"].map(lanes.index), entry=rows["label"].map(labels))
    packed = packed.sort_values(["lane", "start_cycle"], kind="stable")
    track = [number for _, lane in packed.groupby("lane") for number in _tracks(lane)]
    by_lane = packed.assign(track=track).groupby("lane")["track"].max()
    return {
        "tracks": [int(by_lane.get(lane, 0)) + 1 for lane in range(len(lanes))],
        "track": track,
        "title": f"{index}: {shortened(name, 60)} ({count(layer['cycles'])} cycles)",
        "mapping": printable(layer["mapping"]),
        "cycles": float(layer["cycles"]),
        "lanes": [printable(lane, 20) for lane in lanes],
        "labels": [printable(label, 160) for label in labels],
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
