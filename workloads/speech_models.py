"""The catalogue of speech encoders with a CTC head as sizes, read from those that the builders build from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model_ir.speech_model import Family, SpeechModel
from workloads import conformer, squeezeformer
from workloads.speech import FEATURE_BINS, SUBSAMPLING

# Relative positions have no table: a Conformer's utterances have no stated end. Ten minutes.
MAX_FRAMES = 60_000


def of_conformer(config: conformer.ConformerConfig) -> SpeechModel:
    """The sizes that `workloads.conformer.build` builds from."""
    return _of(config, "conformer", MAX_FRAMES)


def of_squeezeformer(config: squeezeformer.SqueezeformerConfig) -> SpeechModel:
    """The sizes that `workloads.squeezeformer.build` builds from."""
    sizes = _of(config, "squeezeformer", SUBSAMPLING * config.steps + SUBSAMPLING - 1)
    return replace(sizes, reduced_layers=config.recover_before - config.reduce_before)


def _of(
    config: conformer.ConformerConfig | squeezeformer.SqueezeformerConfig, family: Family, frames: int
) -> SpeechModel:
    return SpeechModel(
        name=config.name,
        source=f"workloads.{family}",
        family=family,
        layers=config.layers,
        features=config.features,
        heads=config.heads,
        kernel=config.kernel,
        vocabulary=config.vocabulary,
        frames=frames,
        bins=FEATURE_BINS,
    )


_ROWS = (
    *(of_conformer(config) for config in (conformer.CONFORMER_S, conformer.CONFORMER_M, conformer.CONFORMER_L)),
    *(
        of_squeezeformer(config)
        for config in (
            squeezeformer.SQUEEZEFORMER_XS,
            squeezeformer.SQUEEZEFORMER_S,
            squeezeformer.SQUEEZEFORMER_SM,
            squeezeformer.SQUEEZEFORMER_M,
            squeezeformer.SQUEEZEFORMER_ML,
            squeezeformer.SQUEEZEFORMER_L,
        )
    ),
)
SPEECH_MODELS: Mapping[str, SpeechModel] = {model.name: model for model in _ROWS}
