"""Schedules as a C file for real Gemmini: its own intrinsics in our order, the operands, and a self-check.

The file compiles against the library's include/gemmini.h, and against assets/gemmini_host.h where there is no Gemmini.
Every layer runs on operands of its own; what the host does between layers is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.codegen.emit import Addresses, command_bound, emit
from mapper.gemmini_c.commands import CommandText, Region, command_text
from mapper.gemmini_c.operands import BIAS_RANGE, BYTE_RANGE, Operand, Operands, operands_of
from mapper.lower import Layer, ResidualAdd
from mapper.program import ALIGNMENT_BYTES, BASE_ADDRESS
from mapper.residual_add import emit_residual_add
from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.functional import execute
from simulator.mapping import Mapping, ceil_div
from simulator.program import Program

MOST_COMMANDS = 2_000_000
"""Commands of one layer beyond which no C is written: finding their loops takes a minute."""
MOST_BYTES = 128 << 20
"""Length of the file beyond which none is written."""
HOST_HEADER = "gemmini_host.h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """One layer as C is made of it: its commands at the addresses of `regions`, which hold `operands`."""

    layer: Layer
    description: tuple[str, ...]
    program: Program
    regions: tuple[Region, ...]
    operands: Operands
    text: CommandText


def emitted_layer(
    layer: Layer,
    mapping: Mapping | None,
    accelerator: Accelerator,
    *,
    constants: Table[str, npt.NDArray[Any]],
    description: Sequence[str] = (),
    seed: int = 0,
) -> Emitted:
    """`layer` under `mapping` (None for a residual add) with operands and C; `description` are lines for its comment.

    The commands are executed in functional mode first: raises InputError where they do not compute the reference, for a
    machine whose elements are not int8 with int32 accumulators, and for a layer of too many commands. Raises ValueError
    for a layer without commands.
    """
    operands = operands_of(layer, constants, seed)
    regions = _regions(operands)
    address = {region.name: region.address for region in regions}
    addresses = Addresses(a=address["a"], b=address["b"], c=address["c"], bias=address.get("bias", 0))
    program = _program(layer, mapping, accelerator, addresses, operands.scale)
    wrong = _mismatches(program, accelerator, regions, operands)
    if wrong:
        bits = accelerator.array.mesh_output_bits
        problem = f"commands and integer numpy disagree: sums in the mesh wrap at {bits} bits"
        raise InputError(layer.name, problem, value=f"{wrong} of {operands.c.size} elements", limit=0)
    return Emitted(
        layer=layer,
        description=tuple(description),
        program=program,
        regions=regions,
        operands=operands,
        text=command_text(program, regions),
    )


def c_file(title: Sequence[str], layers: Sequence[Emitted], accelerator: Accelerator) -> str:
    """The whole C file; `title` are the first lines of its comment. Raises InputError where it would be too long."""
    parts = [_head(title, accelerator)]
    for number, layer in enumerate(layers):
        parts += _layer(number, layer)
        length = sum(map(len, parts))
        if length > MOST_BYTES:
            raise InputError(layer.layer.name, "the C file becomes too long", value=length, limit=MOST_BYTES)
    return "\n".join([*parts, *_main(layers)]) + "\n"


def host_header() -> str:
    """The header that stands in for Gemmini's own where there is none."""
    return resources.files("mapper").joinpath("assets", HOST_HEADER).read_text(encoding="utf-8")


def _program(
    layer: Layer, mapping: Mapping | None, accelerator: Accelerator, addresses: Addresses, scale: float
) -> Program:
    work = layer.work
    if isinstance(work, ResidualAdd):
        return emit_residual_add(
            work.rows, work.channels, accelerator, activation=layer.activation, addresses=addresses
        )
    if work is None or mapping is None:
        raise ValueError(f"layer {layer.name!r} has no command stream")
    needed = command_bound(work, mapping, accelerator)
    if needed > MOST_COMMANDS:
        raise InputError(layer.name, "too many commands for a C file", value=needed, limit=MOST_COMMANDS)
    return emit(work, mapping, accelerator, activation=layer.activation, scale=scale, addresses=addresses)


def _regions(operands: Operands) -> tuple[Region, ...]:
    """The operands one after another from BASE_ADDRESS."""
    sizes = {name: memory.values.nbytes for name, memory in operands.memories.items()} | {"c": operands.c.nbytes}
    regions, address = [], BASE_ADDRESS
    for name, size in sizes.items():
        regions.append(Region(name=name, address=address, size_bytes=size))
        address += ceil_div(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return tuple(regions)


def _mismatches(program: Program, accelerator: Accelerator, regions: Sequence[Region], operands: Operands) -> int:
    """Elements of the result that functional mode and the reference disagree on."""
    result = regions[-1]
    image = np.zeros(result.address + result.size_bytes - BASE_ADDRESS, np.uint8)
    for region, memory in zip(regions[:-1], operands.memories.values(), strict=True):
        raw = memory.values.view(np.uint8)
        image[region.address - BASE_ADDRESS :][: raw.size] = raw
    execute(program, accelerator, image, BASE_ADDRESS)
    return int(np.count_nonzero(image[result.address - BASE_ADDRESS :].view(np.int8) != operands.c))


def _head(title: Sequence[str], accelerator: Accelerator) -> str:
    comment = "\n".join(f" * {_commented(line)}".rstrip() for line in title)
    return _TEMPLATE.format(
        comment=comment,
        dim=accelerator.dim,
        scratchpad_rows=accelerator.scratchpad_rows,
        accumulator_rows=accelerator.accumulator_rows,
        byte_shift=64 - (BYTE_RANGE.bit_length() - 1),
        byte_half=BYTE_RANGE // 2,
        bias_shift=64 - (BIAS_RANGE.bit_length() - 1),
        bias_half=BIAS_RANGE // 2,
    )


def _layer(number: int, emitted: Emitted) -> Iterator[str]:
    """Data, table and function of one layer."""
    prefix, operands = f"layer{number}", emitted.operands
    memories = operands.memories
    origins = [memory.origin for memory in memories.values()]
    lines = (emitted.layer.name, *emitted.description, *origins, f"output scale {operands.scale:g}")
    yield "\n/*\n" + "\n".join(f" * {_commented(line)}" for line in lines) + "\n */"
    for name, memory in memories.items():
        yield _array(f"{prefix}_{name}", memory)
    yield f"static int8_t {prefix}_c[{operands.c.size}] ALIGNED;"
    yield f"static const uint64_t {prefix}_expected[] = {{{_words(operands.c)}}};"
    rows = "\n".join(f"  {row}," for row in emitted.text.moves)
    yield f"static const struct move {prefix}_moves[] = {{\n{rows}\n  {{UINT32_MAX, CONFIG, 0, 0, 0}},\n}};"
    yield f"static int {prefix}(void) {{"
    for name, memory in memories.items():
        if memory.seed is not None:
            draw = "draw_words" if memory.values.dtype == np.int32 else "draw_bytes"
            yield f"  {draw}({prefix}_{name}, {memory.values.size}, {memory.seed});"
    for place, region in enumerate(emitted.regions, 1):
        yield f"  operand[{place}] = (char *){prefix}_{region.name};"
    yield from (f"  {statement}" for statement in emitted.text.configuration)
    yield f"  begin({prefix}_moves);"
    yield from emitted.text.statements
    yield "  moves();"
    yield "  gemmini_fence();"
    yield f"  return differing({_quoted(emitted.layer.name)}, {prefix}_c, {prefix}_expected, {operands.c.size});"
    yield "}"


def _main(layers: Sequence[Emitted]) -> Iterator[str]:
    yield "\nint main(void) {"
    yield "  int wrong = 0;"
    yield "  gemmini_flush(0);"
    for number in range(len(layers)):
        yield f"  wrong += layer{number}();"
    yield '  printf(wrong ? "FAILED: %d elements differ\\n" : "PASSED\\n", wrong);'
    yield "  return wrong != 0;"
    yield "}"


def _array(name: str, memory: Operand[np.int8] | Operand[np.int32]) -> str:
    kind = "int32_t" if memory.values.dtype == np.int32 else "int8_t"
    if memory.seed is not None:
        return f"static {kind} {name}[{memory.values.size}] ALIGNED;"
    return f"static const uint64_t {name}[] ALIGNED = {{{_words(memory.values)}}};"


def _words(values: npt.NDArray[Any]) -> str:
    """`values` as 64-bit words in memory order of a little-endian machine, eight a line."""
    raw = values.tobytes()
    words = np.frombuffer(raw + bytes(-len(raw) % 8), np.dtype("<u8")).tolist()
    lines = (", ".join(f"{word:#x}" for word in words[start : start + 8]) for start in range(0, len(words), 8))
    return "\n  " + ",\n  ".join(lines) + "\n"


def _commented(text: str) -> str:
    """`text` where a comment may hold it: nothing ends the comment or the line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).replace("*/", "* /")


def _quoted(text: str) -> str:
    """`text` as a C string literal of plain ASCII."""
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'


_TEMPLATE = resources.files("mapper").joinpath("assets", "gemmini_program.c.txt").read_text(encoding="utf-8")
