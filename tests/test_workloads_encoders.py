"""The encoders and image networks, whole, against plain numpy implementations that share no code with the builders."""

from dataclasses import replace

import numpy as np
import pytest
from plain_layers import Array, Plain, gelu, relu, silu
from workload_values import assert_close, inputs, outputs, parameters

from workloads import bert, conformer, mobilenet, resnet, squeezeformer, vit

BERT = replace(bert.BERT_BASE, layers=2, features=16, heads=4, hidden=24, vocabulary=50, positions=20)
VIT = replace(vit.VIT_B16, layers=2, features=16, heads=4, hidden=24, patch=4, classes=7)
CONFORMER = replace(conformer.CONFORMER_S, layers=2, features=8, heads=2, kernel=4, vocabulary=11)
SQUEEZEFORMER = replace(
    squeezeformer.SQUEEZEFORMER_XS,
    layers=4,
    features=8,
    heads=2,
    kernel=5,
    vocabulary=11,
    reduce_before=1,
    recover_before=3,
)
SMALL_STAGES = replace(mobilenet.MOBILENET_V2, stem=8, last=20, classes=7)


def test_bert() -> None:
    graph = bert.build(BERT, seq=7)
    feeds, values = inputs(graph, rows=2), parameters(graph)
    p = Plain(values, BERT.epsilon)
    ids, segments = (feeds[name][0] for name in ("input_ids", "token_type_ids"))
    x = (
        p["embeddings.word.weight"][ids]
        + p["embeddings.segment.weight"][segments]
        + p["embeddings.position.weight"][:7]
    )
    x = p.norm(x, "embeddings.norm")
    for index in range(BERT.layers):
        name = f"layers.{index}"
        x = p.norm(x + p.attention(x, f"{name}.attention", BERT.heads), f"{name}.attention.norm")
        wide = gelu(p.dense(x, f"{name}.feed_forward.in"))
        x = p.norm(x + p.dense(wide, f"{name}.feed_forward.out"), f"{name}.feed_forward.norm")
    last, pooled = outputs(graph, feeds | values)
    assert_close(last[0], x)
    assert_close(pooled[0], np.tanh(p.dense(x[0], "pooler.dense")))


@pytest.mark.parametrize("image", [4, 12])
def test_vit(image: int) -> None:
    graph = vit.build(VIT, image=image)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    p = Plain(values, VIT.epsilon)
    pixels, kernel = feeds["image"][0], p["patches.weight"].reshape(VIT.features, -1)
    patches = [
        kernel @ pixels[:, row : row + 4, column : column + 4].ravel() + p["patches.bias"]
        for row in range(0, image, 4)
        for column in range(0, image, 4)
    ]
    x = np.stack([p["class_token"][0, 0], *patches]) + p["positions"][0]
    for index in range(VIT.layers):
        name = f"layers.{index}"
        x = x + p.attention(p.norm(x, f"{name}.attention.norm"), f"{name}.attention", VIT.heads)
        wide = gelu(p.dense(p.norm(x, f"{name}.feed_forward.norm"), f"{name}.feed_forward.in"))
        x = x + p.dense(wide, f"{name}.feed_forward.out")
    assert_close(outputs(graph, feeds | values)[0][0], p.dense(p.norm(x, "norm")[0], "head"))


def subsampled(p: Plain, frames: Array, *, depthwise: bool) -> Array:
    """(frames, 80) to (frames // 4, features)."""
    x = relu(p.conv(frames[None], "subsampling.conv_0", stride=2, pads=(0, 1)))
    if depthwise:
        x = p.conv(x, "subsampling.conv_1.depthwise", stride=2, pads=(0, 1), groups=len(x))
        x = p.conv(x, "subsampling.conv_1", stride=1, pads=(0, 0))
    else:
        x = p.conv(x, "subsampling.conv_1", stride=2, pads=(0, 1))
    steps = [relu(x[:, step]).T.ravel() for step in range(x.shape[1])]
    return p.dense(np.stack(steps), "subsampling.linear")


def convolved(p: Plain, gated: Array, name: str, kernel: int, epsilon: float) -> Array:
    """From the gate on: depthwise convolution of the same length, batch norm, SiLU, pointwise convolution."""
    pads = ((kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2)
    y = p.conv(gated.T, f"{name}.depthwise", stride=1, pads=pads, groups=gated.shape[1])
    return p.dense(silu(p.batch_norm(y, f"{name}.norm", epsilon)).T, f"{name}.pointwise_out")


def test_conformer() -> None:
    graph = conformer.build(CONFORMER, seq=27)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    p = Plain(values, CONFORMER.epsilon)

    def half_feed_forward(x: Array, name: str) -> Array:
        wide = silu(p.dense(p.norm(x, f"{name}.norm"), f"{name}.in"))
        return x + p.dense(wide, f"{name}.out") / 2

    x = subsampled(p, feeds["frames"][0], depthwise=False)
    for index in range(CONFORMER.layers):
        name = f"layers.{index}"
        x = half_feed_forward(x, f"{name}.feed_forward_0")
        x = x + p.relative_attention(p.norm(x, f"{name}.attention.norm"), f"{name}.attention", CONFORMER.heads)
        wide = p.dense(p.norm(x, f"{name}.convolution.input_norm"), f"{name}.convolution.pointwise_in")
        value, gate = np.split(wide, 2, axis=1)
        gated = value / (1 + np.exp(-gate))
        x = x + convolved(p, gated, f"{name}.convolution", CONFORMER.kernel, CONFORMER.epsilon)
        x = p.norm(half_feed_forward(x, f"{name}.feed_forward_1"), f"{name}.norm")
    assert_close(outputs(graph, feeds | values)[0][0], p.dense(x, "logits"))


def squeezeformer_block(p: Plain, x: Array, name: str) -> Array:
    def scaled(part: str) -> Array:
        return x * p[f"{name}.{part}.scaling.scale"] + p[f"{name}.{part}.scaling.bias"]

    x = p.norm(
        x + p.relative_attention(scaled("attention"), f"{name}.attention", SQUEEZEFORMER.heads),
        f"{name}.attention.output_norm",
    )
    for part in ("feed_forward_0", "convolution", "feed_forward_1"):
        if part == "convolution":
            gated = silu(p.dense(scaled(part), f"{name}.{part}.pointwise_in"))
            y = convolved(p, gated, f"{name}.{part}", SQUEEZEFORMER.kernel, SQUEEZEFORMER.epsilon)
        else:
            y = p.dense(silu(p.dense(scaled(part), f"{name}.{part}.in")), f"{name}.{part}.out")
        x = p.norm(x + y, f"{name}.{part}.output_norm")
    return x


@pytest.mark.parametrize("frames", [8, 24, 28, 31], ids=["least", "even", "odd", "odd-rest"])
def test_squeezeformer(frames: int) -> None:
    graph = squeezeformer.build(SQUEEZEFORMER, seq=frames)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    p = Plain(values, SQUEEZEFORMER.epsilon)
    x = p.norm(subsampled(p, feeds["frames"][0], depthwise=True) * np.sqrt(SQUEEZEFORMER.features), "norm")
    skipped = x = squeezeformer_block(p, x, "layers.0")
    halved = p.conv(x.T, "reduction.depthwise", stride=2, pads=(0, 3), groups=SQUEEZEFORMER.features)
    x = p.dense(halved.T, "reduction.pointwise")
    if len(skipped) % 2:
        x = np.vstack([x, np.zeros(SQUEEZEFORMER.features)])
    for index in (1, 2):
        x = squeezeformer_block(p, x, f"layers.{index}")
    x = p.dense(np.repeat(x, 2, axis=0)[: len(skipped)], "recovery.linear") + skipped
    x = squeezeformer_block(p, x, "layers.3")
    assert_close(outputs(graph, feeds | values)[0][0], p.dense(x, "logits"))


def normed(p: Plain, x: Array, name: str, kernel: int, stride: int = 1, groups: int = 1) -> Array:
    y = p.conv(x, name, stride=stride, pads=(kernel // 2, kernel // 2), groups=groups)
    return p.batch_norm(y, f"{name}.norm", 1e-5)


@pytest.mark.parametrize(
    ("config", "kernels"), [(resnet.RESNET_18, (3, 3)), (resnet.RESNET_50, (1, 3, 1))], ids=["basic", "bottleneck"]
)
def test_resnet(config: resnet.ResnetConfig, kernels: tuple[int, ...]) -> None:
    small = replace(config, blocks=(1, 2, 1, 1), widths=(4, 4, 8, 8), stem=4, classes=7)
    graph = resnet.build(small, image=40)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    p = Plain(values, 0.0)
    x = relu(normed(p, feeds["image"][0], "stem", 7, stride=2))
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1)])
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))
    for stage, count in enumerate(small.blocks):
        for index in range(count):
            name = f"stages.{stage}.{index}"
            stride = 2 if stage > 0 and index == 0 else 1
            y = x
            for position, kernel in enumerate(kernels):
                moves = stride if position == kernels.index(3) else 1
                y = normed(p, y, f"{name}.conv_{position}", kernel, stride=moves)
                y = relu(y) if position < len(kernels) - 1 else y
            if f"{name}.shortcut.weight" in values:
                x = normed(p, x, f"{name}.shortcut", 1, stride=stride)
            x = relu(x + y)
    assert_close(outputs(graph, feeds | values)[0][0], p.dense(x.mean(axis=(1, 2)), "head"))


@pytest.mark.parametrize(
    ("stages", "limit"),
    [(mobilenet.MOBILENET_V2.stages[:3], 6.0), (mobilenet.MNASNET_B1.stages[:3], np.inf)],
    ids=["mobilenet-v2", "mnasnet-b1"],
)
def test_mobile_networks(stages: tuple[mobilenet.Stage, ...], limit: float) -> None:
    config = replace(SMALL_STAGES, stages=stages, activation_limit=6.0 if limit == 6.0 else None)
    graph = mobilenet.build(config, image=33)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    p = Plain(values, 0.0)

    def active(x: Array) -> Array:
        return np.clip(x, 0, limit)

    x = active(normed(p, 4 * feeds["image"][0], "stem", 3, stride=2))
    for number, stage in enumerate(stages):
        for index in range(stage.repeats):
            name, stride = f"stages.{number}.{index}", stage.stride if index == 0 else 1
            y = active(normed(p, x, f"{name}.expand", 1)) if stage.expansion > 1 else x
            y = active(normed(p, y, f"{name}.depthwise", stage.kernel, stride=stride, groups=len(y)))
            y = normed(p, y, f"{name}.project", 1)
            x = x + y if x.shape == y.shape and stride == 1 else y
    x = active(normed(p, x, "last", 1))
    enlarged = {"image": 4 * feeds["image"]}
    assert_close(outputs(graph, enlarged | values)[0][0], p.dense(x.mean(axis=(1, 2)), "head"))
