"""Masks of pruned weights: what is False is zero, and stays zero through retraining.

Magnitude: the smallest entries (Han et al., arXiv 1506.02626, section 3). Structured: whole output channels or neurons
of the least L1 norm (Li et al., arXiv 1608.08710, section 3.1), with their biases, so that behind a ReLU nothing of
them is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hls.retraining.layers import WeightLayer, weight_layers
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.arrays import along
from model_ir.ops.quantisation import BipolarQuant, Quant

Array = npt.NDArray[Any]
Scope = Literal["layer", "network"]


def magnitude_masks(graph: Graph, share: float | Mapping[str, float], *, scope: Scope = "layer") -> dict[str, Array]:
    """Masks without the `share` of smallest magnitude: of every layer's weight, of those that `share` names, or of all
    weights together (`scope` "network").

    Shares round down to whole entries. Raises InputError for shares outside [0, 1), names that are no layer's weight,
    and weights without values.
    """
    weights = [layer.weight for layer in weight_layers(graph)]
    if isinstance(share, Mapping):
        shares = {_known(name, weights): part for name, part in share.items()}
        return {name: _largest(_value(graph, name), _share(part)) for name, part in shares.items()}
    if scope == "layer":
        return {name: _largest(_value(graph, name), _share(share)) for name in dict.fromkeys(weights)}
    names = tuple(dict.fromkeys(weights))
    kept = _largest(np.concatenate([_value(graph, name).ravel() for name in names]), _share(share))
    edges = np.cumsum([_value(graph, name).size for name in names])[:-1]
    parts = np.split(kept, edges)
    return {name: part.reshape(_value(graph, name).shape) for name, part in zip(names, parts, strict=True)}


def channel_masks(graph: Graph, share: float | Mapping[str, float]) -> dict[str, Array]:
    """Masks without the `share` of output channels (neurons) with the least L1 norm, of every layer or of those whose
    weight `share` names, and without these channels' biases.

    Layers whose channels are the graph's own outputs keep them all. Shares round down to whole channels. Raises
    InputError as `magnitude_masks`, and where `share` names a layer of outputs.
    """
    layers = {layer.weight: layer for layer in weight_layers(graph)}
    fixed = _last_layers(graph, layers.values())
    if isinstance(share, Mapping):
        shares = {_known(name, [name for name in layers if name not in fixed]): part for name, part in share.items()}
    else:
        shares = {name: share for name in layers if name not in fixed}
    masks: dict[str, Array] = {}
    for name, part in shares.items():
        layer, weight = layers[name], _value(graph, name)
        norms = abs(weight).sum(axis=tuple(axis for axis in range(weight.ndim) if axis != layer.axis))
        kept = _largest(norms, _share(part))
        masks[name] = np.broadcast_to(kept.reshape(along(kept.shape, layer.axis, weight.ndim)), weight.shape)
        if layer.bias and _value(graph, layer.bias).size == kept.size:
            masks[layer.bias] = kept.reshape(_value(graph, layer.bias).shape)
    return masks


def nonzero_shares(graph: Graph) -> dict[str, float]:
    """The share of each layer's weight that is not zero where the layer reads it, rounded if it is: what
    `hls.allocation.network.quantisable` takes."""
    quantisers = {op.inputs[0]: op for op in graph.ops if isinstance(op, Quant | BipolarQuant)}
    shares = {}
    for layer in weight_layers(graph):
        value = _value(graph, layer.weight)
        if layer.weight in quantisers:
            (value,) = quantisers[layer.weight].evaluate(
                np, value, *(_value(graph, name) for name in quantisers[layer.weight].inputs[1:])
            )
        shares[layer.weight] = float(np.count_nonzero(value) / value.size)
    return shares


def check_masks(graph: Graph, parameters: Iterable[str], masks: Mapping[str, Array]) -> dict[str, Array]:
    """`masks` if they fit `parameters` of `graph`. Raises InputError for another name, shape or type, for masks that
    leave nothing, and for parameters whose grid has no zero."""
    known = tuple(parameters)
    for name, mask in masks.items():
        _known(name, known)
        shape = graph.tensors[name].shape
        if mask.dtype != np.bool_ or mask.shape != shape:
            raise InputError(f"mask of {name!r}", "is no bool array of its shape", value=mask.shape, limit=shape)
        if name in {layer.weight for layer in weight_layers(graph)} and not mask.any():
            raise InputError(f"mask of {name!r}", "leaves nothing")
        for op in graph.ops:
            if isinstance(op, Quant | BipolarQuant) and op.inputs[0] == name:
                zeros = np.zeros(shape, np.float32)
                if op.evaluate(np, zeros, *(_value(graph, part) for part in op.inputs[1:]))[0].any():
                    raise InputError(f"mask of {name!r}", f"the grid of {op.kind} {op.name!r} has no zero")
    return dict(masks)


def _largest(values: Array, share: float) -> Array:
    """Which of `values` are left without the `share` of least magnitude; of equals, the first go."""
    kept = np.ones(values.size, np.bool_)
    kept[np.argsort(abs(values).ravel(), kind="stable")[: int(share * values.size)]] = False
    return kept.reshape(values.shape)


def _last_layers(graph: Graph, layers: Iterable[WeightLayer]) -> set[str]:
    """Weights of layers whose channels reach an output with no other layer between."""
    found, needed = set(), set(graph.outputs)
    weights = {layer.op.name: layer.weight for layer in layers}
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            if op.name in weights:
                found.add(weights[op.name])
            else:
                needed |= set(op.inputs)
    return found


def _share(share: float) -> float:
    if not 0 <= share < 1:
        raise InputError("share of pruned weights", "out of range", value=share, limit="0 up to, not with, 1")
    return share


def _known(name: str, names: Iterable[str]) -> str:
    if name not in (known := tuple(names)):
        raise InputError(f"mask of {name!r}", "nothing of this name can be pruned", limit=", ".join(known))
    return name


def _value(graph: Graph, name: str) -> Array:
    if name not in graph.constants:
        raise InputError(graph.origin or graph.name, f"no value for {name!r}")
    return graph.constants[name]
