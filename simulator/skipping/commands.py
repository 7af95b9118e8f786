"""The last commands read, and what of their addresses decides how the machine goes on.

The machine never computes with an address but to find a bank, to compare ranges of rows (`cycle_level.front`), to split
a row into aligned requests and to compare pages (`cycle_level.port`). So a command is seen with the banks of its
operands in place of their rows, where all rows of one lie in one bank, and with its memory address modulo a request;
how its ranges lie to others' is asked when it enters the reservation station, and asked again for each command that is
skipped.

What of the machine's state is computed from a command's addresses is seen as that command, counted back from the last
one read, and the distance. So that every memory address tells whose it is, the engine is given them with the number of
the command above ADDRESS_BITS.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.banks import bank_of
from simulator.cycle_level.compile import bits, compiled, inlined, least
from simulator.cycle_level.front import note_config, queue_of, ranges, row_key
from simulator.cycle_level.port import ADDRESS_BITS

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATOR_KEY, E_ALLOCATED, E_A_HIGH, E_COMMAND, E_DEPS, E_FUNCT, E_RS1, E_RS2, E_SIZE, FRONT, P_DIM,
    P_REQUEST, P_SP_ROWS, SLOTS, S_A_STRIDE, S_C_STRIDE, S_POOLED,
)  # fmt: skip
# isort: on

NAMES = FRONT
REACH, NUMBERS, EXACT, READ, NUMBERED_FROM, ORDER = range(NAMES + SLOTS, NAMES + SLOTS + 6)
HISTORY = ORDER + SLOTS
REMEMBERED = 1 << 10
"""Commands that are looked back at: many times those that can be under way."""
BATCH_COMMANDS = 1 << 17
VIEW_SIZE = HISTORY + (REMEMBERED + BATCH_COMMANDS) * E_SIZE
"""A view: up to NAMES the machine's parameters and what the station last was configured to, as of the last command of
the history; the name of each entry of the station, REACH of stamps, the next transaction's number, whether all that was
seen could be told exactly; how many commands have been read, the number of the history's first, entries by age; from
HISTORY on commands as entries (E_*) of the station."""
H_QUEUE, H_SEEN1, H_SEEN2 = E_COMMAND, E_DEPS, E_ALLOCATED
"""Of a command of the history: its queue, and its two words as they are seen."""
NUMBER_SHIFT, _NUMBERS = ADDRESS_BITS + 1, 1 << 14
"""Where an address holds its command's number, modulo so many."""
MOST_LATENCY_CYCLES = 1 << 10
"""Of the memory: no address is under way for longer than the 16 packets of a row of 1 KiB wait for each other's
answers, in which time no more than _NUMBERS commands are read."""
_ALIGNMENT_BITS, _DISTANCE_BITS, _MARK = 10, 37, 1 << 62
MOST_REQUEST_BYTES = 1 << _ALIGNMENT_BITS
MOST_STRIDE_BYTES = 1 << 20
"""Strides up to here leave every distance within _DISTANCE_BITS."""
_A_BANK = 1 << 25
_SCRATCHPAD_BITS, _ACCUMULATOR_BITS = (1 << 29) - 1, (1 << 26) - 1


@inlined
def moves(funct):  # type: ignore[no-untyped-def]
    """Whether the command has a memory address in rs1: mvin, mvin2, mvin3 or mvout."""
    return 1 <= funct <= 3 or funct == 14


@inlined
def command_at(view, number):  # type: ignore[no-untyped-def]
    """Where command `number` of the history is."""
    return HISTORY + (number - view[NUMBERED_FROM]) * E_SIZE


@inlined
def seen_address(view, address):  # type: ignore[no-untyped-def]
    """The address, 0 for zeros, as it looks from the last command read."""
    if address == 0:
        return address
    back = (view[READ] - (address >> NUMBER_SHIFT)) & (_NUMBERS - 1)
    if back >= REMEMBERED:
        view[EXACT] = 0
        back = np.int64(1)
    distance = address - view[command_at(view, view[READ] - back) + E_RS1]
    return _MARK | (((back << _DISTANCE_BITS) | distance) << _ALIGNMENT_BITS) | (address & (view[P_REQUEST] - 1))


@inlined
def meant_address(view, seen):  # type: ignore[no-untyped-def]
    """The address that looks so."""
    if seen == 0:
        return seen
    back = (seen & (_MARK - 1)) >> (_ALIGNMENT_BITS + _DISTANCE_BITS)
    distance = (seen >> _ALIGNMENT_BITS) & ((1 << _DISTANCE_BITS) - 1)
    return view[command_at(view, view[READ] - back) + E_RS1] + distance


@inlined
def _seen_operand(view, word, key, last):  # type: ignore[no-untyped-def]
    """`word` with the bank in place of the local row, if the rows from `key` to `last` lie in one and never wrap."""
    if key < 0 or bank_of(view, key) != bank_of(view, last) or (key < ACCUMULATOR_KEY and last >= view[P_SP_ROWS]):
        return word
    row = _ACCUMULATOR_BITS if key >= ACCUMULATOR_KEY else _SCRATCHPAD_BITS
    return (word & ~row) | _A_BANK | (bank_of(view, key) & 0xFFFF)


@compiled
def note_command(view, number, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Put command `number` into the history; commands come in their order."""
    e, queue = command_at(view, number), queue_of(funct, rs1)
    view[e + H_QUEUE], view[e + E_FUNCT], view[e + E_RS1], view[e + E_RS2] = queue, funct, rs1, rs2
    ranges(view, e, funct, rs1, rs2)
    if funct == 0:
        if bits(rs1, 1, 0) != 3:
            note_config(view, rs1, rs2, queue)
    elif moves(funct):
        low = row_key(bits(rs2, 31, 0))
        if rs1 != 0:
            view[e + E_RS1] = rs1 | ((number & (_NUMBERS - 1)) << NUMBER_SHIFT)
            rs1 = _MARK | (rs1 & (view[P_REQUEST] - 1))
        if funct != 3 or not view[S_POOLED]:
            rs2 = _seen_operand(view, rs2, low, view[e + E_A_HIGH] - 1)
    elif funct == 6:
        span = view[P_DIM] - 1
        low, result = row_key(bits(rs1, 31, 0)), row_key(bits(rs2, 31, 0))
        rs1 = _seen_operand(view, rs1, low, low + span)
        rs2 = _seen_operand(view, rs2, result, result + span * view[S_C_STRIDE])
    elif funct == 4 or funct == 5:
        span = view[P_DIM] - 1
        a, b = row_key(bits(rs1, 31, 0)), row_key(bits(rs2, 31, 0))
        rs1 = _seen_operand(view, rs1, a, a + span * view[S_A_STRIDE])
        rs2 = _seen_operand(view, rs2, b, b + span)
    view[e + H_SEEN1], view[e + H_SEEN2] = rs1, rs2


@inlined
def _in_accumulator(word):  # type: ignore[no-untyped-def]
    return bits(word, 31, 0) != GARBAGE_WORD and bits(word, 31, 31) == 1


@inlined
def _is_plain_move(funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Whether its address is of ordinary size, and it does not accumulate on its way in."""
    if rs1 < (1 if funct == 3 else 0) or rs1 >= 1 << (ADDRESS_BITS - 1):
        return False
    return funct == 3 or bits(rs2, 31, 30) != 3


@inlined
def _is_plain_config(rs1, rs2):  # type: ignore[no-untyped-def]
    """Whether strides are of ordinary size, no pixels repeated, no rows stored beyond those that a mvout names, and it
    is not the normaliser's."""
    kind = bits(rs1, 1, 0)
    if kind == 1 and bits(rs1, 15, 8) > 1:
        return False
    if kind == 2 and bits(rs1, 7, 6) != 0 and bits(rs1, 5, 4) == 0:
        return False
    stride = rs2 if kind == 1 else bits(rs2, 31, 0)
    return kind == 0 or (kind != 3 and 0 <= stride <= MOST_STRIDE_BYTES)


@compiled
def is_plain(funct, rs1, rs2, count):  # type: ignore[no-untyped-def]
    """Whether all that the machine does with `count` commands can be told from what is seen of them.

    That is so without loops and the normaliser, for addresses and strides of ordinary size, and where results go to the
    accumulator, operands come from the scratchpad and no row is accumulated on its way in: then no two rows are
    compared outside the reservation station.
    """
    for i in range(count):
        word1, word2 = rs1[i], rs2[i]
        if moves(funct[i]):
            if not _is_plain_move(funct[i], word1, word2):
                return False
        elif funct[i] == 0:
            if not _is_plain_config(word1, word2):
                return False
        elif funct[i] == 6:
            if _in_accumulator(word1) or not (_in_accumulator(word2) or bits(word2, 31, 0) == GARBAGE_WORD):
                return False
        elif funct[i] == 4 or funct[i] == 5:
            if _in_accumulator(word1) or _in_accumulator(word2):
                return False
        elif funct[i] > 7:
            return False
    return True


@inlined
def comparable(low, other_low):  # type: ignore[no-untyped-def]
    """Whether ranges from `low` and `other_low` on lie in one memory."""
    return least(low, other_low) >= 0 and (low >= ACCUMULATOR_KEY) == (other_low >= ACCUMULATOR_KEY)


@compiled
def forget_old(view):  # type: ignore[no-untyped-def]
    """Make room for a batch: keep the last REMEMBERED commands read alone."""
    begin = view[READ] - REMEMBERED - view[NUMBERED_FROM]
    for word in range(HISTORY, HISTORY + REMEMBERED * E_SIZE):
        view[word] = view[word + begin * E_SIZE]
    view[NUMBERED_FROM] += begin


def renew_view(view: npt.NDArray[np.int64]) -> None:
    """Make it a view before the first command, but for the machine's parameters."""
    view[: HISTORY + REMEMBERED * E_SIZE] = 0
    view[NUMBERED_FROM] = -REMEMBERED
