"""What operators demand of their operands: counts, axes, ranks, broadcasting. Every refusal names kind, operator, value
and limit."""

from __future__ import annotations

from collections.abc import Sequence

from model_ir.errors import InputError
from model_ir.op import Op
from model_ir.precision import Precision
from model_ir.tensor import Shape, Tensor


def refusal(op: Op, problem: str, *, value: object = None, limit: object = None) -> InputError:
    """The InputError that says which operator does not fit, and why."""
    return InputError(f"{op.kind} {op.name!r}", problem, value=value, limit=limit)


def required(op: Op, inputs: Sequence[Tensor | None], count: int, optional: int = 0) -> tuple[Tensor, ...]:
    """The first `count` inputs, all present; raises InputError if one is missing or more than `count + optional` are
    given."""
    if not count <= len(inputs) <= count + optional:
        limit = count if not optional else f"{count} to {count + optional}"
        raise refusal(op, "wrong number of inputs", value=len(inputs), limit=limit)
    present = tuple(tensor for tensor in inputs[:count] if tensor is not None)
    if len(present) != count:
        raise refusal(op, "a required input is absent", value=op.inputs, limit=f"{count} required")
    return present


def maybe(inputs: Sequence[Tensor | None], position: int) -> Tensor | None:
    """The optional input at `position`, or None."""
    return inputs[position] if position < len(inputs) else None


def one_output(op: Op) -> str:
    """The name of the only output; raises InputError if there is not exactly one."""
    if len(op.outputs) != 1:
        raise refusal(op, "wrong number of outputs", value=len(op.outputs), limit=1)
    return op.outputs[0]


def output(op: Op, shape: Shape, precision: Precision) -> tuple[Tensor, ...]:
    """The single output tensor as the tuple that `Op.infer` returns; raises InputError on a non-positive size."""
    return (Tensor(name=one_output(op), shape=positive(op, shape), precision=precision),)


def positive(op: Op, shape: Shape) -> Shape:
    """`shape` if all sizes are at least 1; otherwise InputError."""
    if any(size < 1 for size in shape):
        raise refusal(op, "computes an output without elements", value=shape, limit="sizes of at least 1")
    return shape


def rank_at_least(op: Op, tensor: Tensor, least: int) -> None:
    """Raise InputError if `tensor` has fewer than `least` axes."""
    if len(tensor.shape) < least:
        raise refusal(op, f"{tensor.name!r} has too few axes", value=tensor.shape, limit=f"rank of at least {least}")


def axis_of(op: Op, axis: int, rank: int) -> int:
    """`axis` counted from the front; raises InputError unless -rank <= axis < rank."""
    if not -rank <= axis < rank:
        raise refusal(op, "axis is out of range", value=axis, limit=f"-{rank} to {rank - 1}")
    return axis % rank


def axes_of(op: Op, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Every axis counted from the front, in the given order; raises InputError on a repeated one."""
    normal = tuple(axis_of(op, axis, rank) for axis in axes)
    if len(set(normal)) != len(normal):
        raise refusal(op, "axes are repeated", value=tuple(axes))
    return normal


def broadcast(op: Op, *shapes: Shape) -> Shape:
    """The numpy broadcast of `shapes`; raises InputError where sizes differ and none is 1."""
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        distinct = set(sizes) - {1}
        if len(distinct) > 1:
            raise refusal(op, "shapes do not broadcast", value=" and ".join(map(str, shapes)))
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)


def broadcasts_to(shape: Shape, target: Shape) -> bool:
    """Whether a tensor of `shape` broadcasts to exactly `target`."""
    aligned = target[len(target) - len(shape) :]
    return len(shape) <= len(target) and all(size in (1, full) for size, full in zip(shape, aligned, strict=True))


def expect_shape(op: Op, tensor: Tensor | None, shape: Shape, what: str) -> None:
    """Raise InputError unless `tensor` is absent or has exactly `shape`."""
    if tensor is not None and tensor.shape != shape:
        raise refusal(op, f"{what} {tensor.name!r} has the wrong shape", value=tensor.shape, limit=shape)
