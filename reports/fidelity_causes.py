"""Why streams stay off, by mechanism: each with where the RTL says so. None of it enters any figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One mechanism that is not timed as the RTL does it, and the families in which it shows."""

    title: str
    families: tuple[str, ...]
    text: str
    source: str


CAUSES: Final[tuple[Cause, ...]] = ()

NOT_CHECKED: Final = (
    "Timing of the normaliser (LayerNorm, softmax, GELU): the measured machine has none; it follows Normalizer.scala.",
    "Other arrays, bus widths, queue depths and in-flight limits than those of the two measured configurations: the"
    " parameters are the RTL's, the tests hold them to be monotone.",
    "Several accelerators behind one memory.",
)
