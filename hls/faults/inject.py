"""Measured damage: every site's bit flipped in the integer network, and the answers of all samples compared.

A flip changes one element, so one channel of one layer's sums, and that by the element's change times what it meets:
nothing before the layer is computed again, nor the layer itself. Samples whose channel is the same again behind what
follows it (a ReLU that stays at zero, a rounding that hides it) keep their answers; the others of many flips are put
together in batches and run through the rest of the network. Equal to executing the whole network for each flip, where
its sums are exact, as firmware's are. (SliceFI, indico.cern.ch/event/1555253, spares the same two parts.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hls.data import check_classification
from hls.faults.network import Column, Downstream, Rows, column_of, followed, judged
from hls.faults.sites import Sites, Stored, as_stored
from model_ir.graph import Graph, execute
from model_ir.passes.absorb import absorb_bias
from model_ir.passes.batch_size import with_batch_size

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
"""(flips done, flips), counted once for each batch of samples."""

MOST_ROWS = 4096
"""Samples at once, and rows that run through the rest of a network together."""
MOST_SUMS = 1 << 22
"""Changed sums at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What each site's flip does on average over `samples`: `loss` (nats) and `accuracy` (a share) are changes,
    `loss_error` the standard error of the former from the spread of the samples. `before`: loss and accuracy without
    a flip."""

    samples: int
    before: tuple[float, float]
    loss: Array = field(repr=False)
    loss_error: Array = field(repr=False)
    accuracy: Array = field(repr=False)


def damage_of(
    graph: Graph,
    constants: Sequence[Stored],
    sites: Sites,
    inputs: Array,
    labels: Array,
    *,
    progress: Progress | None = None,
) -> Damage:
    """The damage of a flip of each of `sites` of the stored `constants` of `graph`, a classifier of logits.

    `inputs` (samples, ...), `labels` (samples,). Raises InputError for data that do not fit.
    """
    # A bias that a file adds apart moves its layer's sums all the same.
    stored = absorb_bias(as_stored(graph, constants))
    check_classification(with_batch_size(stored, 1), inputs, labels)
    rows = min(len(labels), MOST_ROWS)
    sums = _Sums(len(sites))
    campaign = _Campaign(with_batch_size(stored, rows), constants, sites, sums)
    done, batches = 0, -(-len(labels) // rows)
    for start in range(0, len(labels), rows):
        there = min(rows, len(labels) - start)
        chosen = start + np.arange(rows) % there
        for count in campaign.on(inputs[chosen].astype(np.float32), labels[chosen].astype(np.int32), there):
            done += count
            if progress is not None:
                progress(done, len(sites) * batches)
    samples = len(labels)
    mean = sums.losses / samples
    return Damage(
        samples=samples,
        before=(campaign.losses / samples, campaign.correct / samples),
        loss=mean,
        loss_error=np.sqrt(np.maximum(sums.squares / samples - mean**2, 0) / samples),
        accuracy=sums.correct / samples,
    )


class _Sums:
    """Changes by site, added up over samples."""

    def __init__(self, sites: int) -> None:
        self.losses, self.squares, self.correct = (np.zeros(sites) for _ in range(3))

    def add(self, sites: Array, losses: Array, correct: Array) -> None:
        size = len(self.losses)
        self.losses += np.bincount(sites, losses, size)
        self.squares += np.bincount(sites, losses**2, size)
        self.correct += np.bincount(sites, correct, size)


class _Campaign:
    """All flips on one batch of samples after another."""

    def __init__(self, graph: Graph, constants: Sequence[Stored], sites: Sites, sums: _Sums) -> None:
        self.graph, self.constants, self.sites, self.sums = graph, constants, sites, sums
        self.losses = self.correct = 0.0
        self.columns = {stored.tensor: column_of(graph, stored.tensor) for stored in constants}
        outputs = {column.op.outputs[0] for column in self.columns.values() if column is not None}
        self.downstream = {tensor: Downstream(graph, tensor) for tensor in sorted(outputs)}
        needed = dict.fromkeys(graph.outputs)
        for column in self.columns.values():
            if column is not None:
                after = self.downstream[column.op.outputs[0]]
                needed |= dict.fromkeys((column.op.inputs[0], after.tensor, *after.cut))
        inside = replace(graph, outputs=tuple(needed))
        self._values = jax.jit(lambda x: execute(inside, {graph.inputs[0]: x}, jnp))
        self._whole = jax.jit(self._executed)

    def on(self, x: Array, labels: Array, there: int) -> Iterator[int]:
        """Add up what all flips do to the first `there` samples; yields numbers of flips done."""
        values = {name: np.asarray(value) for name, value in self._values(x).items()}
        losses, correct = (np.asarray(row) for row in judged(values[self.graph.outputs[0]], labels))
        before = Rows(losses=losses, correct=correct)
        self.losses += float(losses[:there].sum(dtype=np.float64))
        self.correct += float(correct[:there].sum())
        for place, stored in enumerate(self.constants):
            mine = np.flatnonzero(self.sites.constant == place)
            column = self.columns[stored.tensor]
            if column is None:
                yield from self._by_execution(stored, mine, x, labels, before, there)
            else:
                yield from self._by_column(column, mine, values, labels, before, there)

    def _by_column(
        self, column: Column, mine: Array, values: Mapping[str, Array], labels: Array, before: Rows, there: int
    ) -> Iterator[int]:
        after = self.downstream[column.op.outputs[0]]
        pending = _Pending(after, column.axis, values, labels, before, self.sums)
        sums = np.ascontiguousarray(np.moveaxis(values[after.tensor], column.axis, 0)[:, :there])
        seen = followed(column, self.graph, sums)
        laid_out = column.laid_out(values[column.op.inputs[0]])
        at_once = max(1, MOST_SUMS // max(1, sums[0].size))
        for start in range(0, len(mine), at_once):
            chosen = mine[start : start + at_once]
            element = self.sites.element[chosen]
            channel = column.channel_of[element]
            delta = self.sites.delta[chosen].astype(np.float32).reshape(-1, *[1] * (sums.ndim - 1))
            changed = sums[channel] + delta * column.factors(laid_out, element)[:, :there]
            differs = followed(column, self.graph, changed) != seen[channel]
            site, row = np.nonzero(differs.reshape(*differs.shape[:2], -1).any(axis=-1))
            pending.put(chosen[site], row, channel[site], changed[site, row])
            yield len(chosen)
        pending.flush()

    def _by_execution(
        self, stored: Stored, mine: Array, x: Array, labels: Array, before: Rows, there: int
    ) -> Iterator[int]:
        for site in mine:
            value = self.graph.constants[stored.tensor].copy()
            value.ravel()[self.sites.element[site]] += np.float32(self.sites.delta[site])
            losses, correct = (np.asarray(row)[:there] for row in self._whole({stored.tensor: value}, x, labels))
            sites = np.full(there, site)
            self.sums.add(sites, losses - before.losses[:there], correct - before.correct[:there])
            yield 1

    def _executed(self, changed: Mapping[str, Any], x: Any, labels: Any) -> tuple[Any, Any]:
        outputs = execute(self.graph, {self.graph.inputs[0]: x, **changed}, jnp)
        return judged(outputs[self.graph.outputs[0]], labels)


class _Pending:
    """Rows with one changed channel, of many flips, until they fill a batch of the rest of the network."""

    def __init__(
        self,
        after: Downstream,
        axis: int,
        values: Mapping[str, Array],
        labels: Array,
        before: Rows,
        sums: _Sums,
    ) -> None:
        self.after, self.axis, self.values, self.labels = after, axis, values, labels
        self.before, self.sums, self.batch = before, sums, len(labels)
        self.waiting: list[tuple[Array, Array, Array, Array]] = []
        self.count = 0

    def put(self, sites: Array, rows: Array, channels: Array, changed: Array) -> None:
        """`changed` (entries, positions...) is the channel of each row."""
        self.waiting.append((sites, rows, channels, changed))
        self.count += len(sites)
        if self.count >= self.batch:
            sites, rows, channels, changed = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
            whole = len(sites) // self.batch * self.batch
            for start in range(0, whole, self.batch):
                stop = start + self.batch
                self._run(sites[start:stop], rows[start:stop], channels[start:stop], changed[start:stop])
            self.waiting = [(sites[whole:], rows[whole:], channels[whole:], changed[whole:])]
            self.count = len(sites) - whole

    def flush(self) -> None:
        """Run what does not fill a batch."""
        if self.count:
            self._run(*(np.concatenate(part) for part in zip(*self.waiting, strict=True)))
        self.waiting, self.count = [], 0

    def _run(self, sites: Array, rows: Array, channels: Array, changed: Array) -> None:
        filled = np.concatenate((rows, np.zeros(self.batch - len(rows), rows.dtype)))
        feeds = {name: self.values[name][filled] for name in self.after.cut}
        tensor = self.values[self.after.tensor][filled]
        np.moveaxis(tensor, self.axis, 1)[np.arange(len(rows)), channels] = changed
        feeds[self.after.tensor] = tensor
        answers = self.after.rows(feeds, self.labels[filled])
        losses = answers.losses[: len(rows)] - self.before.losses[rows]
        self.sums.add(sites, losses.astype(np.float64), answers.correct[: len(rows)] - self.before.correct[rows])
