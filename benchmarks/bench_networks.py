"""Whole networks from file or catalogue to report: seconds by stage, simulated cycles, peak memory, cached rerun.

Usage: python benchmarks/bench_networks.py [NETWORK [OPTION ...]] ...; without arguments ResNet-50 and BERT-Base at 512
tokens. Every run is a process of its own; the compiled kernels are warmed by a run of the jet tagger first.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NETWORKS = (("resnet50",), ("bert-base", "--seq", "512"))


def run(arguments: tuple[str, ...], folder: Path) -> tuple[float, dict[str, Any]]:
    """Wall seconds of the process and the record it printed."""
    command = [sys.executable, "-m", "systolic", "run", *arguments, "--out", str(folder / "runs"), "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, "SYSTOLIC_CACHE": str(folder / "cache")}
    )
    return time.perf_counter() - start, json.loads(done.stdout)


def main() -> None:
    """Print one row a network and one for its rerun with cached schedules."""
    networks = (tuple(sys.argv[1:]),) if len(sys.argv) > 1 else NETWORKS
    print(f"{'network':32}{'wall s':>8}{'import':>8}{'schedule':>9}{'simulate':>9}{'simulated Mcycles':>19}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(("jet-tagger",), folder)
        for network in networks:
            for label in ("", " (schedules cached)"):
                wall, record = run(network, folder)
                stages = record["wall_seconds"]
                simulated = sum(
                    row["cycles"]
                    for row in record["layers"]
                    if row["costed_by"] == "simulated" and row["identical_to"] == row["index"]
                )
                cells = "".join(
                    f"{stages[stage]:{width}.2f}" for stage, width in (("import", 8), ("schedule", 9), ("simulate", 9))
                )
                print(f"{' '.join(network) + label:32}{wall:8.2f}{cells}{simulated / 1e6:19.1f}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of any run: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
