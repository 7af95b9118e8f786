"""What a replayed stream is beside what was measured of it: the row of the comparison that reports show."""

from __future__ import annotations

import numpy as np

from reports.fidelity import ACCEPTED_WITHIN_CYCLES, FidelityRow
from simulator.isa import FUNCT_NAMES
from systolic.replay_run import Replayed

_TRAFFIC = ("read_requests", "read_bytes", "write_requests", "write_bytes")


def compared(replayed: Replayed) -> FidelityRow:
    """The comparison of one stream with its row's own measurements."""
    measured, result = replayed.row.measured, replayed.result
    late = (
        np.abs(np.array(measured.accepted_at, np.int64) - result.accepted_at) if measured.accepted_at else np.empty(0)
    )
    moved = [(getattr(measured, name), getattr(result, name)) for name in _TRAFFIC]
    known = [mine == theirs for theirs, mine in moved if theirs is not None]
    wanted, digest = measured.output_sha256, replayed.output_sha256
    return FidelityRow(
        name=replayed.row.name,
        family=replayed.row.family,
        cycles=result.cycles,
        measured_cycles=measured.cycles,
        accepted=late.size,
        accepted_near=int(np.count_nonzero(late <= ACCEPTED_WITHIN_CYCLES)),
        traffic_exact=all(known) if known else None,
        values_exact=None if wanted is None or digest is None else wanted == digest,
        departs=_departure(replayed),
    )


def _departure(replayed: Replayed) -> str:
    """The first command accepted in another cycle than measured, or "" where every one is accepted as measured."""
    measured, simulated = replayed.row.measured.accepted_at, replayed.result.accepted_at
    if not measured:
        return ""
    apart = simulated - np.array(measured, np.int64)
    if not apart.any():
        return ""
    index = int(np.flatnonzero(apart)[0])
    name = FUNCT_NAMES[int(replayed.row.commands[index][0])]
    return f"command {index} of {len(measured)} ({name}) accepted {apart[index]:+d} cycles"
