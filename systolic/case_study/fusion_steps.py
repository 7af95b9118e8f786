"""Fusing matmuls with the normalisation after them: each printed number beside what Gemmini's commands take on our
machine, and beside the same on the survey's own assumptions, both on the cycle engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from reports.case_study import CaseRow
from systolic.case_study.fusion_pairs import Pair, engine_pair
from systolic.case_study.survey_fusion import survey_pair

FUSION: Final = "fusion"
Setting = tuple[str, int, int]
"""Name of a pair, tokens, accumulator in KiB."""
SETTINGS: Final[tuple[Setting, ...]] = (
    ("scores", 512, 128),
    ("scores", 512, 256),
    ("output", 512, 128),
    ("output", 512, 256),
    ("second", 512, 256),
    ("scores", 4096, 256),
    ("output", 4096, 256),
    ("second", 4096, 256),
)
OURS, THEIRS = "ours", "theirs"
Fused = dict[tuple[str, Setting], Pair]
"""OURS or THEIRS and a setting: what was found."""
SURVEY: Final = "on the survey's assumptions"
_WHERE: Final = "section 5.5.2, figures 21 and 22"
_ASSUMED: Final = (
    "DRAM of 5.75 words a cycle as in their laboratory's Gemmini for Timeloop, an element a word, a normalisation "
    "apart as passes over DRAM, fused wholly hidden (docs/across-layers.md)"
)
_DIVISIONS: Final = (
    "softmax gains less: the division that ends each row takes the normaliser as long fused as apart (Normalizer.scala)"
)
_ONCE: Final = "16 rows of 4096 sums fit once, so array and normaliser take turns; theirs hides all of it"
_REREADS: Final = "every tile of {} rows reads the weights again; at 8 bytes a cycle, theirs 5.75"
_EDGE: Final = (
    "on the edge: reading the weights again for each tile of 32 rows just fills the port at our 8 bytes a cycle while "
    "the array works; with 5.75 it loses as printed"
)
_PRINTED: Final[tuple[tuple[str, tuple[Setting, ...], float, bool, str], ...]] = (
    ("query x key with softmax, accumulator 128 KiB", (SETTINGS[0],), -0.78, False, _DIVISIONS),
    ("query x key with softmax, accumulator 256 KiB", (SETTINGS[1],), -0.78, False, _DIVISIONS),
    ("W_out with LayerNorm, accumulator 128 KiB", (SETTINGS[2],), 0.83, True, _REREADS.format(16)),
    ("W_out with LayerNorm, accumulator 256 KiB", (SETTINGS[3],), -0.04, True, _REREADS.format(32)),
    ("both in the attention, accumulator 128 KiB", (SETTINGS[0], SETTINGS[2]), -0.23, True, _DIVISIONS),
    ("both in the attention, accumulator 256 KiB", (SETTINGS[1], SETTINGS[3]), -0.52, False, _DIVISIONS),
    ("W_2 with LayerNorm, accumulator 256 KiB", (SETTINGS[4],), 0.27, False, _EDGE),
    ("query x key with softmax, 4096 tokens", (SETTINGS[5],), -0.22, False, _ONCE),
    ("both in the attention, 4096 tokens", (SETTINGS[5], SETTINGS[6]), -0.21, False, _ONCE),
    ("W_2 with LayerNorm, 4096 tokens", (SETTINGS[7],), 0.27, False, _EDGE),
)
"""Name, the pairs that count, the printed change, whether ours is gated (theirs always is), and why ours differs."""


def fusion_jobs() -> dict[tuple[str, Setting], Callable[[], Pair]]:
    """What `fusion_rows` needs of each setting, both ways."""
    ways = ((OURS, engine_pair), (THEIRS, survey_pair))
    return {(way, setting): partial(pair, *setting) for way, pair in ways for setting in SETTINGS}


def fusion_rows(pairs: Fused) -> Iterator[CaseRow]:
    """Two rows a printed number: ours, and the same on the survey's assumptions."""
    for name, settings, published, gated, reason in _PRINTED:
        yield _row(name, _change(pairs, OURS, settings), published, gated=gated, reason=reason)
        yield _row(f"{name}, {SURVEY}", _change(pairs, THEIRS, settings), published, gated=True, reason=_ASSUMED)


def _change(pairs: Fused, way: str, settings: tuple[Setting, ...]) -> float:
    first, *others = (pairs[way, setting] for setting in settings)
    return sum(others, first).change


def _row(name: str, ours: float, published: float, *, gated: bool, reason: str) -> CaseRow:
    return CaseRow(
        step=FUSION, name=name, ours=ours, published=published, unit="change", where=_WHERE, gated=gated, reason=reason
    )
