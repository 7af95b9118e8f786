"""Where the cycles of a run went, as tables: by layer and cause, in total, and sets of identical layers.

The pictures, the tables and the terminal all read these, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from reports.columns import STALL_PREFIX, stall_columns

if TYPE_CHECKING:
    import pandas as pd

    from reports.record import RunRecord

COMPUTING: Final = "computing"
PARTLY: Final = "mesh partly filled"
WAITING: Final = "waiting: "
FORMULA: Final = "array, by formula"
UNATTRIBUTED: Final = "array, not attributed"
_ELSEWHERE: Final = {"store path": "store path", "unit": "special unit", "host": "host CPU", "view": "views"}


def cycles_by_cause(layers: pd.DataFrame, peak_macs_per_cycle: float) -> pd.DataFrame:
    """Cycles of every layer (rows) by cause (columns); a row's sum is the layer's cycles.

    Layers that were simulated on the array split into busy and stalls; what these do not cover is "not attributed".
    Busy cycles are "computing" as far as all processing elements would need for the MACs, "mesh partly filled" beyond.
    Layers costed by formula are one piece, named after where they run. Causes that take no cycle are left out.
    """
    import pandas as pd

    on_array = layers["where"] == "array"
    simulated = on_array & (layers["costed_by"] == "simulated")
    causes = pd.DataFrame(index=layers.index)
    busy = layers["execute_busy_cycles"].where(simulated, 0.0).fillna(0.0)
    causes[COMPUTING] = (layers["macs"] / peak_macs_per_cycle).clip(upper=busy)
    causes[PARTLY] = busy - causes[COMPUTING]
    for column in stall_columns(layers):
        cause = column.removeprefix(STALL_PREFIX).removesuffix("_cycles").replace("_", " ")
        causes[WAITING + cause] = layers[column].where(simulated, 0.0).fillna(0.0)
    rest = (layers["cycles"] - causes.sum(axis=1)).where(simulated, 0.0)
    causes[UNATTRIBUTED] = rest.where(rest.abs() > 0.5, 0.0)
    causes[FORMULA] = layers["cycles"].where(on_array & ~simulated, 0.0)
    for where, cause in _ELSEWHERE.items():
        causes[cause] = layers["cycles"].where(layers["where"] == where, 0.0)
    return causes.loc[:, (causes != 0).any(axis=0)]


def cycles_in_total(record: RunRecord) -> list[tuple[str, float]]:
    """(cause, cycles) summed over the layers, in the order of `cycles_by_cause`."""
    causes = cycles_by_cause(record.layers, record.header.accelerator.peak_macs_per_cycle)
    return [(str(cause), float(cycles)) for cause, cycles in causes.sum().items()]


def cycles_off_the_array(layers: pd.DataFrame) -> dict[str, float]:
    """Cycles of the layers that do not run on the array, by where they do; places without any are left out."""
    sums = {name: float(layers.loc[layers["where"] == where, "cycles"].sum()) for where, name in _ELSEWHERE.items()}
    return {name: cycles for name, cycles in sums.items() if cycles}


def costliest_sets(record: RunRecord, limit: int) -> pd.DataFrame:
    """The sets of identical layers that take the most cycles in all, one row a set (its first layer's row).

    Adds `times` (layers in the set), `set_cycles`, `share` (of the run's cycles) and `over_roofline` (cycles of one
    layer over its roofline bound; NaN where there is no bound).
    """
    layers = record.layers
    groups = layers.groupby("identical_to", sort=False)["cycles"]
    sets = layers.loc[layers["index"] == layers["identical_to"]].copy()
    sets["times"] = sets["index"].map(groups.size())
    sets["set_cycles"] = sets["index"].map(groups.sum())
    sets["share"] = sets["set_cycles"] / max(record.header.totals.cycles, 1.0)
    bound = sets["roofline_cycles"]
    sets["over_roofline"] = sets["cycles"] / bound.where(bound > 0)
    return sets.sort_values("set_cycles", ascending=False, kind="stable").head(limit)


def solved_nests(layers: pd.DataFrame) -> pd.DataFrame:
    """One row per nest that a solver saw (its first layer's); `gain` is the heuristic's cycles over the solver's."""
    solved = layers.loc[(layers["solver_status"] != "") & (layers["index"] == layers["identical_to"])].copy()
    objective = solved["solver_objective_cycles"]
    solved["gain"] = solved["heuristic_cycles"] / objective.where(objective > 0)
    return solved


def tried_nests(layers: pd.DataFrame) -> pd.DataFrame:
    """One row per nest of which the machine's heuristic was simulated too (its first layer's), furthest from the bound
    first: `gap` and `heuristic_gap` are (cycles - bound) / bound, `better` the heuristic's cycles over ours."""
    tried = layers.loc[
        layers["heuristic_simulated_cycles"].notna() & (layers["index"] == layers["identical_to"])
    ].copy()
    bound = tried["array_bound_cycles"].where(tried["array_bound_cycles"] > 0)
    tried["gap"] = tried["cycles"] / bound - 1
    tried["heuristic_gap"] = tried["heuristic_simulated_cycles"] / bound - 1
    tried["better"] = tried["heuristic_simulated_cycles"] / tried["cycles"].where(tried["cycles"] > 0)
    return tried.sort_values("gap", ascending=False, kind="stable")


def traffic_in_total(layers: pd.DataFrame) -> list[tuple[str, float, float]]:
    """(memory, bytes read, bytes written) summed over the layers, from DRAM inwards."""
    return [
        (name, float(layers[f"{column}_read_bytes"].sum()), float(layers[f"{column}_write_bytes"].sum()))
        for name, column in (("DRAM", "dram"), ("Scratchpad", "scratchpad"), ("Accumulator", "accumulator"))
    ]


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table as objects with one attribute per column."""
    return frame.itertuples(index=False)
