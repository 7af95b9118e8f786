"""Two Gemminis before one L2 and DRAM: python examples/shared_memory.py [SIZE]. What sharing costs each of them."""

import sys

from simulator.accelerator_file import load_accelerator
from simulator.engine import simulate
from simulator.host_calls import MatmulCall
from simulator.host_matmul import matmul_stream
from simulator.shared import simulate_shared

size = int(sys.argv[1]) if len(sys.argv) > 1 else 96
machine = load_accelerator("gemmini-soc")
places = ((0x80000000, 0x80100000, 0, 0x80200000), (0x81000000, 0x81100000, 0, 0x81200000))
call = MatmulCall(rows=size, columns=size, depth=size)
programs = [matmul_stream(call, machine, cycles_per_instruction=1.0, at=at).program for at in places]
alone = simulate(programs[0], machine)
for number, shared in enumerate(simulate_shared(programs, [machine, machine])):
    slower = shared.cycles / alone.cycles - 1
    print(f"Gemmini {number}: {alone.cycles:,} cycles alone, {shared.cycles:,} beside the other ({slower:+.1%})")
