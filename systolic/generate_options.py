"""What `systolic generate` reads from its options' texts: models, and ways to decode as KEY=VALUE lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel
from model_ir.speech_model import SpeechModel
from simulator.generation.decoding import Diffusion, Pipelined, Speculative, Way
from simulator.generation.precision import parse_precision
from simulator.generation.speculation import Draft, Pipeline

SPECULATE = "--speculate"
DIFFUSE = "--diffuse"


def find_model(text: str) -> LanguageModel | SpeechModel:
    """A model of the catalogue, or the one that a Hugging Face config.json (the file or its folder) describes."""
    from workloads.hugging_face.file import read_config
    from workloads.language_models import LANGUAGE_MODELS, language_model
    from workloads.speech_models import SPEECH_MODELS

    if text in SPEECH_MODELS:
        return SPEECH_MODELS[text]
    if text in LANGUAGE_MODELS:
        return LANGUAGE_MODELS[text]
    path = Path(text)
    if path.suffix == ".json" or path.name != text or path.is_dir():
        return read_config(path)
    return language_model(text)


def known_models() -> list[dict[str, Any]]:
    """A row of every model that has a name: parameters, active ones (with experts fewer), sizes, source."""
    from model_ir.language_model import parameters
    from model_ir.speech_model import speech_parameters
    from workloads.language_models import LANGUAGE_MODELS
    from workloads.speech_models import SPEECH_MODELS

    rows: list[dict[str, Any]] = []
    for model in LANGUAGE_MODELS.values():
        counted = parameters(model)
        rows.append(_row(model, counted.total, counted.active) | {"writes": _writes(model)})
    for speech in SPEECH_MODELS.values():
        counts = speech_parameters(speech)
        rows.append(_row(speech, counts, counts) | {"writes": "in one pass"})
    return rows


def speculation(text: str) -> Way:
    """Draft and verify ("draft=MODEL,length=4,acceptance=0.8[,fallback=0.2][,precision=w4a16]") or SPEED's pipeline
    ("stages=4,acceptance=0.8[,shared=no]"). The small model is as precise as the large one unless it has a precision of
    its own."""
    given = _pairs(SPECULATE, text)
    if "stages" in given:
        _only(SPECULATE, given, needed=("stages", "acceptance"), allowed=("shared",))
        return Pipelined(
            pipeline=Pipeline(
                stages=_whole(SPECULATE, given, "stages"),
                acceptance=_number(SPECULATE, given, "acceptance"),
                shared=_yes(SPECULATE, given, "shared", default=True),
            )
        )
    _only(SPECULATE, given, needed=("draft", "length", "acceptance"), allowed=("fallback", "precision"))
    small = find_model(given["draft"])
    if not isinstance(small, LanguageModel):
        raise InputError(f"{SPECULATE}: draft", "drafts nothing: it writes in one pass", value=small.name)
    return Speculative(
        small=small,
        precision=parse_precision(given["precision"]) if "precision" in given else None,
        draft=Draft(
            length=_whole(SPECULATE, given, "length"),
            acceptance=_number(SPECULATE, given, "acceptance"),
            fallback=_number(SPECULATE, given, "fallback") if "fallback" in given else 0.0,
        ),
    )


def diffusion(text: str) -> Way:
    """Block-wise diffusion: "block=32,steps=16[,cache=no]"."""
    given = _pairs(DIFFUSE, text)
    _only(DIFFUSE, given, needed=("block", "steps"), allowed=("cache",))
    return Diffusion(
        block=_whole(DIFFUSE, given, "block"),
        steps=_whole(DIFFUSE, given, "steps"),
        cached=_yes(DIFFUSE, given, "cache", default=True),
    )


def _row(model: LanguageModel | SpeechModel, total: int, active: int) -> dict[str, Any]:
    return {
        "name": model.name,
        "parameters": total,
        "active_parameters": active,
        "layers": model.layers,
        "features": model.features,
        "heads": model.heads,
        "source": model.source,
    }


def _writes(model: LanguageModel) -> str:
    if not model.logits:
        return "nothing"
    return "one by one" if model.causal else "by diffusion"


def _pairs(option: str, text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise InputError(option, "is no list of KEY=VALUE", value=repr(part)[:60])
        if key.strip() in given:
            raise InputError(option, "says one thing twice", value=key.strip())
        given[key.strip()] = value.strip()
    return given


def _only(option: str, given: Mapping[str, str], *, needed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for key in given:
        if key not in (*needed, *allowed):
            raise InputError(f"{option}: {key}"[:60], "unknown key", limit=", ".join((*needed, *allowed)))
    for key in needed:
        if key not in given:
            raise InputError(f"{option}: {key}", "missing", limit=", ".join(needed))


def _whole(option: str, given: Mapping[str, str], key: str) -> int:
    text = given[key]
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InputError(f"{option}: {key}", "must be a whole number", value=repr(text)[:60])
    return int(text)


def _number(option: str, given: Mapping[str, str], key: str) -> float:
    try:
        return float(given[key])
    except ValueError:
        raise InputError(f"{option}: {key}", "must be a number", value=repr(given[key])[:60]) from None


def _yes(option: str, given: Mapping[str, str], key: str, *, default: bool) -> bool:
    text = given.get(key, "yes" if default else "no")
    if text not in ("yes", "no"):
        raise InputError(f"{option}: {key}", "must be yes or no", value=repr(text)[:60])
    return text == "yes"
