"""Converters for Resize and Upsample in the spellings of all operator sets."""

from __future__ import annotations

from math import floor, isfinite
from typing import Any

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.ops.resampling import Resize
from model_ir.tensor import Shape


def resize(scope: Scope, node: Node) -> None:
    """Resize by scales or to sizes, of all axes or (opset 18) of some."""
    source = scope.shape(node.required(0))
    if node.opset < 11:
        _resize_asymmetric(scope, node, _scales(scope, node, node.required(1), source))
        return
    if node.flag("antialias"):
        raise node.unsupported("antialias")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("keep_aspect_ratio_policy", value=node.text("keep_aspect_ratio_policy"))
    axes = tuple(node.normal_axis(axis, len(source)) for axis in node.integers("axes", tuple(range(len(source)))))
    attributes: dict[str, Any] = {
        "mode": node.text("mode", "nearest"),
        "coordinate_mode": node.text("coordinate_transformation_mode", "half_pixel"),
        "nearest_mode": node.text("nearest_mode", "round_prefer_floor"),
        "cubic_coefficient": node.real("cubic_coeff_a", -0.75),
        "exclude_outside": node.flag("exclude_outside"),
    }
    sizes = list(source)
    if _given(scope, node, 3):
        wanted = scope.static_integers(node, node.inputs[3], "the sizes")
        _fit(node, wanted, axes)
        for axis, size in zip(axes, wanted, strict=True):
            sizes[axis] = size
        scope.emit(node, Resize, node.inputs[0], sizes=tuple(sizes), **attributes)
        return
    if not _given(scope, node, 2):
        raise node.error("has neither scales nor sizes")
    scales = _scales(scope, node, node.inputs[2], axes)
    full = [1.0] * len(source)
    for axis, scale in zip(axes, scales, strict=True):
        full[axis] = scale
        sizes[axis] = floor(source[axis] * scale)
    scope.emit(node, Resize, node.inputs[0], sizes=tuple(sizes), scales=tuple(full), **attributes)


def upsample(scope: Scope, node: Node) -> None:
    """Upsample (deprecated by operator set 10): scales as attribute (opset < 9) or input."""
    source = scope.shape(node.required(0))
    if node.opset < 9:
        scales = _checked_scales(node, node.reals("scales"), source)
    else:
        scales = _scales(scope, node, node.required(1), source)
    _resize_asymmetric(scope, node, scales)


def _resize_asymmetric(scope: Scope, node: Node, scales: tuple[float, ...]) -> None:
    """The rule before operator set 11: asymmetric coordinates; nearest rounds down when enlarging and, as onnxruntime
    does, up when shrinking."""
    source = scope.shape(node.inputs[0])
    mode = node.text("mode", "nearest")
    shrinks = any(scale < 1 for scale in scales)
    if mode == "nearest" and shrinks and any(scale > 1 for scale in scales):
        raise node.unsupported("enlarging one axis and shrinking another before operator set 11", value=scales)
    sizes = tuple(floor(size * scale) for size, scale in zip(source, scales, strict=True))
    nearest = "ceil" if shrinks else "floor"
    scope.emit(
        node, Resize, node.inputs[0], sizes=sizes, mode=mode, coordinate_mode="asymmetric", nearest_mode=nearest,
        scales=scales,
    )  # fmt: skip


def _given(scope: Scope, node: Node, position: int) -> bool:
    name = node.input(position)
    return bool(name) and scope.tensor(name).elements > 0


def _scales(scope: Scope, node: Node, name: str, axes: Shape) -> tuple[float, ...]:
    value = scope.static(node, name, "the scales")
    return _checked_scales(node, tuple(float(scale) for scale in value.reshape(-1)), axes)


def _checked_scales(node: Node, scales: tuple[float, ...], axes: Shape) -> tuple[float, ...]:
    _fit(node, scales, axes)
    if not all(isfinite(scale) and 0 < scale <= 2**31 for scale in scales):
        raise node.error("a scale is not a positive number", value=scales[:16])
    return scales


def _fit(node: Node, values: tuple[float, ...], axes: tuple[int, ...]) -> None:
    if len(values) != len(axes):
        raise node.error("scales or sizes do not fit the axes", value=values[:16], limit=f"{len(axes)} values")


CONVERTERS: dict[str, Converter] = {"Resize": resize, "Upsample": upsample}
