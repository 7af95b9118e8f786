"""`systolic reproduce`: makes every published table again, and writes the page. One more table is a row of
`published.toml` and a line of MAKERS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from model_ir.errors import InputError
from reports.reproduction import ReproducedTable
from reports.reproduction_page import render_reproduction, reproduction_record
from systolic.pipeline import Progress
from systolic.reproduce import (
    fidelity_rows,
    integer_functions,
    mappings,
    memory_wall,
    quantised_sizes,
    survey_resnet,
    survey_transformers,
)
from systolic.reproduce.case_study_rows import case_study_tables
from systolic.reproduce.published import Ours, PublishedTable, beside, published_tables
from systolic.text_file import write_text

Maker = Callable[[PublishedTable], Ours]
GROUND_TRUTH: Final = Path("../shared/ground_truth")
STUDIES: Final[dict[str, Callable[[Progress], tuple[ReproducedTable, ...]]]] = {"case-study": case_study_tables}
"""Studies that say themselves what was printed beside each of their numbers, by id."""
PAGE: Final = "reproduce.html"
RECORD: Final = "reproduce.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceRequest:
    """What `systolic reproduce` was asked: the tables (all, or those whose id begins with one of `only`), the folder of
    what was measured on the RTL, and where page and record go."""

    only: tuple[str, ...] = ()
    ground_truth: Path = GROUND_TRUTH
    out: Path = Path("runs/reproduce")


def makers(request: ReproduceRequest) -> dict[str, Maker]:
    """What makes ours of each published table, by its id."""
    return {
        "table-3": survey_transformers.table_3,
        "table-4": survey_resnet.table_4,
        "table-5": survey_transformers.table_5,
        "table-5-resnet": survey_resnet.table_5_resnet,
        "figure-4": survey_transformers.over_lengths,
        "figure-5": survey_transformers.over_lengths,
        "figure-6": survey_transformers.over_lengths,
        "figure-9": survey_transformers.cpu_latency,
        "figure-32": survey_transformers.analytical_latency,
        "table-10": survey_transformers.table_10,
        "table-11": survey_transformers.table_11,
        "table-12": survey_resnet.table_12,
        "memory-wall": memory_wall.growth,
        "memory-wall-points": memory_wall.growth,
        "i-bert": integer_functions.i_bert,
        "traffic": mappings.least_traffic,
        "jets": quantised_sizes.jets,
        "hawq-v3": quantised_sizes.hawq,
        "rtl": partial(fidelity_rows.rtl, ground_truth=request.ground_truth),
    }


def reproduce_job(request: ReproduceRequest, progress: Progress) -> tuple[Path, tuple[ReproducedTable, ...]]:
    """The page written and the tables in it. Raises InputError for a name that no table begins with, or an unwritable
    folder."""
    made = reproduced(request, progress)
    page = request.out / PAGE
    write_text(page, render_reproduction(made))
    write_text(request.out / RECORD, json.dumps(reproduction_record(made), indent=1) + "\n")
    return page, made


def reproduced(request: ReproduceRequest, progress: Progress) -> tuple[ReproducedTable, ...]:
    """Everything asked for with our numbers beside the printed ones, the tables in the order of `published.toml`."""
    tables, makes = {table.id: table for table in published_tables()}, makers(request)
    wanted, done = chosen(request.only), list[ReproducedTable]()
    for index, name in enumerate(wanted):
        progress("tables", index, len(wanted))
        started = time.perf_counter()
        if name in tables:
            ours = makes[name](tables[name])
            done.append(beside(tables[name], ours, time.perf_counter() - started))
        else:
            done += STUDIES[name](progress)
    progress("tables", len(wanted), len(wanted))
    return tuple(done)


def chosen(only: Sequence[str]) -> tuple[str, ...]:
    """The ids of tables and studies that are, or begin with, one of `only`; all where that is empty."""
    names = (*(table.id for table in published_tables()), *STUDIES)
    for name in only:
        if not any(one.startswith(name) for one in names):
            raise InputError("--only", "no such table", value=name, limit=", ".join(names))
    exact = set(names) & set(only)
    return tuple(
        one for one in names if not only or any(one == name if name in exact else one.startswith(name) for name in only)
    )
