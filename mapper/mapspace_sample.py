"""Random legal mappings of a nest, every one of them as likely as every other.

Mappings are proposed uniformly from a box around the legal ones and kept where they are legal, so what is kept is
uniform over the mapping space of `simulator.mapping`: every tile size of every loop (dividing it or not), both loop
orders, every placement, every dataflow, every number of kernel columns that share a row, double buffers (single ones
cost no cycles in the analytical model, which assumes perfect overlap, so it cannot judge them). The box is every choice
of those of which one copy of the result fits the accumulator; kept in the order of their proposal, so that cutting the
list biases nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mapper.heuristic import smallest_mapping
from mapper.mapspace_costs import LOOPS, BoolArray, Costs, costs, legal, tiles_of
from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import PLACEMENTS, Mapping, Tile, ceil_div, check_legal, dataflows
from simulator.packing import most_pixels_per_row
from simulator.tile_sums import IntArray

CHUNK = 1 << 17
MOST_PROPOSALS = 400_000_000
"""Beyond this sampling gives up: about five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`sizes` (n, 7) tile sizes in the order of LOOPS and `template` (n,) which of `templates` gives everything else.

    `proposals` of `box` possible ones were drawn, `accepted` of them legal.
    """

    templates: tuple[Mapping, ...]
    template: IntArray
    sizes: IntArray
    proposals: int
    accepted: int
    box: int

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def space(self) -> float:
        """Legal mappings there are, estimated by the share of proposals that were legal."""
        return self.box * (self.accepted / self.proposals)

    def dividing(self, nest: ArrayNest) -> BoolArray:
        """Which samples' tile sizes all divide their loops, (n,)."""
        loops = np.array([getattr(nest, name) for name in LOOPS], np.int64)
        whole: BoolArray = (loops % self.sizes == 0).all(axis=1)
        return whole

    @property
    def distinct(self) -> int:
        """Different mappings in the sample."""
        return len(np.unique(np.column_stack((self.template, self.sizes)), axis=0))

    def mapping(self, index: int) -> Mapping:
        """Sampled mapping number `index`."""
        tile = Tile(**dict(zip(LOOPS, self.sizes[index].tolist(), strict=True)))
        return replace(self.templates[int(self.template[index])], tile=tile)


Progress = Callable[[int, int], None]
"""Called with legal mappings found and wanted."""


def sample_mappings(
    nest: ArrayNest, accelerator: Accelerator, samples: int, *, seed: int = 0, progress: Progress | None = None
) -> Sample:
    """`samples` legal mappings drawn uniformly, with replacement; the same for the same `seed` and numpy.

    Raises InfeasibleError where no mapping is legal, InputError for no samples or a space too sparse to sample.
    """
    if samples < 1:
        raise InputError("samples", "must be positive", value=samples, limit=1)
    smallest = smallest_mapping(nest, accelerator)
    check_legal(nest, smallest, accelerator)
    generator = np.random.default_rng(seed)
    templates, box = _templates(nest, smallest, accelerator), _Box.of(nest, accelerator)
    found: list[tuple[IntArray, IntArray]] = []
    proposals = accepted = 0
    while accepted < samples:
        if proposals >= MOST_PROPOSALS:
            raise InputError("samples", f"only {accepted} legal mappings found", value=proposals, limit=MOST_PROPOSALS)
        template = generator.integers(0, len(templates), CHUNK)
        sizes = box.draw(generator, CHUNK)
        kept = _by_template(nest, templates, template, sizes, accelerator)
        found.append((template[kept], sizes[kept]))
        proposals, accepted = proposals + CHUNK, accepted + int(np.count_nonzero(kept))
        if progress is not None:
            progress(min(accepted, samples), samples)
    return Sample(
        templates=templates,
        template=np.concatenate([part for part, _ in found])[:samples],
        sizes=np.concatenate([part for _, part in found])[:samples],
        proposals=proposals,
        accepted=accepted,
        box=len(templates) * box.size,
    )


def sample_costs(nest: ArrayNest, sample: Sample, accelerator: Accelerator) -> Costs:
    """Latency, energy and traffic of every sampled mapping, in order."""
    cycles, compute, traffic = (np.empty(len(sample), np.int64) for _ in range(3))
    energy = np.empty(len(sample), np.float64)
    for index, template in enumerate(sample.templates):
        chosen = np.flatnonzero(sample.template == index)
        part = costs(nest, template, tiles_of(sample.sizes[chosen]), accelerator)
        cycles[chosen], compute[chosen] = part.cycles, part.compute_cycles
        traffic[chosen], energy[chosen] = part.dram_bytes, part.energy_pj
    return Costs(cycles=cycles, compute_cycles=compute, energy_pj=energy, dram_bytes=traffic)


def _templates(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> tuple[Mapping, ...]:
    """Everything but the tile that a mapping chooses."""
    return tuple(
        replace(
            mapping,
            dataflow=dataflow,
            order=order,
            a_placement=a_placement,
            b_placement=b_placement,
            max_pixels_per_row=pixels,
        )
        for dataflow, (order, a_placement, b_placement), pixels in product(
            dataflows(nest, accelerator), PLACEMENTS, range(1, most_pixels_per_row(nest, accelerator) + 1)
        )
    )


def _by_template(
    nest: ArrayNest, templates: tuple[Mapping, ...], template: IntArray, sizes: IntArray, accelerator: Accelerator
) -> BoolArray:
    kept = np.zeros(len(sizes), np.bool_)
    for index, mapping in enumerate(templates):
        chosen = np.flatnonzero(template == index)
        kept[chosen] = legal(nest, mapping, tiles_of(sizes[chosen]), accelerator)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """The tiles that are proposed: `pixels` (m, 3) of images, rows and columns that fit the accumulator with one block
    of channels, `ends` (m,) the running count of (pixels, output-channel blocks) that fit; any reduction tile."""

    nest: ArrayNest
    dim: int
    pixels: IntArray
    ends: IntArray

    @classmethod
    def of(cls, nest: ArrayNest, accelerator: Accelerator) -> _Box:
        rows = accelerator.accumulator_rows
        pixels = [
            (image, row, column)
            for image in range(1, min(nest.images, rows) + 1)
            for row in range(1, min(nest.out_rows, rows // image) + 1)
            for column in range(1, min(nest.out_columns, rows // (image * row)) + 1)
        ]
        table = np.array(pixels, np.int64)
        blocks = np.minimum(rows // table.prod(axis=1), ceil_div(nest.out_channels, accelerator.dim))
        return cls(nest=nest, dim=accelerator.dim, pixels=table, ends=np.cumsum(blocks))

    @property
    def size(self) -> int:
        """Tiles in the box."""
        in_blocks = ceil_div(self.nest.in_channels, self.dim)
        return int(self.ends[-1]) * self.nest.kernel_rows * self.nest.kernel_columns * in_blocks

    def draw(self, generator: np.random.Generator, number: int) -> IntArray:
        """`number` tiles (number, 7), each of the box as likely as the others."""
        nest, place = self.nest, generator.integers(0, int(self.ends[-1]), number)
        pixels = np.searchsorted(self.ends, place, side="right")
        out_blocks = self.ends[pixels] - place
        in_blocks = generator.integers(1, ceil_div(nest.in_channels, self.dim) + 1, number)
        columns = (
            *self.pixels[pixels].T,
            np.minimum(out_blocks * self.dim, nest.out_channels),
            generator.integers(1, nest.kernel_rows + 1, number),
            generator.integers(1, nest.kernel_columns + 1, number),
            np.minimum(in_blocks * self.dim, nest.in_channels),
        )
        return np.stack(columns, axis=1)
