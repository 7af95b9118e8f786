"""`RunRecord`: what a run folder holds and all that the page needs, and the way to disk and back.

The folder is `run.json` (the header, strict), `layers.parquet` and `timelines.parquet`. Whoever calls `write_record`
makes the folder, and makes its appearance atomic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from model_ir.errors import InputError
from reports.columns import COSTED_BY, LAYER_COLUMNS, PLACES, TIMELINE_COLUMNS, checked

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 3
READABLE_VERSIONS: Final = (1, 2, 3)
"""1: without counters, and a timeline of one window without stalls; 1 and 2: without NEW_IN_3 and rank correlation."""
NEW_IN_3: Final = ("heuristic_simulated_cycles", "array_bound_cycles", "mappings_tried")
HEADER_FILE: Final = "run.json"
LAYERS_FILE: Final = "layers.parquet"
TIMELINES_FILE: Final = "timelines.parquet"


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts of the accelerator that a reader needs beside the numbers."""

    name: str
    description: str
    dim: int
    peak_macs_per_cycle: float
    clock_hz: float
    memory_bytes_per_cycle: float
    """Peak of the memory port reading."""
    memory_write_bytes_per_cycle: float | None = None
    """Peak of the memory port writing, at the same time; None: as reading."""
    scratchpad_bytes: int
    accumulator_bytes: int

    @property
    def write_bytes_per_cycle(self) -> float:
        """Peak of the memory port writing."""
        return self.memory_write_bytes_per_cycle or self.memory_bytes_per_cycle


class Totals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network from its first to its last cycle; `seconds` are cycles at the machine's clock, `utilisation` is
    macs / (cycles * peak_macs_per_cycle), `dram_bytes` are both directions."""

    cycles: float
    seconds: float
    macs: int
    utilisation: float
    dram_bytes: int
    energy_pj: float


class RankCorrelation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spearman's rank correlation of analytical and simulated cycles: over all `mappings` tried, and in the mean within
    those `layers` for which enough were; None where they were too few."""

    mappings: int
    overall: float | None
    layers: int
    within: float | None


class RunHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was run, on what, with what; `wall_seconds` by stage (import, schedule, simulate, report)."""

    schema_version: int = SCHEMA_VERSION
    network: str
    origin: str
    """The file the network came from, or the builder and its options."""
    accelerator: Machine
    options: dict[str, str | int | float | bool | None]
    input_hashes: dict[str, str]
    package_versions: dict[str, str]
    seed: int
    started: str
    """ISO 8601, with its offset from UTC."""
    wall_seconds: dict[str, float]
    totals: Totals
    notes: tuple[str, ...] = ()
    rank_correlation: RankCorrelation | None = None
    counter_meanings: dict[str, str] = msgspec.field(default_factory=dict)
    """What the hardware counters of the layer table count, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: its header, one row a layer (columns.LAYER_COLUMNS), and the intervals of some layers' schedules
    (columns.TIMELINE_COLUMNS). `columns.layers_frame` and `timelines_frame` build the tables."""

    header: RunHeader
    layers: pd.DataFrame
    timelines: pd.DataFrame


class _Versioned(msgspec.Struct, frozen=True):
    schema_version: int


def totals_of(layers: pd.DataFrame, machine: Machine) -> Totals:
    """Totals of layers that run one after another: every sum is over the layer table."""
    cycles = float(layers["cycles"].sum())
    macs = int(layers["macs"].sum())
    return Totals(
        cycles=cycles,
        seconds=cycles / machine.clock_hz,
        macs=macs,
        utilisation=macs / (cycles * machine.peak_macs_per_cycle) if cycles else 0.0,
        dram_bytes=int(layers[["dram_read_bytes", "dram_write_bytes"]].sum().sum()),
        energy_pj=float(layers["energy_pj"].sum()),
    )


def verified(record: RunRecord, path: str = "run record") -> RunRecord:
    """`record` with its tables in canonical columns and types.

    Raises InputError(path) for another schema version, non-finite totals, a table with missing, unknown or mistyped
    columns, layers that are not numbered 0..n-1, and timelines of layers that are not there.
    """
    header = record.header
    if header.schema_version != SCHEMA_VERSION:
        raise InputError(path, "another schema version", value=header.schema_version, limit=SCHEMA_VERSION)
    for field in header.totals.__struct_fields__:
        if not math.isfinite(getattr(header.totals, field)):
            raise InputError(f"{path}: totals.{field}", "not a finite number", value=getattr(header.totals, field))
    layers = checked(record.layers, LAYER_COLUMNS, f"{path}: layers")
    timelines = checked(record.timelines, TIMELINE_COLUMNS, f"{path}: timelines")
    _check_layers(layers, f"{path}: layers")
    stray = timelines.loc[~timelines["layer"].isin(layers["index"]), "layer"]
    if len(stray):
        raise InputError(f"{path}: timelines", "no such layer", value=int(stray.iloc[0]), limit=len(layers) - 1)
    return RunRecord(header=header, layers=layers, timelines=timelines)


def write_record(record: RunRecord, folder: Path) -> None:
    """Write the three files of a run into `folder`, which exists. Raises InputError as `verified` does."""
    sound = verified(record, str(folder))
    (folder / HEADER_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(sound.header), indent=2) + b"\n")
    sound.layers.to_parquet(folder / LAYERS_FILE, index=False)
    sound.timelines.to_parquet(folder / TIMELINES_FILE, index=False)


def read_record(folder: Path) -> RunRecord:
    """Read a run folder. Raises InputError, with the path, for a folder that is no run, is damaged, or was written in
    a schema version that is not in READABLE_VERSIONS; an older one comes back as it would be written today."""
    header = _read_header(folder / HEADER_FILE)
    layers = _read_table(folder / LAYERS_FILE)
    timelines = _read_table(folder / TIMELINES_FILE)
    if header.schema_version == 1:
        timelines = timelines.assign(window="start")
    if header.schema_version < SCHEMA_VERSION:
        layers = layers.assign(**{column: math.nan for column in NEW_IN_3 if column not in layers.columns})
        header = msgspec.structs.replace(header, schema_version=SCHEMA_VERSION)
    return verified(RunRecord(header=header, layers=layers, timelines=timelines), str(folder))


def _check_layers(layers: pd.DataFrame, path: str) -> None:
    if list(layers["index"]) != list(range(len(layers))):
        raise InputError(path, "layers are not numbered 0, 1, 2, ... in their order")
    for column, allowed in (("where", PLACES), ("costed_by", COSTED_BY)):
        strange = layers.loc[~layers[column].isin(allowed), column]
        if len(strange):
            raise InputError(f"{path}: {column}", "unknown", value=strange.iloc[0], limit=" | ".join(allowed))
    chained = layers.loc[layers["identical_to"].map(layers["identical_to"]) != layers["identical_to"], "identical_to"]
    if len(chained):
        raise InputError(f"{path}: identical_to", "not the first of its kind", value=int(chained.iloc[0]))
    beyond = layers.loc[(layers["identical_to"] < 0) | (layers["identical_to"] > layers["index"]), "identical_to"]
    if len(beyond):
        raise InputError(f"{path}: identical_to", "not this layer or an earlier one", value=int(beyond.iloc[0]))


def _read_header(path: Path) -> RunHeader:
    if not path.is_file():
        raise InputError(str(path.parent), f"not a run folder: it holds no {HEADER_FILE}")
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content, type=_Versioned).schema_version
        if found not in READABLE_VERSIONS:
            raise InputError(str(path), "another schema version", value=found, limit=SCHEMA_VERSION)
        return msgspec.json.decode(content, type=RunHeader)
    except (OSError, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        raise InputError(str(path), f"not a run's header: {error}") from error


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    if not path.is_file():
        raise InputError(str(path), "not a whole run folder: this file is missing")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(str(path), f"not a readable parquet table: {str(error).splitlines()[0]}") from error
