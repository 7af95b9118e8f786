"""What RTL of a network is: its ports, word by word, and the files that hold it.

A port carries one sample. Its words lie side by side, the first element lowest, each as wide as its range needs; the
value of a word is its two's complement (or unsigned) integer times `step`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.tensor import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One element of a port: `bits` wide (0 where it is always 0), its lowest bit worth `step`."""

    signed: bool
    bits: int
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A graph input (behind its Quant) or output: `shape` without the axis of samples, a word an element."""

    name: str
    shape: Shape
    words: tuple[Word, ...] = field(repr=False)

    @property
    def bits(self) -> int:
        """Width of the port in bits."""
        return sum(word.bits for word in self.words)

    def integers(self, values: Array) -> Array:
        """`values` (samples, *shape) as (samples, elements) int64. InputError for a value that it cannot carry."""
        flat = np.asarray(values, np.float64).reshape(len(values), -1)
        if flat.shape[1] != len(self.words):
            raise InputError(
                f"port {self.name!r}", "wrong number of elements", value=flat.shape[1], limit=len(self.words)
            )
        integers = flat / [word.step for word in self.words]
        lowest = np.array([-(2.0 ** (word.bits - 1)) if word.signed else 0.0 for word in self.words])
        highest = lowest + [2.0**word.bits - 1 for word in self.words]
        wrong = (integers != np.round(integers)) | (integers < lowest) | (integers > highest)
        if wrong.any():
            sample, element = map(int, np.argwhere(wrong)[0])
            word = self.words[element]
            kind = f"{'signed' if word.signed else 'unsigned'} {word.bits}-bit multiples of {word.step:g}"
            where = f"port {self.name!r}, sample {sample}, element {element}"
            raise InputError(where, "the port cannot carry it", value=float(flat[sample, element]), limit=kind)
        return integers.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtlProject:
    """Verilog in `folder`: module `top` with ports `clk`, `model_inp` and `model_out`, one sample every cycle.

    `sources` are its files and those of the modules it uses. `stages` is the number of stretches of logic between
    registers: the cycles that the pipeline is said to take (simulation measures them). `estimated_luts` and
    `estimated_flip_flops` are what da4ml expects of a synthesis; `tool` names it with its version.
    """

    folder: Path
    top: str
    sources: tuple[Path, ...] = field(repr=False)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stages: int
    adders_a_stage: float
    estimated_luts: float
    estimated_flip_flops: int
    tool: str
