"""Which machines are possible: a range for every number of an `Accelerator`, and the rules between numbers.

Sources: [R] ucb-bar/gemmini at 8c3f992, the `require`s of the file named; the other bounds only keep absurd sizes
(overflow, exhausted memory) out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import msgspec

from simulator.accelerator import Accelerator
from simulator.vector_functions import VECTOR_FUNCTIONS

FUSABLE_ACTIVATIONS = ("relu", "gelu")
"""What the accumulator's way out can apply to every element ([R] AccumulatorScale.scala: ReLU, i-GELU)."""

STORE_PATH_FUNCTIONS = ("max_pool", "add", "concat", "split", "slice", "transpose")
"""What loads and stores do without the array: [R] StoreController.scala pools, an accumulating mvin adds (gemmini.h,
tiled_resadd), mvin and mvout with strides move rows (a transposition of the outer axes, too)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One reason why a machine cannot be: dotted `path`, the `value` found there, the `limit` with its unit."""

    path: str
    problem: str
    value: object
    limit: str


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    unit: str


_CYCLES = _Range(0, 1_000_000, "cycles")
_SOME_CYCLES = _Range(1, 1_000_000, "cycles")
_ENTRIES = _Range(1, 4096, "entries")
_BYTES = _Range(1, 2**40, "bytes")
_ENERGY = _Range(0, 1e9, "pJ")
_OTHER = _Range(0, 2**31 - 1, "")

RANGES = {
    "clock_hz": _Range(1, 1e12, "Hz"),
    "array.rows": _Range(2, 1024, "rows"),  # [R] GemminiConfigs.scala: DIM of at least 2
    "array.columns": _Range(2, 1024, "columns"),
    "array.input_bits": _Range(8, 64, "bits"),
    "array.accumulator_bits": _Range(8, 64, "bits"),
    "array.minimum_rows_per_compute": _Range(1, 1024, "rows"),
    "array.matmuls_in_flight": _Range(1, 1024, "matmuls"),
    "scratchpad.banks": _Range(1, 1024, "banks"),
    "accumulator.banks": _Range(1, 1024, "banks"),
    "accumulator.ports": _Range(1, 2, "ports"),
    "accumulator.sub_banks": _Range(1, 4, "sub-banks"),  # [R] GemminiConfigs.scala: acc_sub_banks <= 4
    "dma.bus_bytes": _Range(1, 4096, "bytes"),
    "dma.request_bytes": _Range(1, 4096, "bytes"),
    "dma.requests_in_flight": _Range(1, 65536, "requests"),
    "memory.latency_cycles": _SOME_CYCLES,
    "memory.cycles_per_beat": _SOME_CYCLES,
    "memory.cache.ways": _Range(1, 64, "ways"),
    "memory.cache.banks": _Range(1, 64, "banks"),
    "memory.cache.capacity_bytes": _Range(1, 2**28, "bytes"),
    "memory.cache.line_bytes": _Range(1, 4096, "bytes"),
    "memory.cache.hit_latency_cycles": _SOME_CYCLES,
    "memory.cache.misses_in_flight": _Range(1, 256, "misses"),
    "memory.cache.same_line_cycles": _SOME_CYCLES,
    "memory.dram.link_bytes_per_cycle": _Range(1, 4096, "bytes per cycle"),
    "memory.dram.banks": _Range(1, 4096, "banks"),
    "memory.dram.burst_cycles": _SOME_CYCLES,
    "vector_unit.lanes": _Range(1, 65536, "lanes"),
    "vector_unit.latency_cycles": _SOME_CYCLES,
    "vector_unit.passes": _Range(1, 1024, "passes"),
    "driver.cycles_per_instruction": _Range(1e-3, 1e3, "cycles per instruction"),
    "driver.conv_search_cycles_per_try": _Range(0, 1e6, "cycles per try"),
    "host.cycles_per_element": _Range(1e-6, 1e9, "cycles per element"),
    "host.default_cycles_per_element": _Range(1e-6, 1e9, "cycles per element"),
}
RANGES_BY_UNIT = {
    "_pj": _ENERGY,
    "_pj_per_byte": _Range(0, 1e9, "pJ per byte"),
    "_bytes": _BYTES,
    "_entries": _ENTRIES,
    "_cycles": _CYCLES,
}
"""For a number without a range of its own, by the unit that its name ends in."""

MAX_LOCAL_ROWS = 2**25
"""[R] LocalAddr.scala: row bits plus six flag bits stay below 32."""


def violations(accelerator: Accelerator) -> Iterator[Violation]:
    """Everything impossible about `accelerator`, single numbers first; nothing for a machine that can be.

    Later rules divide by earlier numbers, so take the first one only where there are several.
    """
    yield from _out_of_range(accelerator, "")
    yield from _bad_texts(accelerator)
    yield from _bad_array(accelerator)
    yield from _bad_scratchpad(accelerator)
    yield from _bad_accumulator(accelerator)
    yield from _bad_dma(accelerator)
    yield from _bad_memory(accelerator)
    yield from _bad_functions(accelerator)


def _range_of(path: str) -> _Range:
    by_unit = (limits for suffix, limits in RANGES_BY_UNIT.items() if path.endswith(suffix))
    return RANGES.get(path) or next(by_unit, _OTHER)


def _out_of_range(noun: msgspec.Struct, prefix: str) -> Iterator[Violation]:
    for field in msgspec.structs.fields(noun):
        value, path = getattr(noun, field.name), f"{prefix}{field.encode_name}"
        if isinstance(value, msgspec.Struct):
            yield from _out_of_range(value, f"{path}.")
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from _outside(f"{path}.{key}", item, _range_of(path))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _outside(path, value, _range_of(path))


def _outside(path: str, value: float, limits: _Range) -> Iterator[Violation]:
    allowed = f"{limits.low:g} to {limits.high:g} {limits.unit}".rstrip()
    if isinstance(value, float) and not math.isfinite(value):
        yield Violation(path=path, problem="is not a finite number", value=value, limit=allowed)
    elif not limits.low <= value <= limits.high:
        yield Violation(path=path, problem="impossible size", value=value, limit=allowed)


def _bad_texts(accelerator: Accelerator) -> Iterator[Violation]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", accelerator.name):
        yield Violation(
            path="name",
            problem="names files and folders, so it must be plain",
            value=accelerator.name,
            limit="1 to 64 letters, digits, '.', '_' and '-'",
        )
    if len(accelerator.description) > 200 or not accelerator.description.isprintable():
        yield Violation(
            path="description",
            problem="is shown in tables, so it must be one line",
            value=accelerator.description,
            limit="200 printable characters",
        )


def _bad_array(accelerator: Accelerator) -> Iterator[Violation]:
    array = accelerator.array
    if array.rows != array.columns:  # [R] GemminiConfigs.scala
        yield Violation(
            path="array.columns", problem="the array must be square", value=array.columns, limit=f"{array.rows} columns"
        )
    if not _is_power_of_two(array.rows):  # [R] GemminiConfigs.scala
        yield Violation(path="array.rows", problem=_NOT_POWER, value=array.rows, limit="a power of two rows")
    for path, bits in (("input_bits", array.input_bits), ("accumulator_bits", array.accumulator_bits)):
        if not _is_power_of_two(bits):  # [R] GemminiConfigs.scala: a row of either is a power of two bytes
            yield Violation(path=f"array.{path}", problem=_NOT_POWER, value=bits, limit="8, 16, 32 or 64 bits")
    if array.accumulator_bits < array.input_bits:
        yield Violation(
            path="array.accumulator_bits",
            problem="sums are narrower than inputs",
            value=array.accumulator_bits,
            limit=f"at least {array.input_bits} bits",
        )
    if not array.dataflows or len(set(array.dataflows)) < len(array.dataflows):
        yield Violation(
            path="array.dataflows",
            problem="needs each dataflow once",
            value=list(array.dataflows),
            limit="ws, os or both",
        )


def _bad_scratchpad(accelerator: Accelerator) -> Iterator[Violation]:
    scratchpad = accelerator.scratchpad
    row_bytes = accelerator.dim * accelerator.input_bytes
    minimum = 2 * accelerator.dim * row_bytes
    if scratchpad.capacity_bytes < minimum:
        yield Violation(
            path="scratchpad.capacity_bytes",
            problem="too small for one DIM x DIM block of A and one of B",
            value=scratchpad.capacity_bytes,
            limit=f"at least {minimum} bytes",
        )
    yield from _bad_banks("scratchpad", scratchpad.capacity_bytes, scratchpad.banks, row_bytes, accelerator.dim)


def _bad_accumulator(accelerator: Accelerator) -> Iterator[Violation]:
    accumulator = accelerator.accumulator
    row_bytes = accelerator.dim * accelerator.accumulator_bytes
    minimum = accelerator.dim * row_bytes
    if accumulator.capacity_bytes < minimum:
        yield Violation(
            path="accumulator.capacity_bytes",
            problem="too small for one DIM x DIM block of C",
            value=accumulator.capacity_bytes,
            limit=f"at least {minimum} bytes",
        )
    yield from _bad_banks("accumulator", accumulator.capacity_bytes, accumulator.banks, row_bytes, accelerator.dim)
    if not _is_power_of_two(accumulator.sub_banks):  # [R] GemminiConfigs.scala
        yield Violation(
            path="accumulator.sub_banks", problem=_NOT_POWER, value=accumulator.sub_banks, limit="1, 2 or 4 sub-banks"
        )


def _bad_banks(memory: str, capacity_bytes: int, banks: int, row_bytes: int, dim: int) -> Iterator[Violation]:
    """[R] GemminiConfigs.scala: rows of a bank are a power of two and a multiple of DIM."""
    path = f"{memory}.capacity_bytes"
    bank_rows, rest = divmod(capacity_bytes, banks * row_bytes)
    if rest:
        yield Violation(
            path=path,
            problem="is not a whole number of rows in each bank",
            value=capacity_bytes,
            limit=f"a multiple of {banks} banks x {row_bytes} bytes",
        )
    elif not _is_power_of_two(bank_rows) or bank_rows % dim:
        yield Violation(
            path=path,
            problem=f"gives {bank_rows} rows to each bank, which cannot be addressed",
            value=capacity_bytes,
            limit=f"a power of two rows to a bank and at least DIM = {dim} ({banks} banks of {row_bytes}-byte rows)",
        )
    if bank_rows * banks > MAX_LOCAL_ROWS:
        yield Violation(
            path=path,
            problem=f"has {bank_rows * banks} rows, more than a local address reaches",
            value=capacity_bytes,
            limit=f"{MAX_LOCAL_ROWS} rows of {row_bytes} bytes",
        )


def _bad_dma(accelerator: Accelerator) -> Iterator[Violation]:
    dma = accelerator.dma
    for path, size in (("dma.bus_bytes", dma.bus_bytes), ("dma.request_bytes", dma.request_bytes)):
        if not _is_power_of_two(size):  # [R] DMA.scala: requests are aligned powers of two of bus beats
            yield Violation(path=path, problem=_NOT_POWER, value=size, limit="a power of two bytes")
    if dma.request_bytes < dma.bus_bytes:
        yield Violation(
            path="dma.request_bytes",
            problem="the longest request is shorter than one beat of the bus",
            value=dma.request_bytes,
            limit=f"at least {dma.bus_bytes} bytes",
        )


def _bad_memory(accelerator: Accelerator) -> Iterator[Violation]:
    cache, dram = accelerator.memory.cache, accelerator.memory.dram
    if cache is None or dram is None:
        if cache is not None or dram is not None:
            missing = "cache" if cache is None else "dram"
            problem = "needs cache and dram, or neither"
            yield Violation(path="memory", problem=problem, value=None, limit=f"add {missing}")
        return
    powers = (
        ("cache.line_bytes", cache.line_bytes),
        ("cache.banks", cache.banks),
        ("dram.banks", dram.banks),
        ("dram.row_bytes", dram.row_bytes),
    )
    for path, value in powers:
        if not _is_power_of_two(value):
            yield Violation(path=f"memory.{path}", problem=_NOT_POWER, value=value, limit="a power of two")
    longest = accelerator.dma.request_bytes
    if cache.line_bytes < longest:
        limit = f"at least {longest} bytes"
        yield Violation(
            path="memory.cache.line_bytes", problem="shorter than a request", value=cache.line_bytes, limit=limit
        )
    if dram.row_bytes < cache.line_bytes:
        limit = f"at least {cache.line_bytes} bytes"
        yield Violation(path="memory.dram.row_bytes", problem="shorter than a line", value=dram.row_bytes, limit=limit)
    if cache.capacity_bytes % (cache.ways * cache.line_bytes * cache.banks):
        yield Violation(
            path="memory.cache.capacity_bytes",
            problem="is not a whole number of sets in each bank",
            value=cache.capacity_bytes,
            limit=f"a multiple of {cache.banks} banks x {cache.ways} ways x {cache.line_bytes} bytes",
        )
    if dram.refresh_interval_cycles and dram.refresh_cycles >= dram.refresh_interval_cycles:
        limit = f"below {dram.refresh_interval_cycles} cycles"
        yield Violation(path="memory.dram.refresh_cycles", problem="never ends", value=dram.refresh_cycles, limit=limit)


def _bad_functions(accelerator: Accelerator) -> Iterator[Violation]:
    for path, functions, known in (
        ("fused_activations", accelerator.fused_activations, FUSABLE_ACTIVATIONS),
        ("store_path_functions", accelerator.store_path_functions, STORE_PATH_FUNCTIONS),
    ):
        for function in functions:
            if function not in known:
                yield Violation(path=path, problem="unknown function", value=function, limit=", ".join(known))
        if len(set(functions)) < len(functions):
            yield Violation(path=path, problem="names a function twice", value=list(functions), limit="each once")
    passes = {} if accelerator.vector_unit is None else accelerator.vector_unit.passes
    for path, priced in (
        ("vector_unit.passes", passes),
        ("host.cycles_per_element", accelerator.host.cycles_per_element),
    ):
        for function in priced:
            if function not in VECTOR_FUNCTIONS:
                close = get_close_matches(function, VECTOR_FUNCTIONS, n=1)
                yield Violation(
                    path=path,
                    problem=f"unknown function; did you mean {close[0]}?" if close else "unknown function",
                    value=function,
                    limit="a function of a non-matmul loop nest, such as softmax",
                )
    if accelerator.vector_unit is not None and not _is_power_of_two(accelerator.vector_unit.lanes):
        yield Violation(  # [R] Normalizer.scala
            path="vector_unit.lanes",
            problem=_NOT_POWER,
            value=accelerator.vector_unit.lanes,
            limit="a power of two lanes",
        )


_NOT_POWER = "is not a power of two"


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
