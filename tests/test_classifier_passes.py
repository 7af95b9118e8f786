"""Another batch size and a classifier's logits: the same values, sample by sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model_ir.errors import InputError
from model_ir.graph import Graph, execute, random_parameters
from model_ir.ops.movement import Transpose
from model_ir.ops.normalisation import Softmax
from model_ir.passes.batch_size import with_batch_size
from model_ir.passes.logits import to_logits
from workloads.catalogue import build


def valued(graph: Graph) -> Graph:
    return replace(graph, constants={**graph.constants, **random_parameters(graph, 3)})


@pytest.mark.parametrize(("name", "options"), [("jet-tagger", {}), ("resnet18", {"image": 32})])
def test_samples_do_not_mind_the_batch_they_are_in(name: str, options: dict[str, int]) -> None:
    graph = valued(build(name, batch=1, **options))
    several = with_batch_size(graph, 3)
    (feed,), (out,) = graph.inputs, graph.outputs
    inputs = np.random.default_rng(1).standard_normal(several.tensors[feed].shape, dtype=np.float32)
    together = execute(several, {feed: inputs})[out]
    apart = np.concatenate([execute(graph, {feed: inputs[i : i + 1]})[out] for i in range(3)])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)
    assert with_batch_size(several, 1).tensors == graph.tensors


def test_a_moved_batch_axis_is_refused() -> None:
    graph = build("jet-tagger", batch=2)
    out = graph.outputs[0]
    moved = replace(graph.tensors[out], name="moved", shape=graph.tensors[out].shape[::-1])
    turned = replace(
        graph,
        ops=(*graph.ops, Transpose(name="turn", inputs=(out,), outputs=("moved",), perm=(1, 0))),
        tensors={**graph.tensors, "moved": moved},
        outputs=("moved",),
    )
    with pytest.raises(InputError, match="batch axis"):
        with_batch_size(turned, 5)


def test_logits_are_what_the_softmax_reads() -> None:
    graph = valued(build("jet-tagger", batch=4))
    assert any(isinstance(op, Softmax) for op in graph.ops)
    cut = to_logits(graph)
    assert not any(isinstance(op, Softmax) for op in cut.ops)
    inputs = {graph.inputs[0]: np.random.default_rng(1).standard_normal((4, 16), dtype=np.float32)}
    logits, chances = execute(cut, inputs)[cut.outputs[0]], execute(graph, inputs)[graph.outputs[0]]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), chances, rtol=1e-5)
    assert to_logits(cut) == cut
