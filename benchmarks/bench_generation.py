"""How long a sweep over generative inference takes: `python -m benchmarks.bench_generation`.

10 000 points (models x machines x precisions x contexts x batches), prefill, decode and memory at each; and one answer.
The bar: below 20 s on two cores, a single answer below 1 s.
"""

from __future__ import annotations

import time

from simulator.generation.crossing import ridge_batch
from simulator.generation.decoding import OneByOne, Setting
from simulator.generation.precision import parse_precision
from simulator.generation.sweep import generate, sweep
from simulator.rooflines.machines import all_machine_names, find_machine
from workloads.language_models import LANGUAGE_MODELS

MODELS = ("llama-2-7b", "llama-3-8b", "mistral-7b", "mixtral-8x7b", "qwen2.5-7b")
PRECISIONS = ("w16a16", "w4g128a16kv8")
CONTEXTS = [512 * (count + 1) for count in range(10)]
BATCHES = [2**power for power in range(10)]
MACHINES = 10


def main() -> None:
    """Print both times."""
    models = [LANGUAGE_MODELS[name] for name in MODELS]
    precisions = [parse_precision(text) for text in PRECISIONS]
    known = [find_machine(name) for name in all_machine_names()]
    able = [machine for machine in known if {"bf16", "fp16"} & set(machine.formats)]
    machines = [able[place % len(able)] for place in range(MACHINES)]
    started, cpu = time.perf_counter(), time.process_time()
    found = sweep(models, machines, precisions, CONTEXTS, BATCHES)
    points = sum(each.shape[0] * each.shape[1] for each in found)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    print(f"{points:,} points on {len(able)} machines: {seconds:.2f} s ({cpu_seconds:.2f} s of one core), bar 20 s")
    started = time.perf_counter()
    one = generate(Setting(model=models[0], machine=machines[0], precision=precisions[0]), [4096], [8])
    crossing = ridge_batch(one.setting, one.contexts, OneByOne())[0]
    print(f"one answer, its ridge (batch {crossing:g}) included: {time.perf_counter() - started:.3f} s, bar 1 s")


if __name__ == "__main__":
    main()
