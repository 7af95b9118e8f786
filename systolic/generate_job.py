"""What `systolic generate` does: models on machines in precisions over contexts and batches, and the page of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel
from reports.generation import GenerationStudy
from simulator.generation.crossing import ridge_batch, ridge_prompt
from simulator.generation.decoding import OneByOne, Setting, Way, request_seconds
from simulator.generation.one_pass import SpeechSetting, check_one_pass, pass_ridges, transcribe
from simulator.generation.precision import parse_precision
from simulator.generation.step import Cache
from simulator.generation.sweep import MAX_POINTS, generate
from simulator.rooflines.machines import find_machine
from systolic.generate_options import diffusion, find_model, speculation
from systolic.text_file import write_text

MAX_REQUESTS = 4096
"""Points at which a whole request is added up token by token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """What `systolic generate` was asked. `speculate` and `diffuse` are texts of `generate_options`; at most one of
    them; `output_tokens` asks for the time of a whole request too."""

    models: Sequence[str]
    machines: Sequence[str] = ("a100",)
    precisions: Sequence[str] = ("w16a16",)
    contexts: Sequence[int] = (2048,)
    batches: Sequence[int] = (1,)
    cache: Cache = field(default_factory=Cache)
    fused_attention: bool = True
    speculate: str | None = None
    diffuse: str | None = None
    output_tokens: int | None = None


def generate_job(request: GenerateRequest) -> tuple[GenerationStudy, ...]:
    """A study for every model, machine and precision. Raises InputError as `generate`, `transcribe`, `find_model`,
    `parse_precision` and the machine's reader do."""
    if request.speculate is not None and request.diffuse is not None:
        raise InputError("--diffuse", "one way of decoding at a time: --speculate is another")
    named = [find_model(text) for text in dict.fromkeys(request.models)]
    machines = [find_machine(name) for name in dict.fromkeys(request.machines)]
    precisions = [parse_precision(text) for text in dict.fromkeys(request.precisions)]
    way = _way(request)
    settings = [(model, machine, precision) for model in named for machine in machines for precision in precisions]
    _check_size(len(settings), request)
    return tuple(
        _written(
            Setting(
                model=model,
                machine=machine,
                precision=precision,
                cache=request.cache,
                fused_attention=request.fused_attention,
            ),
            way,
            request,
        )
        if isinstance(model, LanguageModel)
        else _heard(
            SpeechSetting(model=model, machine=machine, precision=precision, fused_attention=request.fused_attention),
            request,
        )
        for model, machine, precision in settings
    )


def _check_size(settings: int, request: GenerateRequest) -> None:
    points = settings * len(request.contexts) * len(request.batches)
    if points > MAX_POINTS:
        raise InputError("sweep", "too many points", value=points, limit=MAX_POINTS)
    if request.output_tokens is not None and points > MAX_REQUESTS:
        raise InputError(
            "--output-tokens", "is added up token by token: too many points", value=points, limit=MAX_REQUESTS
        )


def _heard(setting: SpeechSetting, request: GenerateRequest) -> GenerationStudy:
    asked = {
        "--speculate": request.speculate,
        "--diffuse": request.diffuse,
        "--output-tokens": request.output_tokens,
        "--keep-tokens": request.cache.kept_tokens,
        "--cache": request.cache.keeps if request.cache.keeps != "kv" else None,
    }
    check_one_pass(setting.model, [option for option, value in asked.items() if value is not None])
    found = transcribe(setting, request.contexts, request.batches)
    ridge_batches, ridge_frames = pass_ridges(setting, found.contexts, found.batches)
    return GenerationStudy(found=found, plain=None, ridge_batches=ridge_batches, ridge_prompts=ridge_frames)


def _way(request: GenerateRequest) -> Way:
    if request.speculate is not None:
        return speculation(request.speculate)
    return diffusion(request.diffuse) if request.diffuse is not None else OneByOne()


def _written(setting: Setting, way: Way, request: GenerateRequest) -> GenerationStudy:
    found, plain = generate(setting, request.contexts, request.batches, way=way), None
    if not isinstance(way, OneByOne):
        # A masked model is set against the same sizes decoded one by one, which it cannot do itself.
        causal = replace(setting, model=replace(setting.model, causal=True))
        plain = generate(causal, request.contexts, request.batches)
    requests = None
    if request.output_tokens is not None:
        requests = np.array(
            [
                [request_seconds(setting, way, context, batch, request.output_tokens) for batch in request.batches]
                for context in request.contexts
            ]
        )
    return GenerationStudy(
        found=found,
        plain=plain,
        ridge_batches=ridge_batch(setting, found.contexts, way),
        ridge_prompts=ridge_prompt(setting, found.batches),
        output_tokens=request.output_tokens,
        request_seconds=requests,
    )


def write_page(path: Path, studies: Sequence[GenerationStudy]) -> None:
    """Leave the page of `studies` at `path`. Raises InputError where that cannot be."""
    from reports.generation_page import render_generation

    write_text(path, render_generation(studies), problem="cannot be written")
