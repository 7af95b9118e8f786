"""Bit operations and sizes of quantised networks: the jet tagger's and HAWQ-V3's ResNets."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from hls.allocation.costs import layer_bops
from model_ir.graph import Graph
from model_ir.loop_nest import LoopNest
from systolic.reproduce.published import Ours, PublishedTable
from systolic.reproduce.survey_resnet import NETWORK
from workloads import resnet
from workloads.catalogue import build
from workloads.layers import learned_parameters

JET_BITS: Final = (4, 5, 6, 7, 8, 16, 32)
NARROW_BITS: Final = 8
INPUT_BITS: Final = 16
WIDER_BITS: Final = 3
"""Activations over weights in the homogeneous models; with INPUT_BITS it makes each of the printed numbers exactly."""
HAWQ_NETWORKS: Final = {"ResNet-50": NETWORK, "ResNet-18": resnet.RESNET_18}
HAWQ_BITS: Final = (32, 8, 4)
END_BITS: Final = 8
"""HAWQ-V3 keeps the first and the last layer at 8 bits (arXiv 2011.10680, section 4)."""


def jets(_: PublishedTable) -> Ours:
    """The jet tagger's parameters, multiply-accumulates and bit operations: inputs of 16 bits and activations 3 bits
    wider than the weights up to 8 bits, everything as wide as the weights above."""
    graph = build("jet-tagger")
    products = tuple(_products(graph))
    counts = {
        "parameters": float(learned_parameters(graph)),
        "multiply-accumulates": float(sum(nest.macs for nest in products)),
    }
    for bits in JET_BITS:
        narrow = bits <= NARROW_BITS
        activations = [INPUT_BITS if narrow else bits, *[bits + WIDER_BITS * narrow] * (len(products) - 1)]
        counts[f"bit operations, {bits}-bit"] = sum(
            layer_bops(nest.macs, _reduction(nest), activation, bits)
            for nest, activation in zip(products, activations, strict=True)
        )
    return {(row, "count"): value for row, value in counts.items()}


def hawq(_: PublishedTable) -> Ours:
    """Sizes and bit operations of the ResNets with all weights and activations of as many bits, below 8 bits all but
    the ends'. A multiply-accumulate is as many bit operations as the product of both widths; a MB is 2^20 bytes."""
    ours: Ours = {}
    for name, config in HAWQ_NETWORKS.items():
        graph = resnet.build(config)
        products = tuple(_products(graph))
        for bits in HAWQ_BITS:
            widths = [max(bits, END_BITS) if nest in (products[0], products[-1]) else bits for nest in products]
            operations = sum(nest.macs * width**2 for nest, width in zip(products, widths, strict=True))
            size = sum(prod(nest.reads[1].shape) * width / 8 for nest, width in zip(products, widths, strict=True))
            ours[f"{name}, {bits}-bit", "MB"] = size / 2**20
            ours[f"{name}, {bits}-bit", "GBOP"] = operations / 1e9
    return ours


def _products(graph: Graph) -> Iterator[LoopNest]:
    return (nest for nest in map(graph.nest_of, graph.ops) if nest.kind == "mac")


def _reduction(nest: LoopNest) -> int:
    """Products in one sum."""
    return nest.macs // prod(nest.write.shape)
