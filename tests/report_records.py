"""Synthetic run records for the report tests: random, but with the inequalities of a real run (roofline <= analytical
<= simulated, busy + stalls == cycles, bytes that fit the intensity)."""

from __future__ import annotations

import math

import numpy as np

from reports.columns import layers_frame, timelines_frame
from reports.record import Machine, RankCorrelation, RunHeader, RunRecord, totals_of

COUNTERS = ("LOAD_ACTIVE_CYCLE", "STORE_ACTIVE_CYCLE", "EXE_ACTIVE_CYCLE")
CAUSES = ("load", "store", "bank_conflict", "dependency", "command", "drain")
MACHINE = Machine(
    name="gemmini",
    description="Gemmini's default: 16x16 int8 mesh, 256 KiB scratchpad, 64 KiB accumulator, 16-byte bus",
    dim=16,
    peak_macs_per_cycle=256,
    clock_hz=1e9,
    memory_bytes_per_cycle=16.0,
    scratchpad_bytes=256 * 1024,
    accumulator_bytes=64 * 1024,
)
KINDS = ("conv", "conv", "conv", "matmul", "softmax", "layer_norm", "add", "reshape", "max_pool")
PLACE_OF = {"softmax": "host", "layer_norm": "unit", "add": "array", "reshape": "view", "max_pool": "store path"}


def make_record(layers: int, *, seed: int = 0, names: tuple[str, ...] = (), timelines: int = 3) -> RunRecord:
    rng = np.random.default_rng(seed)
    rows = [_layer(index, rng, names, seed) for index in range(layers)]
    frame = layers_frame(rows)
    simulated = frame.loc[frame["costed_by"] == "simulated"].head(timelines)
    intervals = [
        interval
        for index, cycles in zip(simulated["index"], simulated["cycles"], strict=True)
        for interval in _intervals(index, cycles, rng)
    ]
    header = RunHeader(
        network="resnet-like",
        origin="models/resnet-like.onnx",
        accelerator=MACHINE,
        options={"solver_seconds": 10.0, "batch": 1, "skip_unsupported": False, "dims": "batch=1", "cache": None},
        input_hashes={"models/resnet-like.onnx": "sha256:" + "5d" * 32, "gemmini.toml": "sha256:" + "a0" * 32},
        package_versions={"systolic": "0.1.0", "ortools": "9.15.6755", "onnx": "1.22.0", "numpy": "2.4.6"},
        seed=seed,
        started="2026-03-01T12:00:00+00:00",
        wall_seconds={"import": 0.81, "schedule": 12.4, "simulate": 6.2, "report": 0.9},
        totals=totals_of(frame, MACHINE),
        counter_meanings={name: f"Cycles of {name}." for name in COUNTERS},
        rank_correlation=RankCorrelation(mappings=5 * layers, overall=0.987, layers=layers, within=0.25),
        notes=("NonMaxSuppression 'nms' is not supported and was costed as a host operation.",),
    )
    return RunRecord(header=header, layers=frame, timelines=timelines_frame(intervals))


def _layer(index: int, rng: np.random.Generator, names: tuple[str, ...], seed: int) -> dict[str, object]:
    kind = KINDS[index % len(KINDS)]
    where = PLACE_OF.get(kind, "array")
    default = f"/model/encoder/stage.{index // 9}/block.{index % 9}/{kind}/{kind.title()}_{index}"
    base = {"index": index, "name": names[index] if index < len(names) else default, "kind": kind, "where": where}
    if where == "view":
        return base | {"costed_by": "none", "identical_to": index, "macs": 0, "cycles": 0.0} | _traffic(0, 0)
    if where != "array":
        cycles = float(rng.integers(2_000, 200_000))
        moved = int(cycles * rng.uniform(1, 16))
        return (
            base
            | {
                "costed_by": "formula",
                "identical_to": index,
                "macs": 0,
                "cycles": cycles,
                "arithmetic_intensity": float(rng.uniform(0.5, 6)),
                "shape": "512x768",
            }
            | _traffic(moved, 0)
        )
    first = index if index < 27 else 18 + index % 9
    return base | {"identical_to": first} | _simulated(kind, np.random.default_rng((first, seed)))


def _simulated(kind: str, rng: np.random.Generator) -> dict[str, object]:
    macs = int(10 ** rng.uniform(5.5, 8.5))
    moved = int(macs / 10 ** rng.uniform(0.4, 2.2))
    roofline = max(macs / 256, moved * 0.7 / 16)
    analytical = roofline * rng.uniform(1.0, 1.2)
    cycles = float(math.ceil(analytical * rng.uniform(1.02, 1.6)))
    execute = min(cycles, macs / 256 * rng.uniform(1.0, 1.1))
    split = rng.dirichlet((6, 1, 1, 2, 0.5, 0.5)) * (cycles - execute)
    bound = analytical * rng.uniform(0.9, 1.0)
    return {
        "costed_by": "simulated",
        "macs": macs,
        "cycles": cycles,
        "analytical_cycles": analytical,
        "roofline_cycles": roofline,
        "heuristic_cycles": analytical * rng.uniform(1.0, 1.7),
        "heuristic_simulated_cycles": cycles * rng.uniform(1.0, 1.7),
        "array_bound_cycles": roofline,
        "mappings_tried": 5.0,
        "compute_cycles": macs / 256,
        "read_cycles": moved * 0.7 / 16,
        "write_cycles": moved * 0.3 / 16,
        "execute_busy_cycles": execute,
        "load_busy_cycles": moved * 0.7 / 16,
        "store_busy_cycles": moved * 0.3 / 16,
        **{f"counter_{name}": float(rng.integers(0, int(cycles))) for name in COUNTERS},
        **{f"stall_{cause}_cycles": float(part) for cause, part in zip(CAUSES, split, strict=True)},
        **_traffic(moved, macs),
        "utilisation": macs / (cycles * 256),
        "arithmetic_intensity": 2 * macs / moved,
        "shape": "3x3 64-64 @56" if kind == "conv" else "512x768x3072",
        "mapping": "ws; tile 64x64x256; order oc,oh,ow,ic; A,B double-buffered; out resident",
        "solver": "cp-sat",
        "solver_status": "optimal" if rng.random() < 0.7 else "feasible",
        "solver_objective_cycles": analytical,
        "solver_bound_cycles": bound,
        "solver_gap": (analytical - bound) / analytical,
        "solver_wall_seconds": float(rng.uniform(0.05, 9.0)),
    }


def _traffic(moved: int, macs: int) -> dict[str, object]:
    read = int(moved * 0.7)
    return {
        "dram_read_bytes": read,
        "dram_write_bytes": moved - read,
        "scratchpad_read_bytes": macs // 14,
        "scratchpad_write_bytes": read,
        "accumulator_read_bytes": macs // 60,
        "accumulator_write_bytes": macs // 24,
        "energy_pj": macs * 0.2 + moved * 20.0,
    }


def _intervals(layer: int, cycles: float, rng: np.random.Generator) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    labels = {
        "load": "mvin dram=0x{0:x} sp=0x{1:x} cols=64 rows=16",
        "execute": "compute_preloaded a=0x{1:x} bd=- rows=16",
        "store": "mvout dram=0x{0:x} acc=0x{1:x} cols=16 rows=16",
    }
    for unit, text in labels.items():
        clock = 0
        while clock < min(cycles, 40_000) and len(rows) < 4_000:
            length = min(int(rng.integers(8, 120)), int(cycles) - clock + 1)
            label = text.format(int(rng.integers(2**31)), int(rng.integers(2**14)))
            span = {"start_cycle": float(clock), "end_cycle": float(clock + length)}
            rows.append({"layer": layer, "window": "start", "unit": unit, "label": label} | span)
            clock += length + int(rng.integers(0, 90))
    return rows + _stalls(layer, cycles, rng)


def _stalls(layer: int, cycles: float, rng: np.random.Generator) -> list[dict[str, object]]:
    """Waits of the array in the start of the layer and in its middle."""
    rows: list[dict[str, object]] = []
    for window, clock in (("start", 0), ("middle", int(cycles) // 2)):
        for cause in ("load", "bank conflict", "dependency"):
            end = clock + int(rng.integers(1, 50))
            rows.append(
                {"layer": layer, "window": window, "unit": "array", "label": f"waiting: {cause}"}
                | {"start_cycle": float(clock), "end_cycle": float(end)}
            )
            clock = end + 10
    return rows
