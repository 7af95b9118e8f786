"""Tokens a second over context and batch in ten lines: python examples/generation_sweep.py [MODEL [MACHINE]]."""

import sys

from simulator.generation.decoding import Setting
from simulator.generation.precision import parse_precision
from simulator.generation.sweep import generate
from simulator.rooflines.machines import find_machine
from workloads.language_models import language_model

model, machine = sys.argv[1:3] if len(sys.argv) > 2 else (*sys.argv[1:], "llama-3-8b", "a100")[:2]
setting = Setting(model=language_model(model), machine=find_machine(machine), precision=parse_precision("w4g128a16kv8"))
found = generate(setting, contexts=[512, 4096, 32768], batches=[1, 8, 64])
for context, rates, fits in zip(found.contexts, found.tokens_per_second, found.memory.fits, strict=True):
    cells = (f"{rate:12,.0f}" if fit else f"{'too large':>12}" for rate, fit in zip(rates, fits, strict=True))
    print(f"{context:8,.0f} tokens {''.join(cells)} tokens/s")
