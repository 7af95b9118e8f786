"""Least traffic, by the suite's mapper, beside other tools' mappings."""

from __future__ import annotations

from typing import Final

from mapper.schedule import schedule
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from systolic.layer_request import layer_of
from systolic.network import NetworkRequest
from systolic.reproduce.published import Ours, PublishedTable

LAYER: Final = "512,3072,768"


def least_traffic(table: PublishedTable) -> Ours:
    """DRAM traffic of the mapping that moves least, in MB, beside every other tool's."""
    machine = load_accelerator("gemmini")
    nest = layer_of(NetworkRequest(model=LAYER), machine).work
    assert isinstance(nest, ArrayNest)
    found = schedule(nest, machine, objective="traffic")
    return {(row, "MB"): found.cost.dram_bytes / 1e6 for row in table.rows}
