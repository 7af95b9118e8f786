"""Several tokens a pass of the large model: how many are expected, and what they cost.

Three ways, all with a probability of agreement that is the same for every token and independent of the others:

- draft and verify (Leviathan et al., arXiv 2211.17192): a small model writes `length` tokens, the large one checks them
  in one pass and adds one of its own;
- BiLD (Kim et al., arXiv 2302.07863, section 3, algorithm 1): the small model hands over when it is unsure (fallback),
  at the latest after `length` tokens, and the large one takes back the first token it disagrees with (rollback);
- SPEED (Hooper et al., arXiv 2310.12072): tokens follow each other through the layers, the next one started on a value
  predicted from an early layer; layers that share parameters read them once for all tokens on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_ir.errors import InputError

MAX_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Draft and verify, or BiLD's policies: at most `length` drafted tokens, each accepted with probability
    `acceptance` (1 less the rollback rate), the small model unsure of a token with probability `fallback` (0: every
    draft is `length` long)."""

    length: int
    acceptance: float
    fallback: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """SPEED: a token passes the layers in `stages` equal parts; after the first part the next token is predicted, and
    right with probability `acceptance`. `shared`: all parts have the same parameters."""

    stages: int
    acceptance: float
    shared: bool = True


def expected_tokens(length: int, acceptance: float) -> float:
    """Tokens that a verified draft yields: the accepted ones up to the first that is not, and one of the large model's
    (arXiv 2211.17192, equation 1): (1 - a^(length + 1)) / (1 - a), or length + 1 where all are accepted."""
    return float(np.sum(acceptance ** np.arange(length + 1)))


def draft_lengths(draft: Draft) -> tuple[float, ...]:
    """Probability that a draft has 0, 1, ..., `length` tokens: the small model is unsure of each with probability
    `fallback`."""
    sure = 1 - draft.fallback
    return (*(sure**count * draft.fallback for count in range(draft.length)), sure**draft.length)


def expected_round(draft: Draft) -> tuple[float, float]:
    """Expected tokens of one round, and expected runs of the small model in it.

    A draft that ends because the small model is unsure took one more run of it, whose token is thrown away: the large
    model writes that token itself.
    """
    tokens = runs = 0.0
    for count, chance in enumerate(draft_lengths(draft)):
        tokens += chance * expected_tokens(count, draft.acceptance)
        runs += chance * (count + (count < draft.length))
    return tokens, runs


def pipeline_parts_per_token(pipeline: Pipeline) -> float:
    """Expected parts of the layers that pass between one finished token and the next: 1 where its start was right, all
    `stages` where it must start again from the finished token."""
    return pipeline.acceptance + (1 - pipeline.acceptance) * pipeline.stages


def check_draft(draft: Draft) -> None:
    """Raise InputError for a length or a probability out of range."""
    if not 1 <= draft.length <= MAX_LENGTH:
        raise InputError("speculate: length", "out of range", value=draft.length, limit=f"1 to {MAX_LENGTH} tokens")
    _probability("speculate: acceptance", draft.acceptance)
    _probability("speculate: fallback", draft.fallback)


def check_pipeline(pipeline: Pipeline, layers: int) -> None:
    """Raise InputError for parts that do not divide `layers` and for a probability out of range."""
    if pipeline.stages < 1 or layers % pipeline.stages:
        raise InputError("speculate: stages", "must divide the layers", value=pipeline.stages, limit=f"{layers} layers")
    _probability("speculate: acceptance", pipeline.acceptance)


def _probability(path: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(path, "is no probability", value=value, limit="0 to 1")
