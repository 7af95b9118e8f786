"""External programs: found, run with their output kept, and clear words where they are missing or fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from model_ir.errors import InputError


def find_program(name: str, package: str) -> str:
    """The path of program `name`. InputError names the Debian `package` where it is missing."""
    path = shutil.which(name)
    if path is None:
        raise InputError(name, f"is not on the PATH: install Debian's package {package}")
    return path


def run_program(command: Sequence[str], folder: Path) -> str:
    """Run `command` in `folder` and return what it printed. InputError with its last words where it fails."""
    done = subprocess.run(
        list(command),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in words if "error" in line.lower() and "Exiting due to" not in line]
        first = (errors or words or ["it printed nothing"])[0]
        status = f"exit status {done.returncode}" if done.returncode > 0 else f"killed by signal {-done.returncode}"
        raise InputError(Path(command[0]).name, f"failed ({status}): {first.strip()}")
    return done.stdout
