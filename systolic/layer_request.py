"""LAYER on the command line: a layer of a network, or a matmul or convolution given by its sizes.

bert-base:layers.0.attention.query     NETWORK:NAME, the network as every command takes it
512,768,3072                           a matmul of I x K by K x J
7x7x512,3x3x2048,s2,p1,d1,g1,n4        a convolution: image and its channels, kernel and its channels, then any of
                                       stride, padding, dilation, groups, images
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from model_ir.errors import InputError
from systolic.network import NetworkRequest, load_network

if TYPE_CHECKING:
    from mapper.lower import Layer
    from model_ir.graph import Graph
    from simulator.accelerator import Accelerator

_MATMUL = re.compile(r"(\d+),(\d+),(\d+)")
_CONVOLUTION = re.compile(r"(\d+)x(\d+)x(\d+),(\d+)x(\d+)x(\d+)((?:,[spdgn]\d+)*)")
FORMS = "NETWORK:LAYER, a matmul I,K,J or a convolution HxWxC,RxSxK[,sSTRIDE][,pPAD][,dDILATION][,gGROUPS][,nIMAGES]"


def is_sizes(text: str) -> bool:
    """Whether `text` gives a layer by its sizes."""
    return bool(_MATMUL.fullmatch(text) or _CONVOLUTION.fullmatch(text))


def layer_of(request: NetworkRequest, accelerator: Accelerator) -> Layer:
    """The layer that `request.model` means, lowered for `accelerator`.

    Raises InputError for a text of no known form, sizes that make no layer, and a network or layer that is not there.
    """
    from systolic.pipeline import layers_of

    if not is_sizes(request.model) and ":" not in request.model:
        raise InputError("LAYER", f"is {FORMS}", value=request.model)
    graph, name = graph_and_layer(request)
    return layers_of(graph, accelerator, skip_unsupported=request.skip_unsupported, only=name)[0]


def graph_and_layer(request: NetworkRequest) -> tuple[Graph, str | None]:
    """The network that `request.model` means, a whole one or that of a LAYER, and the layer's name, None for a whole
    network. Raises InputError as `layer_of` does, but for a layer that is not in its network."""
    text = request.model
    if is_sizes(text):
        if request.options:
            raise InputError(text, "a layer given by its sizes takes no network options", value=str(request.options))
        return graph_of_sizes(text), text
    network, colon, name = text.partition(":")
    if colon and not (network and name):
        raise InputError("LAYER", f"is {FORMS}", value=text)
    return load_network(replace(request, model=network)), name or None


def graph_of_sizes(text: str) -> Graph:
    """The network of one matmul or convolution without bias that `text` gives; InputError where it gives none."""
    from model_ir.builder import GraphBuilder
    from model_ir.ops.contraction import Conv, MatMul

    matmul, convolution = _MATMUL.fullmatch(text), _CONVOLUTION.fullmatch(text)
    b = GraphBuilder(text, origin=f"sizes {text}")
    if matmul:
        rows, depth, columns = (_positive(text, size) for size in matmul.groups())
        a, weight = b.input("a", (rows, depth)), b.parameter("b", (depth, columns))
        return b.finish(b.apply(MatMul, a, weight, name=text))
    if not convolution:
        raise InputError("LAYER", f"is {FORMS}", value=text)
    height, width, channels, kernel_rows, kernel_columns, outs = (
        _positive(text, size) for size in convolution.groups()[:6]
    )
    options = _options(text, convolution[7])
    groups, dilation, stride = options.get("g", 1), options.get("d", 1), options.get("s", 1)
    if channels % groups or outs % groups:
        raise InputError(text, "groups must divide the channels of image and kernel", value=groups)
    pads = tuple(options.get("p", (size - 1) * dilation // 2) for size in (kernel_rows, kernel_columns))
    image = b.input("image", (options.get("n", 1), channels, height, width))
    weight = b.parameter("weight", (outs, channels // groups, kernel_rows, kernel_columns))
    return b.finish(
        b.apply(
            Conv,
            image,
            weight,
            name=text,
            strides=(stride, stride),
            pads=(*pads, *pads),
            dilations=(dilation, dilation),
            group=groups,
        )
    )


def _options(text: str, written: str) -> dict[str, int]:
    """The letters and numbers behind the sizes; padding may be 0, the rest is positive."""
    options: dict[str, int] = {}
    for part in written.split(",")[1:]:
        letter, number = part[0], part[1:]
        if letter in options:
            raise InputError(text, "gives one option twice", value=letter)
        options[letter] = int(number) if letter == "p" else _positive(text, number)
    return options


def _positive(text: str, number: str) -> int:
    if int(number) < 1:
        raise InputError(text, "sizes must be positive", value=number, limit=1)
    return int(number)
