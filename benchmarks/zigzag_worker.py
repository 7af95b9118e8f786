"""Runs inside ZigZag's own environment: maps every layer of a JSON file and prints one JSON object a layer.

Arguments: folder with accelerator.yaml and mapping.yaml, and layers.json: [{"name": ..., "sizes": {B, K, C, OY, OX, FY,
FX}, "stride": ..., "dilation": ...}]; then what to minimise (latency, energy, EDP).
"""

import json
import logging
import sys
import time
from pathlib import Path

from zigzag.api import get_hardware_performance_zigzag

DIMS = ("B", "K", "C", "OY", "OX", "FY", "FX")
LOOPS_AT_MOST = 6
"""ZigZag's own default: loop prime factors, of which all orders are tried."""


def workload_of(layer: dict) -> list[dict]:
    """The layer as ZigZag's workload of one operator."""
    stride, dilation = layer["stride"], layer["dilation"]
    return [
        {
            "id": 0,
            "name": layer["name"],
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": [f"ix={stride}*ox+{dilation}*fx", f"iy={stride}*oy+{dilation}*fy"],
            "loop_dims": list(DIMS),
            "loop_sizes": [layer["sizes"][dim] for dim in DIMS],
            "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
            "operand_source": {"W": 0, "I": 0},
        }
    ]


def main() -> None:
    """Map and print."""
    folder, objective = Path(sys.argv[1]), sys.argv[2]
    logging.disable(logging.CRITICAL)
    for layer in json.loads((folder / "layers.json").read_text()):
        started = time.process_time()
        energy, latency, evaluations = get_hardware_performance_zigzag(
            workload_of(layer),
            str(folder / "accelerator.yaml"),
            str(folder / "mapping.yaml"),
            opt=objective,
            dump_folder=str(folder / "out"),
            lpf_limit=LOOPS_AT_MOST,
            loma_show_progress_bar=False,
            nb_spatial_mappings_generated=1,
        )
        best = evaluations[0][1][0][0]
        loops = {
            str(operand): [[[str(dim), size] for dim, size in level] for level in levels]
            for operand, levels in best.temporal_mapping.mapping_dic_origin.items()
        }
        top_pj = sum(levels[-1] for levels in best.mem_energy_breakdown.values())
        answer = {
            "name": layer["name"],
            "cycles": latency,
            "energy_pj": energy,
            "dram_pj": top_pj,
            "loops": loops,
            "seconds": time.process_time() - started,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
