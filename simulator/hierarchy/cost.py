"""What a mapping onto a memory hierarchy costs: accesses of every level and operand, cycles, energy.

Counted as Timeloop does (Parashar et al., ISPASS 2019, section V: tile analysis from the loop nest, multicast and
spatial reduction, then accesses times energy per access and the slowest of arithmetic and memories), with partial sums
as in ZigZag (Mei et al., IEEE TC 2021, section 4) and MAESTRO's delta of a sliding window (Kwon et al., MICRO 2019);
the mapping's text in `hierarchy.mapping` says when a tile is fetched. `hierarchy.walk` counts the same slowly.

For a child L of a parent P and an operand that both keep, X the loop at whose steps L fetches:

    deliveries(L)   sum over the steps of X, over instances of L, of the tile's elements (a window's new ones)
    sends(P)        the same, where instances of L along multicast axes that want an element in one step count once
    arrivals(P)     outputs: sum over the steps of X of the tile's elements; along reducing axes as one
    zero starts(P)  residences of an element in P that begin at nothing: all but those that P has from its own parent
    read-backs      arrivals(P) - zero starts(P): in place in P where it accumulates, else down to L
    cycles          max over levels of busiest instance's bytes / bandwidth, and of compute + transfers that wait

Transfers wait where the receiving memory neither streams nor has two copies, and is filled more than once. The first
fill and the last drain are taken to overlap: cycles are a lower bound of the machine described. The multipliers fetch
and write at every step; products with padding take a step, fetch no input, and are counted as multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from simulator.hierarchy.counts import Chain, Turn, elements, positions, visits
from simulator.hierarchy.description import ROLES, Hierarchy, Level, Role
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    PlacedLoop,
    arrives_partial,
    axis_of,
    check_legal,
    child_level,
    is_refilled,
    kept_bits,
    parent_level,
    write_loop,
)
from simulator.hierarchy.nest import Operand, TensorNest


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Elements of one operand that one level reads and writes (all its instances, or the busiest).

    Written: `fills` from outside, `updates` from inside. Read: `sends` to the inside, `additions` to be added to in
    place, `drains` to the outside.
    """

    role: Role
    fills: int = 0
    sends: int = 0
    updates: int = 0
    additions: int = 0
    drains: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCost:
    """One level: traffic of all its instances and of the busiest one; bytes read and written; the cycles for which its
    busiest instance moves data, and those of them for which the multipliers wait; energy of its accesses, and of its
    network."""

    name: str
    traffic: tuple[Traffic, ...]
    busiest: tuple[Traffic, ...]
    read_bytes: int
    write_bytes: int
    cycles: float
    waiting_cycles: float
    access_energy_pj: float
    network_energy_pj: float

    @property
    def energy_pj(self) -> float:
        """Picojoules of accesses and network."""
        return self.access_energy_pj + self.network_energy_pj


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyCost:
    """Cost of one nest under one mapping; `levels` from DRAM. Names shared with `cost.Cost` mean the same."""

    cycles: float
    compute_cycles: int
    macs: int
    multipliers: int
    levels: tuple[LevelCost, ...]
    mac_energy_pj: float

    @property
    def energy_pj(self) -> float:
        """Picojoules in all."""
        return self.mac_energy_pj + sum(level.energy_pj for level in self.levels)

    @property
    def energy_delay(self) -> float:
        """Picojoules times cycles."""
        return self.energy_pj * self.cycles

    @property
    def dram_read_bytes(self) -> int:
        """Bytes that the outermost level reads."""
        return self.levels[0].read_bytes

    @property
    def dram_write_bytes(self) -> int:
        """Bytes written to the outermost level."""
        return self.levels[0].write_bytes

    @property
    def dram_bytes(self) -> int:
        """Bytes of the outermost level in both directions."""
        return self.dram_read_bytes + self.dram_write_bytes

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates done of those that the multipliers could have done in `cycles`."""
        return self.macs / (self.cycles * self.multipliers)


def hierarchy_cost(nest: TensorNest, mapping: HierarchyMapping, hierarchy: Hierarchy) -> HierarchyCost:
    """Cost of a mapping; raises what `check_legal` raises for one that does not fit."""
    loops = check_legal(nest, mapping, hierarchy)
    several = tuple(loop for loop in loops if loop.trips > 1)
    counter = _Counter(nest=nest, loops=several, mapping=mapping, hierarchy=hierarchy)
    levels = tuple(counter.level_cost(index) for index in range(len(hierarchy.levels)))
    compute_cycles = compute_steps(nest, loops)
    waiting = sum(level.waiting_cycles for level in levels)
    return HierarchyCost(
        cycles=max(compute_cycles + waiting, *(level.cycles for level in levels)),
        compute_cycles=compute_cycles,
        macs=nest.macs,
        multipliers=hierarchy.multipliers,
        levels=levels,
        mac_energy_pj=nest.macs * hierarchy.mac_pj,
    )


def compute_steps(nest: TensorNest, loops: Sequence[PlacedLoop]) -> int:
    """Steps of all temporal loops, in each of which every instance that has work does one multiply-accumulate."""
    found: dict[str, list[tuple[int, Turn]]] = {}
    for loop in loops:
        found.setdefault(loop.dim, []).append((loop.tile, Turn.EACH if loop.axis is None else Turn.FIRST))
    return prod(visits(size, tuple(found.get(name, ()))) for name, size in nest.dims)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    """Counts of one mapping from its loops of several steps; `scope` is the level of which only the busiest instance
    counts, 0 for all instances."""

    nest: TensorNest
    loops: tuple[PlacedLoop, ...]
    mapping: HierarchyMapping
    hierarchy: Hierarchy
    counted: dict[tuple[Role, int, int, int], int] = field(default_factory=dict)
    """What was counted before: elements by role, child, scope and the level they are counted at."""

    @property
    def multipliers(self) -> int:
        """Number of levels: the place of the multipliers."""
        return len(self.hierarchy.levels)

    def level_cost(self, index: int) -> LevelCost:
        """Everything about one level."""
        level = self.hierarchy.levels[index]
        keeps = [role for role in ROLES if role in self.mapping.levels[index].keeps]
        traffic = tuple(self.traffic(role, index, 0) for role in keeps)
        single = all(loop.axis is None or loop.level >= index for loop in self.loops)
        busiest = traffic if single else tuple(self.traffic(role, index, index) for role in keeps)
        read_bytes, write_bytes = self._bytes(index, traffic)
        busy_read, busy_write = self._bytes(index, busiest)
        return LevelCost(
            name=level.name,
            traffic=traffic,
            busiest=busiest,
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            cycles=port_cycles(level, busy_read, busy_write),
            waiting_cycles=sum(self._waiting(role, index) for role in keeps) if index else 0.0,
            access_energy_pj=read_bytes * level.read_pj_per_byte + write_bytes * level.write_pj_per_byte,
            network_energy_pj=self._network_bytes(index) * level.network_pj_per_byte,
        )

    def traffic(self, role: Role, index: int, scope: int) -> Traffic:
        """Elements of `role` that level `index` moves."""
        child = child_level(self.mapping, role, index)
        if role != "outputs":
            return Traffic(
                role=role,
                fills=self.deliveries(role, index, scope) if index else 0,
                sends=self.sends(role, index, child, scope),
            )
        read_back = self.arrivals(index, child, scope) - self.zero_starts(index, scope)
        adds = self.hierarchy.levels[index].accumulates
        return Traffic(
            role=role,
            fills=self.read_backs(index, scope) if index else 0,
            sends=0 if adds else read_back,
            updates=self.arrivals(index, child, scope),
            additions=read_back if adds else 0,
            drains=self.drains(index, scope) if index else 0,
        )

    def deliveries(self, role: Role, level: int, scope: int) -> int:
        """Elements of an operand that is read that arrive in `level`."""
        return self._elements(role, level, scope, served=level)

    def sends(self, role: Role, parent: int, child: int, scope: int) -> int:
        """Elements that `parent` reads for `child`."""
        return self._elements(role, child, scope, served=parent)

    def drains(self, level: int, scope: int) -> int:
        """Output elements that `level` sends out, of those that its inner instances up to `scope` hold."""
        return self._elements("outputs", level, scope, served=level)

    def arrivals(self, parent: int, child: int, scope: int) -> int:
        """Output elements that `child` (what is left of them after reduction) writes to `parent`."""
        return self._elements("outputs", child, scope, served=parent)

    def zero_starts(self, level: int, scope: int) -> int:
        """Times that an output element begins in `level` at nothing."""
        if level:
            return self.drains(level, scope) - self.read_backs(level, scope)
        outputs = self.nest.operand("outputs")
        chain_of = self._chains(outputs, None, 0, scope, 0)
        return prod([positions(size, chain_of.get(name, ())) for name, size in self.nest.dims if name in outputs.dims])

    def read_backs(self, level: int, scope: int) -> int:
        """Partial sums that `level` has from the level it writes to."""
        parent = parent_level(self.mapping, "outputs", level)
        if self.hierarchy.levels[parent].accumulates:
            return 0
        return self.arrivals(parent, level, scope) - self.zero_starts(parent, scope)

    def _elements(self, role: Role, child: int, scope: int, *, served: int) -> int:
        """Elements that cross into or out of `child`, counted at level `served`."""
        key = role, child, scope, served
        if key not in self.counted:
            operand = self.nest.operand(role)
            at = write_loop(operand, self.loops, child, self.multipliers)
            chain_of = self._chains(operand, at, child, scope, served)
            self.counted[key] = elements(self.nest, operand, chain_of, sliding=self._sliding(at, child))
        return self.counted[key]

    def _sliding(self, at: int | None, child: int) -> tuple[str, int] | None:
        """Dim, and place among the loops over it, of the loop whose steps bring `child` only what is new."""
        if at is None or child == self.multipliers or not self.hierarchy.levels[child].keeps_overlap:
            return None
        dim = self.loops[at].dim
        return dim, sum(loop.dim == dim for loop in self.loops[:at])

    def _chains(self, operand: Operand, at: int | None, child: int, scope: int, served: int) -> dict[str, Chain]:
        """The loops over each dim as they count: spatial loops between `served` and `child` are served together where
        the network can. A `scope` inside `child` is that of the elements it holds."""
        found: dict[str, list[tuple[int, Turn]]] = {}
        last = -1 if at is None else at
        for place, loop in enumerate(self.loops):
            if loop.level >= child:
                if loop.level >= scope or loop.dim not in operand.dims:
                    continue
                turn = Turn.EACH if loop.axis is None else Turn.BUSIEST
            elif loop.axis is None:
                turn = Turn.EACH if place <= last else Turn.FIRST
            elif loop.level < scope:
                turn = Turn.BUSIEST
            elif loop.level >= served and self._joint(operand.role, loop):
                turn = Turn.TOGETHER
            else:
                turn = Turn.EACH
            found.setdefault(loop.dim, []).append((loop.tile, turn))
        return {name: tuple(chain) for name, chain in found.items()}

    def _joint(self, role: Role, loop: PlacedLoop) -> bool:
        axis = axis_of(self.hierarchy, loop)
        return axis.reduces_outputs if role == "outputs" else role in axis.multicast

    def _bytes(self, index: int, traffic: Sequence[Traffic]) -> tuple[int, int]:
        """Bytes read and written at level `index`; DRAM also reads the bias."""
        words = self.hierarchy.word_bits
        read_bits = write_bits = 0
        for moved in traffic:
            bits = kept_bits(self.nest, self.loops, self.mapping, self.hierarchy, index, moved.role)
            read_bits += (moved.sends + moved.additions + moved.drains) * bits
            write_bits += (moved.fills + moved.updates) * bits
            if index == 0 and moved.role == "outputs":
                write_bits -= self.zero_starts(0, 0) * (bits - words.outputs)
        if index == 0:
            read_bits += self.nest.bias_elements * words.partial_sums
        return -(-read_bits // 8), -(-write_bits // 8)

    def _edge_bits(self, role: Role, parent: int) -> int:
        """Bits of one element between `parent` and the level inside it."""
        words = self.hierarchy.word_bits
        if role != "outputs":
            return words.inputs if role == "inputs" else words.weights
        partial = arrives_partial(self.nest, self.loops, self.mapping, self.hierarchy, parent)
        return words.partial_sums if partial else words.outputs

    def _network_bytes(self, index: int) -> float:
        """Bytes that cross the fan-out of level `index`, one for each receiver (or sender)."""
        if self.hierarchy.levels[index].network_pj_per_byte == 0.0:
            return 0.0
        bits = 0
        for role in ROLES:
            child = child_level(self.mapping, role, index)
            parent = parent_level(self.mapping, role, index + 1)
            if role == "outputs":
                crossing = self.drains(child, 0) + self.read_backs(child, 0)
            else:
                crossing = self.deliveries(role, child, 0)
            bits += crossing * self._edge_bits(role, parent)
        return bits / 8

    def _waiting(self, role: Role, index: int) -> float:
        """Cycles of transfers into and out of level `index` that overlap with nothing."""
        level, mapped = self.hierarchy.levels[index], self.mapping.levels[index]
        operand = self.nest.operand(role)
        if level.streams or role in mapped.double_buffered or not is_refilled(operand, self.loops, index):
            return 0.0
        parent = parent_level(self.mapping, role, index)
        own = self.traffic(role, index, index)
        outer = self.traffic(role, parent, parent)
        bits = self._edge_bits(role, parent)
        return max(
            port_cycles(level, own.drains * bits / 8, own.fills * bits / 8),
            port_cycles(
                self.hierarchy.levels[parent], (outer.sends + outer.additions) * bits / 8, outer.updates * bits / 8
            ),
        )


def port_cycles(level: Level, read_bytes: float, write_bytes: float) -> float:
    """Cycles in which one instance reads and writes that much."""
    cycles = 0.0
    for moved, rate in (
        (read_bytes, level.read_bytes_per_cycle),
        (write_bytes, level.write_bytes_per_cycle),
        (read_bytes + write_bytes, level.shared_bytes_per_cycle),
    ):
        if rate is not None:
            cycles = max(cycles, moved / rate)
    return cycles
