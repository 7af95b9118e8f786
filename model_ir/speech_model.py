"""What a speech encoder with a CTC head is, in numbers: Conformer and Squeezeformer, and the parameters that follow.

It writes all its tokens in one pass: as many steps as the frames leave after subsampling by four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BANDS_LEFT = 4
EXPANSION = 4
REDUCTION_KERNEL = 5
STEM_KERNEL = 9
SUBSAMPLING = 4

Family = Literal["conformer", "squeezeformer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechModel:
    """Sizes of an encoder over frames of 10 ms with `bins` numbers each: `layers` blocks of width `features`,
    `reduced_layers` of them at half the rate (Squeezeformer), a depthwise convolution `kernel` steps wide in each."""

    name: str
    source: str
    family: Family
    layers: int
    features: int
    heads: int
    kernel: int
    vocabulary: int
    frames: int
    reduced_layers: int = 0
    bins: int = 80
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> int:
        """Bands that two convolutions of stride two leave of the bins."""
        return self.bins // BANDS_LEFT

    @property
    def channels(self) -> int:
        """Width of the depthwise convolution: the gate of a Conformer halves what the projection doubled."""
        return self.features if self.family == "conformer" else 2 * self.features


def speech_parameters(model: SpeechModel) -> int:
    """Learned parameters; equal to those of the graph the same sizes build."""
    width = model.features
    square = width * width
    attention = 5 * square + 4 * width + 2 * width
    feed_forward = 2 * EXPANSION * square + (EXPANSION + 1) * width
    channels = model.channels
    convolution = 2 * square + 2 * width + channels * (model.kernel + 1 + 2) + channels * width + width
    vectors = (5 if model.family == "conformer" else 8) * 2 * width
    block = attention + 2 * feed_forward + convolution + vectors
    head = width * model.vocabulary + model.vocabulary
    return model.layers * block + _stem_parameters(model) + head + _rate_parameters(model)


def _stem_parameters(model: SpeechModel) -> int:
    width = model.features
    second = STEM_KERNEL * width * width + width
    if model.family == "squeezeformer":
        second = STEM_KERNEL * width + width + width * width + width
    return STEM_KERNEL * width + width + second + model.bands * width * width + width


def _rate_parameters(model: SpeechModel) -> int:
    """Of the norm after the stem and of the ways down to half the rate and back."""
    width = model.features
    if model.family == "conformer":
        return 0
    return 2 * width + (REDUCTION_KERNEL + 1) * width + 2 * (width * width + width)
