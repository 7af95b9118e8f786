"""`systolic generate`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model_ir.errors import InputError
from systolic.options import JsonOption
from systolic.text_file import write_text

ModelsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL...", help="Language models: names of --list, or config.json files of Hugging Face."),
]
MachinesOption = Annotated[
    list[str] | None,
    typer.Option("--machine", "-m", help="A name of `systolic machines`, or a TOML file; repeatable. Default: a100."),
]
PrecisionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        "-p",
        help="w<bits>[g<group>][s<outlier share>]a<bits>[kv<bits>[g<group>]]; repeatable. Default: w16a16.",
    ),
]


def generate(
    models: ModelsArgument = None,
    machine: MachinesOption = None,
    precision: PrecisionsOption = None,
    context: Annotated[
        str, typer.Option("--context", help="Tokens before the next one: N, N,M or FIRST:LAST[:xFACTOR|:+STEP].")
    ] = "2048",
    batch: Annotated[str, typer.Option("--batch", help="Sequences at once; as --context.")] = "1",
    cache: Annotated[
        str, typer.Option("--cache", help="Kept of earlier tokens: kv, or layer inputs x or x-latent (XQuant).")
    ] = "kv",
    keep_tokens: Annotated[
        int | None, typer.Option("--keep-tokens", min=1, help="A layer keeps at most so many earlier tokens.")
    ] = None,
    speculate: Annotated[
        str | None,
        typer.Option(
            "--speculate",
            metavar="KEY=VALUE,...",
            help="draft=MODEL,length=4,acceptance=0.8[,fallback=0.2][,precision=w4a16], or"
            " stages=4,acceptance=0.8[,shared=no].",
        ),
    ] = None,
    diffuse: Annotated[
        str | None,
        typer.Option("--diffuse", metavar="KEY=VALUE,...", help="By blocks: block=32,steps=16[,cache=no]."),
    ] = None,
    unfused: Annotated[
        bool, typer.Option("--unfused", help="Scores of attention go to memory and back around the softmax.")
    ] = False,
    output_tokens: Annotated[
        int | None, typer.Option("--output-tokens", min=1, help="Also the time of a whole request of so many tokens.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write one HTML page.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write every point as CSV.")] = None,
    list_models: Annotated[bool, typer.Option("--list", help="List the models known by name, and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Latency, tokens a second and memory of language models that generate, over context and batch on any machine.

    First token: prefill of a prompt as long as the context. A token: one output token of every sequence.
    """
    from typing import cast

    from simulator.generation.step import Cache, Keeps
    from systolic.generate_job import GenerateRequest, generate_job, write_page
    from systolic.ranges import whole_numbers
    from systolic.show import print_generated, print_models

    if list_models:
        print_models(as_json=as_json)
        return
    if not models:
        raise InputError("MODEL", "no model given", limit="names of `systolic generate --list`, or a config.json")

    request = GenerateRequest(
        models=models,
        machines=machine or ("a100",),
        precisions=precision or ("w16a16",),
        contexts=whole_numbers("--context", context),
        batches=whole_numbers("--batch", batch),
        cache=Cache(keeps=cast(Keeps, cache), kept_tokens=keep_tokens),
        fused_attention=not unfused,
        speculate=speculate,
        diffuse=diffuse,
        output_tokens=output_tokens,
    )
    studies = generate_job(request)
    if csv is not None:
        from reports.generation import studies_as_csv

        write_text(csv, studies_as_csv(studies), problem="cannot be written")
    if out is not None:
        write_page(out, studies)
    print_generated(studies, page=out, as_json=as_json)
