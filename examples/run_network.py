"""The main job in ten lines: python examples/run_network.py [NETWORK [MACHINE]]."""

import sys

from simulator.accelerator_file import load_accelerator
from systolic.pipeline import layers_of, schedule, simulate_layers
from workloads.catalogue import build

network, machine = (*sys.argv[1:], "jet-tagger", "gemmini")[:2] if len(sys.argv) < 3 else sys.argv[1:3]
accelerator = load_accelerator(machine)
layers = layers_of(build(network), accelerator)
runs = simulate_layers(layers, schedule(layers, accelerator), accelerator)
for run in runs:
    proof = f"{run.scheduled.solve.status}, gap {run.scheduled.solve.gap:.1%}" if run.scheduled else ""
    print(f"{run.layer.name:30} {run.where:10} {run.cost.cycles:12,.0f} cycles  {proof}")
print(f"{network} on {machine}: {sum(run.cost.cycles for run in runs):,.0f} cycles")
