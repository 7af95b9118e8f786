"""MODEL on the command line: an ONNX file of the user's own, or a name of the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_ir.errors import InputError
from model_ir.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """What the user asked for: `model` is a file or a catalogue name; the other fields are that network's options."""

    model: str
    dims: Mapping[str, int] = field(default_factory=dict)
    seq: int | None = None
    batch: int | None = None
    context: int | None = None
    image: int | None = None
    phase: str | None = None
    skip_unsupported: bool = False

    @property
    def is_file(self) -> bool:
        """Whether `model` names a file: it has a folder or a file's ending, or is there; the catalogue comes first."""
        from workloads.catalogue import WORKLOADS

        if self.model in WORKLOADS:
            return False
        path = Path(self.model)
        return path.name != self.model or path.suffix in (".onnx", ".pb", ".qonnx") or path.exists()

    @property
    def options(self) -> dict[str, int | str | bool]:
        """The options that were given, for the record."""
        chosen: dict[str, int | str | bool | None] = {
            "seq": self.seq,
            "batch": self.batch,
            "context": self.context,
            "image": self.image,
            "phase": self.phase,
            "skip_unsupported": self.skip_unsupported or None,
        }
        return {f"dim {name}": size for name, size in self.dims.items()} | {
            name: value for name, value in chosen.items() if value is not None
        }


def load_network(request: NetworkRequest) -> Graph:
    """Import the file or build the catalogue's network. Raises InputError for an option that does not apply to it."""
    if request.is_file:
        from model_ir.onnx_import import import_onnx

        for option in ("seq", "batch", "context", "image", "phase"):
            if getattr(request, option) is not None:
                raise InputError(request.model, f"--{option} is for catalogue networks; bind a file's axes with --dim")
        return import_onnx(request.model, dims=request.dims, skip_unsupported=request.skip_unsupported)

    from workloads.catalogue import build

    if request.dims:
        raise InputError(request.model, "--dim is for ONNX files; a catalogue network takes --seq, --batch, ...")
    return build(
        request.model,
        seq=request.seq,
        batch=1 if request.batch is None else request.batch,
        context=request.context,
        image=request.image,
        phase=request.phase,
    )


def content_hash(request: NetworkRequest) -> dict[str, str]:
    """SHA-256 of the file the network came from; nothing for a catalogue network, whose options say it all."""
    if not request.is_file:
        return {}
    digest = hashlib.sha256()
    with Path(request.model).open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {request.model: digest.hexdigest()}
