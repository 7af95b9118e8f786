"""Lowering: every operator lands in exactly one layer, and what the store path can do for free is done there."""

from collections import Counter

import msgspec
import pytest

from mapper.lower import ResidualAdd, lower
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Clip, Unary
from model_ir.ops.movement import Transpose
from model_ir.passes.pipeline import run_passes
from simulator.accelerator_file import accelerator_names, load_accelerator
from simulator.array_nest import ArrayNest
from workloads.catalogue import WORKLOADS, build

GEMMINI = load_accelerator("gemmini")
SMALL = ("jet-tagger", "resnet18", "mobilenet-v2", "bert-base", "gpt2", "qwen2.5-0.5b", "vit-s16", "conformer-s")


def residual_block() -> Graph:
    builder = GraphBuilder("block")
    x = builder.input("x", (1, 16, 8, 8))
    w = builder.parameter("w", (16, 16, 3, 3))
    shape = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    y = builder.apply(Conv, x, w, name="first", **shape)
    y = builder.apply(Unary, y, name="relu", function="relu")
    y = builder.apply(Conv, y, w, name="second", **shape)
    y = builder.apply(Binary, y, x, name="sum", function="add")
    return builder.finish(builder.apply(Unary, y, name="last", function="relu"))


def test_relu_and_residual_add_leave_by_the_store_path() -> None:
    first, second, total = lower(residual_block(), GEMMINI)
    assert (first.activation, first.fused) == ("relu", ("relu",))
    assert (second.activation, second.fused) == ("none", ())
    assert total.work == ResidualAdd(rows=64, channels=16)
    assert total.activation == "relu"


@pytest.mark.parametrize("name", SMALL)
def test_every_operator_is_in_exactly_one_layer(name: str) -> None:
    graph = run_passes(build(name))
    layers = lower(graph, GEMMINI)
    covered = Counter(op for layer in layers for op in (layer.name, *layer.fused))
    assert covered == Counter(op.name for op in graph.ops)


@pytest.mark.parametrize("name", SMALL)
def test_the_array_gets_every_multiply_accumulate(name: str) -> None:
    graph = run_passes(build(name))
    works = [layer.work for layer in lower(graph, GEMMINI) if isinstance(layer.work, ArrayNest)]
    array = sum(work.macs // work.groups for work in works)
    assert array == graph.macs


@pytest.mark.parametrize("machine", accelerator_names())
def test_every_machine_takes_a_transformer_and_a_cnn(machine: str) -> None:
    for name in ("bert-base", "mobilenet-v2"):
        assert lower(run_passes(build(name)), load_accelerator(machine))
    assert WORKLOADS.keys() >= set(SMALL)


def test_an_activation_with_two_readers_is_not_fused() -> None:
    builder = GraphBuilder("fork")
    x = builder.input("x", (4, 16))
    y = builder.apply(MatMul, x, builder.parameter("w", (16, 16)), name="matmul")
    relu = builder.apply(Unary, y, name="relu", function="relu")
    layers = lower(builder.finish(builder.apply(Binary, y, relu, name="sum", function="add")), GEMMINI)
    assert [layer.name for layer in layers] == ["matmul", "relu", "sum"]
    assert layers[0].activation == "none"


def test_a_result_that_leaves_the_network_is_not_fused_over() -> None:
    builder = GraphBuilder("two_outputs")
    y = builder.apply(MatMul, builder.input("x", (4, 16)), builder.parameter("w", (16, 16)), name="matmul")
    relu = builder.apply(Unary, y, name="relu", function="relu")
    assert [layer.fused for layer in lower(builder.finish(y, relu), GEMMINI)] == [(), ()]


def test_a_clip_that_does_not_start_at_zero_is_no_relu() -> None:
    builder = GraphBuilder("clip")
    y = builder.apply(MatMul, builder.input("x", (4, 16)), builder.parameter("w", (16, 16)), name="matmul")
    layers = lower(builder.finish(builder.apply(Clip, y, name="clip", low=-1.0, high=1.0)), GEMMINI)
    assert [layer.name for layer in layers] == ["matmul", "clip"]


def test_a_convolution_that_the_array_cannot_express_is_refused_or_left_to_the_host() -> None:
    builder = GraphBuilder("volume")
    x = builder.input("x", (1, 4, 8, 8, 8))
    shape = {"strides": (1, 1, 1), "pads": (0,) * 6, "dilations": (1, 1, 1)}
    graph = builder.finish(builder.apply(Conv, x, builder.parameter("w", (4, 4, 3, 3, 3)), name="conv3d", **shape))
    with pytest.raises(InputError, match="conv3d"):
        lower(graph, GEMMINI)
    (layer,) = lower(graph, GEMMINI, skip_unsupported=True)
    assert layer.work is None
    assert "host" in layer.note


def test_elementwise_neighbours_of_convolutions_are_stored_channels_last() -> None:
    total = lower(residual_block(), GEMMINI)[-1]
    assert total.nest.write.shape == (1, 8, 8, 16)
    assert {access.shape for access in total.nest.reads} == {(1, 8, 8, 16)}


def test_attention_tensors_of_rank_four_keep_their_order() -> None:
    graph = run_passes(build("bert-base", seq=32))
    softmax = next(layer for layer in lower(graph, GEMMINI) if layer.kind == "softmax")
    assert softmax.nest.write.shape == (1, 12, 32, 32)


def test_a_transpose_into_the_layout_that_is_stored_anyway_is_a_view() -> None:
    graph = run_passes(build("conformer-s"))
    layers = {layer.name: layer for layer in lower(graph, GEMMINI)}
    transposes = [layers[op.name] for op in graph.ops if isinstance(op, Transpose)]
    assert {layer.kind for layer in transposes} == {"transpose", "view"}
    for layer in transposes:
        assert (layer.nest.reads[0].indices == layer.nest.write.indices) == (layer.kind == "view")


def test_a_machine_without_relu_on_its_way_out_gets_it_as_a_layer() -> None:
    machine = msgspec.structs.replace(GEMMINI, fused_activations=())
    assert [layer.kind for layer in lower(residual_block(), machine)] == ["conv", "relu", "conv", "add", "relu"]
