"""`systolic report`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.options import JsonOption


def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/resnet50-gemmini.")],
    as_json: JsonOption = False,
) -> None:
    """Show a finished run again and write its HTML page anew."""
    from reports.record import read_record
    from systolic.job import write_page
    from systolic.show import print_record

    record = read_record(run_folder)
    write_page(record, run_folder)
    print_record(record, run_folder, as_json=as_json)
