"""The command stream of one layer, and where its operands lie in memory while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mapper.codegen.emit import CHUNK_COMMANDS, Addresses, emit, emit_chunks
from mapper.lower import Layer, ResidualAdd
from mapper.residual_add import emit_residual_add
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, ceil_div
from simulator.program import Program

BASE_ADDRESS = 0x80000000
"""Where DRAM begins in a Rocket SoC (Chipyard's memory map)."""

ALIGNMENT_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandElements:
    """Elements from the first to the last that a nest touches of each operand, all repeats included."""

    a: int
    b: int
    c: int
    bias: int


def operand_elements(nest: ArrayNest) -> OperandElements:
    """Extent of each operand of `nest` in memory, from its strides."""
    a_pixels, a_row = (
        (nest.in_channels, nest.out_columns)
        if nest.transpose_a
        else (nest.images * nest.in_rows * nest.in_columns, nest.in_channels)
    )
    b_rows, b_row = (nest.out_channels, nest.in_channels) if nest.transpose_b else (nest.reduction, nest.out_channels)
    return OperandElements(
        a=(a_pixels - 1) * nest.a_stride + a_row + sum((r.count - 1) * r.a_stride for r in nest.repeats),
        b=(b_rows - 1) * nest.b_stride + b_row + sum((r.count - 1) * r.b_stride for r in nest.repeats),
        c=(nest.pixels - 1) * nest.c_stride + nest.out_channels + sum((r.count - 1) * r.c_stride for r in nest.repeats),
        bias=nest.out_channels + sum((r.count - 1) * r.bias_stride for r in nest.repeats) if nest.bias else 0,
    )


def addresses_of(nest: ArrayNest, accelerator: Accelerator) -> Addresses:
    """Operands one after another from BASE_ADDRESS, each aligned to a DMA request."""
    elements = operand_elements(nest)
    a = BASE_ADDRESS
    b = a + _aligned(elements.a * accelerator.input_bytes)
    bias = b + _aligned(elements.b * accelerator.input_bytes)
    c = bias + _aligned(elements.bias * accelerator.accumulator_bytes)
    partial = c + _aligned(elements.c * accelerator.input_bytes)
    return Addresses(a=a, b=b, c=c, bias=bias, partial=partial)


def layer_programs(
    layer: Layer, mapping: Mapping | None, accelerator: Accelerator, *, chunk_commands: int = CHUNK_COMMANDS
) -> Iterator[Program]:
    """The commands of a layer that has work for the array or the accumulator, in consecutive pieces of bounded memory
    (of a matmul or convolution: of about `chunk_commands`).

    Raises ValueError for a layer without such work, or a matmul or convolution without a mapping.
    """
    if isinstance(layer.work, ResidualAdd):
        return iter((_residual_add(layer, layer.work, accelerator),))
    nest, chosen = _work(layer, mapping)
    return emit_chunks(
        nest,
        chosen,
        accelerator,
        activation=layer.activation,
        addresses=addresses_of(nest, accelerator),
        chunk_commands=chunk_commands,
    )


def layer_program(layer: Layer, mapping: Mapping | None, accelerator: Accelerator) -> Program:
    """As `layer_programs`, in one piece; InputError for more commands than `mapper.codegen.emit.emit` takes."""
    if isinstance(layer.work, ResidualAdd):
        return _residual_add(layer, layer.work, accelerator)
    nest, chosen = _work(layer, mapping)
    return emit(nest, chosen, accelerator, activation=layer.activation, addresses=addresses_of(nest, accelerator))


def _work(layer: Layer, mapping: Mapping | None) -> tuple[ArrayNest, Mapping]:
    if not isinstance(layer.work, ArrayNest) or mapping is None:
        raise ValueError(f"layer {layer.name!r} has no command stream")
    return layer.work, mapping


def _residual_add(layer: Layer, work: ResidualAdd, accelerator: Accelerator) -> Program:
    size = _aligned(work.rows * work.channels * accelerator.input_bytes)
    addresses = Addresses(a=BASE_ADDRESS, b=BASE_ADDRESS + size, c=BASE_ADDRESS + 2 * size)
    return emit_residual_add(work.rows, work.channels, accelerator, activation=layer.activation, addresses=addresses)


def _aligned(size_bytes: int) -> int:
    return ceil_div(size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
