"""The operators that the baseline leaves to the host CPU, by the elements they go over."""

from __future__ import annotations

from simulator.accelerator import Host
from systolic.case_study.encoder import EncoderSizes

QUANTISATION = ("quantise", "dequantise")
LIBM_CYCLES = {"softmax": 86.9, "gelu": 234.0}
"""Cycles an element with the C library's expf and erff in place of polynomials (`python -m benchmarks.bench_host`)."""


def host_elements(sizes: EncoderSizes) -> dict[str, int]:
    """Elements of all layers that each operator goes over.

    Softmax over h l^2 scores, GELU over l d_FFN, two LayerNorms and residual adds over l d each; the sums that enter
    softmax, GELU and the two adds are dequantised, what leaves softmax, GELU and LayerNorm is quantised.
    """
    scores = sizes.heads * sizes.tokens * sizes.tokens
    wide, narrow = sizes.tokens * sizes.hidden, 2 * sizes.tokens * sizes.features
    each = {"softmax": scores, "gelu": wide, "layer_norm": narrow, "add": narrow}
    each |= dict.fromkeys(QUANTISATION, scores + wide + narrow)
    return {function: elements * sizes.layers for function, elements in each.items()}


def host_cycles(sizes: EncoderSizes, host: Host, *, instead: dict[str, float] | None = None) -> dict[str, float]:
    """Cycles of each operator; `instead` are other cycles an element than the machine's file has."""
    figures = host.cycles_per_element | (instead or {})
    return {function: elements * figures[function] for function, elements in host_elements(sizes).items()}
