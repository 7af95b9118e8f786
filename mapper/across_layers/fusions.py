"""Which neighbours can be executed as one, and what that costs: the fused entries of the menu.

Only neighbours whose tensors between them nobody else reads are fused. Every figure is analytical. Gemmini can be
commanded to do all of it but attention as one, whose probabilities need a path from the vector unit to the array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mapper.across_layers.fused_attention import fused_attention
from mapper.across_layers.fused_depthwise import fused_depthwise
from mapper.across_layers.fused_mapping import fused_mapping
from mapper.across_layers.fusion_pairs import tail_of
from mapper.across_layers.menu import Executed, Menu
from mapper.across_layers.steps import Step, Steps, normalises_rows
from mapper.heuristic import is_matmul
from mapper.solve import Objective
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.fusion import Tail, fused_cost
from simulator.fusion_attention import AttentionTile, attention_cost, attention_rows
from simulator.fusion_depthwise import Band, band_rows, depthwise_pointwise_cost, is_depthwise
from simulator.mapping import Mapping, buffers

ADD = "matmul + add"
NORMALISE = "matmul + {}"
ADD_NORMALISE = "matmul + add + {}"
ATTENTION = "scores + softmax + values"
DEPTHWISE = "depthwise + pointwise"

Rows = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What depends on the nests alone, so that equal layers are costed once."""

    executed: Executed
    rows: Rows


class Fusions:
    """Offers fused executions of one network on one machine; equal nests are costed once."""

    def __init__(self, steps: Steps, accelerator: Accelerator, objective: Objective) -> None:
        self.steps, self.accelerator, self.objective = steps, accelerator, objective
        self._known: dict[object, _Part | None] = {}

    def offer(self, menu: Menu, mappings: dict[int, tuple[Mapping, ...]], *, result_path: bool) -> None:
        """Add every fused execution to `menu`; `mappings` are those of the matmuls alone, `result_path` allows what
        Gemmini has no path for."""
        for first, step in enumerate(self.steps.steps):
            nest = step.array_work
            if nest is None:
                continue
            self._offer_add(menu, first, nest, mappings[first])
            self._offer_normalised(menu, first, nest)
            if result_path:
                self._offer_attention(menu, first, nest)
            if is_depthwise(nest):
                self._offer_depthwise(menu, first, nest)

    def _next(self, number: int) -> Step | None:
        """The step right after, if it alone reads what step `number` makes."""
        after = self.steps.only_reader(self.steps.steps[number].writes)
        return self.steps.steps[after] if after == number + 1 else None

    def _offer_add(self, menu: Menu, first: int, nest: ArrayNest, mappings: tuple[Mapping, ...]) -> None:
        after = self._next(first)
        if after is None or not _adds_another(after, self.steps.steps[first].writes):
            return
        for mapping in mappings:
            part = self._once((ADD, nest, mapping), partial(self._added, nest, mapping))
            if part is not None:
                menu.offer((first, first + 1), ADD, part.executed, part.rows)

    def _added(self, nest: ArrayNest, mapping: Mapping) -> _Part:
        return self._mapped(nest, mapping, Tail(residual=True))

    def _mapped(self, nest: ArrayNest, mapping: Mapping, tail: Tail) -> _Part:
        needed = buffers(nest, mapping, self.accelerator)
        cost_on = partial(fused_cost, nest, mapping, tail=tail)
        return _Part(
            executed=Executed(what="", mapping=mapping, cost=cost_on(self.accelerator), cost_on=cost_on),
            rows=(needed.scratchpad_rows, needed.accumulator_rows),
        )

    def _offer_normalised(self, menu: Menu, first: int, nest: ArrayNest) -> None:
        """The matmul with the normalisation of its rows, with a residual add between or without."""
        after, last, residual = self._next(first), first + 1, False
        if after is not None and _adds_another(after, self.steps.steps[first].writes):
            after, last, residual = self._next(first + 1), first + 2, True
        if after is None or not normalises_rows(after, self.accelerator) or not is_matmul(nest):
            return
        if after.reads[0] != self.steps.steps[last - 1].writes or after.layer.nest.write.shape[-1] != nest.out_channels:
            return
        tail = tail_of(after.layer.nest, residual=residual)
        part = self._once((tail, nest), partial(self._normalised, nest, tail))
        if part is not None:
            kind = ADD_NORMALISE if residual else NORMALISE
            menu.offer(tuple(range(first, last + 1)), kind.format(tail.normalise), part.executed, part.rows)

    def _normalised(self, nest: ArrayNest, tail: Tail) -> _Part:
        mapping, _ = fused_mapping(nest, self.accelerator, tail, objective=self.objective)
        return self._mapped(nest, mapping, tail)

    def _offer_attention(self, menu: Menu, first: int, scores: ArrayNest) -> None:
        softmax = self._next(first)
        last = self._next(first + 1) if softmax is not None else None
        attended = last.array_work if last is not None else None
        if softmax is None or last is None or attended is None or softmax.layer.kind != "softmax":
            return
        if not normalises_rows(softmax, self.accelerator) or last.reads[0] != softmax.writes:
            return
        part = self._once((ATTENTION, scores, attended), partial(self._attended, scores, attended))
        if part is not None:
            menu.offer((first, first + 1, first + 2), ATTENTION, part.executed, part.rows)

    def _attended(self, scores: ArrayNest, attended: ArrayNest) -> _Part:
        tile, cost = fused_attention(scores, attended, self.accelerator, objective=self.objective)
        cost_on = partial(attention_cost, scores, attended, tile=tile)
        executed = Executed(what=_tile_text(tile, scores), mapping=None, cost=cost, cost_on=cost_on)
        return _Part(executed=executed, rows=attention_rows(scores, attended, self.accelerator, tile))

    def _offer_depthwise(self, menu: Menu, first: int, nest: ArrayNest) -> None:
        after = self._next(first)
        pointwise = after.array_work if after is not None else None
        if after is None or pointwise is None or after.reads[0] != self.steps.steps[first].writes:
            return
        part = self._once((DEPTHWISE, nest, pointwise), partial(self._banded, nest, pointwise))
        if part is not None:
            menu.offer((first, first + 1), DEPTHWISE, part.executed, part.rows)

    def _banded(self, nest: ArrayNest, pointwise: ArrayNest) -> _Part:
        band, cost = fused_depthwise(nest, pointwise, self.accelerator, objective=self.objective)
        cost_on = partial(depthwise_pointwise_cost, nest, pointwise, band=band)
        executed = Executed(what=_band_text(band), mapping=None, cost=cost, cost_on=cost_on)
        return _Part(executed=executed, rows=band_rows(nest, pointwise, self.accelerator, band))

    def _once(self, key: object, build: Callable[[], _Part]) -> _Part | None:
        """`build()`, or None where the fusion does not fit or the nests do not go together; asked once a key."""
        if key not in self._known:
            try:
                self._known[key] = build()
            except (InfeasibleError, InputError):
                self._known[key] = None
        return self._known[key]


def _adds_another(step: Step, tensor: str) -> bool:
    """Whether the step adds `tensor` and one other tensor in the accumulator."""
    return step.is_add and step.reads.count(tensor) == 1


def _tile_text(tile: AttentionTile, scores: ArrayNest) -> str:
    how = "all keys" if tile.keys == scores.out_channels else f"{tile.keys} keys at a time, online softmax"
    return f"{tile.queries} queries, {how}"


def _band_text(band: Band) -> str:
    return f"bands of {band.out_rows} rows, {band.out_channels} output channels at a time"
