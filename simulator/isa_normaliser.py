"""The normaliser's part of the command set: config_norm, and the normaliser command of an mvout's local address.

Bit positions are those of GemminiISA.scala (ConfigNormRs1, ConfigNormRs2) and LocalAddr.scala (ucb-bar/gemmini at
8c3f992), arguments those of gemmini.h's gemmini_config_norm.
"""

from __future__ import annotations

from model_ir.errors import InputError
from model_ir.ops.integer_arithmetic import NormConstants
from simulator.isa import ACCUMULATOR_BIT, CONFIG, CONFIG_NORM, Command
from simulator.normaliser import INV_SUM_EXP, STATISTICS_SETS

NORM_COMMAND_LOW_BIT = 26


def _word(name: str, value: int) -> int:
    if not -(1 << 31) <= value < 1 << 31:
        raise InputError(f"config_norm.{name}", "does not fit 32 bits", value=value, limit=(1 << 31) - 1)
    return value & 0xFFFFFFFF


def config_norm(
    constants: NormConstants | None = None, *, statistics_set: int = 0, activation_msb: int = 0, inverse: bool = False
) -> Command:
    """Choose the set of statistics and, with `constants`, set qb, qc, one of qln2 (or, with `inverse`, qln2_inv), and
    the top bit of the activation (softmax is 4, config_st holds two bits).

    Raises InputError where a constant does not fit 32 bits or there is no such set.
    """
    if not 0 <= statistics_set < STATISTICS_SETS:
        raise InputError("config_norm.stats_id", "no such set of statistics", value=statistics_set)
    rs1 = CONFIG_NORM | statistics_set << 8
    if constants is None:
        return CONFIG, rs1 | 1 << 17, 0
    third = _word("qln2_inv", constants.qln2_inv) if inverse else _word("qln2", constants.qln2)
    rs1 |= (activation_msb & 1) << 16 | int(inverse) << 18 | third << 32
    return CONFIG, rs1, _word("qb", constants.qb) | _word("qc", constants.qc) << 32


def normalised(row: int, command: int) -> int:
    """Local address of accumulator `row` whose mvout carries normaliser `command` (see `simulator.normaliser`)."""
    if not 0 <= command <= INV_SUM_EXP:
        raise InputError("address[28:26]", "no such normaliser command", value=command, limit=INV_SUM_EXP)
    return ACCUMULATOR_BIT | command << NORM_COMMAND_LOW_BIT | row
