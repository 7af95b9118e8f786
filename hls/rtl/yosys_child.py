"""Runs Yosys commands in a process of their own: `python -m hls.rtl.yosys_child STEPS.json`.

STEPS.json holds `memory_limit_bytes` and `steps`, pairs of a title and a command. The title of each goes to standard
error before its command runs, behind MARK; what the process used follows at the end, as JSON. Yosys' own log goes to
standard output; its errors end the process.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

MARK = "@@"


def main(path: str) -> None:
    """Run the steps of the file at `path`."""
    from pyosys import libyosys

    job = json.loads(Path(path).read_text())
    limit = job["memory_limit_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    design = libyosys.Design()
    for title, command in job["steps"]:
        _tell(title)
        libyosys.run_pass(command, design)
    own, abc = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    used = {
        "cpu_seconds": own.ru_utime + own.ru_stime + abc.ru_utime + abc.ru_stime,
        "peak_memory_bytes": 1024 * max(own.ru_maxrss, abc.ru_maxrss),
    }
    _tell(json.dumps(used))


def _tell(what: str) -> None:
    sys.stderr.write(f"{MARK}{what}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1])
