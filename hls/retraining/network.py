"""A quantised graph as a function of what is learned in it, and the graph that comes out.

What is learned stands by name: a parameter's float value, and a scale's shift, the binary logarithm of the factor on
what it was (`hls.retraining.straight_through`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.retraining.quantisers import Bias, Learnable, digits_of, quantisers_of
from model_ir.errors import InputError
from model_ir.graph import Graph, verify

Array = npt.NDArray[Any]
WIDE_BITS = 32.0
"""Bits of a bias while it is learned: as int32 sums, it is never clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A quantised `graph`, `what` of it is learned, and the `masks` of its pruned parameters (False: zero)."""

    graph: Graph
    what: Learnable
    masks: Mapping[str, Array] = field(repr=False)

    def start(self, *, scales: bool) -> dict[str, Array]:
        """What is learned, as it is in the graph; shifts of scales where `scales` are learned too."""
        constants = self.graph.constants
        values = {name: constants[name].astype(np.float32) for name in self.what.parameters}
        shifted = self.what.scales if scales else ()
        return values | {name: np.zeros(constants[name].shape, np.float32) for name in shifted}

    def feeds(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The constants that follow from `values`, in jax.numpy and differentiable: masked parameters, scales, and the
        scales and bit widths of biases."""
        import jax
        import jax.numpy as jnp

        from hls.retraining.straight_through import scale_at

        constants = self.graph.constants
        feeds = {name: jnp.asarray(values[name]) for name in self.what.parameters}
        feeds |= {name: jnp.where(mask, feeds[name], 0) for name, mask in self.masks.items()}
        for name in self.what.scales:
            start = constants[name]
            feeds[name] = scale_at(start, values[name], digits_of(start)) if name in values else jnp.asarray(start)
        for bias in self.what.biases:
            one, other = (feeds[name].ravel() for name in bias.factors)
            shape = constants[bias.scale].shape
            feeds[bias.scale] = jax.lax.stop_gradient(jnp.broadcast_to(one * other, (_size(shape),)).reshape(shape))
            feeds[bias.bits] = jnp.full_like(constants[bias.bits], WIDE_BITS)
        return feeds

    def learned(self, values: Mapping[str, Array]) -> Graph:
        """The graph with the constants that follow from `values`: parameters on their grids, biases' bit widths as they
        were or as wide as they must be. Numpy alone executes it to the values of the training. Raises InputError for
        a bias of more than 32 bits."""
        constants = dict(self.graph.constants)
        constants |= {name: np.asarray(value) for name, value in self.feeds(values).items()}
        constants |= self._bias_widths(constants)
        readers = [name for op in self.graph.ops for name in op.inputs]
        for op in quantisers_of(self.graph):
            name = op.inputs[0]
            if name in self.what.parameters and readers.count(name) == 1:
                (constants[name],) = op.evaluate(np, *(constants[part] for part in op.inputs))
        return verify(replace(self.graph, constants=constants))

    def _bias_widths(self, constants: Mapping[str, Array]) -> dict[str, Array]:
        widths = {bias.bits: self.graph.constants[bias.bits] for bias in self.what.biases}
        for bias in self.what.biases:
            width = _width(bias, constants)
            if width > WIDE_BITS:
                raise InputError(f"bias {bias.parameter!r}", "leaves 32 bits on the grid of its sums", value=width)
            widths[bias.bits] = np.maximum(widths[bias.bits], width).astype(np.float32)
        return widths


def _width(bias: Bias, constants: Mapping[str, Array]) -> int:
    """Bits of the signed integers that a bias rounds to; a narrow grid holds them too."""
    integers = np.round(constants[bias.parameter] / constants[bias.scale])
    return int(abs(integers).max(initial=0)).bit_length() + 1


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
