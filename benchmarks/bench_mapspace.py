"""Mapping spaces of the survey's layers: how fast they are sampled, how they spread, and what was published of them.

    python -m benchmarks.bench_mapspace

Prints docs/mapspace.md's table. Seconds are processor seconds of sampling and costing 100 000 legal mappings.
"""

from __future__ import annotations

from time import process_time

from mapper.mapspace_sample import sample_costs, sample_mappings
from reports.mapspace import ALL, DIVIDING, STARVED, MapspaceStudy, spreads_of
from reports.mapspace_published import PUBLISHED
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from systolic.layer_request import layer_of
from systolic.mapspace_job import MapspaceRequest, study_of
from systolic.network import NetworkRequest

SAMPLES = 100_000
HEADS = ("layer", "mappings", "10th percentile", "within 3x", "largest")


def main() -> None:
    """Sample, and print the table and what it took."""
    machine = load_accelerator("gemmini")
    lines, seconds = [], []
    for published in PUBLISHED:
        request = MapspaceRequest(layer=NetworkRequest(model=published.layer), samples=SAMPLES)
        layer = layer_of(request.layer, machine)
        assert isinstance(layer.work, ArrayNest)
        started = process_time()
        sample_costs(layer.work, sample_mappings(layer.work, machine, SAMPLES), machine)
        seconds.append(process_time() - started)
        lines += rows(study_of(layer, machine, request, lambda *_: None))
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    print("\n".join(lines))
    print(f"\n100 000 legal mappings of a layer: {min(seconds):.2f} to {max(seconds):.2f} s")


def rows(study: MapspaceStudy) -> list[str]:
    """Markdown rows of one layer: what was printed, then ours."""
    published = study.published
    assert published is not None
    lines = [
        f"| {published.name} | printed | {published.tenth_percentile:.2f} | {100 * published.near_share:.2f} % | 10^4 |"
    ]
    spreads = spreads_of(study)
    for kind in (ALL, DIVIDING, STARVED):
        spread = spreads[kind]
        lines.append(
            f"| | {kind} | {spread.tenth_percentile:.2f} | {100 * spread.near_share:.2f} % | {spread.largest:,.0f} |"
        )
    marks = ", ".join(f"{mark.name} {study.relative_of(mark):.2f}" for mark in study.marked[:-1])
    return [*lines, f"| | {marks} | | | |"]


if __name__ == "__main__":
    main()
