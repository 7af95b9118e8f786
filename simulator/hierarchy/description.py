"""The description of a machine as a tree of memories, from DRAM to the registers beside the multipliers. Nouns only.

`hierarchy.file` reads them from TOML; `hierarchy.mapping` says what a mapping onto one is, `hierarchy.cost` what that
costs. The vocabulary is that of Timeloop (Parashar et al., ISPASS 2019): each level stores some of the three operands
and feeds the instances of the next level through a network that may multicast what it sends down and sum what comes up.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import msgspec

Role = Literal["inputs", "weights", "outputs"]
"""The operands of a multiply-accumulate nest: `reads[0]`, `reads[1]` and `write`."""

ROLES: tuple[Role, ...] = ("inputs", "weights", "outputs")

DimKind = Literal["image", "out_row", "out_column", "out_channel", "in_channel", "kernel_row", "kernel_column", "group"]
"""What a loop is for, by the operands it moves: inputs and outputs "image" ("out_row", "out_column" where it shares an
axis of the inputs with a kernel loop); weights and outputs "out_channel"; inputs and weights "in_channel"
("kernel_row", "kernel_column" in such an axis); all three "group". A matmul C[i, j] = sum A[i, k] B[k, j] has an
image i, an out_channel j and an in_channel k."""

DIM_KINDS: tuple[DimKind, ...] = (
    "image",
    "out_row",
    "out_column",
    "out_channel",
    "in_channel",
    "kernel_row",
    "kernel_column",
    "group",
)


class Partition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of a level that one operand alone may take; None leaves it what the whole level has."""

    inputs: int | None = None
    weights: int | None = None
    outputs: int | None = None


class SpatialAxis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction in which a level has several of the next level (or of the multipliers) to feed.

    Loops of the kinds `dims` may be spread along it. An operand in `multicast` that several of them want in the same
    step is read once and sent to all; one that is not is read once for each. With `reduces_outputs` the partial sums
    that come up along the axis arrive as one.
    """

    name: str
    size: int
    dims: tuple[DimKind, ...] = DIM_KINDS
    multicast: tuple[Role, ...] = ()
    reduces_outputs: bool = False


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One memory, of which there is one instance for every point of the axes outside it.

    Capacity, bandwidths (None: unlimited) and energies are those of one instance. `shared_bytes_per_cycle` limits
    reads and writes together. `accumulates`: partial sums that arrive are added in place, which reads and writes the
    memory; otherwise they are sent down again and the level below goes on from them. `streams`: a fill may enter the
    space as it is freed, word by word (a buffet, Pellauer et al., ASPLOS 2019), so that it overlaps with computing in
    one copy. `keeps_overlap`: where the loop that moves a window steps, only what is new is fetched.
    `network_pj_per_byte` is what one byte costs on its way to (or from) each single receiver across `fanout`.
    """

    name: str
    stores: tuple[Role, ...]
    capacity_bytes: int | None = None
    partition_bytes: Partition = Partition()
    read_bytes_per_cycle: float | None = None
    write_bytes_per_cycle: float | None = None
    shared_bytes_per_cycle: float | None = None
    read_pj_per_byte: float
    write_pj_per_byte: float
    accumulates: bool = False
    streams: bool = False
    keeps_overlap: bool = False
    fanout: tuple[SpatialAxis, ...] = ()
    network_pj_per_byte: float = 0.0

    @property
    def fanout_size(self) -> int:
        """Instances of the next level that one instance of this one feeds."""
        return prod(axis.size for axis in self.fanout)


class WordBits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bits of one element of each operand; of an output while terms of its sum are missing, `partial_sums`."""

    inputs: int
    weights: int
    outputs: int
    partial_sums: int


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine: `levels` from DRAM (the first, which stores everything) to the one beside the multipliers.

    The fan-out of the last level is to multipliers, each of which does one multiply-accumulate a cycle.
    """

    name: str
    description: str
    clock_hz: float
    mac_pj: float
    word_bits: WordBits
    levels: tuple[Level, ...]

    @property
    def multipliers(self) -> int:
        """Multiply-accumulates a cycle with every unit busy."""
        return prod(level.fanout_size for level in self.levels)

    def instances(self, index: int) -> int:
        """Instances of `levels[index]` in the machine."""
        return prod(level.fanout_size for level in self.levels[:index])


class Dataflow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mapping must obey to be called by a name (`hierarchy.dataflow`).

    `stationary`: of the loops that stand between the innermost memory of that operand and the memory it is filled
    from, those that do not move the operand are innermost. `whole_inside` and `single_inside`: kinds of loops whose
    whole range, or no more than one position, lies inside one instance of the innermost memory of the inputs.
    """

    name: str
    description: str
    stationary: Role | None = None
    whole_inside: tuple[DimKind, ...] = ()
    single_inside: tuple[DimKind, ...] = ()
