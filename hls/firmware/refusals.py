"""What hls4ml 1.3 cannot make of a QONNX file, operator by operator, and what to do instead."""

from __future__ import annotations

from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import ConvTranspose, Einsum
from model_ir.ops.elementwise import Clip, LeakyRelu
from model_ir.ops.movement import Concat, Pad, Slice, Split, Transpose
from model_ir.ops.normalisation import BatchNorm, Gelu, LayerNorm, RmsNorm, Softmax
from model_ir.ops.pooling import AveragePool, GlobalPool, Reduce
from model_ir.ops.quantisation import BipolarQuant, DequantizeLinear, QuantizeLinear, Trunc

ARRAY = "a Transformer goes to the systolic array instead: `systolic integer`"
_FOLD = "fold it into the layer before it (model_ir.passes.run_passes) before quantising"
_STRIDES = "use a convolution with strides or a MaxPool"
_ABSENT = "hls4ml's ONNX front end does not know it"

# What it is (hls4ml 1.3.0: converters/onnx/, and what emulation showed), and what helps.
_REASONS: dict[type[Op], tuple[str, str]] = {
    AveragePool: ("hls4ml divides in the type of its inputs, which drops bits", _STRIDES),
    BatchNorm: ("its scales are no powers of two", _FOLD),
    BipolarQuant: ("-1 and 1 are no fixed-point type", "quantise with 2 bits, narrow"),
    Clip: (_ABSENT, "a quantiser clips: give it the bounds"),
    Concat: ("it has not been found equal", "add the tensors"),
    ConvTranspose: (_ABSENT, "use a Conv"),
    DequantizeLinear: (_ABSENT, "import as QONNX with Quant"),
    Einsum: (_ABSENT, ARRAY),
    Gelu: (_ABSENT, ARRAY),
    GlobalPool: ("it compiles and computes other values", "use a MaxPool and a dense layer"),
    LayerNorm: (_ABSENT, ARRAY),
    LeakyRelu: ("its slope is multiplied in a rounded type", "use a ReLU"),
    Pad: ("it has not been found equal", "give the convolution the padding"),
    QuantizeLinear: (_ABSENT, "import as QONNX with Quant"),
    Reduce: (_ABSENT, ARRAY),
    RmsNorm: (_ABSENT, ARRAY),
    Slice: (_ABSENT, ARRAY),
    Softmax: (
        "hls4ml looks it up in rounded tables",
        f"at the end remove it, logits rank alike (model_ir.passes.logits); inside, {ARRAY}",
    ),
    Split: (_ABSENT, ARRAY),
    Transpose: ("hls4ml keeps tensors channels last", "flatten images with one Reshape"),
    Trunc: (_ABSENT, "use a Quant with rounding_mode FLOOR"),
}


def refused(graph: Graph, op: Op, problem: str = "", instead: str = "") -> InputError:
    """The error that names `op` of `graph`, why no firmware is made of it, and what to do instead."""
    reason, remedy = _REASONS.get(type(op), (_ABSENT, "firmware here is for dense and convolutional networks"))
    function = f" {op.function}" if hasattr(op, "function") else ""
    return InputError(
        graph.origin or graph.name,
        f"no firmware of {op.kind}{function} {op.name!r}: {problem or reason}; {instead or remedy}",
    )


def check_operators(graph: Graph) -> None:
    """Raise InputError for the first operator of which no firmware is made whatever its numbers are."""
    for op in graph.ops:
        if type(op) in _REASONS:
            raise refused(graph, op)
