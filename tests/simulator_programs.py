"""Programs and oracles the simulator's tests share: small tiled matmuls, random tiled streams, numpy's scaling."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from simulator import isa
from simulator.accelerator import Accelerator

BASE = 0x80000000
DIM = 16
ROOT = Path(__file__).resolve().parent.parent


@cache
def gemmini():
    text = (ROOT / "simulator" / "accelerators" / "gemmini.toml").read_bytes()
    return msgspec.toml.decode(text, type=Accelerator)


def random_matrix(rng, rows, columns):
    return rng.integers(-128, 128, (rows, columns), dtype=np.int8)


def numpy_scaled(values, scale):
    """Gemmini's scaling: fp32 product, round half even, saturate to int8."""
    product = np.rint(values.astype(np.float32) * np.float32(scale))
    return np.clip(product, -128, 127).astype(np.int8)


def image_with(a, b, result_bytes):
    """Memory image holding `a` and `b`, then `result_bytes` zeros; and the three addresses."""
    parts = [np.ascontiguousarray(x).view(np.uint8).reshape(-1) for x in (a, b)]
    starts = [0, -(-parts[0].size // 64) * 64]
    starts.append(starts[1] + -(-parts[1].size // 64) * 64)
    image = np.zeros(starts[2] + result_bytes, np.uint8)
    for start, part in zip(starts, parts, strict=False):
        image[start : start + part.size] = part
    return image, tuple(BASE + start for start in starts)


def tiled_matmul(sizes, addresses, *, dataflow=isa.WEIGHT_STATIONARY, a_transposed=False, b_transposed=False,
                 full_width=True, bank_of_b=8192):  # fmt: skip
    """C (rows x columns, int32 or int8) = A (rows x depth) B (depth x columns), one result block after the other."""
    rows, columns, depth = sizes
    a_at, b_at, c_at = addresses
    width = 4 if full_width else 1
    a_stride, b_stride = (rows if a_transposed else depth), (depth if b_transposed else columns)
    commands = [
        isa.config_ex(dataflow=dataflow, a_transposed=a_transposed, b_transposed=b_transposed),
        isa.config_ld(stride_bytes=a_stride),
        isa.config_ld(stride_bytes=b_stride, load_id=1),
        isa.config_st(stride_bytes=columns * width),
    ]
    bits = isa.ACCUMULATOR_BIT | (isa.FULL_WIDTH_BIT if full_width else 0)
    turn = 0
    for i in range(0, rows, DIM):
        for j in range(0, columns, DIM):
            m, n = min(DIM, rows - i), min(DIM, columns - j)
            block = (turn * DIM) % 1024
            for k in range(0, depth, DIM):
                d = min(DIM, depth - k)
                a_local, b_local = (turn * DIM) % bank_of_b, bank_of_b + (turn * DIM) % 4096
                turn += 1
                a_from = a_at + (k * a_stride + i if a_transposed else i * a_stride + k)
                b_from = b_at + (j * b_stride + k if b_transposed else k * b_stride + j)
                commands.append(isa.mvin(a_from, a_local, *((m, d) if a_transposed else (d, m))))
                commands.append(isa.mvin(b_from, b_local, *((d, n) if b_transposed else (n, d)), load_id=1))
                last = k + DIM >= depth
                first_os = dataflow == isa.OUTPUT_STATIONARY
                target = block | isa.ACCUMULATOR_BIT | (isa.ACCUMULATE_BIT if k and not first_os else 0)
                if first_os and not last:
                    target = isa.GARBAGE
                stationary = isa.GARBAGE if first_os else b_local
                commands.append(isa.preload(stationary, target, stationary_columns=n, stationary_rows=d,
                                            result_columns=n, result_rows=m))  # fmt: skip
                compute = isa.compute_accumulated if first_os and k else isa.compute_preloaded
                other = b_local if first_os else isa.GARBAGE
                commands.append(compute(a_local, other, a_columns=d, a_rows=m, other_columns=n,
                                        other_rows=d if first_os else m))  # fmt: skip
            commands.append(isa.mvout(c_at + width * (i * columns + j), block | bits, n, m))
    return commands
