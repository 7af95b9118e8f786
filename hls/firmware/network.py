"""The nouns between our graph and hls4ml: a network of firmware layers, channels last, every type decided.

A layer is what hls4ml makes one function of: a quantiser directly behind a dense layer, a convolution or a ReLU is that
layer's result type and no layer of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.firmware.fixed_point import Fixed, Span

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A constant on its grid: the values themselves (not the integers) and the type that holds them."""

    values: Array
    fixed: Fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """`name` is a C identifier; `tensor` what it computes in our graph; `reads` the layers it reads.

    `shape` is that of one sample, channels last. `exact` spans the values before the result type's rounding, `result`
    is the type of what leaves the layer. `order`, where not None, says which of our elements stands at each place
    (flattened channels last).
    """

    name: str
    tensor: str
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    exact: Span
    result: Fixed
    order: Array | None = None

    @property
    def rounds(self) -> bool:
        """Whether a quantiser is part of the layer."""
        return self.result.overflow != "WRAP"

    @property
    def kind(self) -> str:
        """The layer's kind for people and tables."""
        return type(self).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Layer):
    """The network's input: arrives on the grid of the first quantiser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted(Layer):
    """A layer with weights; `accumulator` holds every partial sum, in whatever order it is taken.

    `weight_tensor` is the parameter's name in our graph.
    """

    weight: Stored
    weight_tensor: str
    bias: Stored | None
    accumulator: Fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Weighted):
    """x (inputs) times weight (inputs, outputs), rows in the firmware's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows before columns: kernel, strides, pads (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Weighted):
    """Weight (outputs, rows, columns, inputs); depthwise where `depthwise`, then inputs is 1."""

    window: Window
    depthwise: bool

    @property
    def kind(self) -> str:
        """Depthwise ones are a kind of their own."""
        return "DepthwiseConvolution" if self.depthwise else "Convolution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relu(Layer):
    """max(0, x)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPooling(Layer):
    """The largest of every window."""

    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Layer):
    """Rows, columns, channels in one row: a view, of its source's very type."""

    @property
    def rounds(self) -> bool:
        """Never: its source has."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Layer):
    """Two layers added element by element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requantise(Layer):
    """A quantiser that no layer before it can take in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers in topological order, the port first; `output` names the layer whose result leaves."""

    name: str
    input_tensor: str
    output_tensor: str
    layers: tuple[Layer, ...]
    output: str
    by_name: Mapping[str, Layer] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {layer.name: layer for layer in self.layers})

    @property
    def port(self) -> Layer:
        """The input layer."""
        return self.layers[0]

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers that have a reuse factor and a strategy."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))


def to_channels_last(samples: Array) -> Array:
    """(samples, channels, rows, columns) as (samples, rows, columns, channels); anything else as it is."""
    return np.ascontiguousarray(np.moveaxis(samples, 1, -1) if samples.ndim == 4 else samples)


def from_firmware(network_output: Layer, values: Array) -> Array:
    """What the firmware gave (samples, elements) in our graph's order and shape."""
    if network_output.order is not None:
        restored = np.empty_like(values)
        restored[:, network_output.order] = values
        return restored
    shaped = values.reshape(len(values), *network_output.shape)
    return np.ascontiguousarray(np.moveaxis(shaped, -1, 1)) if shaped.ndim == 4 else shaped
