"""Hessian traces of every weight and activation: how long, how much memory, how certain.

    python -m benchmarks.bench_sensitivity [NETWORK] [--image N] [--batch N] [--probes N] [--weights-only]

Random weights and inputs; the joint estimator, one Hessian-vector product a probe.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from hls.data import Data
from hls.layers import weights_of
from hls.sensitivity.graph_loss import graph_surface
from hls.sensitivity.trace import Stopping, hessian_traces
from model_ir.graph import random_parameters
from workloads.catalogue import build


def main() -> None:
    """Measure once and print one line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?", default="resnet50")
    parser.add_argument("--image", type=int)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--probes", type=int, default=8)
    parser.add_argument("--weights-only", action="store_true")
    options = parser.parse_args()
    graph = build(options.network, batch=options.batch, image=options.image)
    generator = np.random.default_rng(0)
    inputs = {name: generator.standard_normal(graph.tensors[name].shape, dtype=np.float32) for name in graph.inputs}
    classes = graph.tensors[graph.outputs[0]].shape[-1]
    labels = generator.permutation(classes)[: options.batch]
    start, cpu = time.perf_counter(), time.process_time()
    surface = graph_surface(
        graph,
        random_parameters(graph),
        Data(inputs=inputs, labels=labels),
        tensors=weights_of(graph) if options.weights_only else None,
    )
    stopping = Stopping(relative_change=None, least_probes=options.probes, most_probes=options.probes)
    traces = hessian_traces(surface, estimator="joint", stopping=stopping)
    print(f"{graph.name}: {len(traces.estimates)} traces, {traces.products} Hessian-vector products")
    print(f"wall {time.perf_counter() - start:.1f} s, CPU {time.process_time() - cpu:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    errors = sorted(estimate.relative_error for estimate in traces.estimates.values())
    print(f"relative standard error: median {errors[len(errors) // 2]:.2f}, largest {errors[-1]:.2f}")


if __name__ == "__main__":
    main()
