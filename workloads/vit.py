"""Vision Transformers (Dosovitskiy et al., arXiv 2010.11929): patch embedding, class token, pre-norm encoder, linear
classifier.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.movement import Concat, Expand, Reshape, Slice, Transpose
from model_ir.ops.normalisation import Gelu
from workloads.attention import self_attention
from workloads.layers import add, conv, layer_norm, linear
from workloads.options import in_range


@dataclass(frozen=True, slots=True, kw_only=True)
class VitConfig:
    """Sizes of a Vision Transformer; `patch` is the side of a patch in pixels."""

    name: str
    layers: int
    features: int
    heads: int
    hidden: int
    patch: int = 16
    classes: int = 1000
    epsilon: float = 1e-6


# B and L: arXiv 2010.11929, table 1. S (the same shape as DeiT-S, arXiv 2012.12877, table 1): Steiner et al., arXiv
# 2106.10270, section 3. Epsilon: the released vision_transformer code (flax's LayerNorm default).
VIT_S16 = VitConfig(name="vit-s16", layers=12, features=384, heads=6, hidden=1536)
VIT_B16 = VitConfig(name="vit-b16", layers=12, features=768, heads=12, hidden=3072)
VIT_L16 = VitConfig(name="vit-l16", layers=24, features=1024, heads=16, hidden=4096)


def build(config: VitConfig, *, image: int = 224, batch: int = 1) -> Graph:
    """The classifier for `batch` square RGB images of `image` pixels a side.

    Input `image` (batch, 3, image, image); output logits (batch, classes). The position table has (image / patch)^2 + 1
    rows: at another resolution it is interpolated once, before inference (section 3.2 of the paper). Raises InputError
    for an image smaller than a patch or not a whole number of patches.
    """
    in_range(config.name, "batch", batch, least=1)
    in_range(config.name, "image", image, least=config.patch, why="pixels a side, one patch")
    if image % config.patch:
        raise InputError(
            f"{config.name}: image", "not a whole number of patches", value=image, limit=f"a multiple of {config.patch}"
        )
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = _tokens(b, config, b.input("image", (batch, 3, image, image)))
    for index in range(config.layers):
        x = _layer(b, x, f"layers.{index}", config)
    x = layer_norm(b, x, "norm", config.epsilon)
    first = b.apply(Slice, x, name="class_token.last", starts=(0,), ends=(1,), axes=(1,), steps=(1,))
    token = b.apply(Reshape, first, name="class_token.flat", shape=(batch, config.features))
    return b.finish(linear(b, token, "head", config.classes))


def _tokens(b: GraphBuilder, config: VitConfig, image: str) -> str:
    patches = conv(
        b,
        image,
        "patches",
        config.features,
        (config.patch, config.patch),
        stride=config.patch,
        pads=(0, 0, 0, 0),
        bias=True,
    )
    batch, features, rows, columns = b.shape(patches)
    flat = b.apply(Reshape, patches, name="patches.flat", shape=(batch, features, rows * columns))
    sequence = b.apply(Transpose, flat, name="patches.by_token", perm=(0, 2, 1))
    token = b.parameter("class_token", (1, 1, features))
    tokens = token if batch == 1 else b.apply(Expand, token, name="class_token.each", shape=(batch, 1, features))
    x = b.apply(Concat, tokens, sequence, name="tokens", axis=1)
    return add(b, x, b.parameter("positions", (1, rows * columns + 1, features)), "tokens.placed")


def _layer(b: GraphBuilder, x: str, name: str, config: VitConfig) -> str:
    normed = layer_norm(b, x, f"{name}.attention.norm", config.epsilon)
    x = add(b, x, self_attention(b, normed, f"{name}.attention", config.heads), f"{name}.attention.add")
    normed = layer_norm(b, x, f"{name}.feed_forward.norm", config.epsilon)
    wide = b.apply(Gelu, linear(b, normed, f"{name}.feed_forward.in", config.hidden), name=f"{name}.feed_forward.gelu")
    return add(b, x, linear(b, wide, f"{name}.feed_forward.out", config.features), f"{name}.feed_forward.add")
