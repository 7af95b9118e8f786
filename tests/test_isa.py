import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator import isa
from simulator.isa_compiled import encode_accumulator, encode_config_ld, encode_scratchpad, encode_span

SIZES = st.integers(0, (1 << 16) - 1)


def test_words_of_the_ground_truth_configuration():
    """The five configuration commands every measured stream begins with (transcribed)."""
    assert isa.config_ex(dataflow=isa.WEIGHT_STATIONARY) == (0, 0x3F80000000010004, 0x1000000000000)
    assert isa.config_st(stride_bytes=64) == (0, 0x2, 0x3F80000000000040)
    expected = (0, 0x3F80000000100101 | 1 << 3, 64)
    assert isa.config_ld(stride_bytes=64, load_id=1) == expected


@settings(derandomize=True, deadline=None, max_examples=50)
@given(SIZES, SIZES, st.integers(0, (1 << 32) - 1))
def test_span_keeps_its_fields_and_compiled_agrees(rows, columns, address):
    word = isa.span(rows, columns, address)
    fields = (isa.field(word, 63, 48), isa.field(word, 47, 32), isa.field(word, 31, 0))
    assert fields == (rows, columns, address)
    assert int(encode_span(rows, columns, address)) == word


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, (1 << 16) - 1), st.booleans(), st.booleans())
def test_compiled_addresses_agree(row, accumulate, full_width):
    assert int(encode_scratchpad(row)) == isa.local_address(row)
    word = isa.local_address(row, accumulator=True, accumulate=accumulate, full_width=full_width)
    assert int(encode_accumulator(row, accumulate, full_width)) == word


def test_compiled_config_ld_agrees():
    _, rs1, _ = isa.config_ld(stride_bytes=9, scale=0.5, shrink=True, block_stride=64, pixel_repeats=3, load_id=2)
    assert int(encode_config_ld(True, 2, 64, isa.float_bits(0.5), 3)) == rs1


def test_a_value_too_large_for_its_field_is_named():
    with pytest.raises(InputError, match=r"span\.rows"):
        isa.span(1 << 16, 1, 0)
    with pytest.raises(InputError, match=r"config_ex\.a_stride"):
        isa.config_ex(a_stride=-1)
    with pytest.raises(InputError, match="load_id"):
        isa.mvin(0, 0, 1, 1, load_id=3)


def test_program_holds_the_words_and_disassembles():
    commands = [
        isa.config_ex(a_stride=2),
        isa.config_ld(stride_bytes=64, shrink=True, load_id=2, scale=0.5),
        isa.config_st(stride_bytes=16, pool_size=2, pool_stride=2),
        isa.mvin(0x80000000, isa.local_address(4), 16, 8, load_id=1),
        isa.preload(4, isa.local_address(3, accumulator=True, accumulate=True), stationary_columns=16,
                    stationary_rows=16, result_columns=5, result_rows=6),
        isa.compute_preloaded(0, isa.GARBAGE, a_columns=16, a_rows=6, other_columns=16, other_rows=16),
        isa.mvout(0x80001000, isa.local_address(3, accumulator=True, full_width=True), 5, 6),
        isa.flush(),
    ]  # fmt: skip
    program = isa.program_of(commands)
    assert program.rs2.dtype == np.uint64
    assert list(zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), strict=True)) == commands
    assert isa.disassemble(program) == [
        "config_ex ws act 0 shift 0 A-stride 2 C-stride 1",
        "config_ld2 shrink stride 64 block-stride 16 repeat 1 scale 0.5",
        "config_st stride 16 act 0 scale 1 pool 2/2",
        "mvin2 0x80000000 -> sp[4] 8x16",
        "preload sp[4] 16x16, C acc[3]+= 6x5",
        "compute_preloaded A sp[0] 6x16, garbage 16x16",
        "mvout acc[3]:full 6x5 -> 0x80001000",
        "flush",
    ]
