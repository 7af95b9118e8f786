"""Growth of the hardware in two years: trends fitted to the points that ship with `simulator.memory_wall`."""

from __future__ import annotations

from typing import Final

from simulator.memory_wall.trends import hardware_trends
from systolic.reproduce.published import Ours, PublishedTable

SERIES: Final = {
    "peak FLOPS": "compute",
    "DRAM bandwidth": "dram",
    "interconnect bandwidth": "interconnect",
}


def growth(table: PublishedTable) -> Ours:
    """Factors of growth in two years, of every row."""
    trends = hardware_trends()
    return {(row, "times"): trends[SERIES[row]].per_two_years for row in table.rows}
