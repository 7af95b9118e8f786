"""What a person chooses about firmware, and what each of hls4ml's back ends needs and can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hls.firmware.network import Layer, Network
from model_ir.errors import InputError

IoType = Literal["io_parallel", "io_stream"]
Strategy = Literal["latency", "resource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A back end of hls4ml 1.3. `emulation` is the program that compiles its projects for this computer, `synthesis`
    the vendor's tool that makes hardware of them. `strategies` has its usual one first; `absent` names layers that it
    leaves out without a word, `wrong` those that compile there and compute other values."""

    name: str
    emulation: str
    synthesis: str
    strategies: tuple[Strategy, ...] = ("latency", "resource")
    ios: tuple[IoType, ...] = ("io_parallel", "io_stream")
    boards: bool = False
    absent: tuple[str, ...] = ()
    wrong: tuple[tuple[str, IoType], ...] = ()

    def takes(self, kind: str, io: IoType) -> bool:
        """Whether layers of this kind come out right."""
        return kind not in self.absent and (kind, io) not in self.wrong


# hls4ml 1.3.0, backends/*/; what compiles and what is wrong was found by comparing all of them with the graph executor
# (benchmarks/bench_firmware.py).
BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend(name="Vivado", emulation="g++", synthesis="Vivado HLS"),
        Backend(name="Vitis", emulation="g++", synthesis="Vitis HLS"),
        Backend(name="VivadoAccelerator", emulation="g++", synthesis="Vivado HLS and Vivado", boards=True),
        Backend(
            name="Quartus",
            emulation="g++",
            synthesis="Intel HLS (i++) and Quartus",
            strategies=("resource",),
            absent=("DepthwiseConvolution",),
        ),
        Backend(
            name="Catapult", emulation="g++", synthesis="Catapult", wrong=(("DepthwiseConvolution", "io_parallel"),)
        ),
        Backend(name="oneAPI", emulation="icpx", synthesis="Intel oneAPI (icpx) and Quartus", strategies=("resource",)),
        Backend(
            name="Libero",
            emulation="shls",
            synthesis="SmartHLS (shls) and Libero",
            ios=("io_parallel",),
            boards=True,
            absent=("Convolution", "DepthwiseConvolution", "Flatten", "MaxPooling", "Sum"),
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSettings:
    """How one layer's multipliers are shared: each does `reuse_factor` products of a sample. A `strategy` None is the
    back end's usual one."""

    reuse_factor: int = 1
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`layers` overrides `default` for dense layers and convolutions, by the tensor they compute in our graph.

    `part` and `board` None mean the back end's own default; `clock_ns` is the period asked for.
    """

    backend: str = "Vitis"
    io: IoType = "io_parallel"
    part: str | None = None
    board: str | None = None
    clock_ns: float = 5.0
    default: LayerSettings = LayerSettings()
    layers: Mapping[str, LayerSettings] = field(default_factory=dict)

    def of(self, tensor: str) -> LayerSettings:
        """The settings of the layer that computes `tensor`, with its strategy."""
        chosen = self.layers.get(tensor, self.default)
        return replace(chosen, strategy=chosen.strategy or BACKENDS[self.backend].strategies[0])


def check_settings(network: Network, settings: Settings) -> Backend:
    """The back end of `settings`; InputError naming what cannot be, with what could."""
    backend = BACKENDS.get(settings.backend)
    if backend is None:
        raise InputError("firmware", "no such back end", value=settings.backend, limit=", ".join(BACKENDS))
    if settings.io not in backend.ios:
        raise InputError(
            "firmware", f"{backend.name} has no such way to pass data", value=settings.io, limit=", ".join(backend.ios)
        )
    if not 0 < settings.clock_ns < float("inf"):
        raise InputError("firmware", "the clock period must be positive", value=f"{settings.clock_ns} ns")
    if settings.board is not None and not backend.boards:
        limit = ", ".join(other.name for other in BACKENDS.values() if other.boards)
        raise InputError("firmware", f"{backend.name} takes no board", value=settings.board, limit=limit)
    known = {layer.tensor for layer in network.weighted}
    for tensor, chosen in {**settings.layers, "every layer": settings.default}.items():
        _check_layer(tensor, chosen, known | {"every layer"}, backend)
    for layer in network.layers:
        _check_taken(layer, backend, settings.io)
    return backend


def _check_taken(layer: Layer, backend: Backend, io: IoType) -> None:
    if backend.takes(layer.kind, io):
        return
    what = "leaves it out" if layer.kind in backend.absent else f"computes other values with {io}"
    others = ", ".join(other.name for other in BACKENDS.values() if io in other.ios and other.takes(layer.kind, io))
    problem = f"{layer.kind} {layer.tensor!r}: {backend.name} of hls4ml 1.3 {what}; choose another back end"
    raise InputError("firmware", problem, value=backend.name, limit=others)


def _check_layer(tensor: str, chosen: LayerSettings, known: set[str], backend: Backend) -> None:
    if tensor not in known:
        limit = ", ".join(sorted(known - {"every layer"}))
        raise InputError("firmware", "no dense layer or convolution computes this tensor", value=tensor, limit=limit)
    if chosen.reuse_factor < 1:
        raise InputError("firmware", f"{tensor}: the reuse factor must be at least 1", value=chosen.reuse_factor)
    if chosen.strategy is not None and chosen.strategy not in backend.strategies:
        raise InputError(
            "firmware",
            f"{tensor}: {backend.name} has no such strategy",
            value=chosen.strategy,
            limit=", ".join(backend.strategies),
        )
