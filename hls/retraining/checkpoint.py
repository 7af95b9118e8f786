"""Checkpoints of a retraining in a folder of its own: `recipe.json` says whose they are, `checkpoint.npz` is the last.

Files appear whole or not at all. A checkpoint of another graph, recipe or data is refused, never trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hls.learning import State, Values
from model_ir.errors import InputError
from model_ir.graph import Graph

Array = npt.NDArray[Any]
Score = tuple[float, float]
"""Cross-entropy (nats) and accuracy (share) on the validation data."""

FORMAT = 1
RECIPE, CHECKPOINT = "recipe.json", "checkpoint.npz"
_PARTS = ("values", "means", "squares", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A run after some epochs: its state, the validation's `scores` from the start on and the values of the best."""

    state: State
    scores: tuple[Score, ...] = ()
    best: Values = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one run in `folder`; `identity` says of what, digests where it is long."""

    folder: Path
    identity: Mapping[str, Any]

    def last(self) -> Saved | None:
        """What was saved last, None where nothing was; the folder is made where it is missing. Raises InputError for
        a folder that cannot be used, is another run's, or has a damaged file."""
        recipe = self.folder / RECIPE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not recipe.exists():
                if (self.folder / CHECKPOINT).exists():
                    raise InputError(str(self.folder), f"has a checkpoint but no {RECIPE}: not this retraining's")
                _replace(recipe, self._text)
            self._check(json.loads(recipe.read_bytes()))
            return self._read() if (self.folder / CHECKPOINT).exists() else None
        except OSError as error:
            raise InputError(str(self.folder), f"cannot keep checkpoints here: {error.strerror or error}") from error
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            raise InputError(str(self.folder), f"has a damaged checkpoint: {error}") from error

    def save(self, saved: Saved) -> None:
        """Replace the last checkpoint. Raises InputError where the folder cannot be written."""
        state = saved.state
        parts = (state.values, state.means, state.squares, saved.best)
        arrays = {
            f"{part}/{name}": value
            for part, values in zip(_PARTS, parts, strict=True)
            for name, value in values.items()
        }
        arrays |= {"losses": np.array(state.losses), "scores": np.array(saved.scores).reshape(-1, 2)}
        partial = self.folder / f".{CHECKPOINT}.partial"
        try:
            with partial.open("wb") as file:
                np.savez(file, identity=np.array(self._digest), **arrays)  # type: ignore[arg-type]
            os.replace(partial, self.folder / CHECKPOINT)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise InputError(str(self.folder), f"cannot keep checkpoints here: {error.strerror or error}") from error

    @property
    def _text(self) -> bytes:
        return (json.dumps({"format": FORMAT, **self.identity}, indent=1, sort_keys=True) + "\n").encode()

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self._text).hexdigest()

    def _check(self, found: Any) -> None:
        wanted = json.loads(self._text)
        if not isinstance(found, dict):
            raise ValueError(f"{RECIPE} is no object")
        for key in sorted(wanted | found):
            if found.get(key) != wanted.get(key):
                raise InputError(
                    str(self.folder),
                    f"has the checkpoints of another retraining: its {key} differs",
                    value=found.get(key),
                    limit=wanted.get(key),
                )

    def _read(self) -> Saved:
        parts: dict[str, dict[str, Array]] = {part: {} for part in _PARTS}
        with (self.folder / CHECKPOINT).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["identity"]) != self._digest:
                raise ValueError(f"{CHECKPOINT} is not of the run in {RECIPE}")
            for key in stored.files:
                part, _, name = key.partition("/")
                if name:
                    parts[part][name] = stored[key]
            losses = tuple(float(loss) for loss in stored["losses"])
            scores = tuple((float(loss), float(share)) for loss, share in stored["scores"])
        state = State(values=parts["values"], means=parts["means"], squares=parts["squares"], losses=losses)
        return Saved(state=state, scores=scores, best=parts["best"])


def graph_digest(graph: Graph) -> str:
    """A digest of everything that a graph computes with."""
    shapes = sorted((name, tensor.shape, str(tensor.precision)) for name, tensor in graph.tensors.items())
    text = repr((graph.inputs, graph.outputs, graph.ops, shapes))
    return array_digest(text, ((name, graph.constants[name]) for name in sorted(graph.constants)))


def array_digest(text: str, arrays: Iterable[tuple[str, Array]]) -> str:
    """A digest of `text` and of named arrays in this order."""
    sums = hashlib.sha256(text.encode())
    for name, value in arrays:
        sums.update(f"{name}{value.dtype}{value.shape}".encode())
        sums.update(np.ascontiguousarray(value).tobytes())
    return sums.hexdigest()


def _replace(path: Path, text: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(text)
    os.replace(partial, path)
