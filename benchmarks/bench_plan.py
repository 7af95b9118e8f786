"""Gains of the plan across layers over the layer-by-layer schedule, network by network, with the solver's evidence.

`python -m benchmarks.bench_plan [NETWORK ...]`. "path" is a machine whose results can also go to the scratchpad, which
Gemmini's cannot. Seconds are the program across layers'; "all" adds solving the layers alone (nothing cached).
"""

from __future__ import annotations

import sys
import time

from mapper.across_layers.menu import MenuOptions
from mapper.across_layers.plan import PlanOptions, plan_network
from mapper.lower import lower
from simulator.accelerator_file import load_accelerator
from systolic.pipeline import prepare
from workloads.catalogue import build

NETWORKS = (
    ("jet-tagger", "gemmini", {}),
    ("resnet18", "gemmini", {}),
    ("resnet50", "gemmini", {}),
    ("mobilenet-v2", "gemmini", {}),
    ("bert-base", "gemmini-ibert", {"seq": 128}),
    ("bert-base", "gemmini-ibert", {"seq": 512}),
    ("bert-base", "survey-256-64", {"seq": 512}),
    ("bert-base", "survey-64-256", {"seq": 512}),
    ("gpt2", "gemmini-ibert", {"seq": 128}),
    ("gpt2", "gemmini-ibert", {"phase": "decode"}),
    ("vit-s16", "gemmini-ibert", {}),
    ("conformer-s", "gemmini-ibert", {"seq": 200}),
)
LIMIT_SECONDS = 20.0


def main() -> None:
    """Print one line a network and machine."""
    wanted = sys.argv[1:]
    print(
        f"{'network':34} {'latency':>8} {'traffic':>8} {'status':>9} {'gap':>7} {'s':>6} {'all':>6}"
        f" {'groups':>10} {'kept':>5} {'path: latency':>14} {'traffic':>8}"
    )
    for name, machine, options in NETWORKS:
        if wanted and name not in wanted:
            continue
        accelerator = load_accelerator(machine)
        graph = prepare(build(name, batch=1, **options), accelerator)
        layers = lower(graph, accelerator)
        cache: dict[str, object] = {}
        started = time.perf_counter()
        asked = {"menu": MenuOptions(cache=cache), "time_limit_seconds": LIMIT_SECONDS}
        plan = plan_network(graph, layers, accelerator, PlanOptions(**asked))
        seconds = time.perf_counter() - started
        path = plan_network(graph, layers, accelerator, PlanOptions(result_path=True, **asked))
        label = f"{name} {' '.join(str(value) for value in options.values())} {machine}"
        print(
            f"{label:34} {_change(plan.cycles, plan.apart_cycles)} {_change(plan.dram_bytes, plan.apart_dram_bytes)}"
            f" {plan.solve.status:>9} {plan.solve.gap:7.2%} {plan.solve.wall_seconds:6.2f} {seconds:6.1f}"
            f" {len(plan.groups):4}/{len(plan.steps.steps):<5} {len(plan.residences):5}"
            f"       {_change(path.cycles, plan.apart_cycles)} {_change(path.dram_bytes, plan.apart_dram_bytes)}",
            flush=True,
        )


def _change(planned: float, apart: float) -> str:
    return f"{100 * (planned / apart - 1):+6.1f} %"


if __name__ == "__main__":
    main()
