"""What autoregressive decoders share: which tokens one execution computes (prefill or decode) and the key-value cache.

Prefill computes `seq` tokens from nothing and returns their keys and values. Decode computes `seq` new tokens (1 unless
asked otherwise) after `context` cached ones: the cache comes in as graph inputs and goes out, longer, as graph outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from workloads.attention import extend_cache
from workloads.options import Phase, in_range, known_phase

DEFAULT_PROMPT_TOKENS = 512
DEFAULT_CONTEXT_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The tokens of one execution: `tokens` new ones, the first at position `context`, for `batch` sequences."""

    phase: Phase
    batch: int
    tokens: int
    context: int


def span(workload: str, *, seq: int | None, batch: int, context: int | None, phase: str, positions: int) -> Span:
    """Check the options of a decoder whose sequences hold at most `positions` tokens, and fill in what is not given.

    Raises InputError for a context in the prefill phase (it would have no meaning) and for more tokens than positions.
    """
    checked = known_phase(workload, phase)
    in_range(workload, "batch", batch, least=1)
    if checked == "prefill" and context is not None:
        raise InputError(f"{workload}: context", "only the decode phase has cached tokens", value=context)
    if checked == "prefill":
        tokens, cached = DEFAULT_PROMPT_TOKENS if seq is None else seq, 0
    else:
        tokens, cached = 1 if seq is None else seq, DEFAULT_CONTEXT_TOKENS if context is None else context
        in_range(workload, "context", cached, least=1, most=positions - 1, why="tokens in the cache before a new one")
    in_range(workload, "seq", tokens, least=1, most=positions - cached, why="new tokens within the longest sequence")
    return Span(phase=checked, batch=batch, tokens=tokens, context=cached)


class Cache:
    """Keys and values of the layers of one decoder: declares the inputs, extends them and remembers the outputs, in
    layer order.
    """

    def __init__(self, builder: GraphBuilder, shape_of: Span, *, heads: int, features: int) -> None:
        """Start the cache of a decoder with `heads` key heads of `features` numbers; inputs are declared layer by
        layer.
        """
        self.builder = builder
        self.span = shape_of
        self.shape = (shape_of.batch, heads, shape_of.context, features)
        self.outputs: list[str] = []

    def extend(self, layer: int, key: str, value: str) -> tuple[str, str]:
        """All keys and values of `layer` (batch, heads, context + tokens, d), given the new ones (batch, heads, tokens,
        d).
        """
        whole = (self._extend_one(layer, "key", key), self._extend_one(layer, "value", value))
        self.outputs.extend(whole)
        return whole

    def _extend_one(self, layer: int, part: str, new: str) -> str:
        past = self.builder.input(f"past_{part}.{layer}", self.shape) if self.span.context else None
        return extend_cache(self.builder, new, f"present_{part}.{layer}", past)
