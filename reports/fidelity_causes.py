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


CAUSES: Final[tuple[Cause, ...]] = (
    Cause(
        title="Transaction numbers of writes",
        families=("layers",),
        text="The second beat of a write that waits for a free number leaves a cycle early where the crossbar is held"
        " for it.",
        source="DMA.scala, xactBusy of StreamWriter",
    ),
    Cause(
        title="The host between calls",
        families=("soc_matmul", "soc_conv"),
        text="The host driver is a count of instructions with one cost for a line of code that is not cached; its own"
        " loads and stores, and what they leave in the L2, are not simulated. Short calls, and first runs above all,"
        " are mostly host.",
        source="gemmini.h of gemmini-rocc-tests, tiled_matmul_auto and tiled_conv_auto",
    ),
    Cause(
        title="DRAM",
        families=("soc_matmul", "soc_conv"),
        text="The measured DRAM's scheduler is not known: here every bank serves requests in their order.",
        source="simulator/accelerators/gemmini-soc.toml",
    ),
)

NOT_CHECKED: Final = (
    "Timing of the normaliser (LayerNorm, softmax, GELU): the measured machine has none; it follows Normalizer.scala.",
    "Other arrays, bus widths, queue depths and in-flight limits than those of the two measured configurations: the"
    " parameters are the RTL's, the tests hold them to be monotone.",
    "Several accelerators behind one memory.",
)
