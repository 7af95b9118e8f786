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
    windows         what tiles of those sizes fetch together at least (`hierarchy_tables.fetched`)
    outputs         as deliveries; read and written again each time but the first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, inf, log, prod

from mapper.hierarchy_tables import LOOSE, SLACK, UNITS, Sizes, down, fetched, held, sizes_of, up
from mapper.linear_program import Condition, Linear, LinearProgram, weighted_sum
from simulator.hierarchy import ROLES, Hierarchy, Role, SpatialAxis
from simulator.hierarchy_nest import TensorAxis, TensorNest

GRAIN = 1 << 18
"""Units that the budget of a cost is divided into."""

_STEP = 0.2
"""Distance of tangents, in logarithms: between two, the convex function is underestimated by at most step^2 / 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a mapping is known to cost at most: cycles, bytes of the outermost level, picojoules."""

    cycles: float
    bytes: float
    energy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A memory `parent` that feeds the next memory inside that keeps the operand, `child` (number of levels: the
    multipliers); `when` the choice of what is kept makes it so."""

    role: Role
    parent: int
    child: int
    when: tuple[Condition, ...]


class HierarchyProgram:
    """`linear` is the program and `cycles`, `bytes`, `energy` its goals, in `GRAIN`s of the budget."""

    def __init__(self, nest: TensorNest, hierarchy: Hierarchy, budget: Budget, *, bypass: bool) -> None:
        self.nest, self.hierarchy, self.budget = nest, hierarchy, budget
        self.count = len(hierarchy.levels)
        self.names = [name for name, _ in nest.dims]
        self.whole = dict(nest.dims)
        self.linear = LinearProgram()
        self._choose_sizes()
        self._choose_spread()
        self._choose_steps()
        self._choose_orders()
        self.pairs = self._choose_keeps(bypass)
        self.partial = {index: self.linear.variable(0, 1) for index in range(1, self.count)}
        self._windows: dict[tuple[int, int], Linear] = {}
        self._multiples: dict[tuple[Role, int], tuple[list[Linear], list[Condition]]] = {}
        self._fit()
        self._cost()

    # Choices

    def _choose_sizes(self) -> None:
        """`size[level][dim]`: literals of the ranges that the tile in one instance of a level may have; `extent`: its
        logarithm. Outside the first level it is the dim; inside the last one position."""
        self.ranges: dict[str, Sizes] = {name: sizes_of(size) for name, size in self.nest.dims}
        self.size: list[dict[str, tuple[int, ...]]] = [{} for _ in range(self.count + 1)]
        self.extent: list[dict[str, Linear]] = [
            {name: Linear(constant=down(size) if level == 0 else 0) for name, size in self.nest.dims}
            for level in range(self.count + 1)
        ]
        for level in range(1, self.count):
            for name in self.names:
                ranges = self.ranges[name].ranges
                literals = self.linear.one_of(len(ranges))
                extent = self.linear.number(0, up(self.whole[name]))
                self.linear.at_most(weighted_sum([down(least) for least, _ in ranges], literals) - extent, 0)
                self.linear.at_most(extent - weighted_sum([up(most) for _, most in ranges], literals), 0)
                self.size[level][name] = literals
                self.extent[level][name] = extent

    def _choose_spread(self) -> None:
        """`trips[level, axis, dim]`: literals of the numbers of instances (ranges of them) over which a dim may be
        spread; `spread`: their logarithm; `share`: the real ratio of the tiles, at most that."""
        self.trips: dict[tuple[int, str, str], tuple[int, ...]] = {}
        self.trip_ranges: dict[tuple[int, str, str], tuple[tuple[int, int], ...]] = {}
        self.spread: dict[tuple[int, str, str], Linear] = {}
        self.share: dict[tuple[int, str, str], Linear] = {}
        kinds = self.nest.kind_of
        for level, axis in self._axes():
            room = Linear()
            for name in self.names:
                most = min(axis.size, self.whole[name])
                if kinds[name] not in axis.dims or most == 1:
                    continue
                ranges = sizes_of(most, singles=min(most, 16)).ranges
                literals = self.linear.one_of(len(ranges))
                key = (level, axis.name, name)
                self.trips[key], self.trip_ranges[key] = literals, ranges
                least = weighted_sum([down(low) for low, _ in ranges], literals)
                self.spread[key] = weighted_sum([up(high) for _, high in ranges], literals)
                self.share[key] = self.linear.number(0, up(most))
                self.linear.at_most(self.share[key] - self.spread[key], 0)
                room += least
            if room.terms:
                self.linear.at_most(room, up(axis.size) + LOOSE)

    def _choose_steps(self) -> None:
        """`turns[level][dim]`: the logarithm of the real ratio of a level's temporal loop; `steps`: whether there is
        one."""
        self.turns: list[dict[str, Linear]] = []
        self.steps: list[dict[str, int]] = []
        for level in range(self.count):
            self.turns.append({})
            self.steps.append({})
            for name in self.names:
                turns = self.linear.number(0, up(self.whole[name]) + LOOSE)
                step = self.linear.variable(0, 1)
                ratio = self.extent[level][name] - self.extent[level + 1][name]
                shares = [share for (at, _, dim), share in self.share.items() if at == level and dim == name]
                for share in shares:
                    ratio -= share
                self.linear.at_most(ratio - LOOSE - turns, 0)
                self.linear.at_most(turns, 0, [(step, False)])
                self.linear.at_most(self.extent[level + 1][name] - self.extent[level][name], LOOSE)
                self.turns[level][name], self.steps[level][name] = turns, step

    def _choose_orders(self) -> None:
        """`innermost[level][role]`: the innermost loops of a level are those that do not move that operand; `quiet`: no
        loop of a level moves it."""
        self.innermost: list[dict[Role, int]] = []
        self.quiet: list[dict[Role, int]] = []
        for level in range(self.count):
            self.innermost.append(dict(zip(ROLES, self.linear.one_of(len(ROLES)), strict=True)))
            self.quiet.append({})
            for role in ROLES:
                quiet = self.linear.variable(0, 1)
                for name in self.nest.operand(role).dims:
                    self.linear.at_most_one([quiet, self.steps[level][name]])
                self.quiet[level][role] = quiet

    def _choose_keeps(self, bypass: bool) -> list[Pair]:
        """The pairs of neighbouring memories of each operand; with `bypass` a level may leave out what it stores."""
        pairs = []
        self.kept: dict[tuple[int, Role], tuple[Condition, ...]] = {}
        for role in ROLES:
            stores = [index for index, level in enumerate(self.hierarchy.levels) if index and role in level.stores]
            patterns = [stores]
            if bypass:
                patterns = [list(each) for count in range(len(stores) + 1) for each in combinations(stores, count)]
            literals = self.linear.one_of(len(patterns))
            chains = [[0, *pattern, self.count] for pattern in patterns]
            for index in stores:
                self.kept[index, role] = self._any(
                    [literal for literal, pattern in zip(literals, patterns, strict=True) if index in pattern], literals
                )
            neighbours = sorted({pair for chain in chains for pair in pairwise(chain)})
            for parent, child in neighbours:
                having = [
                    literal
                    for literal, chain in zip(literals, chains, strict=True)
                    if (parent, child) in pairwise(chain)
                ]
                pairs.append(Pair(role=role, parent=parent, child=child, when=self._any(having, literals)))
        return pairs

    def _any(self, having: Sequence[int], literals: Sequence[int]) -> tuple[Condition, ...]:
        """Conditions under which one of `having`, of a choice of `literals`, is made."""
        if len(having) == len(literals):
            return ()
        if len(having) == 1:
            return ((having[0], True),)
        either = self.linear.variable(0, 1)
        self.linear.equal(weighted_sum([1] * len(having), having) - Linear(terms={either: 1}), 0)
        return ((either, True),)

    # Counts

    def multiples(self, role: Role, child: int) -> tuple[list[Linear], list[Condition]]:
        """For each level outside `child`, outermost first, the logarithm of how often its temporal loops make `child`
        fetch what it had before (loops that do not move the operand, unless they are innermost and nothing inside moves
        it), and the condition that they do so."""
        key = (role, child)
        if key in self._multiples:
            return self._multiples[key]
        moved = self.nest.operand(role).dims
        others = [name for name in self.names if name not in moved]
        found: list[Linear] = []
        counting: list[Condition] = []
        calm: int | None = None  # whether all levels between this one and `child` are quiet; None: there is none
        for level in reversed(range(child)):
            turns = Linear()
            for name in others:
                turns += self.turns[level][name]
            if child < self.count and others:
                free = self.linear.variable(0, 1)
                self.linear.at_most(Linear(terms={free: 1, self.innermost[level][role]: -1}), 0)
                if calm is not None:
                    self.linear.at_most(Linear(terms={free: 1, calm: -1}), 0)
                paid = self.linear.number(0, sum(up(self.whole[name]) for name in others) + SLACK)
                self.linear.at_most(turns - paid, 0, [(free, False)])
                found.append(paid)
                counting.append((free, False))
                now = self.quiet[level][role]
                if calm is not None:
                    both = self.linear.variable(0, 1)
                    self.linear.at_most(Linear(terms={both: 1, calm: -1}), 0)
                    self.linear.at_most(Linear(terms={both: 1, now: -1}), 0)
                    now = both
                calm = now
            else:
                found.append(turns)
        self._multiples[key] = found[::-1], counting[::-1]
        return self._multiples[key]

    def deliveries(self, role: Role, child: int, joint: int) -> Linear:
        """The logarithm of the elements that all instances of `child` fetch, with those that levels from `joint` on
        serve together as one (`joint` == `child`: none)."""
        operand = self.nest.operand(role)
        total = self._repeats(role, child, joint)
        for place, tensor_axis in enumerate(operand.axes):
            total += self._axis_elements(role, place, tensor_axis, child, joint)
        return total

    def _repeats(self, role: Role, child: int, joint: int) -> Linear:
        """The logarithm of how often each element is fetched, for loops that do not move the operand."""
        others = [name for name in self.names if name not in self.nest.operand(role).dims]
        paid, counting = self.multiples(role, child)
        ratio = Linear()
        for each in paid:
            ratio += each
        joined: list[tuple[int, Linear]] = []
        for (level, axis, name), share in self.share.items():
            if level < child and name in others:
                if level >= joint and self._serves(level, axis, role):
                    joined.append((level, self.spread[level, axis, name]))
                else:
                    ratio += share
        if not others:
            return ratio
        repeats = self.linear.number(0, sum(up(self.whole[name]) for name in others) + SLACK)
        self.linear.at_most(ratio - repeats, 0)
        for level in range(1, min(child + 1, self.count)):
            # Loops that all count make a whole number of tiles, of which the network serves some together.
            tiles = Linear()
            for name in others:
                ranges = self.ranges[name].ranges
                counts = [down(-(-self.whole[name] // most)) for _, most in ranges]
                tiles += weighted_sum(counts, self.size[level][name])
            for at, spread in joined:
                if at < level:
                    tiles -= spread
            self.linear.at_most(tiles - repeats, 0, counting[:level])
        return repeats

    def _axis_elements(self, role: Role, place: int, axis: TensorAxis, child: int, joint: int) -> Linear:
        names = [name for name, _ in axis.terms]
        wholes = tuple(self.whole[name] for name in names)
        if axis.dense:
            return Linear(constant=down(prod(wholes)))
        fetches = self._window(place, axis, child)
        together = [
            spread
            for (level, along, name), spread in self.spread.items()
            if joint <= level < child and name in names and self._serves(level, along, role)
        ]
        if not together:
            return fetches
        once = down(max(1, fetched(axis, wholes, wholes, once=True)))
        total = self.linear.number(once, up(prod(wholes)) + SLACK)
        for spread in together:
            fetches -= spread
        self.linear.at_most(fetches - total, 0)
        return total

    def _window(self, place: int, axis: TensorAxis, child: int) -> Linear:
        """The logarithm of what all tiles at `child` fetch along an axis on which loops meet."""
        names = [name for name, _ in axis.terms]
        wholes = tuple(self.whole[name] for name in names)
        overlap = child < self.count and self.hierarchy.levels[child].keeps_overlap
        if child == self.count:
            return Linear(constant=down(max(1, fetched(axis, wholes, (1,) * len(names), once=False))))
        if overlap or len(names) > 2:
            return Linear(constant=down(max(1, fetched(axis, wholes, wholes, once=True))))
        key = (child, place)
        if key not in self._windows:

            def number(tile: tuple[int, ...]) -> int:
                return down(max(1, fetched(axis, wholes, tile, once=False)))

            self._windows[key] = self._table(names, child, number, largest=True)
        return self._windows[key]

    def _table(self, names: Sequence[str], level: int, number: object, *, largest: bool) -> Linear:
        """At least the number of the tile sizes chosen at `level` (of each range the `largest` or the least size)."""
        assert callable(number)
        ranges = [[pair[largest] for pair in self.ranges[name].ranges] for name in names]
        literals = [self.size[level][name] for name in names]
        if len(names) == 1:
            return weighted_sum([number((size,)) for size in ranges[0]], literals[0])
        order = (0, 1) if len(ranges[0]) >= len(ranges[1]) else (1, 0)
        many, few = order
        rows = []
        for other in ranges[few]:
            tiles = [(size, other) if many == 0 else (other, size) for size in ranges[many]]
            rows.append([number(tile) for tile in tiles])
        total = self.linear.number(0, max(max(row) for row in rows))
        for literal, row in zip(literals[few], rows, strict=True):
            self.linear.at_most(weighted_sum(row, literals[many]) - total, 0, [(literal, True)])
        return total

    def tile(self, role: Role, level: int) -> Linear:
        """The logarithm of the elements of one instance's tile at `level`, at least."""
        total = Linear()
        for axis in self.nest.operand(role).axes:
            names = [name for name, _ in axis.terms]
            if axis.dense or len(names) > 2:
                # A window of three loops holds at least what any one of them moves over.
                held_by = names if axis.dense else names[:0]
                for name in held_by:
                    total += self.extent[level][name]
                continue

            def number(tile: tuple[int, ...], axis: TensorAxis = axis) -> int:
                return down(max(1, held(axis, tile)))

            total += self._table(names, level, number, largest=False)
        return total

    def _serves(self, level: int, name: str, role: Role) -> bool:
        axis = next(axis for axis in self.hierarchy.levels[level].fanout if axis.name == name)
        return axis.reduces_outputs if role == "outputs" else role in axis.multicast

    def _axes(self) -> list[tuple[int, SpatialAxis]]:
        return [(index, axis) for index, level in enumerate(self.hierarchy.levels) for axis in level.fanout]

    # What fits

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
        if role != "outputs":
            return self.tile(role, level)
        return self.tile(role, level) + Linear(terms={self.partial[level]: self._wider})

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

    # What it costs

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
        budget = self.budget
        self.energy = self.linear.number(0, GRAIN)
        self.cycles = self.linear.number(0, GRAIN)
        self.bytes = self.linear.number(0, GRAIN)
        words, levels = self.hierarchy.word_bits, self.hierarchy.levels
        outputs = prod(self.whole[name] for name in self.nest.operand("outputs").dims)
        energy = self.nest.macs * self.hierarchy.mac_pj
        energy += self.nest.bias_elements * words.partial_sums / 8 * levels[0].read_pj_per_byte
        energy += outputs * words.outputs / 8 * levels[0].write_pj_per_byte
        moved = (self.nest.bias_elements * words.partial_sums + outputs * words.outputs) / 8
        self._energy = Linear(constant=int(energy / budget.energy * GRAIN))
        self._bytes = Linear(constant=int(moved / budget.bytes * GRAIN))
        self._busy: dict[tuple[int, str], Linear] = {}
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
        self._bound_cycles()

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
        self._add_busy(parent, "read", sent, bits / 8, pair.when)
        if child < self.count:
            self._add_busy(child, "write", filled, bits / 8, pair.when)

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
        again = words.partial_sums / 8 * (inner if self._sends_back(parent) else 0.0)
        if parent == 0:
            self._add_energy(arriving, again + words.partial_sums / 8 * both, pair.when, less=outputs)
            self._add_bytes(arriving, 2 * words.partial_sums / 8, pair.when, less=outputs)
            return
        self._add_energy(arriving, again, pair.when, less=outputs)
        partial = self.partial[parent]
        self.linear.at_most(arriving, down(outputs) + SLACK, [*pair.when, (partial, False)])
        bits = arriving + Linear(terms={partial: self._wider})
        self._add_energy(bits, least_bits / 8 * both, pair.when)
        for way in ("read", "write"):
            self._add_busy(parent, way, bits, least_bits / 8, pair.when)

    def _sends_back(self, parent: int) -> bool:
        """Whether it is certain that all but the first partial sums that `parent` has of an element go down again."""
        if self.hierarchy.levels[parent].accumulates:
            return False
        reducing = any(axis.reduces_outputs for level, axis in self._axes() if level < parent)
        between = [pair for pair in self.pairs if pair.role == "outputs" and pair.child == parent]
        return parent == 0 or (not reducing and all(pair.parent == 0 for pair in between) and not self._adds_outside())

    def _adds_outside(self) -> bool:
        return self.hierarchy.levels[0].accumulates

    def _add_energy(self, exponent: Linear, pj: float, when: Sequence[Condition], *, less: float = 0.0) -> None:
        if pj > 0:
            self._energy += self._exponential(exponent, pj / self.budget.energy, when, least=1e-5, less=less)
            self._terms += 1

    def _add_bytes(self, exponent: Linear, each: float, when: Sequence[Condition], *, less: float = 0.0) -> None:
        self._bytes += self._exponential(exponent, each / self.budget.bytes, when, less=less)
        self._terms += 1

    def _add_busy(self, level: int, way: str, exponent: Linear, each: float, when: Sequence[Condition]) -> None:
        """Bytes of the busiest instance of a level, as cycles at a byte a cycle: at least the mean of those in use."""
        memory = self.hierarchy.levels[level]
        rates = {"read": memory.read_bytes_per_cycle, "write": memory.write_bytes_per_cycle}
        if rates[way] is None and memory.shared_bytes_per_cycle is None:
            return
        for (outside, _, _), spread in self.spread.items():
            if outside < level:
                exponent = exponent - spread
        slowest = min(rate for rate in (rates[way], memory.shared_bytes_per_cycle) if rate is not None)
        cycles = self._exponential(exponent, each / slowest / self.budget.cycles, when)
        self._busy[level, way] = self._busy.get((level, way), Linear()) + cycles
        self._terms += 1

    def _bound_cycles(self) -> None:
        """Steps of the multipliers, and every memory's transfers, each below the cycles."""
        steps = Linear()
        for name in self.names:
            steps += self._steps_of(name)
        self.linear.at_most(self._exponential(steps, 1 / self.budget.cycles, ()) - self.cycles, 0)
        for index, level in enumerate(self.hierarchy.levels):
            shared = level.shared_bytes_per_cycle or inf
            own = {"read": level.read_bytes_per_cycle or inf, "write": level.write_bytes_per_cycle or inf}
            busy = {way: self._busy.get((index, way), Linear()) for way in own}
            for way, rate in own.items():
                if rate <= shared and busy[way].terms:
                    self.linear.at_most(busy[way] - self.cycles, 0)
            if shared <= min(own.values()) and any(each.terms for each in busy.values()):
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
