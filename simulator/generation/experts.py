"""A mixture of experts: how many of them a batch of tokens touches."""

from __future__ import annotations

import numpy as np

from simulator.rooflines.formats import Number


def touched_experts(experts: int, per_token: int, tokens: Number) -> Number:
    """Expected number of distinct experts that `tokens` tokens visit, each `per_token` different ones, all sets equally
    likely and tokens independent of each other:

        experts x (1 - (1 - per_token / experts)^tokens)

    since one token misses a given expert with probability 1 - per_token / experts (linearity of expectation). Trained
    routers are balanced (arXiv 2401.04088, section 5) but neighbouring tokens agree more often than that, so this is an
    upper estimate of the bytes read.
    """
    missed = (1 - per_token / experts) ** np.asarray(tokens, float)
    touched: Number = experts * (1 - missed)
    return touched
