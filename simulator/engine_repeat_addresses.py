"""Memory addresses as far as timing depends on them, and how those of commands under way are told apart.

What the DMA does with a row depends on its address modulo a request; its page matters only where reader and writer meet
(`engine_port`), which is never skipped. So an address is seen as the command it comes from, counted back from the last
one read, its distance from the command's own, and its alignment. The engine is given addresses with the number of the
command above ADDRESS_BITS, which every address computed from it keeps.
"""

from __future__ import annotations

from simulator.engine_compile import inlined
from simulator.engine_port import ADDRESS_BITS
from simulator.engine_state import SLOTS

REACH, NUMBERS, EXACT, REQUEST, MOVERS, NUMBERED_FROM, ORDER = range(SLOTS, SLOTS + 7)
HISTORY = ORDER + SLOTS
REMEMBERED = 1 << 12
"""Commands with an address that are looked back at: many times those that can be under way."""
BATCH_COMMANDS = 1 << 17
VIEW_SIZE = HISTORY + REMEMBERED + BATCH_COMMANDS
"""A view: the name of each entry of the station, REACH of stamps, the next transaction's number, whether all that was
seen could be told exactly, bytes of a request; then how many addresses lie before the last command read, what to add to
such a place for the number of a command, entries by age, and from HISTORY on the addresses of commands before a batch
and in it."""
NUMBER_SHIFT = ADDRESS_BITS + 1
_ALIGNMENT_BITS, _DISTANCE_BITS, _MARK = 10, 37, 1 << 62
MOST_REQUEST_BYTES = 1 << _ALIGNMENT_BITS
MOST_STRIDE_BYTES = 1 << 20
"""Strides up to here leave every distance within _DISTANCE_BITS."""


@inlined
def moves(funct):  # type: ignore[no-untyped-def]
    """Whether the command has a memory address in rs1: mvin, mvin2, mvin3 or mvout."""
    return 1 <= funct <= 3 or funct == 14


@inlined
def numbered(view, place):  # type: ignore[no-untyped-def]
    """The address at `place` of the history, with the number of its command."""
    return view[HISTORY + place] | (((place + view[NUMBERED_FROM]) & (REMEMBERED - 1)) << NUMBER_SHIFT)


@inlined
def seen_address(view, address):  # type: ignore[no-untyped-def]
    """The address, 0 for zeros, as it looks from the last command read."""
    if address == 0:
        return address
    back = (view[MOVERS] + view[NUMBERED_FROM] - (address >> NUMBER_SHIFT)) & (REMEMBERED - 1)
    distance = (address & ((1 << NUMBER_SHIFT) - 1)) - view[HISTORY + view[MOVERS] - back]
    return _MARK | (((back << _DISTANCE_BITS) | distance) << _ALIGNMENT_BITS) | (address & (view[REQUEST] - 1))


@inlined
def meant_address(view, seen):  # type: ignore[no-untyped-def]
    """The address that looks so."""
    if seen == 0:
        return seen
    back = (seen & (_MARK - 1)) >> (_ALIGNMENT_BITS + _DISTANCE_BITS)
    distance = (seen >> _ALIGNMENT_BITS) & ((1 << _DISTANCE_BITS) - 1)
    return numbered(view, view[MOVERS] - back) + distance
