"""What every back end's firmware computes and how long it takes: `python -m benchmarks.bench_firmware [NAME ...]`.

The jet tagger's sizes at mixed bits, a small CNN on 8x8 images and a network of everything else that is taken, on every
back end (or those named) with io_parallel and io_stream: mismatches of 10 000 inputs, or what it says instead.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from hls.firmware.equality import match
from hls.firmware.project import compile_project, write_project
from hls.firmware.settings import BACKENDS, IoType, Settings
from model_ir.errors import InputError
from model_ir.graph import Graph
from tests.quantised_nets import conv_net, dense_net, inputs_of, odd_net

SAMPLES = 10_000


def main() -> None:
    """Print a line for every network, back end and way to pass data."""
    networks = {
        "MLP 16-64-32-32-5": dense_net((16, 64, 32, 32, 5), (6, 5, 4, 7), fused=True),
        "CNN 8x8": conv_net(),
        "everything else": odd_net(),
        "without depthwise": odd_net(depthwise=False),
    }
    for name in sys.argv[1:] or BACKENDS:
        for io in BACKENDS[name].ios:
            for title, graph in networks.items():
                print(f"{name:18s} {io:12s} {title:18s} {outcome(graph, name, io)}", flush=True)


def outcome(graph: Graph, backend: str, io: IoType) -> str:
    """Mismatches and seconds, or the error."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        try:
            project = write_project(graph, Path(folder, "project"), Settings(backend=backend, io=io))
            written = time.perf_counter()
            compile_project(project)
        except InputError as error:
            return error.problem
        compiled = time.perf_counter()
        found = match(project, graph, inputs_of(graph, SAMPLES))
        emulated = time.perf_counter()
    seconds = (
        f"write {written - started:.1f} s, compile {compiled - written:.1f} s, emulate {emulated - compiled:.1f} s"
    )
    return f"{found.mismatches} of {found.inputs} differ; {seconds}"


if __name__ == "__main__":
    main()
