"""Limits on what bits cost, as a user writes them: a number in the amount's unit, or a percentage."""

from __future__ import annotations

from collections.abc import Mapping

from hls.allocation.costs import between
from hls.allocation.problem import Amount
from model_ir.errors import InputError


def limit_of(amount: Amount, choices: Mapping[str, tuple[int, ...]], text: str, low: int, high: int) -> float:
    """The limit `text` of `amount`; "25%" is HAWQ-V3's rule: so far from its cost at `low` to that at `high` bits.
    Raises InputError for anything else."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError as error:
        raise InputError(f"--budget {amount.name}", "must be a number or a percentage", value=text) from error
    return between(amount, choices, number / 100, low, high) if text.endswith("%") else number
