"""hls4ml's own graph of a firmware network, with our types on every layer; nothing is written here.

hls4ml parses and adds biases to their layers; then each layer gets the types that `lower` decided, hls4ml drops what
has become nothing, one of its layers is left for each of ours, and the flow of the back end runs. What hls4ml says
meanwhile goes to a log.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np

from hls.firmware.channels_last import product_name, result_name
from hls.firmware.fixed_point import Fixed
from hls.firmware.network import Flatten, Layer, MaxPooling, Network, Port, Weighted
from hls.firmware.settings import Settings
from model_ir.errors import InputError

_NO_BIAS = Fixed(bits=1, integer_bits=1, signed=False)


@contextmanager
def heard(log: io.StringIO) -> Iterator[None]:
    """hls4ml's prints and warnings, and those of what it calls, go to `log`."""
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(log), redirect_stderr(log):
        warnings.simplefilter("always")
        yield
    for warning in caught:
        log.write(f"warning: {warning.message}\n")


def converted(network: Network, settings: Settings, folder: str, model_path: str) -> Any:
    """hls4ml's ModelGraph of `network`, whose channels-last QONNX file is at `model_path`, to be written to `folder`.

    Raises InputError where hls4ml fails, makes other layers than ours, or does not take a layer's reuse factor or
    strategy as given.
    """
    from hls4ml.backends import get_backend
    from hls4ml.converters.onnx_to_hls import onnx_to_hls
    from hls4ml.model.optimizer import optimize_model
    from hls4ml.utils.config import create_config

    options = {"part": settings.part, "clock_period": settings.clock_ns, "io_type": settings.io}
    if settings.board is not None:
        options["board"] = settings.board
    if settings.backend == "Libero":
        options["smarthls_path"] = "$(SHLS_ROOT_DIR)"  # the variable that its other makefiles find SmartHLS by
    try:
        config = create_config(output_dir=folder, project_name=network.name, backend=settings.backend, **options)
        config["OnnxModel"] = model_path
        config["HLSConfig"] = _configuration(network, settings)
        model = onnx_to_hls(config)
        optimize_model(model, ["fuse_batch_normalization"])  # its name for adding a bias; only where types are open
        _set_types(network, model)
        model.apply_flow("convert")
        pairs = _paired(network, model)
        model.apply_flow(get_backend(settings.backend).get_default_flow())
    except InputError:
        raise
    except Exception as error:  # hls4ml raises bare ones
        raise InputError("hls4ml", f"cannot convert the network: {error}", value=settings.backend) from error
    _check(pairs, model, settings)
    return model


def _configuration(network: Network, settings: Settings) -> dict[str, Any]:
    """Types open, for `_set_types` to fill; reuse factors and strategies by layer."""
    layers: dict[str, Any] = {layer.name: {"Precision": _open_types()} for layer in network.layers}
    for layer in network.weighted:
        chosen = settings.of(layer.tensor)
        layers[layer.name] |= {"ReuseFactor": chosen.reuse_factor, "Strategy": chosen.strategy}
    layers[network.port.name] = {"Precision": {"result": str(network.port.result)}}
    whole = {
        "Precision": {"default": "fixed<16,6>"}, "ReuseFactor": settings.default.reuse_factor,
        "Strategy": "latency", "BramFactor": 1_000_000_000, "TraceOutput": False,
    }  # fmt: skip
    return {"Model": whole, "LayerName": layers, "Flows": ["parse_qonnx"]}


def _open_types() -> dict[str, str]:
    """A dictionary of its own for each layer: hls4ml writes into it."""
    return dict.fromkeys(("weight", "bias", "accum", "result"), "auto")


def _paired(network: Network, model: Any) -> list[tuple[Layer, Any]]:
    """Our layers beside hls4ml's: by the tensor that each computes."""
    ours = {name: layer for layer in network.layers for name in (layer.name, product_name(layer), result_name(layer))}
    pairs = [(ours.get(theirs.outputs[0]), theirs) for theirs in model.get_layers()]
    found = [layer.name for layer, _ in pairs if layer is not None]
    if len(found) != len(pairs) or sorted(found) != sorted(network.by_name):
        made = ", ".join(f"{theirs.class_name} {theirs.name}" for _, theirs in pairs)
        problem = "made other layers of the network than it has"
        raise InputError("hls4ml", problem, value=made, limit=", ".join(network.by_name))
    return [(layer, theirs) for layer, theirs in pairs if layer is not None]


def _types_of(layer: Layer) -> dict[str, Fixed]:
    types = {"result_t": layer.result}
    if isinstance(layer, Weighted):
        bias = _NO_BIAS if layer.bias is None else layer.bias.fixed
        types |= {"accum_t": layer.accumulator, "weight_t": layer.weight.fixed, "bias_t": bias}
    if isinstance(layer, MaxPooling):
        types["accum_t"] = layer.result
    return types


def _precision(fixed: Fixed) -> Any:
    from hls4ml.model.types import FixedPrecisionType

    return FixedPrecisionType(fixed.bits, fixed.integer_bits, fixed.signed, fixed.rounding, fixed.overflow)


def _set_types(network: Network, model: Any) -> None:
    """Our types on the layers; a quantiser that is part of one then has that one's type, and hls4ml drops it."""
    ours = {name: layer for layer in network.layers for name in (layer.name, product_name(layer))}
    for theirs in model.get_layers():
        layer = ours.get(theirs.outputs[0])
        if layer is None or isinstance(layer, Port):  # the port's type is in the configuration
            continue
        for name, fixed in _types_of(layer).items():
            precision = _precision(fixed)
            theirs.types[name].name = f"{layer.name}_{name}" if name != "result_t" else theirs.types[name].name
            theirs.types[name].precision = precision
            if (weight := name.removesuffix("_t")) in theirs.weights:
                theirs.weights[weight].update_precision(precision)


def _check(pairs: list[tuple[Layer, Any]], model: Any, settings: Settings) -> None:
    """What the back end's flow left is what was asked for."""
    for layer, before in pairs:
        theirs = model.graph.get(before.name)
        computes = theirs is not None and (isinstance(layer, Port | Flatten) or theirs.get_attr("function_cpp"))
        if not computes:
            raise InputError("hls4ml", f"has no function for layer {layer.name!r}", value=settings.backend)
        for name, fixed in _types_of(layer).items():
            found = theirs.types[name].precision
            spare = isinstance(layer, MaxPooling) and name == "accum_t"  # Catapult widens it for means
            if found != _precision(fixed) and not spare:
                raise InputError("hls4ml", f"changed {name} of {layer.name!r}", value=str(found), limit=fixed)
        if isinstance(layer, Weighted):
            _check_weighted(layer, theirs, settings)


def _check_weighted(layer: Weighted, theirs: Any, settings: Settings) -> None:
    chosen = settings.of(layer.tensor)
    for what, wanted in (("reuse_factor", chosen.reuse_factor), ("strategy", chosen.strategy)):
        found = theirs.get_attr(what)
        if found is not None and str(found).lower() != str(wanted):
            raise InputError(
                "firmware", f"{layer.tensor}: {settings.backend} cannot have this {what.replace('_', ' ')}",
                value=wanted, limit=f"nearest: {found}",
            )  # fmt: skip
    ours = np.zeros(1) if layer.bias is None else layer.bias.values
    for what, values in (("weight", layer.weight.values), ("bias", ours)):
        held = np.asarray(theirs.weights[what].data, dtype=np.float64).ravel()
        if not np.array_equal(np.unique(held), np.unique(values)):
            raise InputError(
                "hls4ml", f"holds another {what} of {layer.name!r} than the network", value=settings.backend
            )
