"""What every builder checks of its options before it builds: types and ranges, each error naming option, value and
limit.
"""

from __future__ import annotations

from typing import Literal

from model_ir.errors import InputError

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")


def in_range(workload: str, option: str, value: int, *, least: int, most: int | None = None, why: str = "") -> int:
    """Return `value` if it is a whole number from `least` to `most` (None: no upper end); otherwise raise InputError.

    `why` says, in a few words, where the limit comes from.
    """
    path = f"{workload}: {option}"
    reason = f": {why}" if why else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(path, "must be a whole number", value=value)
    if value < least:
        raise InputError(path, f"too small{reason}", value=value, limit=f"at least {least}")
    if most is not None and value > most:
        raise InputError(path, f"too large{reason}", value=value, limit=f"at most {most}")
    return value


def known_phase(workload: str, phase: str) -> Phase:
    """Return `phase` if it is "prefill" or "decode"; otherwise raise InputError."""
    for known in PHASES:
        if phase == known:
            return known
    raise InputError(f"{workload}: phase", "unknown phase", value=repr(phase), limit=" or ".join(PHASES))
