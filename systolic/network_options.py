"""The options that say which network is meant, declared once for every command that takes MODEL or LAYER."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from model_ir.errors import InputError
from systolic.network import NetworkRequest

_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "dim": (
        Annotated[
            list[str] | None,
            typer.Option("--dim", metavar="NAME=SIZE", help="Bind a dynamic axis of the file; repeatable."),
        ],
        None,
    ),
    "seq": (Annotated[int | None, typer.Option("--seq", help="Tokens, for catalogue Transformers.")], None),
    "batch": (Annotated[int | None, typer.Option("--batch", help="Batch size, for catalogue networks.")], None),
    "context": (Annotated[int | None, typer.Option("--context", help="Cached tokens, for catalogue decoders.")], None),
    "image": (Annotated[int | None, typer.Option("--image", help="Image side in pixels, for catalogue CNNs.")], None),
    "phase": (Annotated[str | None, typer.Option("--phase", help="prefill or decode, for catalogue decoders.")], None),
    "skip_unsupported": (
        Annotated[
            bool,
            typer.Option("--skip-unsupported", help="Treat operators we do not know as host operations and say so."),
        ],
        False,
    ),
}


_MODEL = typer.Argument(help="An ONNX or QONNX file, or a network of `systolic workloads`.", metavar="MODEL")
_MODELS = typer.Argument(
    help="ONNX or QONNX files, or networks of `systolic workloads`; one's own options after a colon "
    "(gpt2:phase=decode,context=1000) are all it takes then.",
    metavar="MODEL...",
)
_LAYER = typer.Argument(
    help="NETWORK:NAME, a matmul I,K,J, or a convolution HxWxC,RxSxK[,sSTRIDE][,pPAD][,dDILATION][,gGROUPS][,nIMAGES].",
    metavar="LAYER",
)
_NETWORK_OR_LAYER = typer.Argument(help=f"As MODEL of the other commands, or one layer: {_LAYER.help}", metavar="LAYER")


def takes_network(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, whose first parameter is a NetworkRequest, MODEL and the options above in its place."""
    return _taking(command, _MODEL)


def takes_networks(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, whose first parameter is a list of NetworkRequests, MODEL... and the options above in its place.

    An option goes to every network that takes it and has none of its own; InputError where there is no such."""
    return _taking(command, _MODELS, several=True)


def takes_any_networks(command: Callable[..., None]) -> Callable[..., None]:
    """As `takes_networks`, none allowed."""
    return _taking(command, _MODELS, several=True, default=None)


def takes_layer(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, whose first parameter is a NetworkRequest whose model is a LAYER (`layer_request`), LAYER and the
    options above in its place."""
    return _taking(command, _LAYER)


def takes_network_or_layer(command: Callable[..., None]) -> Callable[..., None]:
    """As `takes_layer`, of a whole network too."""
    return _taking(command, _NETWORK_OR_LAYER)


def _taking(
    command: Callable[..., None], argument: Any, *, several: bool = False, default: Any = inspect.Parameter.empty
) -> Callable[..., None]:
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    kind: Any = list[str] if several else str
    model = inspect.Parameter(
        "model", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, argument]
    )
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _PARAMETERS.items()
    ]

    def with_network_options(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in _PARAMETERS}
        dims = parse_dims(chosen.pop("dim"))
        if several:
            command(requests_of(given.pop("model") or (), dims, chosen), **given)
            return
        command(NetworkRequest(model=given.pop("model"), dims=dims, **chosen), **given)

    parameters = [model, *options, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)]
    with_network_options.__name__ = command.__name__
    with_network_options.__doc__ = command.__doc__
    with_network_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_network_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_network_options


def requests_of(models: Sequence[str], dims: Mapping[str, int], options: Mapping[str, Any]) -> list[NetworkRequest]:
    """A request for every MODEL[:OPTION=VALUE,...]; `options` go to the networks that take them and have none of
    their own.

    Raises InputError for an option that no network takes, and for one after a colon that is none."""
    requests = [_own_options(model) for model in models]
    for name, value in {**options, "dims": dims}.items():
        if value in (None, False) or value == {}:
            continue
        takers = [
            place
            for place, (model, request) in enumerate(zip(models, requests, strict=True))
            if request.model == model and name in taken_options(request)
        ]
        if not takers:
            option = "--dim" if name == "dims" else f"--{name.replace('_', '-')}"
            raise InputError(option, "none of the networks takes it, or each has options of its own", value=value)
        for place in takers:
            requests[place] = replace(requests[place], **{name: value})
    return requests


def taken_options(request: NetworkRequest) -> tuple[str, ...]:
    """The fields of a request that its network may have: a file's, or those of the catalogue's row."""
    if request.is_file:
        return ("dims", "skip_unsupported")
    from workloads.catalogue import WORKLOADS

    row = WORKLOADS.get(request.model)
    return tuple(option.name for option in row.options) if row else ("seq", "batch", "context", "image", "phase")


def _own_options(text: str) -> NetworkRequest:
    """MODEL:OPTION=VALUE,...; a colon without an equals sign after it belongs to the name."""
    model, _, own = text.rpartition(":")
    if not model or "=" not in own:
        return NetworkRequest(model=text)
    fields: dict[str, int | str] = {}
    for setting in own.split(","):
        name, _, value = setting.partition("=")
        if name not in ("seq", "batch", "context", "image", "phase") or not value:
            limit = "seq, batch, context, image, phase"
            raise InputError(text, "what follows the colon must be OPTION=VALUE,...", value=setting, limit=limit)
        if name != "phase" and not value.isdecimal():
            raise InputError(f"{text}: {name}", "must be a whole number", value=value)
        fields[name] = value if name == "phase" else int(value)
    return NetworkRequest(model=model, **fields)  # type: ignore[arg-type]


def parse_dims(texts: list[str] | None) -> dict[str, int]:
    """`["batch=1", ...]` as a dictionary. Raises InputError for anything that is not NAME=POSITIVE INTEGER."""
    dims: dict[str, int] = {}
    for text in texts or ():
        name, _, size = text.rpartition("=")
        if not name or not size.isdecimal() or int(size) < 1:
            raise InputError("--dim", "must be NAME=SIZE with a size of at least 1", value=text)
        if name in dims:
            raise InputError("--dim", "binds one axis twice", value=name)
        dims[name] = int(size)
    return dims
