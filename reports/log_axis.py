"""Logarithmic axes of plotly figures whose ticks people can read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from reports.units import si

_LEAST_TICKS: Final = 3
MOST_TICKS: Final = 12


def log_axis(title: str, shown: Iterable[Any], unit: str = "") -> dict[str, Any]:
    """A logarithmic axis over the values shown, ticked at 1, 2 and 5 of every decade: at every digit where that is too
    few, at whole decades where it is too many."""
    values = np.concatenate([np.asarray(each, float).reshape(-1) for each in shown])
    low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for digits in ((1, 2, 5), (1,), tuple(range(1, 10))):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if _LEAST_TICKS <= len(ticks) <= MOST_TICKS:
            break
    labels = [si(tick, unit) for tick in ticks]
    return {"type": "log", "title": {"text": title}, "tickvals": ticks, "ticktext": labels}
