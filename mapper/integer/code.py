"""The commands of a step, and where its operands lie in memory while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from mapper.codegen.emit import Addresses, emit
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation, emit_wide
from mapper.codegen.passes import Source, emit_activation, emit_sum_normalised
from mapper.integer.steps import Step
from mapper.program import ALIGNMENT_BYTES, BASE_ADDRESS, operand_elements
from mapper.residual_add import Scales, emit_residual_add
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.integer import IntegerAdd, IntegerGelu, IntegerLayerNorm, IntegerSoftmax, Requantise
from model_ir.ops.integer_arithmetic import NormConstants
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, ceil_div
from simulator.program import Program

INT32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCode:
    """`programs` run one after another on one memory image of `image_bytes` from BASE_ADDRESS on; operand i of the step
    lies at `operands[i]`, the result at `result`, int32 where `wide`."""

    programs: tuple[Program, ...] = field(repr=False)
    operands: tuple[int, ...]
    result: int
    wide: bool
    image_bytes: int

    @property
    def commands(self) -> int:
        """Commands of all programs."""
        return sum(len(program) for program in self.programs)


def step_code(graph: Graph, step: Step, mapping: Mapping | None, accelerator: Accelerator) -> StepCode:
    """The commands of a step that is no host's; `mapping` is the one of a step with work for the array, of whole rows
    where a softmax follows in the accumulator.

    Raises what the emitters raise (a mapping that does not fit, commands beyond one Program).
    """
    if step.work is not None:
        assert mapping is not None, step.name
        return _array_code(step, step.work, mapping, accelerator)
    shape = graph.tensors[step.output].shape
    rows, columns = prod(shape[:-1]), shape[-1]
    first, last = step.ops[0], step.ops[-1]
    width = graph.tensors[step.inputs[0]].precision.bits // 8
    operands, result, end = _placed([prod(shape) * width] * (2 if isinstance(first, IntegerAdd) else 1), prod(shape))
    if isinstance(last, IntegerLayerNorm | IntegerSoftmax):
        program = _normalised(first, last, rows, columns, width, operands, result, accelerator)
    elif isinstance(first, IntegerAdd):
        assert first.factor is not None
        scales = Scales(a=first.a_factor.value, b=first.b_factor.value, c=first.factor.value)
        addresses = Addresses(a=operands[0], b=operands[1], c=result)
        program = emit_residual_add(rows, columns, accelerator, scales=scales, addresses=addresses)
    else:
        assert isinstance(first, IntegerGelu | Requantise)
        constants = first.constants if isinstance(first, IntegerGelu) else None
        program = emit_activation(
            prod(shape),
            accelerator,
            source=Source(address=operands[0]),
            target=result,
            scale=first.factor.value,
            gelu=constants,
        )
    return StepCode(programs=(program,), operands=operands, result=result, wide=False, image_bytes=end - BASE_ADDRESS)


def _normalised(
    first: Op,
    last: IntegerLayerNorm | IntegerSoftmax,
    rows: int,
    columns: int,
    width: int,
    operands: tuple[int, ...],
    result: int,
    accelerator: Accelerator,
) -> Program:
    normalisation = normalisation_of(last)
    if width == INT32_BYTES:
        return emit_normalisation(rows, columns, accelerator, normalisation, source=operands[0], target=result)
    factors = (first.a_factor.value, first.b_factor.value) if isinstance(first, IntegerAdd) else (1.0,)
    return emit_sum_normalised(
        rows,
        columns,
        accelerator,
        normalisation,
        sources=[Source(address=at, scale=scale) for at, scale in zip(operands, factors, strict=True)],
        gain=last.gain if isinstance(last, IntegerLayerNorm) else 1,
        target=result,
    )


def normalisation_of(op: IntegerLayerNorm | IntegerSoftmax) -> Normalisation:
    """What the normaliser is configured with for `op`."""
    if isinstance(op, IntegerSoftmax):
        return Normalisation(function="softmax", constants=op.constants, scale=op.factor.value)
    return Normalisation(function="layer_norm", constants=NormConstants(0, 0), scale=op.factor.value)


def _array_code(step: Step, work: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> StepCode:
    last = step.ops[-1]
    elements = operand_elements(work)
    sizes = [elements.a, elements.b] + ([elements.bias * INT32_BYTES] if work.bias else [])
    wide = not isinstance(last, Requantise | IntegerSoftmax)
    operands, result, end = _placed(sizes, elements.c * (INT32_BYTES if wide else 1))
    bias = operands[2] if work.bias else 0
    addresses = Addresses(a=operands[0], b=operands[1], c=result, bias=bias, partial=end)
    if mapping.reduction_parts > 1:
        end += work.pixels * work.out_channels * INT32_BYTES
    programs: tuple[Program, ...]
    if isinstance(last, Requantise):
        programs = (
            emit(
                work,
                mapping,
                accelerator,
                activation="relu" if last.relu else "none",
                scale=last.factor.value,
                addresses=addresses,
            ),
        )
    elif isinstance(last, IntegerSoftmax):
        programs = (emit_fused(work, mapping, accelerator, normalisation_of(last), addresses=addresses),)
    else:
        programs = (emit_wide(work, mapping, accelerator, addresses=addresses),)
    return StepCode(
        programs=programs, operands=operands, result=result, wide=wide, image_bytes=_aligned(end) - BASE_ADDRESS
    )


def _placed(sizes_bytes: list[int], result_bytes: int) -> tuple[tuple[int, ...], int, int]:
    """Addresses of operands of these sizes one after another, of the result behind them, and the end."""
    addresses, at = [], BASE_ADDRESS
    for size in sizes_bytes:
        addresses.append(at)
        at = _aligned(at + size)
    return tuple(addresses), at, _aligned(at + result_bytes)


def _aligned(address: int) -> int:
    return ceil_div(address, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
