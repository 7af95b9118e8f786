"""`systolic` on the command line: turns errors into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from model_ir.errors import SystolicError


def main() -> None:
    """Run the command line: exit code 0, 1 for infeasible, 2 for bad input or an interrupted run."""
    from systolic.cli import app

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except SystolicError as error:
        sys.stderr.write(f"systolic: error: {_one_line(str(error))}\n")
        sys.exit(error.exit_code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _one_line(message: str) -> str:
    return " ".join(message.split())


if __name__ == "__main__":
    main()
