"""Converters that move data or change shapes: reshapes, slices, concatenation, padding, resizing, gathering."""

from __future__ import annotations

from math import isnan, prod
from typing import Any

import numpy as np

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.onnx_import.tensor import check_shape
from model_ir.ops.gathering import Gather, GatherElements, GatherNd, ScatterNd
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.resampling import CumSum, DepthToSpace, SpaceToDepth, Trilu
from model_ir.tensor import Shape


def identity(scope: Scope, node: Node) -> None:
    """Identity: a reshape to the same shape."""
    scope.emit(node, Reshape, node.required(0), shape=scope.shape(node.inputs[0]))


def dropout(scope: Scope, node: Node) -> None:
    """Dropout at inference: the identity, and a mask that keeps everything."""
    training = node.input(2)
    if training and bool(scope.static_scalar(node, training, "training_mode")):
        raise node.unsupported("training mode")
    identity(scope, node)
    if len(node.outputs) > 1:
        keep = scope.constant(np.asarray(True), scope.fresh(f"{node.label}/keep"))
        scope.emit(node, Expand, keep, outputs=node.outputs[1:2], shape=scope.shape(node.inputs[0]))


def reshape(scope: Scope, node: Node) -> None:
    """Reshape: 0 keeps an axis (unless allowzero), one -1 takes what is left."""
    source = scope.shape(node.required(0))
    wanted = scope.static_integers(node, node.required(1), "the new shape")
    keep = not node.flag("allowzero")
    if keep and any(size == 0 and axis >= len(source) for axis, size in enumerate(wanted)):
        raise node.error("the new shape keeps an axis that the input lacks", value=wanted, limit=source)
    sizes = [source[axis] if size == 0 and keep else size for axis, size in enumerate(wanted)]
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise node.error("the new shape is not a shape", value=wanted)
    if -1 in sizes:
        known = prod(size for size in sizes if size != -1)
        if known == 0 or prod(source) % known:
            raise node.error("the new shape does not fit the input", value=wanted, limit=source)
        sizes[sizes.index(-1)] = prod(source) // known
    scope.emit(node, Reshape, node.inputs[0], shape=tuple(sizes))


def flatten(scope: Scope, node: Node) -> None:
    """Flatten to a matrix at `axis`, which may be the rank."""
    source = scope.shape(node.required(0))
    axis = node.integer("axis", 1)
    if not -len(source) <= axis <= len(source):
        raise node.error("an axis does not exist", value=axis, limit=len(source))
    axis = axis + len(source) if axis < 0 else axis
    scope.emit(node, Reshape, node.inputs[0], shape=(prod(source[:axis]), prod(source[axis:])))


def squeeze(scope: Scope, node: Node) -> None:
    """Squeeze: axes as attribute (opset < 13), input, or all of size 1."""
    source = scope.shape(node.required(0))
    axes = _axes(scope, node, len(source))
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(source) if size == 1)
    if any(source[axis] != 1 for axis in axes):
        raise node.error("a squeezed axis is not of size 1", value=source, limit=axes)
    shape = tuple(size for axis, size in enumerate(source) if axis not in axes)
    scope.emit(node, Reshape, node.inputs[0], shape=shape)


def unsqueeze(scope: Scope, node: Node) -> None:
    """Unsqueeze: axes of the result as attribute (opset < 13) or input."""
    source = scope.shape(node.required(0))
    written = node.integers("axes") if node.opset < 13 else scope.static_integers(node, node.required(1), "axes")
    rank = len(source) + len(written)
    axes = tuple(node.normal_axis(axis, rank) for axis in written)
    if len(set(axes)) != len(axes):
        raise node.error("an axis is given twice", value=written[:16])
    rest = iter(source)
    scope.emit(node, Reshape, node.inputs[0], shape=tuple(1 if axis in axes else next(rest) for axis in range(rank)))


def _axes(scope: Scope, node: Node, rank: int) -> tuple[int, ...] | None:
    if node.opset < 13:
        written = node.integers("axes") if node.has("axes") else None
    else:
        written = scope.static_integers(node, node.inputs[1], "axes") if node.input(1) else None
    return None if written is None else tuple(node.normal_axis(axis, rank) for axis in written)


def transpose(scope: Scope, node: Node) -> None:
    """Transpose; reversed axes by default."""
    rank = len(scope.shape(node.required(0)))
    perm = node.integers("perm", tuple(reversed(range(rank))))
    if sorted(perm) != list(range(rank)):
        raise node.error("perm is not a permutation of the axes", value=perm[:16], limit=rank)
    scope.emit(node, Transpose, node.inputs[0], perm=perm)


def concat(scope: Scope, node: Node) -> None:
    """Concat; operands without elements, which exporters write in shape arithmetic, are left out."""
    names = tuple(name for name in node.inputs if name)
    if not names:
        raise node.error("has no operand")
    full = tuple(name for name in names if scope.tensor(name).elements) or names[:1]
    axis = node.axis("axis", len(scope.shape(names[0])))
    scope.emit(node, Concat, *full, axis=axis)


def split(scope: Scope, node: Node) -> None:
    """Split: sizes as attribute (opset < 13), as input, or equal parts with a smaller last one."""
    source = scope.shape(node.required(0))
    axis = node.axis("axis", len(source), 0)
    parts = len(node.proto.output)
    if node.has("split"):
        sizes = node.integers("split")
    elif node.input(1):
        sizes = scope.static_integers(node, node.inputs[1], "the split sizes")
    else:
        parts = node.integer("num_outputs", parts)
        if parts != len(node.proto.output):
            raise node.error("num_outputs contradicts the outputs", value=parts, limit=len(node.proto.output))
        part = -(-source[axis] // parts)
        sizes = (*(part,) * (parts - 1), source[axis] - part * (parts - 1))
    if len(sizes) != parts or sum(sizes) != source[axis] or min(sizes) < 1:
        raise node.error("split sizes do not fit the axis", value=sizes[:16], limit=f"{parts} parts of {source[axis]}")
    names = tuple(str(name) or scope.fresh(f"{node.label}/unused") for name in node.proto.output)
    scope.emit(node, Split, node.inputs[0], outputs=names, axis=axis, sizes=sizes)


def slice_(scope: Scope, node: Node) -> None:
    """Slice: bounds as attributes (opset < 10) or inputs; clamped as the ONNX specification says."""
    source = scope.shape(node.required(0))
    if node.opset < 10:
        starts, ends = node.integers("starts"), node.integers("ends")
        written = node.integers("axes", tuple(range(len(starts))))
        steps: tuple[int, ...] = (1,) * len(starts)
    else:
        starts, ends = (scope.static_integers(node, node.required(at), "a bound of the slice") for at in (1, 2))
        default = tuple(range(len(starts)))
        written = scope.static_integers(node, node.inputs[3], "axes") if node.input(3) else default
        steps = scope.static_integers(node, node.inputs[4], "steps") if node.input(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(written) == len(steps) or 0 in steps:
        raise node.error(
            "bounds, axes and steps do not fit each other", value=(starts[:8], ends[:8], written[:8], steps[:8])
        )
    axes = tuple(node.normal_axis(axis, len(source)) for axis in written)
    bounds = [_clamp(*item) for item in zip(starts, ends, steps, (source[axis] for axis in axes), strict=True)]
    scope.emit(
        node, Slice, node.inputs[0], starts=tuple(start for start, _ in bounds), ends=tuple(end for _, end in bounds),
        axes=axes, steps=steps,
    )  # fmt: skip


def _clamp(start: int, end: int, step: int, size: int) -> tuple[int, int]:
    """Bounds inside the axis; an end before its begin (only for negative steps) is -size - 1."""
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    if step > 0:
        return min(max(start, 0), size), min(max(end, 0), size)
    end = min(max(end, -1), size - 1)
    return min(max(start, 0), size - 1), end if end >= 0 else -size - 1


def gather(scope: Scope, node: Node) -> None:
    """Gather along one axis."""
    axis = node.axis("axis", len(scope.shape(node.required(0))), 0)
    _check_indices(scope, node, scope.shape(node.inputs[0])[axis])
    scope.emit(node, Gather, node.inputs[0], node.required(1), axis=axis)


def gather_elements(scope: Scope, node: Node) -> None:
    """GatherElements along one axis."""
    axis = node.axis("axis", len(scope.shape(node.required(0))), 0)
    _check_indices(scope, node, scope.shape(node.inputs[0])[axis])
    scope.emit(node, GatherElements, node.inputs[0], node.required(1), axis=axis)


def _check_indices(scope: Scope, node: Node, size: int) -> None:
    """Static indices must lie in the axis."""
    indices = scope.value(node.required(1))
    if indices is not None and indices.size and not -size <= indices.min() <= indices.max() < size:
        outside = int(indices.max() if indices.max() >= size else indices.min())
        raise node.error("an index is outside the axis", value=outside, limit=f"{-size} to {size - 1}")


def gather_nd(scope: Scope, node: Node) -> None:
    """GatherND."""
    scope.emit(node, GatherNd, node.required(0), node.required(1), batch_dims=node.integer("batch_dims", 0))


def scatter_nd(scope: Scope, node: Node) -> None:
    """ScatterND without reduction."""
    if node.text("reduction", "none") != "none":
        raise node.unsupported("a reduction", value=node.text("reduction"))
    scope.emit(node, ScatterNd, *(node.required(position) for position in range(3)))


def pad(scope: Scope, node: Node) -> None:
    """Pad: amounts as attribute (opset < 11) or input, optionally of some axes only; negative amounts crop."""
    source = scope.shape(node.required(0))
    rank = len(source)
    if node.opset < 11:
        written, value, axes = node.integers("pads"), node.real("value", 0.0), tuple(range(rank))
    else:
        written = scope.static_integers(node, node.required(1), "the pads")
        value = scope.static_scalar(node, node.inputs[2], "the padding value") if node.input(2) else 0.0
        named = scope.static_integers(node, node.inputs[3], "axes") if node.input(3) else tuple(range(rank))
        axes = tuple(node.normal_axis(axis, rank) for axis in named)
    if len(written) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise node.error("pads do not fit the axes", value=written[:16], limit=f"{2 * len(axes)} values")
    amounts = [0] * 2 * rank
    for position, axis in enumerate(axes):
        amounts[axis], amounts[rank + axis] = written[position], written[len(axes) + position]
    _check_crop(node, source, amounts)
    if isnan(value):
        raise node.error("the padding value is not a number", value=value)
    scope.emit(node, Pad, node.inputs[0], pads=tuple(amounts), mode=node.text("mode", "constant"), value=value)


def _check_crop(node: Node, source: Shape, amounts: list[int]) -> None:
    cropped = [
        max(0, -before) + max(0, -after) for before, after in zip(*np.reshape(amounts, (2, -1)).tolist(), strict=True)
    ]
    if any(crop >= size for crop, size in zip(cropped, source, strict=True)):
        raise node.error("negative pads remove the whole tensor", value=tuple(amounts), limit=source)


def expand(scope: Scope, node: Node) -> None:
    """Expand: broadcast to a static shape (which may itself be broadcast to the input's)."""
    source = scope.shape(node.required(0))
    wanted = scope.static_integers(node, node.required(1), "the new shape")
    check_shape(wanted, 8, node.where, f"output {node.outputs[0]!r}")
    rank = max(len(source), len(wanted))
    pairs = zip((1,) * (rank - len(source)) + source, (1,) * (rank - len(wanted)) + wanted, strict=True)
    sizes = [(have, want) for have, want in pairs]
    if any(1 not in pair and pair[0] != pair[1] for pair in sizes):
        raise node.error("the shapes do not broadcast", value=wanted, limit=source)
    scope.emit(node, Expand, node.inputs[0], shape=tuple(want if have == 1 else have for have, want in sizes))


def tile(scope: Scope, node: Node) -> None:
    """Tile by static repeats."""
    scope.emit(node, Tile, node.required(0), repeats=scope.static_integers(node, node.required(1), "the repeats"))


def depth_to_space(scope: Scope, node: Node) -> None:
    """DepthToSpace, DCR or CRD order."""
    scope.emit(node, DepthToSpace, node.required(0), block=node.integer("blocksize"), mode=node.text("mode", "DCR"))


def space_to_depth(scope: Scope, node: Node) -> None:
    """SpaceToDepth."""
    scope.emit(node, SpaceToDepth, node.required(0), block=node.integer("blocksize"))


def cumsum(scope: Scope, node: Node) -> None:
    """CumSum along a static axis."""
    axis = int(scope.static_scalar(node, node.required(1), "the axis"))
    axis = node.normal_axis(axis, len(scope.shape(node.required(0))))
    flags: dict[str, Any] = {"exclusive": node.flag("exclusive"), "reverse": node.flag("reverse")}
    scope.emit(node, CumSum, node.inputs[0], axis=axis, **flags)


def trilu(scope: Scope, node: Node) -> None:
    """Trilu with a static diagonal."""
    diagonal = int(scope.static_scalar(node, node.inputs[1], "the diagonal")) if node.input(1) else 0
    rows, columns = (1, 1, *scope.shape(node.required(0)))[-2:]
    diagonal = max(-rows, min(columns, diagonal))
    scope.emit(node, Trilu, node.inputs[0], k=diagonal, upper=node.flag("upper", True))


CONVERTERS: dict[str, Converter] = {
    "Concat": concat,
    "CumSum": cumsum,
    "DepthToSpace": depth_to_space,
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Identity": identity,
    "Pad": pad,
    "Reshape": reshape,
    "ScatterND": scatter_nd,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
