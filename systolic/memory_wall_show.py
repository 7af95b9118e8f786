"""What `systolic memory-wall` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from reports.memory_wall_terminal import wall_json, wall_tables
from systolic.show import print_json, print_whole

if TYPE_CHECKING:
    from simulator.memory_wall.wall import Wall


def print_wall(wall: Wall, *, page: Path | None, as_json: bool) -> None:
    """Tables, or one object with all of them; and where the page lies."""
    if as_json:
        print_json(wall_json(wall) | ({"page": str(page)} if page else {}))
        return
    for table in wall_tables(wall):
        print_whole(table)
    if page is not None:
        Console().print(f"page: {page}", markup=False, soft_wrap=True)
