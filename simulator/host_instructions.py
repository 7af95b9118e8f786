"""Instructions the host executes between the commands of Gemmini's C library: what its cycles are made of.

Source of every number: include/gemmini.h (gemmini-rocc-tests at 180c468) compiled for rv64gc by gcc 12.2 with the flags
of its bareMetalC/Makefile (-O2 -ffast-math ...), sizes known at run time only, and counted instruction by instruction
under an emulator. Counts vary by a few with the compiler's choice of registers; these are the commonest.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulInstructions:
    """tiled_matmul_auto. The search, then five configurations, then one call of the inner function a tile."""

    search: int = 122
    """Argument checks and the first tile, until the first configuration."""
    search_round: int = 26
    """Each round that makes the tile larger."""
    configure: tuple[int, ...] = (6, 2, 2, 3)
    """Between the five configurations."""
    first_tile: int = 165
    """From the last configuration to the first command of the first tile, weight-stationary."""
    next_depth: int = 66
    """To the next tile along the reduction."""
    next_columns: int = 105
    next_rows: int = 146
    loop: tuple[int, ...] = (0, 3, 2, 5, 22)
    """Between the six commands of one loop_ws."""
    after: int = 31
    code_lines: int = 25
    """64-byte lines of instructions executed, search included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStationaryInstructions:
    """sp_tiled_matmul_os: every load, preload, compute and store is a command. The rest as MatmulInstructions."""

    enter: int = 32
    """More than weight-stationary until the tile's first command."""
    load_b: int = 10
    first_load_b: int = 40
    next_columns_of_b: int = 29
    configure_a: int = 14
    first_load_a: int = 32
    load_a: int = 13
    next_rows_of_a: int = 29
    first_preload: int = 75
    next_rows: int = 57
    next_columns: int = 26
    next_columns_of_one: int = 33
    """As `next_columns` when the tile has one block of depth."""
    next_depth: int = 10
    last_depth: int = 16
    first_compute: int = 11
    compute: int = 9
    first_store: int = 58
    store: int = 10
    next_rows_of_c: int = 24
    after: int = 52
    code_lines: int = 39


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvInstructions:
    """tiled_conv_auto: the search, two configurations, then seven commands a tile."""

    search_try: int = 208
    """Each tile measured by the search."""
    enter: int = 128
    configure: int = 6
    first_tile: int = 570
    next_channels: int = 78
    """To the next tile along the input channels."""
    next_tile: int = 270
    loop: tuple[int, ...] = (2, 4, 2, 0, 0, 4)
    """Between the seven commands of one loop_conv_ws."""
    after: int = 107
    code_lines: int = 43
    """64-byte lines of instructions executed behind the search."""


MATMUL = MatmulInstructions()
OUTPUT_STATIONARY = OutputStationaryInstructions()
CONV = ConvInstructions()
