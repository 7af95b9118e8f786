"""Whole numbers on the command line: one, a list, or a range that grows by a factor or by a step."""

from __future__ import annotations

import re

from model_ir.errors import InputError

MAX_VALUES = 100_000
_FORMS = "N, N,M or FIRST:LAST[:xFACTOR|:+STEP]"
_RANGE = re.compile(r"(\d+):(\d+)(?::(x|\+)?(\d+))?")


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """The numbers that `text` says: "512", "512,1024", "512:131072:x2" (each twice the one before) or "1:9:+2" (also
    "1:9:2"; without a step, 1). Both ends belong to a range if a step hits them; numbers come once each, in order.

    Raises InputError, naming `option`, for anything else, for a factor below 2 or a step of 0, and for more than
    MAX_VALUES numbers.
    """
    found: set[int] = set()
    for part in text.split(","):
        found.update(_numbers(option, part.strip()))
        if len(found) > MAX_VALUES:
            raise InputError(option, "too many numbers", value=text[:80], limit=MAX_VALUES)
    return tuple(sorted(found))


def _numbers(option: str, part: str) -> range | list[int]:
    if part.isascii() and part.isdigit() and len(part) <= 18:
        return [int(part)]
    match = _RANGE.fullmatch(part) if part.isascii() and len(part) <= 64 else None
    if not match:
        raise InputError(option, "is no whole number or range", value=repr(part)[:60], limit=_FORMS)
    first, last, how, amount = int(match[1]), int(match[2]), match[3] or "+", int(match[4] or 1)
    if how == "x":
        return _growing(option, part, first, last, amount)
    if amount < 1 or last < first:
        raise InputError(option, "a range needs a step of 1 or more and its larger end last", value=part)
    if (last - first) // amount >= MAX_VALUES:
        raise InputError(option, "too many numbers", value=part, limit=MAX_VALUES)
    return range(first, last + 1, amount)


def _growing(option: str, part: str, first: int, last: int, factor: int) -> list[int]:
    if factor < 2 or first < 1 or last < first:
        raise InputError(
            option, "a range by a factor starts at 1 or more, ends above, and grows by 2 or more", value=part
        )
    numbers = []
    while first <= last:
        numbers.append(first)
        first *= factor
    return numbers
