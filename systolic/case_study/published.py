"""What was printed: Kim et al., Full Stack Optimization of Transformer Inference (arXiv 2302.14017v1)."""

from __future__ import annotations

from typing import Final

OFF_ARRAY_SHARE: Final = 0.96
"""Section 3.4.2: time spent on non-matmul operations by the baseline."""
BASELINE_UTILISATION: Final = 0.74
"""Section 3.4.2: of individual matmuls."""
BASELINE_SHARES: Final = {
    "matmul": 0.01,
    "de/quantisation": 0.49,
    "softmax": 0.19,
    "residual add": 0.11,
    "GELU": 0.10,
    "LayerNorm": 0.04,
}
"""Figure 14, left: BERT-Base, 512 tokens. They add up to 94 %."""
INTEGER_SHARES: Final = {"matmul + GELU": 0.87, "LayerNorm": 0.07, "residual add": 0.04, "softmax": 0.03}
"""Figure 14, middle."""
INTEGER_GAIN: Final = 39.6
"""Section 3.4.4; section 7: together with the memories re-balanced."""
UNITS_AREA: Final = 0.14
UNITS_POWER: Final = 0.093
"""Section 3.4.4: synthesised with the ASAP7 PDK; SRAM energy by CACTI, scaled to 7 nm."""
REBALANCED_CHANGE: Final = -0.36
"""Section 3.4.3: latency of all matmuls, scratchpad 256 to 64 kB and accumulator 64 to 256 kB."""
UTILISATION: Final = {
    (64, 64): 0.66,
    (128, 64): 0.71,
    (256, 64): 0.69,
    (64, 128): 0.91,
    (128, 128): 0.91,
    (256, 128): 0.88,
    (64, 256): 0.91,
    (128, 256): 0.91,
    (256, 256): 0.90,
}
"""Figure 13: (scratchpad, accumulator) in kB; utilisation of the matmuls of BERT-Base."""
HEADLINE: Final = 88.7
HEADLINE_LATENCY: Final = 39.6
HEADLINE_EDP: Final = 2.24
"""Abstract and section 7: the product of a gain in latency and one in energy-delay product."""
SEARCH_LAYERS: Final = (3, 4, 5, 6)
SEARCH_HEADS: Final = (4, 6, 8, 10, 12)
SEARCH_FEATURES: Final = tuple(range(384, 769, 96))
SEARCH_HIDDEN: Final = tuple(range(768, 3073, 128))
"""Table 8: the search space; heads and the width of the feed-forward network may differ from layer to layer."""
SEARCH_START: Final = (768, (12,) * 6, (3072,) * 6)
"""Section 6.4.1: the baseline as (d, heads by layer, d_FFN by layer)."""
SEARCH_PICK: Final = (672, (12, 6, 12, 8, 10, 6), (1280, 1280, 2560, 768, 2048, 1024))
"""Table 9: found within 0.1 points of the baseline's perplexity."""
SEARCH_GAINS: Final = {"latency": (1.4, 2.4), "energy": (1.6, 4.4), "EDP": (2.24, 10.56)}
"""Section 6.4.2 and section 7: at 0.1 and at one point of perplexity more than the baseline's."""
GPT2_VOCABULARY: Final = 50257
BERT_VOCABULARY: Final = 30522
