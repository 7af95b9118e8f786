"""The columns of a run's two tables, as data, and frames built from rows. Nothing here knows files or pictures.

A column is text, a whole number or a number; a number that was not measured is NaN, a text that does not apply is "".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from model_ir.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ColumnKind = Literal["text", "whole", "number"]
PLACES: Final = ("array", "unit", "store path", "host", "view")
COSTED_BY: Final = ("simulated", "formula", "none")

STALL_PREFIX: Final = "stall_"
"""Every column that starts so is cycles in which the array had work in the machine but fired no row, by cause."""

COUNTER_PREFIX: Final = "counter_"
"""Every column that starts so is one of the machine's hardware counters, by its own name."""

LAYER_COLUMNS: Final[dict[str, ColumnKind]] = {
    "index": "whole",
    "name": "text",
    "kind": "text",
    "where": "text",
    "costed_by": "text",
    "identical_to": "whole",
    "macs": "whole",
    "cycles": "number",
    "analytical_cycles": "number",
    "roofline_cycles": "number",
    "heuristic_cycles": "number",
    "heuristic_simulated_cycles": "number",
    "array_bound_cycles": "number",
    "mappings_tried": "number",
    "compute_cycles": "number",
    "read_cycles": "number",
    "write_cycles": "number",
    "execute_busy_cycles": "number",
    "load_busy_cycles": "number",
    "store_busy_cycles": "number",
    "stall_load_cycles": "number",
    "stall_store_cycles": "number",
    "stall_bank_conflict_cycles": "number",
    "stall_dependency_cycles": "number",
    "stall_command_cycles": "number",
    "stall_drain_cycles": "number",
    "dram_read_bytes": "number",
    "dram_write_bytes": "number",
    "scratchpad_read_bytes": "number",
    "scratchpad_write_bytes": "number",
    "accumulator_read_bytes": "number",
    "accumulator_write_bytes": "number",
    "energy_pj": "number",
    "utilisation": "number",
    "arithmetic_intensity": "number",
    "shape": "text",
    "mapping": "text",
    "solver": "text",
    "solver_status": "text",
    "solver_objective_cycles": "number",
    "solver_bound_cycles": "number",
    "solver_gap": "number",
    "solver_wall_seconds": "number",
}
"""`identical_to` is the first layer of the same nest (a layer's own index where it is the first); `heuristic_cycles`
are analytical cycles of the machine's own tiling heuristic and `heuristic_simulated_cycles` the engine's;
`array_bound_cycles` is the roofline with the array's cycles quantised by its size; `mappings_tried` were simulated;
`utilisation` and `solver_gap` are fractions of 1;
`arithmetic_intensity` is FLOP (2 a MAC) per DRAM byte actually moved."""

REQUIRED_LAYER_COLUMNS: Final = ("index", "name", "kind", "where", "costed_by", "identical_to", "macs", "cycles")

TIMELINE_COLUMNS: Final[dict[str, ColumnKind]] = {
    "layer": "whole",
    "window": "text",
    "unit": "text",
    "label": "text",
    "start_cycle": "number",
    "end_cycle": "number",
}
"""`layer` is a layer's index, `window` names the stretch of it that was watched, the interval is [start, end) cycles
from the layer's start. `label` is the disassembled command, or for unit "array" why it fired no row (a cause of
`breakdown.cycles_by_cause`)."""


def stall_columns(layers: pd.DataFrame) -> list[str]:
    """The table's stall columns, in its order."""
    return [column for column in layers.columns if column.startswith(STALL_PREFIX)]


def counter_columns(layers: pd.DataFrame) -> list[str]:
    """The table's columns of hardware counters, in its order."""
    return [column for column in layers.columns if column.startswith(COUNTER_PREFIX)]


def layers_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Build the layer table from one mapping a layer.

    Columns left out of every row (or of some) become NaN or "", except those of REQUIRED_LAYER_COLUMNS. Columns with
    names that are neither in LAYER_COLUMNS nor stalls or counters raise InputError, as do values of the wrong kind.
    """
    return _frame(rows, LAYER_COLUMNS, REQUIRED_LAYER_COLUMNS, "layers")


def timelines_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Build the timeline table from one mapping per interval; every column of TIMELINE_COLUMNS is required."""
    return _frame(rows, TIMELINE_COLUMNS, tuple(TIMELINE_COLUMNS), "timelines")


def checked(frame: pd.DataFrame, columns: Mapping[str, ColumnKind], path: str) -> pd.DataFrame:
    """`frame` with exactly `columns` (and further stalls and counters), in order and in their types.

    Raises InputError(path) that names the first column missing, unknown, or of another kind.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(path, "a column is missing", value=missing[0])
    known = _with_further(columns, frame.columns, path)
    typed = {column: _typed(frame[column], kind, f"{path}: {column}") for column, kind in known.items()}
    return type(frame)(typed, columns=list(known))


def _frame(
    rows: Iterable[Mapping[str, object]], columns: Mapping[str, ColumnKind], required: tuple[str, ...], path: str
) -> pd.DataFrame:
    import pandas as pd

    listed = list(rows)
    known = _with_further(columns, (column for row in listed for column in row), path)
    for position, row in enumerate(listed):
        absent = [column for column in required if row.get(column) is None]
        if absent:
            raise InputError(f"{path}: row {position}", "a required column is missing", value=absent[0])
    default = {"text": "", "whole": None, "number": float("nan")}
    data = {column: [row.get(column, default[kind]) for row in listed] for column, kind in known.items()}
    typed = {
        column: _typed(pd.Series(values, dtype=object), known[column], f"{path}: {column}")
        for column, values in data.items()
    }
    return pd.DataFrame(typed, columns=list(known))


def _with_further(columns: Mapping[str, ColumnKind], found: Iterable[str], path: str) -> dict[str, ColumnKind]:
    known = dict(columns)
    for column in found:
        if column in known:
            continue
        stall = column.startswith(STALL_PREFIX) and column.endswith("_cycles")
        if columns is not LAYER_COLUMNS or not (stall or column.startswith(COUNTER_PREFIX)):
            raise InputError(path, "unknown column", value=column)
        known[column] = "number"
    return known


def _typed(values: pd.Series, kind: ColumnKind, path: str) -> pd.Series:
    texts = sum(isinstance(value, str) for value in values)
    if texts != (len(values) if kind == "text" else 0):
        raise InputError(path, f"not a column of {kind}s")
    try:
        if kind == "text":
            return values.astype("str")
        numbers = values.astype("float64") if kind == "number" else values.astype("int64")
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(path, f"not a column of {kind}s: {error}") from error
    if kind == "whole" and (numbers != values).any():
        raise InputError(path, "not whole", value=values[numbers != values].iloc[0])
    return numbers
