"""Tables 4, 5 (its last lines) and 12 of the survey: ResNet-50 (see `survey_parts`).

The network is He et al.'s own form, with the stride on the first 1x1 convolution: its batch normalisations, ReLUs and
other operators move 69.7 MB, as table 4 says of all that is no convolution; those of the form in use today move more.
The stem's convolution is left out, as in table 12: which convolutions make up the printed 7.26 GFLOP is not said (all
of them are 7.71, without the stem's 7.48). With it the convolutions' own intensity comes nearer (183.3), those of both
totals 3 to 4 % off.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Final

from model_ir.graph import Graph
from simulator.rooflines.machine_file import load_machine
from simulator.rooflines.work import Operator
from systolic.reproduce.published import Ours, PublishedTable
from systolic.reproduce.survey_parts import FINITE, IDEAL, Totals, part_totals, printed_cells
from workloads import resnet

NETWORK: Final = replace(resnet.RESNET_50, strided_kernel=1)
PARTS: Final = {"conv": "convolution", "batch_norm": "batch normalisation", "relu": "ReLU"}
STEM: Final = "stem"
FUSED_AWAY: Final = ("batch normalisation", "ReLU")
PIXELS: Final = (56, 28, 14, 7)


@cache
def network() -> Graph:
    """ResNet-50 for one image of 224 x 224."""
    return resnet.build(NETWORK)


def part_of(operator: Operator) -> str | None:
    """Table 4's row of an operator; None for the stem's convolution."""
    return None if operator.name == STEM else PARTS.get(operator.kind, "other")


def table_4(table: PublishedTable) -> Ours:
    """Operations and bytes by kind; fused: without batch normalisations and ReLUs."""
    parts = part_totals(network(), load_machine(IDEAL), part_of)
    unfused = parts.pop("total")
    ours: Ours = {}
    for row, totals in {**parts, "total, unfused": unfused, "total, fused": _fused(parts)}.items():
        ours |= printed_cells(row, totals, table)
    return ours


def table_5_resnet(_: PublishedTable) -> Ours:
    """Intensity behind a finite L2 and with unlimited memory, fused."""
    return {
        (row, "FLOP/B"): _fused(part_totals(network(), load_machine(machine), part_of)).intensity
        for row, machine in (("non-ideal", FINITE), ("ideal", IDEAL))
    }


def table_12(table: PublishedTable) -> Ours:
    """The bottlenecks' convolutions by kernel, results and pixels."""
    parts = part_totals(network(), load_machine(IDEAL), _group_of_table_12)
    ours: Ours = {}
    for row in table.rows:
        ours |= printed_cells(row, parts[row], table)
    return ours


def _fused(parts: dict[str, Totals]) -> Totals:
    total = Totals()
    for row, totals in parts.items():
        if row not in (*FUSED_AWAY, "total"):
            total = total.plus(totals)
    return total


def _group_of_table_12(operator: Operator) -> str | None:
    """Stage and place of a convolution of a bottleneck. Table 12 leaves out those that take another stage's channels;
    the first stage's projection, which has the sizes of the layers beside it, is counted with them."""
    found = re.fullmatch(r"stages\.(\d)\.(\d+)\.(?:conv_(\d)|shortcut)", operator.name)
    if found is None:
        return None
    stage, first_block, place = int(found[1]), found[2] == "0", found[3]
    if (stage > 0) if place is None else (place == "0" and first_block):
        return None
    width = NETWORK.widths[stage]
    kernel, channels = (("1x1", width), ("3x3", width), ("1x1", NETWORK.expansion * width))[int(place or 0)]
    return f"{kernel}, {channels} channels, {PIXELS[stage]} x {PIXELS[stage]}"
