"""The window attributes that convolutions and poolings of ONNX share: strides, dilations, pads, automatic padding."""

from __future__ import annotations

from model_ir.onnx_import.node import Node
from model_ir.tensor import Shape

Windows = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def windows(node: Node, sizes: Shape, kernel: Shape) -> Windows:
    """Strides, pads (begins, then ends) and dilations for spatial `sizes` and `kernel`, automatic padding resolved.

    SAME pads so that the output has ceil(size / stride) elements, the odd one at the end (SAME_UPPER) or the begin
    (SAME_LOWER), as the ONNX operator specification (Conv, auto_pad) says. Raises InputError for values of the wrong
    count or sign.
    """
    rank = len(sizes)
    strides = checked(node, "strides", node.integers("strides", (1,) * rank), rank, 1)
    dilations = checked(node, "dilations", node.integers("dilations", (1,) * rank), rank, 1)
    automatic = node.text("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return strides, checked(node, "pads", node.integers("pads", (0,) * 2 * rank), 2 * rank, 0), dilations
    if automatic == "VALID":
        return strides, (0,) * 2 * rank, dilations
    begins, ends = [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = dilation * (taps - 1) + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        small = total // 2
        begins.append(small if same_upper(node, automatic) else total - small)
        ends.append(total - begins[-1])
    return strides, (*begins, *ends), dilations


def same_upper(node: Node, automatic: str) -> bool:
    """Whether SAME puts the odd element at the end; InputError for an unknown word."""
    if automatic not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.error("unknown auto_pad", value=repr(automatic), limit="NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    return automatic == "SAME_UPPER"


def checked(node: Node, what: str, values: tuple[int, ...], count: int, least: int) -> tuple[int, ...]:
    """`values` if there are `count` of at least `least`; otherwise InputError."""
    if len(values) != count or any(value < least for value in values):
        raise node.error(f"{what} do not fit", value=values[:16], limit=f"{count} values of at least {least}")
    return values


def spatial(node: Node, shape: Shape) -> Shape:
    """The axes after (N, C); InputError where there are none or more than three."""
    if not 3 <= len(shape) <= 5:
        raise node.error("the input must have one to three spatial axes", value=shape)
    return shape[2:]
