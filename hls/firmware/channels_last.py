"""A firmware network as the QONNX model that hls4ml reads: channels last, every attribute and shape written out, layers
under the names that hls4ml's project then has.

The same arithmetic as the network's own QONNX file; weights and biases are stored on their grids, behind the quantisers
that say which these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.firmware.fixed_point import Fixed
from hls.firmware.network import (
    Convolution,
    Dense,
    Flatten,
    Layer,
    MaxPooling,
    Network,
    Port,
    Relu,
    Requantise,
    Stored,
    Sum,
    Weighted,
    Window,
)
from hls.qonnx.export import IR_VERSION
from hls.qonnx.nodes import BASE_OPSET, QONNX_DOMAIN

if TYPE_CHECKING:
    import onnx

CHANNELS_LAST_DOMAIN = "qonnx.custom_op.channels_last"


def channels_last_model(network: Network) -> onnx.ModelProto:
    """The model: one sample, input `port.name`, output `layer_output(...)` of the output layer."""
    from onnx import TensorProto, helper

    writer = _Writer()
    for layer in network.layers:
        _write(writer, network, layer)
    output = result_name(network.by_name[network.output])
    described = dict(writer.shapes)
    ends = {name: described.pop(name) for name in (network.port.name, output)}
    (source, result) = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends.items())
    graph = helper.make_graph(
        writer.nodes, network.name, [source], [result], writer.stored,
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in described.items()],
    )  # fmt: skip
    domains = {"": BASE_OPSET, QONNX_DOMAIN: 1, CHANNELS_LAST_DOMAIN: 1}
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="systolic")


def result_name(layer: Layer) -> str:
    """The tensor that the layers behind `layer` read."""
    return f"{layer.name}_grid" if layer.rounds and not isinstance(layer, Requantise | Port) else base_name(layer)


def base_name(layer: Layer) -> str:
    """The tensor of a layer before its own quantiser."""
    return product_name(layer) if isinstance(layer, Dense) and layer.bias is None else layer.name


def product_name(layer: Layer) -> str:
    """The tensor of a dense layer's product, called as hls4ml calls the layer, whose Libero back end takes one for the
    other. The bias is added by a node of its own, which hls4ml fuses."""
    return f"Dense_{layer.name}"


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {}

    def node(
        self, op_type: str, inputs: Sequence[str], output: str, shape: tuple[int, ...], *, name: str = "", **words: Any
    ) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=name or output, **words))
        self.shapes[output] = shape
        return output

    def constant(self, name: str, value: npt.NDArray[Any] | float) -> str:
        from onnx import numpy_helper

        array = np.asarray(value, dtype=np.float32)
        self.stored.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        self.shapes[name] = array.shape  # hls4ml looks shapes of constants up among the described tensors
        return name

    def quant(self, source: str, output: str, fixed: Fixed, shape: tuple[int, ...]) -> str:
        numbers = {"scale": 2.0**fixed.exponent, "zero_point": 0.0, "bits": float(fixed.bits)}
        operands = [self.constant(f"{output}_{suffix}", number) for suffix, number in numbers.items()]
        rounding = "FLOOR" if fixed.rounding == "TRN" else "ROUND"
        return self.node(
            "Quant", [source, *operands], output, shape, domain=QONNX_DOMAIN, signed=int(fixed.signed),
            narrow=int(fixed.overflow == "SAT_SYM"), rounding_mode=rounding,
        )  # fmt: skip

    def weight(self, name: str, stored: Stored) -> str:
        source = self.constant(name, stored.values)
        return self.quant(source, f"{name}_grid", stored.fixed, stored.values.shape)


def _write(writer: _Writer, network: Network, layer: Layer) -> None:
    shape = (1, *layer.shape)
    sources = [result_name(network.by_name[name]) for name in layer.reads]
    if isinstance(layer, Port):
        writer.shapes[layer.name] = shape
        return
    if isinstance(layer, Requantise):
        writer.quant(sources[0], layer.name, layer.result, shape)
        return
    if isinstance(layer, Weighted):
        _write_weighted(writer, layer, sources[0], shape)
    elif isinstance(layer, MaxPooling):
        words = {**_window_words(layer.window), "dilations": (1, 1), "ceil_mode": 0}
        writer.node("MaxPool", sources, layer.name, shape, domain=CHANNELS_LAST_DOMAIN, **words)
    else:
        op_type = {Flatten: "Flatten", Relu: "Relu", Sum: "Add"}[type(layer)]
        words = {"axis": 1} if op_type == "Flatten" else {}
        writer.node(op_type, sources, layer.name, shape, **words)
    if layer.rounds:
        writer.quant(base_name(layer), result_name(layer), layer.result, shape)


def _write_weighted(writer: _Writer, layer: Weighted, source: str, shape: tuple[int, ...]) -> None:
    weight = writer.weight(f"{layer.name}_weight", layer.weight)
    bias = [] if layer.bias is None else [writer.weight(f"{layer.name}_bias", layer.bias)]
    if isinstance(layer, Dense):
        product = writer.node("MatMul", [source, weight], product_name(layer), shape, name=layer.name)
        if bias:
            writer.node("Add", [product, *bias], layer.name, shape, name=f"{layer.name}_sum")
        return
    assert isinstance(layer, Convolution)
    words = {**_window_words(layer.window), "dilations": (1, 1), "group": shape[-1] if layer.depthwise else 1}
    writer.node("Conv", [source, weight, *bias], layer.name, shape, domain=CHANNELS_LAST_DOMAIN, **words)


def _window_words(window: Window) -> dict[str, Any]:
    return {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads}
