"""The mapping-space study that ours stands beside, as printed, and why the two differ.

Source of every number: Kim et al., Full Stack Optimization of Transformer Inference: a Survey, arXiv 2302.14017v1,
section 5.5.1 and figures 18 and 19: 100 000 random valid mappings each from Timeloop's mapper on a model of Gemmini,
int8, 512 tokens; latency and energy by Timeloop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SOURCE: Final = "arXiv 2302.14017v1, section 5.5.1, figures 18 and 19"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSpread:
    """EDP of random valid mappings relative to the least observed: tenth percentile and share within 3 times as
    printed, the largest to the order of magnitude of figure 18. `shape` is the layer as our tables write it, `layer` as
    the command takes it."""

    name: str
    layer: str
    shape: str
    tenth_percentile: float
    near_share: float
    largest: float = 1e4
    source: str = SOURCE
    note: str = ""


_FFN_NOTE: Final = "the legend of figure 19 says BERT-Large, the text BERT: both sizes are studied here"

PUBLISHED: Final = (
    PublishedSpread(
        name="ResNet-50 conv5_x 3x3, 512",
        layer="7x7x512,3x3x512",
        shape="3x3 512-512 @7x7",
        tenth_percentile=7.44,
        near_share=0.0158,
    ),
    PublishedSpread(
        name="ResNet-50 conv5_x 1x1, 2048",
        layer="7x7x512,1x1x2048",
        shape="49x512x2048",
        tenth_percentile=12.06,
        near_share=0.0262,
    ),
    PublishedSpread(
        name="BERT-Base MHA projection",
        layer="512,768,768",
        shape="512x768x768",
        tenth_percentile=9.42,
        near_share=0.0170,
    ),
    PublishedSpread(
        name="BERT FFN W1 (Base)",
        layer="512,768,3072",
        shape="512x768x3072",
        tenth_percentile=9.84,
        near_share=0.0148,
        note=_FFN_NOTE,
    ),
    PublishedSpread(
        name="BERT FFN W1 (Large)",
        layer="512,1024,4096",
        shape="512x1024x4096",
        tenth_percentile=9.84,
        near_share=0.0148,
        note=_FFN_NOTE,
    ),
)


def published_of(shape: str) -> PublishedSpread | None:
    """What was printed of a layer of this shape; None where nothing was."""
    return next((spread for spread in PUBLISHED if spread.shape == shape), None)


REASONS: Final = (
    "Timeloop also chooses at random how much of the array a mapping fills; in our space channels always fill it. The "
    "row 'array filled at random' gives every sample rows and columns drawn from the divisors of the array's sides: it "
    "brings matmuls and the 1x1 convolution near the printed numbers, and the 3x3 convolution past them.",
    "Timeloop splits every loop by a random factorisation, so its tile sizes divide; ours may be any size, and large "
    "ones are as likely as small ones. The row 'tile sizes that divide' keeps only those of ours that do.",
    "Timeloop permutes the loops of every level; ours are ordered as Gemmini's code runs them, with two orders of the "
    "tiles.",
    "The machines' memories and energies are not the same: ours reads 8 bytes a cycle, double-buffers what is filled "
    "more than once, and has the energies of its file; the survey does not print its Timeloop description.",
)
"""Why our numbers are not the published ones."""
