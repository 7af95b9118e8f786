"""The integer program of a nest on a memory hierarchy: a relaxation in logarithms, whose least is a proven lower bound.

A product of tile counts is a sum of logarithms, so every count of accesses is the exponential of a linear expression,
and a sum of convex functions is bounded from below by tangents: costs become linear rows. Choices: the range of sizes
that the tile of each dim has at each memory; the instances over which each dim is spread along each axis; which loops
step at all at each level; of which operand the innermost loops of a level are (loops that do not move an operand fetch
it once where they are innermost: the only thing about an order that costs depend on, but for sliding windows, which are
taken to slide always); what each level keeps.

What a count is at least (visits(range) >= range x product over the loops that count of outer tile / inner tile, since a
loop that does not count leaves its largest chunk, never less than its share):

    deliveries(c)   elements x product over dims that do not move the operand of the real ratio of its temporal loops
                    outside the fetching loop and of its spatial loops outside c
    sends(p)        the same, without spatial loops that are served together
    windows         what tiles of those sizes fetch together at least (`hierarchy.tables.fetched`)
    outputs         as deliveries; read and written again each time but the first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, prod

from mapper.hierarchy.choices import Pair
from mapper.hierarchy.tables import SLACK, UNITS, down, up
from mapper.hierarchy.traffic import HierarchyTraffic
from mapper.linear_program import Condition, Linear, weighted_sum
from simulator.hierarchy.dataflow import DATAFLOWS
from simulator.hierarchy.description import Dataflow, Hierarchy, Role
from simulator.hierarchy.nest import TensorNest

GRAIN = 1 << 18
"""Units that the budget of a cost is divided into."""

_STEP = 0.2
"""Distance of tangents, in logarithms: between two, the convex function is underestimated by at most step^2 / 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What mappings of interest cost at most: cycles, bytes of the outermost level, picojoules. None: no matter how
    much, and the program does not know that cost."""

    cycles: float | None = None
    bytes: float | None = None
    energy: float | None = None


class HierarchyProgram(HierarchyTraffic):
    """`linear` is the program and `cycles`, `bytes`, `energy` its goals, in `GRAIN`s of the budget."""

    def __init__(
        self, nest: TensorNest, hierarchy: Hierarchy, budget: Budget, *, flow: Dataflow = DATAFLOWS[0], bypass: bool
    ) -> None:
        super().__init__(nest, hierarchy, flow, bypass=bypass)
        self.budget = budget
        self._fit()
        self._cost()

    def _fit(self) -> None:
        """Tiles within capacities and shares of them."""
        for index, level in enumerate(self.hierarchy.levels):
            if index == 0:
                continue
            for role in level.stores:
                share = getattr(level.partition_bytes, role)
                limits = [limit for limit in (share, level.capacity_bytes) if limit is not None]
                if limits:
                    room = min(limits) * 8 / self._least_bits(role)
                    if room < 1:
                        self.linear.at_most(1, 0, self.kept[index, role])
                        continue
                    self.linear.at_most(self._kept(role, index), up(room) + SLACK, self.kept[index, role])
            if level.capacity_bytes is not None and len(level.stores) > 1:
                taken = Linear()
                for role in level.stores:
                    least = level.capacity_bytes * 8 / self._least_bits(role)
                    taken += self._exponential(self._kept(role, index), 1 / least, self.kept[index, role], least=0.002)
                self.linear.at_most(taken, GRAIN + len(level.stores))

    def _kept(self, role: Role, level: int) -> Linear:
        """The logarithm of the tile at `level` in elements of `_least_bits`."""
        kept = self.tile(role, level)
        if (level, role) in self.doubled:
            kept += Linear(terms={self.doubled[level, role]: down(2)})
        if role == "outputs":
            kept += Linear(terms={self.partial[level]: self._wider})
        return kept

    def _least_bits(self, role: Role) -> int:
        words = self.hierarchy.word_bits
        return {
            "inputs": words.inputs,
            "weights": words.weights,
            "outputs": min(words.outputs, words.partial_sums),
        }[role]

    @property
    def _wider(self) -> int:
        """The logarithm of what an output is wider by while it is a partial sum."""
        return max(0, down(self.hierarchy.word_bits.partial_sums / self._least_bits("outputs")))

    def _exponential(
        self, exponent: Linear, factor: float, when: Sequence[Condition], *, least: float = 0.0, less: float = 0.0
    ) -> Linear:
        """A number at least factor x (exp(exponent) - less) in GRAINs, where `when` holds: by tangents where the value
        is between `least` and 1 GRAIN (what it may be at most)."""
        low = max(self.linear.range_of(exponent)[0] / UNITS, log(max(least, 1e-6) / factor))
        high = min(self.linear.range_of(exponent)[1] / UNITS, log(1 / factor + less) + 0.05)
        value = self.linear.number(0, GRAIN + 1)
        at = low
        while True:
            slope = int(factor * exp(at) * GRAIN)
            if slope > 0:
                # value >= slope (1 + exponent - at) - factor less
                start = UNITS - SLACK - int(at * UNITS) - 1
                fixed = int(factor * less * GRAIN) + 1
                self.linear.at_most(slope * (exponent + start) - UNITS * value, UNITS * fixed, when)
            if at >= high:
                return value
            at = min(at + _STEP, high)

    def _cost(self) -> None:
        """The goals: sums of exponentials, each within the budget."""
        budget, words, dram = self.budget, self.hierarchy.word_bits, self.hierarchy.levels[0]
        self.energy, self.cycles, self.bytes = (self.linear.number(0, GRAIN) for _ in range(3))
        outputs = prod(self.whole[name] for name in self.nest.operand("outputs").dims)
        stored, bias = outputs * words.outputs / 8, self.nest.bias_elements * words.partial_sums / 8
        energy = self.nest.macs * self.hierarchy.mac_pj + bias * dram.read_pj_per_byte + stored * dram.write_pj_per_byte
        self._energy = Linear(constant=int(energy / (budget.energy or inf) * GRAIN))
        self._bytes = Linear(constant=int((bias + stored) / (budget.bytes or inf) * GRAIN))
        self._busy: dict[tuple[int, str], Linear] = {}
        self._always_busy("read", bias)
        self._always_busy("write", stored)
        self._waiting = Linear()
        self._terms = 0
        for pair in self.pairs:
            if pair.role == "outputs":
                self._cost_of_sums(pair, outputs)
            else:
                self._cost_of_loads(pair)
        # A number of GRAINs may be one more than the truth for every term of a sum.
        self.slop = self._terms + 2
        self.linear.at_most(self._energy - self.energy, 0)
        self.linear.at_most(self._bytes - self.bytes, 0)
        if budget.cycles is not None:
            self._bound_cycles(budget.cycles)

    def _cost_of_loads(self, pair: Pair) -> None:
        bits = self._least_bits(pair.role)
        levels, parent, child = self.hierarchy.levels, pair.parent, pair.child
        filled = self.deliveries(pair.role, child, child)
        sent = self.deliveries(pair.role, child, parent)
        network = sum(levels[index].network_pj_per_byte for index in range(parent, child))
        write = network + (levels[child].write_pj_per_byte if child < self.count else 0.0)
        self._add_energy(filled, bits / 8 * write, pair.when)
        self._add_energy(sent, bits / 8 * levels[parent].read_pj_per_byte, pair.when)
        if parent == 0:
            self._add_bytes(sent, bits / 8, pair.when)
        transfers = [self._add_busy(parent, "read", sent, bits / 8, pair.when)]
        if child < self.count:
            transfers.append(self._add_busy(child, "write", filled, bits / 8, pair.when))
            self._wait(pair, transfers)

    def _cost_of_sums(self, pair: Pair, outputs: int) -> None:
        """Of outputs, `parent` reads and writes what arrives and what it had from its own parent."""
        words, levels, parent, child = self.hierarchy.word_bits, self.hierarchy.levels, pair.parent, pair.child
        arriving = self.deliveries("outputs", child, parent)
        network = sum(levels[index].network_pj_per_byte for index in range(parent, child))
        least_bits = self._least_bits("outputs")
        if network:
            self._add_energy(self.deliveries("outputs", child, child), least_bits / 8 * network, pair.when)
        inner = levels[child].read_pj_per_byte + levels[child].write_pj_per_byte if child < self.count else 0.0
        both = levels[parent].read_pj_per_byte + levels[parent].write_pj_per_byte
        # All that comes up is at least this wide, and all but the first of it a partial sum.
        again = words.partial_sums / 8 * (inner + network if self._sends_back(parent) else 0.0)
        again += max(0, words.partial_sums - least_bits) / 8 * network
        if parent == 0:
            self._add_energy(arriving, again + words.partial_sums / 8 * both, pair.when, less=outputs)
            self._add_bytes(arriving, 2 * words.partial_sums / 8, pair.when, less=outputs)
            transfers = [
                self._add_busy(0, way, arriving, words.partial_sums / 8, pair.when, less=outputs)
                for way in ("read", "write")
            ]
            self._wait(pair, transfers)
            return
        self._add_energy(arriving, again, pair.when, less=outputs)
        partial = self.partial[parent]
        self.linear.at_most(arriving, down(outputs) + SLACK, [*pair.when, (partial, False)])
        bits = arriving + Linear(terms={partial: self._wider})
        self._add_energy(bits, least_bits / 8 * both, pair.when)
        self._add_busy(parent, "read", bits, least_bits / 8, pair.when)
        written = self._add_busy(parent, "write", bits, least_bits / 8, pair.when)
        self._wait(pair, [written])

    def _sends_back(self, parent: int) -> bool:
        """Whether it is certain that all but the first partial sums that `parent` has of an element go down again."""
        if self.hierarchy.levels[parent].accumulates:
            return False
        reducing = any(axis.reduces_outputs for level, axis in self.axes if level < parent)
        between = [pair for pair in self.pairs if pair.role == "outputs" and pair.child == parent]
        return parent == 0 or (not reducing and all(pair.parent == 0 for pair in between) and not self._adds_outside())

    def _adds_outside(self) -> bool:
        return self.hierarchy.levels[0].accumulates

    def _add_energy(self, exponent: Linear, pj: float, when: Sequence[Condition], *, less: float = 0.0) -> None:
        if pj > 0 and self.budget.energy is not None:
            self._energy += self._exponential(exponent, pj / self.budget.energy, when, least=1e-5, less=less)
            self._terms += 1

    def _add_bytes(self, exponent: Linear, each: float, when: Sequence[Condition], *, less: float = 0.0) -> None:
        if self.budget.bytes is not None:
            self._bytes += self._exponential(exponent, each / self.budget.bytes, when, less=less)
            self._terms += 1

    def _add_busy(
        self,
        level: int,
        way: str,
        exponent: Linear,
        each: float,
        when: Sequence[Condition],
        *,
        less: float = 0.0,
    ) -> Linear | None:
        """Cycles in which the busiest instance of a level moves bytes, which is at least the mean of those in use."""
        if self.budget.cycles is None:
            return None
        memory = self.hierarchy.levels[level]
        rates = {"read": memory.read_bytes_per_cycle, "write": memory.write_bytes_per_cycle}
        if rates[way] is None and memory.shared_bytes_per_cycle is None:
            return None
        for (outside, _, _), spread in self.spread.items():
            if outside < level:
                exponent = exponent - spread
        slowest = min(rate for rate in (rates[way], memory.shared_bytes_per_cycle) if rate is not None)
        cycles = self._exponential(exponent, each / slowest / self.budget.cycles, when, less=less)
        self._busy[level, way] = self._busy.get((level, way), Linear()) + cycles
        self._terms += 1
        return cycles

    def _always_busy(self, way: str, moved: float) -> None:
        """Bytes that the outermost level moves under every mapping."""
        dram = self.hierarchy.levels[0]
        rates = {"read": dram.read_bytes_per_cycle, "write": dram.write_bytes_per_cycle}
        known = [rate for rate in (rates[way], dram.shared_bytes_per_cycle) if rate is not None]
        if known and self.budget.cycles is not None:
            self._busy[0, way] = Linear(constant=int(moved / min(known) / self.budget.cycles * GRAIN))

    def _wait(self, pair: Pair, transfers: Sequence[Linear | None]) -> None:
        """The multipliers wait for transfers into and out of `child` where it says so."""
        if (pair.child, pair.role) not in self.waits or self.budget.cycles is None:
            return
        waiting = self.linear.number(0, GRAIN + 1)
        for transfer in transfers:
            if transfer is not None:
                when = [*pair.when, (self.waits[pair.child, pair.role], True)]
                self.linear.at_most(transfer - waiting, 0, when)
        self._waiting += waiting

    def _bound_cycles(self, budget: float) -> None:
        """Steps of the multipliers with what they wait for, and every memory's transfers, each below the cycles."""
        steps = Linear()
        for name in self.names:
            steps += self._steps_of(name)
        self.linear.at_most(self._exponential(steps, 1 / budget, ()) + self._waiting - self.cycles, 0)
        for index, level in enumerate(self.hierarchy.levels):
            shared = level.shared_bytes_per_cycle or inf
            own = {"read": level.read_bytes_per_cycle or inf, "write": level.write_bytes_per_cycle or inf}
            busy = {way: self._busy.get((index, way), Linear()) for way in own}
            for way, rate in own.items():
                if rate <= shared and (busy[way].terms or busy[way].constant):
                    self.linear.at_most(busy[way] - self.cycles, 0)
            if shared <= min(own.values()) and any(each.terms or each.constant for each in busy.values()):
                self.linear.at_most(busy["read"] + busy["write"] - self.cycles, 0)

    def _steps_of(self, name: str) -> Linear:
        """The logarithm of the steps that a dim takes at least: a whole number for every single axis."""
        along = [key for key in self.spread if key[2] == name]
        steps = self.linear.number(0, up(self.whole[name]))
        rest = Linear(constant=down(self.whole[name]))
        for key in along:
            rest -= self.spread[key]
        self.linear.at_most(rest - steps, 0)
        for key in along:
            ranges = self.trip_ranges[key]
            whole = weighted_sum([down(-(-self.whole[name] // high)) for _, high in ranges], self.trips[key])
            for other in along:
                if other != key:
                    whole -= self.spread[other]
            self.linear.at_most(whole - steps, 0)
        return steps
