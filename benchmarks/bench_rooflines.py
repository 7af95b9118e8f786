"""How long a roofline or memory-wall answer takes, start included: `python -m benchmarks.bench_rooflines`.

The bar: below 1 s. Beside the seconds those of the processor, which say the same on a machine that others use, too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

QUESTIONS = (
    ("roofline", "bert-base", "--machine", "a100"),
    ("roofline", "llama-2-7b", "--machine", "h100"),
    ("roofline", "llama-2-7b"),
    ("memory-wall", "--json"),
    ("generate", "llama-3-8b", "--machine", "h100"),
)
TRIES = 3


def main() -> None:
    """Print the least of a few tries of each question."""
    for question in QUESTIONS:
        seconds, processor = [], []
        for _ in range(TRIES):
            started, before = time.perf_counter(), _processor_seconds()
            subprocess.run([sys.executable, "-m", "systolic", *question], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
            processor.append(_processor_seconds() - before)
        print(f"systolic {' '.join(question):40s} {min(seconds):.2f} s, bar 1 s; {min(processor):.2f} s of processor")


def _processor_seconds() -> float:
    """Of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
