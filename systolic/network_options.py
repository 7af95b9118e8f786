"""The options that say which network is meant, declared once for every command that takes MODEL or LAYER."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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
_LAYER = typer.Argument(
    help="NETWORK:NAME, a matmul I,K,J, or a convolution HxWxC,RxSxK[,sSTRIDE][,pPAD][,dDILATION][,gGROUPS][,nIMAGES].",
    metavar="LAYER",
)
_NETWORK_OR_LAYER = typer.Argument(help=f"As MODEL of the other commands, or one layer: {_LAYER.help}", metavar="LAYER")


def takes_network(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, whose first parameter is a NetworkRequest, MODEL and the options above in its place."""
    return _taking(command, _MODEL)


def takes_layer(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, whose first parameter is a NetworkRequest whose model is a LAYER (`layer_request`), LAYER and the
    options above in its place."""
    return _taking(command, _LAYER)


def takes_network_or_layer(command: Callable[..., None]) -> Callable[..., None]:
    """As `takes_layer`, of a whole network too."""
    return _taking(command, _NETWORK_OR_LAYER)


def _taking(command: Callable[..., None], argument: Any) -> Callable[..., None]:
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    model = inspect.Parameter("model", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str, argument])
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _PARAMETERS.items()
    ]

    def with_network_options(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in _PARAMETERS}
        dims = parse_dims(chosen.pop("dim"))
        command(NetworkRequest(model=given.pop("model"), dims=dims, **chosen), **given)

    parameters = [model, *options, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)]
    with_network_options.__name__ = command.__name__
    with_network_options.__doc__ = command.__doc__
    with_network_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_network_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_network_options


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
