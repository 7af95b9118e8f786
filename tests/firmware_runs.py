"""Firmware runs for tests of pages and tables: numbers of plausible size, hostile names where asked."""

from __future__ import annotations

from reports.firmware import (
    Count,
    Design,
    FaultRanking,
    Faults,
    FirmwareRun,
    Match,
    Method,
    Proof,
    Protection,
    Score,
    TensorRow,
)

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def design(name: str, method: Method, bits: float, accuracy: float, *, retrained: bool = True) -> Design:
    bops = 40_000 + 55_000 * bits * (1 if bits < 16 else 3)
    return Design(
        name=name,
        method=method,
        retrained=retrained,
        bits={"dense_0.weight": round(bits)},
        average_bits=bits,
        bops=bops,
        size_bytes=4389 * bits / 8,
        validation=Score(right=round(5000 * accuracy), samples=5000),
        test=Score(right=round(10_000 * accuracy), samples=10_000),
        luts=None if bits > 16 else bops / 9,
        lut_range=None if bits > 16 else (bops / 14, bops / 6),
        latency_cycles=None if bits > 16 else 11,
        on_front=retrained,
    )


def tensor(name: str, kind: str, trace: float, bits: int) -> TensorRow:
    return TensorRow(
        name=name,
        kind="weight" if kind == "weight" else "activation",
        elements=2048,
        trace=trace,
        standard_error=0.04 * trace,
        probes=60,
        omega={width: trace * 4.0**-width for width in WIDTHS},
        bits=bits,
    )


def sample_run(name: str = "jet-tagger") -> FirmwareRun:
    uniform = [(2, 0.694), (3, 0.706), (4, 0.709), (5, 0.711), (6, 0.712), (8, 0.711)]
    after = [(2, 0.327), (3, 0.681), (4, 0.695), (5, 0.707), (6, 0.710), (8, 0.710)]
    return FirmwareRun(
        name=name,
        origin=f"workload {name}",
        data="50 000 jets: 35 000 to train on, 5 000 to choose by, 10 000 to report on.",
        classes=("g", "q", "t", "w", "z"),
        seed=0,
        tensors=(
            *(tensor(f"dense_{i}.relu", "activation", 0.4 / (i + 1), 5) for i in range(3)),
            *(tensor(f"dense_{i}.weight", "weight", 6.0 / 4**i, 6 - i) for i in range(4)),
        ),
        designs=(
            design("float", "float", 32, 0.712),
            *(design(f"{bits} bits", "uniform", bits, accuracy) for bits, accuracy in uniform),
            *(design(f"{bits} bits, rounded", "uniform", bits, acc, retrained=False) for bits, acc in after),
            *(design(f"Omega, {b} bits", "Hessian-aware", b, a) for b, a in ((2.5, 0.701), (3.5, 0.708), (4.4, 0.711))),
            design("Omega, 3.5 bits, rounded", "Hessian-aware", 3.5, 0.700, retrained=False),
            design("squared error, 3.5 bits, rounded", "squared error", 3.5, 0.681, retrained=False),
        ),
        chosen="Omega, 4.4 bits",
        proof=Proof(
            measure="omega",
            solver="cp-sat",
            status="optimal",
            objective=0.0312,
            bound=0.0312,
            seconds=0.04,
            budgets=(("bops", 262_144.0, 270_000.0, "bit operations"),),
        ),
        matches=(
            Match(what="QONNX executor", tool="qonnx 1.0.0", inputs=10_000, mismatches=0, seconds=0.8),
            Match(what="hls4ml, Vivado, io_parallel", tool="g++ 12.2", inputs=10_000, mismatches=0, seconds=6.1),
            Match(what="Verilog", tool="Verilator 5.006", inputs=10_000, mismatches=0, seconds=21.0, note="5 stages"),
        ),
        counts=(
            Count(what="LUT", value=21_345, unit="", tool="Yosys 0.70, synth_xilinx", measured=True),
            Count(what="latency", value=5, unit="cycles", tool="Verilator 5.006", measured=True),
            Count(
                what="LUT", value=24_000, unit="", tool="fit to published rows", measured=False, interval=(15e3, 38e3)
            ),
            Count(what="area", value=812_345.5, unit="um^2", tool="Yosys 0.70, osu018", measured=True),
        ),
        faults=Faults(
            flips=17_556,
            bits=17_556,
            samples=1000,
            rankings=(
                FaultRanking(score="bit's place", spearman=0.61, sigma=0.01),
                FaultRanking(score="gradient", spearman=0.72, sigma=0.01),
                FaultRanking(score="gradient and Hessian", spearman=0.83, sigma=0.01),
            ),
            curves=tuple(
                (
                    name,
                    tuple(
                        Protection(protected=bits, damage_left=0.5 ** (bits / half), voter_luts=bits)
                        for bits in range(0, 17_556, 1000)
                    ),
                )
                for name, half in (("measured damage", 600), ("gradient and Hessian", 1500))
            ),
            worst=(("dense_3.weight[4, 2]", 5, 0.83), ("dense_3.weight[1, 0]", 5, 0.51)),
        ),
        stages=(("float training", 11.2, False), ("sensitivity", 6.1, True), ("retraining", 93.0, False)),
        versions={"systolic": "0.1.0", "hls4ml": "1.3.0"},
        files=(("model.onnx", "the network as QONNX"), ("hls4ml-vivado/", "the hls4ml project")),
        notes=("A note.",),
    )
