"""The same layers on the same machine through ZigZag and through our mapper, side by side.

    python -m benchmarks.bench_zigzag [--objective latency|energy|EDP]

Installs zigzag-dse into an environment of its own (.venv/zigzag) from the configured package index. The machine is
Gemmini's array, memories, bandwidth and energies as far as ZigZag's description holds them: no double buffers, no
latency of the memory, no requests. ZigZag's tiles, with the order and placements that suit them best in our model, run
on our cycle-level simulator where our mappings can express them; where not, the table says why: "spills" where partial
sums leave the accumulator, "not doubled" where its tiles leave no room for the double buffers that overlap needs. "B"
is bytes over the memory port: by ZigZag's model, and of our run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from mapper.heuristic import smallest_mapping
from mapper.lower import Layer
from mapper.program import layer_programs
from mapper.rerank import fastest
from mapper.schedule import schedule
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.mapping import PLACEMENTS, Mapping, Tile, check_legal
from systolic.layer_request import layer_of
from systolic.network import NetworkRequest

ROOT = Path(__file__).parent.parent
PACKAGES = ("zigzag-dse==3.9.1", "six")
"""six: it imports what it does not ask for."""
LAYERS = (
    "512,768,768",
    "512,64,512",
    "512,512,64",
    "512,768,3072",
    "512,3072,768",
    "224x224x3,7x7x64,s2,p3",
    "56x56x64,3x3x64",
    "56x56x64,1x1x256",
    "14x14x256,3x3x256",
    "7x7x512,1x1x2048",
    "7x7x512,3x3x512",
)
OBJECTIVES = {"latency": "latency", "energy": "energy", "EDP": "energy_delay_product"}


def main() -> None:
    """Map both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--objective", choices=OBJECTIVES, default="latency")
    objective = parser.parse_args().objective
    machine = load_accelerator("gemmini")
    layers = [layer_of(NetworkRequest(model=text), machine) for text in LAYERS]
    with tempfile.TemporaryDirectory() as name:
        answers = zigzag_answers(Path(name), layers, machine, objective)
    print(
        f"{'layer':<24}{'ZigZag says':>12}{'its tile':>12}{'ours':>12}"
        f"{'ZigZag B':>12}{'ours B':>12}{'s':>7}{'ours s':>8}"
    )
    for layer, answer in zip(layers, answers, strict=True):
        print(row(layer, answer, machine, objective), flush=True)


def row(layer: Layer, answer: dict[str, Any], machine: Accelerator, objective: str) -> str:
    """One line: cycles by ZigZag's model, of its tile and of our mapping on our simulator, DRAM bytes, seconds."""
    nest = nest_of(layer)
    started = time.process_time()
    found = schedule(nest, machine, objective=OBJECTIVES[objective])
    seconds = time.process_time() - started
    ours = fastest(layer, found, machine) if objective == "latency" else None
    cycles = ours.result.cycles if ours else simulated(layer, found.mapping, machine)
    theirs = mapping_of(answer["loops"], nest, machine)
    shown = theirs if isinstance(theirs, str) else f"{simulated(layer, theirs, machine):,}"
    dram_bytes = answer["dram_pj"] / machine.energy.dram_pj_per_byte
    moved = ours.result.read_bytes + ours.result.write_bytes if ours else found.cost.dram_bytes
    return (
        f"{layer.name:<24}{answer['cycles']:>12,.0f}{shown:>12}{cycles:>12,}{dram_bytes:>12,.0f}{moved:>12,}"
        f"{answer['seconds']:>7.1f}{seconds:>8.2f}"
    )


def simulated(layer: Layer, mapping: Mapping, machine: Accelerator) -> int:
    """Cycles of `layer` under `mapping` on the cycle-level simulator."""
    return simulate(layer_programs(layer, mapping, machine), machine).cycles


def nest_of(layer: Layer) -> ArrayNest:
    """The layer's nest, which every layer here has."""
    assert isinstance(layer.work, ArrayNest)
    return layer.work


def mapping_of(loops: dict[str, list[list[list[Any]]]], nest: ArrayNest, machine: Accelerator) -> Mapping | str:
    """ZigZag's loops as a Mapping: the result's tile is what its accumulator holds, the reduction's tile what its
    scratchpad does, order and placements the best of those that fit; or why there is none."""
    held = {operand: [loop for level in levels[:-1] for loop in level] for operand, levels in loops.items()}
    if any(dim in ("C", "FY", "FX") for dim, _ in loops["O"][-1]):
        return "spills"

    def size(operand: str, dim: str, limit: int) -> int:
        inside = prod(int(step) for name, step in held[operand] if name == dim)
        return min(limit, inside * (machine.dim if dim in ("K", "C") else 1))

    options = []
    for a, b in product((True, False), repeat=2):
        reduction = [
            min(size("I", dim, limit) if a else limit, size("W", dim, limit) if b else limit)
            for dim, limit in (("C", nest.in_channels), ("FY", nest.kernel_rows), ("FX", nest.kernel_columns))
        ]
        tile = Tile(
            images=size("O", "B", nest.images),
            out_rows=size("O", "OY", nest.out_rows),
            out_columns=size("O", "OX", nest.out_columns),
            out_channels=size("O", "K", nest.out_channels),
            kernel_rows=reduction[1],
            kernel_columns=reduction[2],
            in_channels=reduction[0],
        )
        for order, a_placement, b_placement in PLACEMENTS:
            options.append(
                replace(
                    smallest_mapping(nest, machine),
                    tile=tile,
                    order=order,
                    a_placement=a_placement,
                    b_placement=b_placement,
                )
            )
    fitting = [mapping for mapping in options if fits(nest, mapping, machine)]
    if not fitting:
        return "not doubled"
    costs = [(analytical(nest, mapping, machine), mapping) for mapping in fitting]
    return min(costs, key=lambda pair: (pair[0].cycles, pair[0].dram_bytes))[1]


def fits(nest: ArrayNest, mapping: Mapping, machine: Accelerator) -> bool:
    """Whether the mapping is legal: ZigZag's need not leave room for double buffers."""
    try:
        check_legal(nest, mapping, machine)
    except (InfeasibleError, InputError):
        return False
    return True


def zigzag_answers(folder: Path, layers: list[Layer], machine: Accelerator, objective: str) -> list[dict[str, Any]]:
    """What ZigZag, in its own environment, answers for every layer."""
    python = environment()
    (folder / "accelerator.yaml").write_text(accelerator_yaml(machine))
    (folder / "mapping.yaml").write_text(MAPPING.format(dim=machine.dim))
    (folder / "layers.json").write_text(json.dumps([layer_json(layer) for layer in layers]))
    command = [python, str(ROOT / "benchmarks" / "zigzag_worker.py"), str(folder), objective]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        sys.exit(f"ZigZag failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def environment() -> Path:
    """The Python of ZigZag's environment, made and filled where it is not there."""
    place = ROOT / ".venv" / "zigzag"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def layer_json(layer: Layer) -> dict[str, Any]:
    """The layer in ZigZag's loop names."""
    nest = nest_of(layer)
    sizes = {
        "B": nest.images,
        "K": nest.out_channels,
        "C": nest.in_channels,
        "OY": nest.out_rows,
        "OX": nest.out_columns,
        "FY": nest.kernel_rows,
        "FX": nest.kernel_columns,
    }
    return {"name": layer.name, "sizes": sizes, "stride": nest.column_stride, "dilation": nest.column_dilation}


MAPPING = """\
- name: default
  spatial_mapping:
    D1: ["K, {dim}"]
    D2: ["C, {dim}"]
  memory_operand_links: {{O: O, W: I2, I: I1}}
"""


def accelerator_yaml(machine: Accelerator) -> str:
    """The machine in ZigZag's description: sizes in bits, bandwidths in bits a cycle, pJ an access of the widest."""
    row_bits, result_bits = machine.dim * machine.array.input_bits, machine.dim * machine.array.accumulator_bits
    port_bits = int(8 * machine.memory_bytes_per_cycle)
    energy = machine.energy
    memories = {
        "weight_register": {
            "size": machine.array.input_bits,
            "cost": 0,
            "operands": ["I2"],
            "ports": [("read", 8, ["I2, tl"]), ("write", 8, ["I2, fh"])],
            "served": [],
        },
        "accumulator": {
            "size": 8 * machine.accumulator.capacity_bytes,
            "cost": energy.accumulator_pj_per_byte * result_bits / 8,
            "operands": ["O"],
            "ports": [("read", result_bits, ["O, tl", "O, th"]), ("write", result_bits, ["O, fh", "O, fl"])],
            "served": ["D1", "D2"],
        },
        "scratchpad": {
            "size": 8 * machine.scratchpad.capacity_bytes,
            "cost": energy.scratchpad_pj_per_byte * row_bits / 8,
            "operands": ["I1", "I2"],
            "ports": [
                ("read", row_bits, ["I1, tl"]),
                ("read", row_bits, ["I2, tl"]),
                ("write", row_bits, ["I1, fh", "I2, fh"]),
            ],
            "served": ["D1", "D2"],
        },
        "dram": {
            "size": 10**13,
            "cost": energy.dram_pj_per_byte * port_bits / 8,
            "operands": ["I1", "I2", "O"],
            "ports": [
                ("read", port_bits, ["I1, tl", "I2, tl", "O, tl", "O, th"]),
                ("write", port_bits, ["I1, fh", "I2, fh", "O, fh", "O, fl"]),
            ],
            "served": ["D1", "D2"],
        },
    }
    described = {
        "name": "gemmini",
        "memories": {name: memory_yaml(memory) for name, memory in memories.items()},
        "operational_array": {
            "unit_energy": energy.mac_pj,
            "unit_area": 1,
            "dimensions": ["D1", "D2"],
            "sizes": [machine.array.columns, machine.array.rows],
            "systolic_dimensions": ["D1", "D2"],
        },
    }
    return json.dumps(described, indent=1)


def memory_yaml(memory: dict[str, Any]) -> dict[str, Any]:
    """One memory with its ports named."""
    ports = [
        {
            "name": f"{kind[0]}_port_{number}",
            "type": kind,
            "bandwidth_min": min(8, bits) if kind == "read" or bits > 64 else bits,
            "bandwidth_max": bits,
            "allocation": operands,
        }
        for number, (kind, bits, operands) in enumerate(memory["ports"], 1)
    ]
    return {
        "size": memory["size"],
        "r_cost": memory["cost"],
        "w_cost": memory["cost"],
        "area": 0,
        "latency": 1,
        "operands": memory["operands"],
        "ports": ports,
        "served_dimensions": memory["served"],
    }


if __name__ == "__main__":
    main()
