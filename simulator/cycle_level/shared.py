"""Several machines before one memory: whose turn it is, cycle by cycle."""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, least, most
from simulator.cycle_level.kernel import REACHED, run
from simulator.cycle_level.state import NEVER


@compiled
def take_turns(machines, memory, times, favoured, trace, functs, rs1s, rs2s, accepted):  # type: ignore[no-untyped-def]
    """Run the machine that is behind the others, until one pauses or ends; returns (its number, how, now favoured).

    All but `memory`, `trace` and `times` (int64 (n,), the cycle each machine goes on from, NEVER when it is done) are
    tuples with an item a machine. In one cycle the machines come in turn from `favoured` on, which then is the one
    behind the first to come: the bus is granted round robin.
    """
    count = len(machines)
    while True:
        chosen = favoured
        for step in range(1, count):
            other = (favoured + step) % count
            if times[other] < times[chosen]:
                chosen = other
        until = np.int64(NEVER)
        tied = False
        for other in range(count):
            if other != chosen:
                until = least(until, times[other])
                tied = tied or times[other] == times[chosen]
        t = times[chosen]
        times[chosen], end = run(
            machines[chosen], memory, t, most(until, t + 1), trace, functs[chosen], rs1s[chosen], rs2s[chosen],
            accepted[chosen],
        )  # fmt: skip
        if tied:
            favoured = (chosen + 1) % count
        if end != REACHED:
            return chosen, end, favoured
