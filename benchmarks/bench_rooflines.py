"""How long a roofline or memory-wall answer takes, start included: `python -m benchmarks.bench_rooflines`.

The bar: below 1 s.
"""

from __future__ import annotations

import subprocess
import sys
import time

QUESTIONS = (
    ("roofline", "bert-base", "--machine", "a100"),
    ("roofline", "llama-2-7b", "--machine", "h100"),
    ("memory-wall", "--json"),
    ("generate", "llama-3-8b", "--machine", "h100"),
)
TRIES = 3


def main() -> None:
    """Print the least of a few tries of each question."""
    for question in QUESTIONS:
        seconds = []
        for _ in range(TRIES):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "systolic", *question], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        print(f"systolic {' '.join(question):40s} {min(seconds):.2f} s, bar 1 s")


if __name__ == "__main__":
    main()
