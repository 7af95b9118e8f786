import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator import isa
from simulator.isa_loops import LoopConv, LoopMatmul, decode_loop_conv_ws, decode_loop_ws, loop_conv_ws, loop_ws

HALF, WORD = st.integers(0, (1 << 16) - 1), st.integers(0, (1 << 64) - 1)
BYTE = st.integers(0, 255)
NARROW = {
    "act": st.integers(0, 7), "activation": st.integers(0, 3), "a_spad_id": st.integers(0, 3),
    "b_spad_id": st.integers(0, 3), "padding": BYTE, "stride": BYTE, "pool_stride": BYTE, "pool_padding": BYTE,
    "dpad": BYTE, "plpad": BYTE, "max_pixels_per_row": st.integers(1, 255), "kernel_dilation": st.integers(0, 1023),
    "pupad": st.integers(0, 2047), "pdpad": st.integers(0, 2047),
}  # fmt: skip


def strategy(kind):
    def of(name, annotation):
        if annotation == "bool":
            return st.booleans()
        wide = "dram" in name or name in ("weights", "output", "bias", "input")
        return NARROW.get(name, WORD if wide else HALF)

    fields = kind.__dataclass_fields__.values()
    return st.builds(kind, **{field.name: of(field.name, field.type) for field in fields})


def words(commands):
    return {funct: (rs1, rs2) for funct, rs1, rs2 in commands}


@settings(derandomize=True, deadline=None, max_examples=50)
@given(strategy(LoopMatmul))
def test_loop_ws_survives_encoding(loop):
    assert decode_loop_ws(words(loop_ws(loop))) == loop


@settings(derandomize=True, deadline=None, max_examples=50)
@given(strategy(LoopConv))
def test_loop_conv_ws_survives_encoding(loop):
    assert decode_loop_conv_ws(words(loop_conv_ws(loop))) == loop


def test_words_of_a_measured_loop():
    """Row tiled_202_0 of the ground truth (transcribed): 1 x 11 x 2 blocks, K padded by 8, bias of 8 bits."""
    loop = LoopMatmul(
        max_i=1, max_j=11, max_k=2, pad_k=8, a_dram_addr=0x80100000, b_dram_addr=0x80800000, d_dram_addr=0x81800000,
        c_dram_addr=0x81000000, a_dram_stride=24, b_dram_stride=192, d_dram_stride=192, c_dram_stride=192,
        ex_accumulate=True, low_d=True,
    )  # fmt: skip
    assert loop_ws(loop) == [
        (9, 0x800000000, 0x2000B0001), (10, 0x80100000, 0x80800000), (11, 0x81800000, 0x81000000),
        (12, 0x18, 0xC0), (13, 0xC0, 0xC0), (8, 5, 0),
    ]  # fmt: skip


def test_words_of_the_convolution_macro():
    """gemmini_loop_conv_ws of gemmini.h at 180c468, its shifts worked out by hand."""
    loop = LoopConv(
        batch_size=1, in_row_dim=2, in_col_dim=3, in_channels=4, out_channels=5, out_row_dim=6, out_col_dim=7,
        pool_out_row_dim=8, pool_out_col_dim=9, stride=10, padding=11, kernel_dim=12, kernel_dilation=13,
        in_stride=14, weight_stride=15, out_stride=16, pool_size=17, pool_stride=18, pool_padding=19, batches=20,
        porows=21, pocols=22, pochs=23, krows=24, kcols=25, kchs=26, lpad=27, rpad=28, upad=29, dpad=30, plpad=31,
        prad=32, pupad=33, pdpad=34, orows=35, ocols=36, weights=37, output=38, bias=39, input=40, no_bias=True,
        no_pool=False, downsample=True, input_dilated=True, activation=1, wrot180=True, trans_output_1203=True,
        trans_weight_0132=True, trans_input_3120=True, dw=True, max_pixels_per_row=41, a_spad_id=1, b_spad_id=2,
    )  # fmt: skip
    assert loop_conv_ws(loop) == [
        (16, 5 << 48 | 4 << 32 | 2 << 16 | 1, 11 << 56 | 10 << 48 | 7 << 32 | 8 << 16 | 6),
        (17, 12 << 48 | 9 << 32 | 17 << 16 | 18 << 8 | 19, 20 << 48 | 21 << 32 | 22 << 16 | 23),
        (18, 24 << 48 | 25 << 32 | 26 << 16 | 27, 28 << 48 | 29 << 32 | 30 << 24 | 31 << 16 | 3),
        (19, 35 << 48 | 32 << 32 | 33 << 21 | 34 << 10 | 13, 14 << 48 | 15 << 32 | 16 << 16 | 36),
        (20, 37, 38),
        (21, 39, 40),
        (15, 1 << 18 | 2 << 16 | 41 << 8 | 1 << 6 | 1 << 5 | 1 << 4 | 1 << 2 | 1 << 1 | 1, 1 << 3 | 1 << 2 | 1 << 1),
    ]


def test_what_cannot_be_encoded_or_decoded_is_named():
    loop = LoopMatmul(max_i=1 << 16, max_j=1, max_k=1, a_dram_addr=1, b_dram_addr=1, a_dram_stride=1, b_dram_stride=1)
    with pytest.raises(InputError, match="max_i"):
        loop_ws(loop)
    with pytest.raises(InputError, match=r"before its configuration.*loop_conv_ws_config1"):
        decode_loop_conv_ws({15: (0, 0)})
    with pytest.raises(InputError, match="within the scratchpad"):
        decode_loop_ws({8: (0, 8)})


def test_loops_disassemble_to_their_fields():
    loop = LoopMatmul(max_i=1, max_j=2, max_k=3, a_dram_addr=0x80000000, b_dram_addr=16, a_dram_stride=7,
                      b_dram_stride=8, full_c=True)  # fmt: skip
    lines = isa.disassemble(isa.program_of(loop_ws(loop)))
    assert lines[0] == "loop_ws_bounds max_k 3 max_j 2 max_i 1"
    assert lines[1] == "loop_ws_addresses_ab a_dram_addr 0x80000000 b_dram_addr 0x10"
    assert lines[-1] == "loop_ws full_c 1"
