"""Yosys as a library (pyosys) in a child process: a crash of it is an error here, not the end of the caller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from hls.extras import needs
from hls.rtl.trace import Progress
from hls.rtl.yosys_child import MARK
from model_ir.errors import InputError

Step = tuple[str, str]
"""What the progress calls it, and the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run of Yosys may use: the address space of each of its processes, and time by the clock."""

    memory_bytes: int = 8 << 30
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run of Yosys and abc used."""

    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int


def yosys_version() -> str:
    """The tool's name with its version."""
    needs("rtl", "pyosys")
    return f"Yosys {version('pyosys')}"


def run_yosys(
    steps: Sequence[Step], folder: Path, *, limits: Limits | None = None, progress: Progress | None = None
) -> Usage:
    """Run `steps` in `folder`, where the commands' files are and the log goes (yosys.log).

    InputError where pyosys is missing, Yosys reports an error or dies, or a limit is reached.
    """
    needs("rtl", "pyosys")
    limits = limits or Limits()
    job = folder / "steps.json"
    job.write_text(json.dumps({"memory_limit_bytes": limits.memory_bytes, "steps": list(steps)}))
    started = time.perf_counter()
    words: list[str] = []
    title, done = "starting", 0
    with (folder / "yosys.log").open("wb") as log, _started(job, folder, log) as child:
        over = threading.Timer(limits.seconds, os.killpg, (child.pid, signal.SIGKILL))
        over.start()
        try:
            assert child.stderr is not None
            for line in child.stderr:
                if line.startswith(MARK) and done < len(steps):
                    title, done = steps[done][0], done + 1
                    if progress is not None:
                        progress(title, done, len(steps))
                elif line.strip():
                    words.append(line.strip())
            child.wait()
        finally:
            timed_out = time.perf_counter() - started >= limits.seconds
            over.cancel()
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    wall = time.perf_counter() - started
    if child.returncode:
        raise InputError(f"Yosys ({title})", _reason(child.returncode, words, limits, timed_out))
    used = json.loads(next(line for line in reversed(words) if line.startswith(MARK)).removeprefix(MARK))
    return Usage(wall_seconds=wall, **used)


def _started(job: Path, folder: Path, log: BinaryIO) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "hls.rtl.yosys_child", str(job)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _reason(status: int, words: Sequence[str], limits: Limits, timed_out: bool) -> str:
    if timed_out:
        return f"took longer than its limit of {limits.seconds:g} s"
    if any("bad_alloc" in line or "MemoryError" in line or "Cannot allocate" in line for line in words):
        return f"needs more memory than its limit of {limits.memory_bytes / 2**30:.1f} GiB"
    errors = [line for line in words if line.startswith("ERROR")] or list(words[-1:]) or ["it said nothing"]
    return f"failed with status {status}: {errors[0]}"
