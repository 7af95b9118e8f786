"""The jet-tagging classifier of LHC trigger studies: a small dense network from 16 jet features to 5 jet classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.normalisation import Softmax
from workloads.layers import linear, unary
from workloads.options import in_range


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseConfig:
    """Widths of a dense ReLU classifier, input first, classes last; without `softmax` it ends in logits, as training
    and firmware want it."""

    name: str
    widths: tuple[int, ...]
    softmax: bool = True


# Duarte et al., arXiv 1804.06913, section 2.2: 16 inputs, hidden layers of 64, 32 and 32, five classes (g, q, W, Z, t),
# ReLU and softmax.
JET_TAGGER = DenseConfig(name="jet-tagger", widths=(16, 64, 32, 32, 5))
JET_TAGGER_LOGITS = replace(JET_TAGGER, softmax=False)


def build(config: DenseConfig, *, batch: int = 1) -> Graph:
    """Class probabilities (batch, classes), or logits, of `batch` standardised feature vectors: input `features`
    (batch, widths[0]).
    """
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = b.input("features", (batch, config.widths[0]))
    *hidden, classes = config.widths[1:]
    for index, width in enumerate(hidden):
        x = unary(b, linear(b, x, f"dense_{index}", width), f"dense_{index}.relu", "relu")
    logits = linear(b, x, f"dense_{len(hidden)}", classes)
    return b.finish(b.apply(Softmax, logits, name="probabilities", axis=-1) if config.softmax else logits)
