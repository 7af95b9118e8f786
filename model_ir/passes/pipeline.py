"""The passes in their order, and the one function that runs them."""

from __future__ import annotations

from collections.abc import Callable

from model_ir.graph import Graph, verify
from model_ir.passes.absorb import absorb_bias, absorb_transposes
from model_ir.passes.fold_batch_norm import fold_batch_norm, fold_dense_batch_norm
from model_ir.passes.fold_constants import fold_constants, merge_duplicates
from model_ir.passes.recognise_activations import recognise_activations
from model_ir.passes.recognise_norms import recognise_norms
from model_ir.passes.recognise_softmax import recognise_softmax
from model_ir.passes.remove_identities import remove_identities

Pass = Callable[[Graph], Graph]

DEFAULT_PASSES: tuple[Pass, ...] = (
    fold_constants,
    remove_identities,
    merge_duplicates,
    recognise_softmax,
    recognise_norms,
    recognise_activations,
    fold_batch_norm,
    absorb_bias,
    absorb_transposes,
    fold_dense_batch_norm,
    remove_identities,
)


def run_passes(graph: Graph, passes: tuple[Pass, ...] = DEFAULT_PASSES) -> Graph:
    """Apply `passes` in order; the graph is verified before the first and after each, and computes the same values.

    Raises InputError where `graph` is not well formed.
    """
    graph = verify(graph)
    for apply in passes:
        graph = verify(apply(graph))
    return graph
