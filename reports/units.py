"""Numbers as people read them: thousands separators, three digits, a unit; and text that is safe to show.

Nothing here knows what the numbers mean.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final

UNMEASURED: Final = "\N{EN DASH}"
BY: Final = "\N{MULTIPLICATION SIGN}"
_SI: Final = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))
_BYTES: Final = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
_LEFT_SHARE: Final = 0.35


def count(value: float) -> str:
    """A whole number with thousands separators: 12,345,678."""
    return f"{value:,.0f}" if math.isfinite(value) else UNMEASURED


def si(value: float, unit: str) -> str:
    """Three significant digits with an SI prefix: si(0.00123, "s") is "1.23 ms"."""
    if not math.isfinite(value):
        return UNMEASURED
    # 999.5 of one prefix already rounds to 1000, so it belongs to the next.
    scale, prefix = next(((s, p) for s, p in _SI if abs(value) >= 0.9995 * s), (1e-9, "n"))
    if value == 0:
        scale, prefix = 1.0, ""
    return f"{three_digits(value / scale)} {prefix}{unit}".rstrip()


def byte_size(value: float) -> str:
    """Three significant digits with a binary prefix: 262144 is "256 KiB"."""
    if not math.isfinite(value):
        return UNMEASURED
    scale, unit = next(((s, u) for s, u in _BYTES if abs(value) >= 0.9995 * s), (1, "B"))
    return f"{three_digits(value / scale)} {unit}"


def percent(fraction: float) -> str:
    """A fraction of 1 as percent with one decimal; what rounds to 0.0 but is not nothing is "<0.1 %"."""
    if not math.isfinite(fraction):
        return UNMEASURED
    if 0 < fraction < 0.0005:
        return "<0.1 %"
    return f"{100 * fraction:,.1f} %"


def times(ratio: float) -> str:
    """A ratio with the multiplication sign."""
    return f"{ratio:,.2f}{BY}" if math.isfinite(ratio) else UNMEASURED


def three_digits(value: float) -> str:
    """At least three significant digits, never an exponent, thousands separated: 1.23, 12.3, 123, 1,234."""
    if not math.isfinite(value):
        return UNMEASURED
    if value == int(value) and abs(value) < 1000:
        return f"{value:.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-4))
    return f"{value:,.{min(decimals, 6)}f}"


def printable(text: str, limit: int = 400) -> str:
    """`text` with control, formatting and unpaired surrogate characters made visible, at most `limit` characters.

    Such characters in a layer's name could reverse or hide what stands beside it.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join("�" if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") else letter for letter in cut)


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, its middle left out: a path's two ends say most."""
    clean = printable(text, limit=100_000)
    if len(clean) <= width:
        return clean
    left = int(width * _LEFT_SHARE)
    return f"{clean[:left]}…{clean[len(clean) - (width - left - 1) :]}"
