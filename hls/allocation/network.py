"""A graph in the allocation's words: one variable a weight or group of its channels, one an activation tensor.

An activation's variable is its producer's output: every layer that reads the tensor computes in that one precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hls.allocation.costs import Product
from hls.layers import layers_of
from hls.parts import Part, group_parts
from model_ir.graph import Graph

Counting = Literal["positions", "unrolled"]
"""Whether a layer's multiplications count at every position of its output (work done), or once (a fully unrolled
layer's hardware, as the published convolution formula counts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisable:
    """What can be given bits in a graph: `activations` by tensor name, `weights` as parts whose names are the
    variables, and the `products` between them; `elements` counts each weight variable's numbers."""

    activations: tuple[str, ...]
    weights: tuple[Part, ...]
    products: tuple[Product, ...]
    elements: Mapping[str, int] = field(repr=False)

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables, activations first."""
        return (*self.activations, *(part.name for part in self.weights))


def quantisable(
    graph: Graph,
    *,
    groups: int = 1,
    nonzero: Mapping[str, float] | None = None,
    counting: Counting = "positions",
) -> Quantisable:
    """The variables and products of `graph`'s layers, each weight in `groups` groups of output channels.

    `nonzero` gives the share of non-zero entries of pruned weights by name.
    """
    layers = layers_of(graph)
    parts = {layer.weight: group_parts(graph, layer.weight, groups) for layer in layers if layer.weight}
    products: list[Product] = []
    for layer in layers:
        if not layer.weight:
            one, other = layer.operands
            products.append(Product(activation=one, weight=other, macs=layer.macs, reduction=layer.reduction))
            continue
        whole = graph.tensors[layer.weight].elements
        macs = layer.macs if counting == "positions" else whole
        products.extend(
            Product(
                activation=layer.activations[0],
                weight=part.name,
                macs=macs * part.elements // whole,
                reduction=layer.reduction,
                nonzero=(nonzero or {}).get(layer.weight, 1.0),
            )
            for part in parts[layer.weight]
        )
    weights = tuple(part for group in parts.values() for part in group)
    return Quantisable(
        activations=tuple(dict.fromkeys(name for layer in layers for name in layer.activations)),
        weights=weights,
        products=tuple(products),
        elements={part.name: part.elements for part in weights},
    )


def choices_for(
    variables: Sequence[str], bits: Sequence[int], *, held: Mapping[str, int] | None = None
) -> dict[str, tuple[int, ...]]:
    """`bits` for every variable but those of `held`, which have one choice (HAWQ-V3 holds first and last at 8)."""
    return {name: ((held or {})[name],) if name in (held or {}) else tuple(bits) for name in variables}
