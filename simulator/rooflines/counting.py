"""`Counting`: what counts as an operation and as a byte. Papers differ, so it is data, stated where a machine is."""

from __future__ import annotations

from typing import Literal

import msgspec

LAYOUT_MOVES = ("view", "transpose", "split", "slice", "concat", "expand", "pad", "tile")
"""Moves that only change where data lie: addressing does them (a cache grows in place)."""

ROW_PASSES = {"softmax": 3, "log_softmax": 3, "layer_norm": 3, "rms_norm": 2, "instance_norm": 3, "group_norm": 3}
"""Times a normalisation reads its row: maximum, sum, result (softmax); mean, variance, result; squares, result."""


class Counting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conventions that FLOPs and bytes are counted by."""

    first_product_free: tuple[str, ...] = ()
    """Functions (matmul, conv) in which a sum of k products is k multiplications and k - 1 additions, one more with a
    bias (2k - 1, 2k), instead of 2k whatever the bias."""
    flops_per_element: dict[str, float] = {}
    """Operations per element by function; a function not listed counts what its loop nest says."""
    ignored_functions: tuple[str, ...] = LAYOUT_MOVES
    """Functions that cost nothing: neither operations nor bytes."""
    fused_functions: tuple[str, ...] = ()
    """Functions done on the way out of the matmul or convolution before them: operations, but no bytes of their own."""
    biases: Literal["none", "once", "every_row"] = "once"
    """Bytes of matmuls' and convolutions' biases: none, each once, or one row for every row of results, as an array
    that starts its sums from a matrix of them reads."""
    bias_bits: int | None = None
    """Bits of a bias; None: as vectors are stored."""
    scale_bits: int | None = None
    """Bits of a normalisation's scales and offsets; None: as vectors are stored."""
    bytes_per_element: dict[str, float] = {}
    """Bytes in and out of a function per element, parameters aside, where a paper's sums say other than every operand
    once."""
    handed_on: tuple[str, ...] = ()
    """Functions whose results the matmul behind them takes where they are made: written, not read."""
    wide_before: tuple[str, ...] = ()
    """Functions that read a matmul's or convolution's results unrounded: as wide as its sums."""
    row_passes: dict[str, int] = msgspec.field(default_factory=ROW_PASSES.copy)
    """Times a function reads its row where the row does not fit; 1 where not listed."""


DEFAULT_COUNTING = Counting()
