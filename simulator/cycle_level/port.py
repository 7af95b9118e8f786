"""The DMA's port to memory, where reads and writes meet (DMA, Scratchpad .scala; rocket-chip's TLBuffer, TLXbar).

A request passes two one-entry queues (tlb_q, translate_q) and a buffer of two before the crossbar takes it, whichever
of reader and writer did not go last; the beats of a write stay together. A read that finds its buffer full goes around
the two queues once more, and another may pass it; a write waits in place. As long as only one of the two has requests
under way nothing waits, and the cycle of a request at the port is known when it is issued.

Each side remembers the page it translated last; for another it asks the TLB they share, which takes one a cycle, so
that the other goes around its queues, too (FrontendTLB.scala). The TLB never misses: programs run bare-metal.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, least, most
from simulator.cycle_level.memory import accept, answer
from simulator.cycle_level.rows import answered
from simulator.memory_state import M_LINE, OWN

# isort: off
from simulator.cycle_level.state import (
    A_ACK_READY, D_BEATS, D_NUMBER, D_PER_BEAT, D_READY, D_SIZE, NEVER, O_ASKED, O_ASKS, O_BEATS, O_BEATS_HELD, O_BUSY,
    O_KNOWN, O_LAST, O_LOCKED, O_NEXT, O_PAGE, O_PAGES_LOGGED, O_PAGE_BEFORE, O_PAGE_FROM, O_READS, O_READS_HELD,
    O_READ_BLOCKED, O_READ_FIRST, O_READ_SECOND, O_SIDE, O_STALE, O_TRANSLATED, O_WRITE_ASIDE, O_WRITE_BLOCKED,
    O_WRITE_FIRST, O_WRITE_SECOND, PAGES_LOGGED, PAGE_LOG, PL_ADDRESS, PL_SIZE, PL_TIME, PL_WHAT, P_BUS, P_LATENCY,
    P_MEMORY_KIND, P_MEMORY_PORT, P_PER_BEAT, P_PORT, Q_FROM, Q_LENGTH, Q_RECORD, Q_USEFUL, RESPONSE, RESPONSES,
    W_TAIL,
)  # fmt: skip
# isort: on


READER, WRITER = 0, 1
PAGE_PASSES, PAGE_IS, PAGE_IS_NOT, PAGE_TRANSLATED, PAGE_TURN, PAGE_STAYS = range(0, 12, 2)
"""What is logged, plus the side: a request with nobody in its way, two answers to whether it translated the page last,
a translation, the side translated for last where both ask, and (plus one if so) whether the writer's page stays."""
ADDRESS_BITS = 47
"""More than any virtual address of a RISC-V host with 48-bit paging that is not the kernel's."""
TO_CROSSBAR = 3
"""Cycles from issue to the crossbar: tlb_q, translate_q, the first buffer."""
EMPTY = -1


@inlined
def best_packet(address, left, smallest, largest):  # type: ignore[no-untyped-def]
    """(size, useful bytes) of the aligned power-of-two request that covers most of what is left, smallest on ties."""
    size, best_size, best = smallest, smallest, np.int64(0)
    while size <= largest:
        useful = least(size - (address & (size - 1)), left)
        if useful > best:
            best_size, best = size, useful
        size *= 2
    return best_size, best


@inlined
def _leave(m, t):  # type: ignore[no-untyped-def]
    """Cycle at the port for what passes the crossbar in cycle `t`: the buffers behind it."""
    return t + m[P_PORT] - 1


@inlined
def _put(m, t, request, ready, beats, per_beat):  # type: ignore[no-untyped-def]
    """Put the answer to `request` behind the others: `beats` of them to the reader, none for an acknowledgement."""
    d = RESPONSE + m[W_TAIL] % RESPONSES * D_SIZE
    for field in range(D_SIZE):
        m[d + field] = m[request + field]
    m[d + D_READY], m[d + D_BEATS], m[d + D_PER_BEAT] = ready, beats, per_beat
    answered(m, t)


@compiled
def answer_read(m, memory, t, request, at_port):  # type: ignore[no-untyped-def]
    """Read `request` is known in cycle `t` to reach the port in cycle `at_port`."""
    size, ready, per_beat = m[request + Q_LENGTH], at_port + m[P_LATENCY], m[P_PER_BEAT]
    if m[P_MEMORY_KIND] != OWN:
        at_port = accept(memory, at_port, 1)
        ready, per_beat = answer(memory, m[P_MEMORY_PORT], at_port, m[request + Q_FROM], size, False, False)
    _put(m, t, request, ready, size // m[P_BUS], per_beat)


@compiled
def answer_write(m, memory, t, request, at_port):  # type: ignore[no-untyped-def]
    """The last beat of write `request` is known in cycle `t` to reach the port in cycle `at_port`."""
    size, ready = m[request + Q_LENGTH], at_port + m[P_LATENCY]
    if m[P_MEMORY_KIND] != OWN:
        at_port = accept(memory, at_port, size // m[P_BUS])
        whole = m[request + Q_USEFUL] == size and size == memory[M_LINE]
        ready, _ = answer(memory, m[P_MEMORY_PORT], at_port, m[request + Q_FROM], size, True, whole)
        # Answers of writes are taken in the order of the writes.
        ready = most(ready, m[A_ACK_READY] + 1)
        m[A_ACK_READY] = ready
    _put(m, t, request, ready, 0, m[P_PER_BEAT])


@inlined
def new_request(m, table, number, address, size, useful):  # type: ignore[no-untyped-def]
    """Record of a request: transaction `number`, `size` bytes around `useful` ones at `address`."""
    request = table + number * Q_RECORD
    m[request + D_NUMBER], m[request + Q_FROM], m[request + Q_LENGTH] = number, address, size
    m[request + Q_USEFUL] = useful
    return request


@inlined
def alone(m, t):  # type: ignore[no-untyped-def]
    """Whether what is issued in cycle `t` meets nobody at the crossbar, unless the other side issues now, too."""
    return m[O_BUSY] == 0 and m[O_LAST] < t + TO_CROSSBAR


@inlined
def page_of(address):  # type: ignore[no-untyped-def]
    """Number of the 4 KiB page; addresses have ADDRESS_BITS, what stands above is not the port's."""
    return (address & ((1 << ADDRESS_BITS) - 1)) >> 12


@inlined
def log_page(m, what, t, address):  # type: ignore[no-untyped-def]
    """Log a question to the page registers or a change of them, if somebody has made room (`skipping.repeat`)."""
    if m[O_PAGES_LOGGED] < PAGES_LOGGED:
        record = PAGE_LOG + m[O_PAGES_LOGGED] * PL_SIZE
        m[record + PL_WHAT], m[record + PL_TIME], m[record + PL_ADDRESS] = what, t, address
        m[O_PAGES_LOGGED] += 1


@inlined
def note_page(m, t, side, address):  # type: ignore[no-untyped-def]
    """A request of `side` that meets nobody, issued in cycle `t`, has its page translated."""
    page, known = page_of(address), O_PAGE + side
    if m[known] != page:
        m[O_PAGE_BEFORE + side], m[O_PAGE_FROM + side], m[known] = m[known], t + TO_CROSSBAR, page
        m[O_TRANSLATED] = side


@inlined
def translate_page(m, t, side, page):  # type: ignore[no-untyped-def]
    """The TLB answers `side` in cycle `t`."""
    m[O_TRANSLATED] = side
    m[O_PAGE_BEFORE + side], m[O_PAGE_FROM + side] = m[O_PAGE + side], t + 1
    m[O_PAGE + side] = page


@inlined
def pass_alone(m, t, side, address):  # type: ignore[no-untyped-def]
    """The last beat of what was issued with nobody in its way goes in cycle `t`; returns its cycle at the port."""
    log_page(m, PAGE_PASSES + side, t, address)
    note_page(m, t, side, address)
    if side == WRITER:
        m[O_STALE] = page_of(address)
    m[O_LAST], m[O_SIDE] = t + TO_CROSSBAR, side
    return _leave(m, t + TO_CROSSBAR)


@inlined
def page_is(m, t, side, page):  # type: ignore[no-untyped-def]
    """Whether `side` translated this page last, as its register shows in cycle `t`."""
    return page == (m[O_PAGE + side] if t >= m[O_PAGE_FROM + side] else m[O_PAGE_BEFORE + side])


@inlined
def _meet(m, t):  # type: ignore[no-untyped-def]
    """From cycle `t` on reader and writer may both be under way."""
    if m[O_BUSY] == 0:
        m[O_BUSY], m[O_NEXT] = 1, t + 1


@compiled
def enter_read(m, t, request):  # type: ignore[no-untyped-def]
    """A read goes into its first queue in cycle `t`."""
    _meet(m, t)
    m[O_READ_FIRST] = request


@compiled
def enter_beat(m, t, request, last):  # type: ignore[no-untyped-def]
    """A beat of a write goes into its first queue in cycle `t`."""
    _meet(m, t)
    m[O_WRITE_FIRST], m[O_STALE] = request * 2 + last, page_of(m[request + Q_FROM])


@compiled
def _grant_read(m, memory, t):  # type: ignore[no-untyped-def]
    request = m[O_READS]
    m[O_READS] = m[O_READS + 1]
    m[O_READS_HELD] -= 1
    m[O_LAST], m[O_SIDE] = t, READER
    answer_read(m, memory, t, request, _leave(m, t))


@compiled
def _grant_beat(m, memory, t):  # type: ignore[no-untyped-def]
    beat = m[O_BEATS]
    m[O_BEATS] = m[O_BEATS + 1]
    m[O_BEATS_HELD] -= 1
    m[O_LAST], m[O_SIDE], m[O_LOCKED] = t, WRITER, 1 - beat % 2
    if beat % 2:
        answer_write(m, memory, t, beat // 2, _leave(m, t))


@inlined
def asking_beat(m):  # type: ignore[no-untyped-def]
    """The beat whose page the writer asks for: that in its second queue, or the one that stepped aside before it."""
    return m[O_WRITE_SECOND] if m[O_WRITE_SECOND] >= 0 else m[O_WRITE_ASIDE]


@inlined
def shown_beat(m):  # type: ignore[no-untyped-def]
    """The beat whose page the writer's register is compared with: that in its first queue, or the last one there."""
    return m[O_WRITE_FIRST] if m[O_WRITE_FIRST] >= 0 else m[O_WRITE_SECOND]


@compiled
def _translate(m, t):  # type: ignore[no-untyped-def]
    """(whether the read, whether the write behind its first queue misses): the TLB takes one new page a cycle."""
    reads, writes = m[O_ASKS + READER], m[O_ASKS + WRITER]
    if reads and writes:
        log_page(m, PAGE_TURN + m[O_TRANSLATED], t, 0)
        reads, writes = (1, 0) if m[O_TRANSLATED] == WRITER else (0, 1)
    if reads:
        log_page(m, PAGE_TRANSLATED + READER, t, m[m[O_READ_SECOND] + Q_FROM])
        translate_page(m, t, READER, m[O_ASKED + READER])
    if writes:
        log_page(m, PAGE_TRANSLATED + WRITER, t, m[asking_beat(m) // 2 + Q_FROM])
        translate_page(m, t, WRITER, m[O_ASKED + WRITER])
    return not (m[O_KNOWN + READER] or reads), not (m[O_KNOWN + WRITER] or writes)


@compiled
def _move_reads(m, t, full, misses):  # type: ignore[no-untyped-def]
    """The reader's two queues in cycle `t`: what misses, or finds the buffer full, goes around."""
    page = page_of(m[m[O_READ_FIRST] + Q_FROM]) if m[O_READ_FIRST] >= 0 else np.int64(EMPTY)
    known = page_is(m, t, READER, page)
    if page >= 0:
        log_page(m, (PAGE_IS if known else PAGE_IS_NOT) + READER, t, m[m[O_READ_FIRST] + Q_FROM])
    again = np.int64(EMPTY)
    if m[O_READ_SECOND] >= 0:
        if misses or full:
            again = m[O_READ_SECOND]
            m[O_READ_BLOCKED] = t
        else:
            m[O_READS + m[O_READS_HELD]] = m[O_READ_SECOND]
            m[O_READS_HELD] += 1
    m[O_KNOWN + READER], m[O_ASKS + READER] = 1 if known else 0, 1 if page >= 0 and not known else 0
    m[O_ASKED + READER] = page
    m[O_READ_SECOND], m[O_READ_FIRST] = m[O_READ_FIRST], again


@compiled
def _move_writes(m, t, full, misses):  # type: ignore[no-untyped-def]
    """The writer's two queues in cycle `t`: what finds the buffer full waits; what misses goes around, and what is
    behind it steps aside into a third queue (shadow_retry_a).
    """
    known = page_is(m, t, WRITER, m[O_STALE])
    shown = shown_beat(m)
    if shown >= 0:
        log_page(m, (PAGE_IS if known else PAGE_IS_NOT) + WRITER, t, m[shown // 2 + Q_FROM])
    first, second, aside, asked = m[O_WRITE_FIRST], m[O_WRITE_SECOND], m[O_WRITE_ASIDE], m[O_STALE]
    again = np.int64(EMPTY)
    moves = first >= 0 and (second < 0 or misses or not full)
    if second >= 0 and misses:
        again, second = second, np.int64(EMPTY)
        if first >= 0:
            m[O_WRITE_ASIDE] = first
    else:
        if second >= 0 and not full:
            m[O_BEATS + m[O_BEATS_HELD]] = second
            m[O_BEATS_HELD] += 1
            second = np.int64(EMPTY)
        if moves:
            second = first
    if moves:
        first = np.int64(EMPTY)
    if again >= 0:
        first = again
    elif aside >= 0 and first < 0:
        first, m[O_WRITE_ASIDE] = aside, EMPTY
    if first >= 0:
        m[O_STALE] = page_of(m[first // 2 + Q_FROM])
        m[O_WRITE_BLOCKED] = t
    m[O_KNOWN + WRITER], m[O_ASKS + WRITER] = 1 if known else 0, 1 if moves and not known else 0
    m[O_ASKED + WRITER], m[O_WRITE_FIRST], m[O_WRITE_SECOND] = asked, first, second


@compiled
def port(m, memory, t):  # type: ignore[no-untyped-def]
    """One cycle of queues, buffers and crossbar while reader and writer are both under way."""
    reads, beats = m[O_READS_HELD], m[O_BEATS_HELD]
    queued = most(m[O_READ_FIRST], m[O_READ_SECOND]) >= 0 or most(m[O_WRITE_FIRST], m[O_WRITE_SECOND]) >= 0
    if reads + beats == 0 and not queued and m[O_WRITE_ASIDE] < 0 and not m[O_LOCKED]:
        m[O_BUSY], m[O_NEXT], m[O_ASKS + READER], m[O_ASKS + WRITER] = 0, NEVER, 0, 0
        return
    if m[O_LOCKED]:
        if beats:
            _grant_beat(m, memory, t)
    elif t > m[O_LAST]:
        if reads and (beats == 0 or m[O_SIDE] == WRITER):
            _grant_read(m, memory, t)
        elif beats:
            _grant_beat(m, memory, t)
    read_misses, write_misses = _translate(m, t)
    _move_reads(m, t, reads == 2, read_misses)
    _move_writes(m, t, beats == 2, write_misses)
    m[O_NEXT] = t + 1
