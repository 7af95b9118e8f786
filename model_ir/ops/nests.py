"""Building loop nests: dims named after output axes, accesses by broadcasting, and how much of a tensor they touch."""

from __future__ import annotations

from collections.abc import Sequence

from model_ir.loop_nest import Access, AffineIndex, Dims, LoopNest, NestKind, touched
from model_ir.op import Op
from model_ir.tensor import Shape, Tensor


def output_dims(shape: Shape, prefix: str = "d") -> Dims:
    """One loop per axis: ("d0", size), ("d1", size), ..."""
    return tuple((f"{prefix}{axis}", size) for axis, size in enumerate(shape))


def at(*terms: str | tuple[str, int], offset: int = 0) -> AffineIndex:
    """The index `offset + sum of terms`; a bare name has coefficient 1."""
    return AffineIndex(terms=tuple((term, 1) if isinstance(term, str) else term for term in terms), offset=offset)


def access(
    tensor: Tensor, indices: Sequence[AffineIndex], dims: Dims, constants: frozenset[str], order: Sequence[int] = ()
) -> Access:
    """The access of `tensor` whose axes are addressed by `indices`, both in graph order; `order` lists its axes in
    storage order."""
    storage = order or range(len(tensor.shape))
    shape = tuple(tensor.shape[axis] for axis in storage)
    stored = tuple(indices[axis] for axis in storage)
    return Access(
        tensor=tensor.name,
        shape=shape,
        indices=stored,
        precision=tensor.precision,
        constant=tensor.name in constants,
        touched_elements=touched(shape, stored, dims),
    )


def opaque(tensor: Tensor, constants: frozenset[str], elements: int | None = None) -> Access:
    """An access whose address is not affine (gather, resize): no indices, at most `elements` of the tensor touched."""
    return Access(
        tensor=tensor.name,
        shape=tensor.shape,
        indices=(),
        precision=tensor.precision,
        constant=tensor.name in constants,
        touched_elements=None if elements is None else min(elements, tensor.elements),
    )


def broadcast_indices(shape: Shape, dims: Dims) -> tuple[AffineIndex, ...]:
    """Axes of `shape` aligned with the last loops of `dims`; an axis of size 1 under a longer loop stays at 0."""
    aligned = dims[len(dims) - len(shape) :]
    return tuple(at() if size == 1 else at(name) for size, (name, _) in zip(shape, aligned, strict=True))


def channels_last(rank: int) -> tuple[int, ...]:
    """Storage order of an (N, C, spatial...) activation: N, spatial..., C."""
    return (0, *range(2, rank), 1)


def pointwise(
    op: Op,
    function: str,
    inputs: Sequence[Tensor | None],
    result: Tensor,
    constants: frozenset[str],
    *,
    flops: float,
    kind: NestKind = "elementwise",
) -> LoopNest:
    """One point per output element, every input broadcast numpy's way; storage in graph order."""
    dims = output_dims(result.shape)
    reads = [
        access(tensor, broadcast_indices(tensor.shape, dims), dims, constants)
        for tensor in inputs
        if tensor is not None
    ]
    return LoopNest(
        name=op.name,
        kind=kind,
        function=function,
        dims=dims,
        reads=tuple(reads),
        write=access(result, broadcast_indices(result.shape, dims), dims, constants),
        flops_per_point=flops,
    )


def per_channel(
    op: Op,
    function: str,
    inputs: Sequence[Tensor | None],
    result: Tensor,
    constants: frozenset[str],
    *,
    flops: float,
) -> LoopNest:
    """One point per element of an (N, C, spatial...) output stored channels-last; inputs after the first are vectors
    over C."""
    dims = output_dims(result.shape)
    order = channels_last(len(result.shape))
    full = tuple(at(name) for name, _ in dims)
    reads = []
    for position, tensor in enumerate(inputs):
        if tensor is not None and position == 0:
            reads.append(access(tensor, full, dims, constants, order))
        elif tensor is not None:
            reads.append(access(tensor, (at("d1"),), dims, constants))
    return LoopNest(
        name=op.name,
        kind="elementwise",
        function=function,
        dims=dims,
        reads=tuple(reads),
        write=access(result, full, dims, constants, order),
        flops_per_point=flops,
    )


def move(op: Op, function: str, dims: Dims, reads: Sequence[Access], write: Access) -> LoopNest:
    """A nest without arithmetic."""
    return LoopNest(
        name=op.name, kind="move", function=function, dims=dims, reads=tuple(reads), write=write, flops_per_point=0.0
    )


def view(op: Op, source: Tensor, result: Tensor, constants: frozenset[str]) -> LoopNest:
    """The nest of a new shape for the same elements in the same order: both sides as one flat axis."""
    dims = (("d0", result.elements),)
    flat = [
        Tensor(name=tensor.name, shape=(tensor.elements,), precision=tensor.precision) for tensor in (source, result)
    ]
    reads, write = (access(tensor, (at("d0"),), dims, constants) for tensor in flat)
    return move(op, "view", dims, (reads,), write)
