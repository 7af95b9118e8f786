"""How Gemmini's C library searches its tile sizes (tiled_matmul_auto, tiled_conv_auto of include/gemmini.h,
gemmini-rocc-tests at 180c468), as arithmetic on any measure of what fits.

Both the mapper's baseline and the host driver's command sequences are made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from model_ir.errors import InfeasibleError

CONV_LOOPS = ("images", "out_rows", "out_columns", "out_channels", "kernel_rows", "kernel_columns", "in_channels")
"""The order in which tiled_conv_auto looks at its loops."""
_COLUMNS, _ROWS = CONV_LOOPS.index("out_columns"), CONV_LOOPS.index("out_rows")
_CHANNELS = (CONV_LOOPS.index("out_channels"), CONV_LOOPS.index("in_channels"))

Sizes = tuple[int, ...]
Fits = Callable[[Sizes], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSearch:
    """Tile sizes, and what finding them took: sizes tried (measured once each) and rounds that made the tile larger."""

    sizes: Sizes
    tried: int
    rounds: int


def _grown(sizes: Sizes, limits: Sizes, order: Sizes, fits: Fits) -> TileSearch:
    """Raise the sizes in `order` by one in turn, again and again, while any fits."""
    tried, rounds = 0, 0
    while True:
        before = sizes
        for index in order:
            larger = (*sizes[:index], sizes[index] + 1, *sizes[index + 1 :])
            if larger[index] > limits[index]:
                continue
            tried += 1
            if fits(larger):
                sizes = larger
        if sizes == before:
            return TileSearch(sizes=sizes, tried=tried, rounds=rounds)
        rounds += 1


def matmul_tile(blocks: Sizes, *, dim: int, scratchpad_rows: int, accumulator_rows: int) -> TileSearch:
    """Tile (i, j, k) in DIM blocks of a matmul of `blocks`: near-square output, deepest reduction, then j, i and k
    grown in turn. The rows are those a tile may take: half of each memory when weight-stationary."""

    def fits(tile: Sizes) -> bool:
        i, j, k = tile
        return (i * k + k * j) * dim <= scratchpad_rows and i * j * dim <= accumulator_rows

    side = max(1, isqrt(accumulator_rows // dim))
    depth = max(1, scratchpad_rows // 2 // dim // side)
    start = (min(blocks[0], side), min(blocks[1], side), min(blocks[2], depth))
    return _grown(start, blocks, (1, 0, 2), fits)


def _shrunk(sizes: Sizes, dim: int) -> Sizes:
    """The largest size one step smaller: channels to a multiple of DIM, others by one; columns are spared while they
    fit the array and there are rows to give."""
    spared = sizes[_COLUMNS] <= dim and sizes[_ROWS] > 1
    largest = max((index for index in range(len(sizes)) if not (index == _COLUMNS and spared)), key=sizes.__getitem__)
    size = sizes[largest]
    smaller = size - 1
    if largest in _CHANNELS:
        smaller = size // dim * dim if size % dim else size - dim
    return (*sizes[:largest], max(1, smaller), *sizes[largest + 1 :])


def conv_tile(limits: Sizes, *, dim: int, fits: Fits) -> TileSearch:
    """Tile of a convolution, in the order of CONV_LOOPS: from `limits` shrink the largest size until `fits`, then grow
    the columns, then every size in turn. Raises InfeasibleError where nothing is small enough."""
    sizes, tried = limits, 1
    while not fits(sizes):
        smaller = _shrunk(sizes, dim)
        if smaller == sizes:
            raise InfeasibleError("smallest convolution tile", demand=1, capacity=0, unit="tiles")
        sizes, tried = smaller, tried + 1
    columns = _grown(sizes, limits, (_COLUMNS,), fits)
    every = _grown(columns.sizes, limits, tuple(range(len(limits))), fits)
    return TileSearch(
        sizes=every.sizes, tried=tried + columns.tried + every.tried, rounds=columns.rounds + every.rounds
    )
