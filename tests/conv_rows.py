"""What Gemmini's RTL did with small convolutions by loop_conv_ws, one option of the unroller a row.

Default configuration, its Verilog under Verilator; measured on an elaboration from before July 2023, whose loop_conv_ws
is encoded otherwise and unrolls the same. Images are square, as that encoding has them.
"""

from __future__ import annotations

from loop_programs import Conv


def runs(*parts):
    """Consecutive cycles from each (first, count)."""
    return [first + index for first, count in parts for index in range(count)]


# Name; layer and tiles; latency, cycles per beat, command gap; cycles; cycle in which each command was accepted;
# requests and bytes read, requests and bytes written.
CONV_ROWS = (
    (
        "one 1x1 loop",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=16),
        (1, 1, 0),
        201,
        runs((0, 9)),
        (36, 768, 16, 256),
    ),
    (
        "four tiles of rows and channels",
        Conv(
            in_rows=4, in_columns=4, in_channels=16, out_channels=32, parts=(1, 2, 1, 2, 1, 1, 1), kernel=3, padding=1
        ),
        (10, 1, 0),
        1355,
        runs((0, 20), (417, 7), (689, 3)),
        (632, 10496, 32, 512),
    ),
    (
        "four tiles at a slow memory",
        Conv(
            in_rows=6, in_columns=6, in_channels=16, out_channels=16, parts=(1, 2, 2, 1, 1, 1, 1), kernel=2, padding=1
        ),
        (30, 2, 3),
        1673,
        [
            0,
            4,
            8,
            12,
            16,
            20,
            24,
            28,
            32,
            36,
            40,
            44,
            48,
            52,
            56,
            60,
            64,
            68,
            72,
            76,
            494,
            498,
            502,
            506,
            510,
            514,
            518,
            879,
            883,
            887,
        ],
        (319, 5776, 49, 784),
    ),
    (
        "kernel and channels in parts",
        Conv(in_rows=4, in_columns=4, in_channels=32, out_channels=16, kernel=2, parts=(1, 1, 1, 1, 2, 2, 2)),
        (10, 1, 0),
        662,
        runs((0, 20), (36, 7), (86, 7), (168, 7), (233, 7), (298, 7), (363, 3)),
        (203, 3392, 9, 144),
    ),
    (
        "batches in parts, no bias",
        Conv(
            in_rows=4,
            in_columns=4,
            in_channels=16,
            out_channels=16,
            batch=2,
            kernel=2,
            bias=False,
            parts=(2, 1, 1, 1, 1, 1, 1),
        ),
        (10, 1, 0),
        492,
        runs((0, 16)),
        (160, 2560, 18, 288),
    ),
    (
        "stride and wide channels",
        Conv(in_rows=7, in_columns=7, in_channels=64, out_channels=16, stride=2, kernel=3),
        (30, 1, 0),
        2838,
        runs((0, 9)),
        (628, 12544, 9, 144),
    ),
    (
        "pooled store",
        Conv(
            in_rows=4,
            in_columns=4,
            in_channels=16,
            out_channels=16,
            kernel=2,
            padding=1,
            pool_size=2,
            pool_stride=2,
            parts=(1, 2, 1, 1, 1, 1, 1),
        ),
        (10, 1, 0),
        492,
        runs((0, 16)),
        (152, 2624, 4, 64),
    ),
    (
        "pooled store of three with padding",
        Conv(
            in_rows=5,
            in_columns=5,
            in_channels=16,
            out_channels=16,
            pool_size=3,
            pool_stride=1,
            pool_padding=1,
            activation=1,
        ),
        (10, 1, 0),
        632,
        runs((0, 9)),
        (46, 976, 25, 400),
    ),
    (
        "output transposed",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=16, batch=2, trans_output_1203=True),
        (10, 1, 0),
        365,
        runs((0, 9)),
        (56, 1280, 32, 512),
    ),
    (
        "weights by input channel",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=16, trans_weight_1203=True, kernel=2),
        (10, 1, 20),
        512,
        [0, 21, 42, 63, 84, 105, 126, 147, 168],
        (83, 1472, 9, 144),
    ),
    (
        "weights transposed",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=32, trans_weight_0132=True, kernel=2),
        (10, 1, 0),
        884,
        runs((0, 9)),
        (150, 2688, 18, 288),
    ),
    (
        "input transposed",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=16, batch=2, trans_input_3120=True, kernel=2),
        (10, 1, 0),
        1738,
        runs((0, 9)),
        (326, 5504, 18, 288),
    ),
    (
        "dilated input",
        Conv(
            in_rows=4,
            in_columns=4,
            in_channels=16,
            out_channels=16,
            input_dilated=True,
            kernel=2,
            padding=1,
            parts=(1, 2, 1, 1, 1, 1, 1),
        ),
        (10, 1, 0),
        646,
        runs((0, 16)),
        (152, 2816, 64, 1024),
    ),
    (
        "dilated kernel, turned",
        Conv(in_rows=4, in_columns=4, in_channels=16, out_channels=16, kernel_dilation=2, kernel=2, wrot180=True),
        (120, 1, 0),
        1171,
        runs((0, 9)),
        (82, 1408, 4, 64),
    ),
    (
        "downsampling",
        Conv(
            in_rows=6,
            in_columns=6,
            in_channels=32,
            out_channels=32,
            kernel=1,
            stride=2,
            downsample=True,
            parts=(1, 1, 2, 1, 1, 1, 1),
            activation=1,
        ),
        (10, 1, 0),
        561,
        runs((0, 16)),
        (85, 3104, 18, 288),
    ),
)
