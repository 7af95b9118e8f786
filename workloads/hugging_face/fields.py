"""Fields of a config.json, taken strictly: each is there and of its type, or has a default that is noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model_ir.errors import InputError
from workloads.hugging_face.without_effect import WITHOUT_EFFECT

MAX_SIZE = 1 << 31
STORED_TYPES = ("float32", "float16", "bfloat16")


class Fields:
    """The fields of one file; remembers which were taken and what was assumed."""

    def __init__(self, path: str, table: Mapping[str, Any]) -> None:
        """Fields of `table`, read from `path`, which every error names."""
        self.path = path
        self.table = table
        self.taken: set[str] = set()
        self.notes: list[str] = []

    def size(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of at least `least`; where the field is absent or null `default`, with a note, or an
        InputError."""
        self.taken.add(name)
        if name not in self.table:
            return self._assumed(name, default, "is absent")
        value = self.table[name]
        if value is None:
            return self._assumed(name, default, "is null")
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{self.path}: {name}", "must be a whole number", value=repr(value))
        if not least <= value <= MAX_SIZE:
            raise InputError(f"{self.path}: {name}", "out of range", value=value, limit=f"from {least} to {MAX_SIZE}")
        return value

    def optional_size(self, name: str, *, absent: int | None = None) -> int | None:
        """A whole number or null, which means none; where the field is absent `absent`, with a note if that is a
        number."""
        self.taken.add(name)
        if name in self.table and self.table[name] is None:
            return None
        if name not in self.table and absent is None:
            self.notes.append(f"{name} is absent: none assumed, as the model type's default")
            return None
        return self.size(name, absent)

    def flag(self, name: str, default: bool) -> bool:
        """True or false; where the field is absent `default`, with a note."""
        self.taken.add(name)
        if name not in self.table:
            self.notes.append(f"{name} is absent: {str(default).lower()} assumed, as the model type's default")
            return default
        value = self.table[name]
        if not isinstance(value, bool):
            raise InputError(f"{self.path}: {name}", "must be true or false", value=repr(value))
        return value

    def must_be(self, name: str, right: Any, why: str) -> None:
        """InputError where the field is there and not `right`: `why` says what that would change."""
        self.taken.add(name)
        value = self.table.get(name, right)
        if value != right:
            raise InputError(f"{self.path}: {name}", f"is not supported: {why}", value=repr(value), limit=repr(right))

    def divided(self, whole: str, by: str, name: str) -> int:
        """The field `name`, or what `whole / by` gives where it is absent or null; those must divide then."""
        total, parts = self.size(whole), self.size(by)
        if self.table.get(name) is None and total % parts:
            raise InputError(
                f"{self.path}: {by}",
                f"must divide {whole} where {name} is absent",
                value=parts,
                limit=f"{whole} {total}",
            )
        return self.size(name, max(1, total // parts))

    def check_stored_type(self) -> None:
        """Note a type of weights that is not 16 bits wide, and a quantisation: what is costed is said elsewhere. Raises
        InputError for a type not known here."""
        for name in ("dtype", "torch_dtype"):
            kind = self.table.get(name)
            if kind is not None and kind not in STORED_TYPES:
                raise InputError(
                    f"{self.path}: {name}", "unknown type", value=repr(kind), limit=", ".join(STORED_TYPES)
                )
            if kind == "float32":
                self.notes.append(f"{name} is float32: what is costed is the precision asked for")
        self.taken.add("quantization_config")
        if "quantization_config" in self.table:
            self.notes.append("quantization_config is not read: what is costed is the precision asked for")

    def final_notes(self) -> tuple[str, ...]:
        """What was assumed, and which keys were not understood."""
        unread = sorted(set(self.table) - self.taken - WITHOUT_EFFECT)
        unknown = (f"keys not read: {', '.join(unread)}",) if unread else ()
        return (*self.notes, *unknown)

    def _assumed(self, name: str, default: int | None, state: str) -> int:
        if default is None:
            raise InputError(f"{self.path}: {name}", f"{state}; this model type needs it")
        self.notes.append(f"{name} {state}: {default} assumed, as the model type's default")
        return default
