"""C for real Gemmini: it issues the Program's commands, compiles for RISC-V, and its self-check passes and fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import legal_mappings, machine
from test_cli import assert_refused, small_cnn, systolic

from mapper.gemmini_c import c_file as gemmini_c
from mapper.gemmini_c.c_file import c_file, emitted_layer, host_header
from mapper.gemmini_c.loops import Loop, Step, fields_of, rolled, size, unrolled
from mapper.gemmini_c.operands import drawn, operands_of
from mapper.heuristic import heuristic
from mapper.lower import Layer, ResidualAdd
from mapper.value_check import nest_values
from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator_file import load_accelerator
from simulator.nest_view import array_nest
from systolic.layer_request import graph_and_layer, layer_of
from systolic.network import NetworkRequest
from systolic.pipeline import layers_of, prepare

GEMMINI = load_accelerator("gemmini")
GCC, CROSS, QEMU = shutil.which("gcc"), shutil.which("riscv64-linux-gnu-gcc"), shutil.which("qemu-riscv64")
FLAGS = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")
needs_gcc = pytest.mark.skipif(GCC is None, reason="no gcc on the PATH")
needs_cross = pytest.mark.skipif(CROSS is None, reason="no riscv64-linux-gnu-gcc on the PATH")


def given_by(text, **changes):
    return replace(layer_of(NetworkRequest(model=text), GEMMINI), **changes)


def with_bias():
    return layer_of(NetworkRequest(model="jet-tagger:dense_1", batch=75), GEMMINI)


def transposed(layer):
    work = layer.work
    return replace(layer, name="B transposed", work=replace(work, transpose_b=True, b_stride=work.in_channels))


def addition():
    return replace(given_by("5,7,9"), name="add", work=ResidualAdd(rows=37, channels=50), activation="relu")


def emitted(layer, *, dataflow="ws", seed=0, constants=None, accelerator=GEMMINI):
    mapping = None
    if not isinstance(layer.work, ResidualAdd):
        mapping = replace(heuristic(layer.work, accelerator), dataflow=dataflow)
    return emitted_layer(layer, mapping, accelerator, constants=constants or {}, seed=seed)


LAYERS = (
    emitted(given_by("64,64,64")),
    emitted(with_bias(), seed=10),
    emitted(given_by("50,33,70"), dataflow="os", seed=20),
    emitted(transposed(given_by("40,30,20")), seed=30),
    emitted(given_by("13x11x20,3x3x40,s2,n2"), seed=40),
    emitted(given_by("9x9x6,3x3x12,g3,d2"), seed=50),
    emitted(addition(), seed=60),
    emitted(given_by("600,512,80"), seed=70),
    emitted(given_by("5x5x64,3x3x64,g64"), seed=80),
    emitted(given_by("20x33x3,5x7x20,s2,p2"), seed=90),
)


def compiled(folder, text, *flags, compiler=GCC):
    """The program, compiled against the host header in `folder`."""
    (folder / "include").mkdir(exist_ok=True)
    (folder / "include" / "gemmini.h").write_text(host_header())
    (folder / "program.c").write_text(text)
    binary = folder / "program"
    command = [compiler, *FLAGS, *flags, "-I", str(folder), str(folder / "program.c"), "-o", str(binary)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return binary


def run(binary, *before, trace=None):
    environment = {**os.environ, "GEMMINI_TRACE": str(trace)} if trace else None
    return subprocess.run([*before, str(binary)], capture_output=True, text=True, check=False, env=environment)


@needs_gcc
def test_the_c_issues_the_program_and_its_values_are_the_expected_ones(tmp_path):
    binary = compiled(tmp_path, c_file(("test",), LAYERS, GEMMINI))
    done = run(binary, trace=tmp_path / "trace")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "PASSED"
    for layer in LAYERS:
        assert f"{layer.layer.name}: {layer.operands.c.size} elements, 0 differ" in done.stdout
    issued = [tuple(map(int, line.split())) for line in (tmp_path / "trace").read_text().splitlines()]
    assert issued[0] == (isa.FLUSH, 0, 0)
    position = 1
    for layer in LAYERS:
        commands = issued[position : position + len(layer.program)]
        position += len(layer.program)
        assert_same_commands(commands, layer)
    assert position == len(issued)


def assert_same_commands(issued, layer):
    """Command by command the same, but for where the operands lie, which is one distance an operand."""
    program, moved = layer.program, {}
    wanted = zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), strict=True)
    for (funct, rs1, rs2), command in zip(wanted, issued, strict=True):
        if funct in (isa.MVIN, isa.MVIN2, isa.MVIN3, isa.MVOUT) and rs1:
            (region,) = (r.name for r in layer.regions if r.address <= rs1 < r.address + r.size_bytes)
            assert moved.setdefault(region, command[1] - rs1) == command[1] - rs1
            assert (command[0], command[2]) == (funct, rs2)
        else:
            assert command == (funct, rs1, rs2)
    assert len(set(moved.values())) > 1
    for region in layer.regions:
        assert (region.address + moved[region.name]) % 64 == 0


@needs_gcc
@pytest.mark.parametrize(
    ("wanted", "instead"),
    [
        (r"  PRELOAD\((.*), 16\);", r"  PRELOAD(\1, 15);"),
        (r"(layer0_expected\[\] = \{\n  0x)[0-9a-e]", r"\1f"),
        (r"config_st\(64, 0", "config_st(64, RELU"),
        (r"draw_bytes\(layer0_b, 4096, 1\)", "draw_bytes(layer0_b, 4096, 2)"),
    ],
)
def test_the_self_check_finds_what_is_wrong(tmp_path, wanted, instead):
    text = c_file(("test",), LAYERS[:1], GEMMINI)
    changed = re.sub(wanted, instead, text, count=1)
    assert changed != text
    done = run(compiled(tmp_path, changed))
    assert (done.returncode, "FAILED" in done.stdout) == (1, True)


@needs_cross
def test_it_compiles_to_the_accelerator_s_instructions(tmp_path):
    text = c_file(("test",), LAYERS, GEMMINI)
    binary = compiled(tmp_path, text, "-c", "-DGEMMINI_COMMANDS", compiler=CROSS)
    listing = subprocess.run(
        ["riscv64-linux-gnu-objdump", "-d", str(binary)], capture_output=True, text=True, check=True
    ).stdout
    words = [int(word, 16) for word in re.findall(r"^\s*[0-9a-f]+:\s+([0-9a-f]{8})\s", listing, re.MULTILINE)]
    functs = {word >> 25 for word in words if word & 0x7F == 0x7B}
    used = {int(funct) for layer in LAYERS for funct in np.unique(layer.program.funct)}
    assert functs >= used | {isa.FLUSH}
    # xd = 0, xs1 = xs2 = 1: two source registers and no result.
    assert {word >> 12 & 7 for word in words if word & 0x7F == 0x7B} == {3}


@needs_cross
@pytest.mark.skipif(QEMU is None, reason="no qemu-riscv64 on the PATH")
def test_on_riscv_the_values_are_the_same(tmp_path):
    done = run(
        compiled(tmp_path, c_file(("test",), (*LAYERS[:6], LAYERS[9]), GEMMINI), "-static", compiler=CROSS), QEMU
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "PASSED")


@needs_gcc
@settings(max_examples=6, derandomize=True, deadline=None)
@given(data=st.data(), layer=st.sampled_from([LAYERS[1].layer, LAYERS[4].layer, LAYERS[9].layer]))
def test_any_legal_mapping_passes(data, layer, tmp_path_factory):
    mapping = data.draw(legal_mappings(layer.work, GEMMINI))
    if mapping is None:
        return
    one = emitted_layer(layer, mapping, GEMMINI, constants={})
    assert run(compiled(tmp_path_factory.mktemp("c"), c_file(("test",), (one,), GEMMINI))).returncode == 0


@needs_gcc
def test_another_array_is_another_header(tmp_path):
    small = machine(8, 512, 128)
    one = emitted(given_by("30,20,40"), accelerator=small)
    text = c_file(("test",), (one,), small)
    sizes = ("-DDIM=8", "-DBANK_ROWS=128", "-DACC_ROWS=128")
    assert run(compiled(tmp_path, text, *sizes)).returncode == 0
    with pytest.raises(AssertionError, match="this program is for an array of 8 x 8"):
        compiled(tmp_path, text)


@needs_gcc
def test_names_stay_in_their_comments_and_strings(tmp_path):
    name = 'a */ int x; "%s%n"\n??/ \\ é\u202e'
    one = emitted(given_by("4,4,4", name=name))
    done = run(compiled(tmp_path, c_file((name,), (one,), GEMMINI)))
    assert done.returncode == 0
    assert '"%s%n"' in done.stdout


def rows_of(items):
    return [(funct, fields.tolist()) for funct, fields in unrolled(items)]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(((6, 4), (6, 5), (6, 4, 6, 5, 6, 5))), min_size=1, max_size=12),
    strides=st.lists(st.integers(-4, 40), min_size=4, max_size=4),
)
def test_loops_expand_to_the_commands(kinds, strides):
    commands = []
    for outer, kind in enumerate(kinds):
        for repeat in range(1 + outer % 5):
            for place, funct in enumerate(kind):
                address = 2000 + strides[0] * outer + strides[1] * repeat + strides[2] * place
                word = isa.span(1 + repeat % 3, 16, address)
                commands.append((funct, word, isa.span(16, 16, isa.GARBAGE if place % 2 else address)))
    program = isa.program_of(commands)
    items = rolled(program)
    assert rows_of(items) == list(zip(program.funct.tolist(), fields_of(program).tolist(), strict=True))
    assert sum(map(size, items)) <= len(program)


def test_a_loop_nest_becomes_its_loops():
    commands = [
        (6 + (-2) * (k % 2), isa.span(16, 16, 100 * i + 10 * j + k), isa.span(16, 16, 5000 - 7 * i))
        for i in range(5)
        for j in range(4)
        for k in range(2)
    ]
    (outer,) = rolled(isa.program_of(commands))
    assert isinstance(outer, Loop)
    (inner,) = outer.body
    assert isinstance(inner, Loop)
    assert (outer.count, inner.count, [type(item) for item in inner.body]) == (5, 4, [Step, Step])
    assert outer.steps[:, 2].tolist() == [100, 100]
    assert inner.steps[:, 2].tolist() == [10, 10]
    assert outer.steps[:, 5].tolist() == [-7, -7]


def test_the_c_of_a_large_layer_is_small():
    big = emitted(given_by("400,512,512"))
    written = len(big.text.statements) + len(big.text.moves)
    assert len(big.program) > 50_000
    assert written < len(big.program) / 15


def test_what_repeats_whole_is_loops_without_a_table():
    layer = given_by("5x5x512,3x3x512,g512")
    apart = replace(layer, work=array_nest(layer.nest))
    one = emitted(apart)
    assert one.layer.work.groups == 1
    assert one.text.moves == ()
    assert any("gemmini_extended_mvin(operand[1] + " in line for line in one.text.statements)
    assert len(one.text.statements) < len(one.program) / 20


def test_packed_groups_have_zeros_between_them_and_the_network_s_weights_in_them():
    layer = given_by("5x5x64,3x3x64,g64")
    packed = layer.work.groups
    assert packed == 16
    weights = np.random.default_rng(3).integers(-127, 128, (64, 1, 3, 3)).astype(np.float32)
    weights[0, 0, 0, 0] = 127
    for constants in ({}, {layer.nest.reads[1].tensor: weights}):
        operands = operands_of(layer, constants, 0)
        blocks = operands.b.values.reshape(4, 3, 3, packed, packed)
        assert operands.b.of_network == bool(constants)
        assert not blocks[..., ~np.eye(packed, dtype=bool)].any()
        if constants:
            inside = blocks.diagonal(axis1=3, axis2=4).transpose(0, 3, 1, 2).reshape(64, 1, 3, 3)
            assert inside.tolist() == weights.tolist()


def test_the_generator_is_splitmix64():
    # First numbers of SplitMix64 from seed 0, as its reference implementation gives them.
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert drawn(3, 0, 64).tolist() == [(number >> 58) - 32 for number in first]
    values = drawn(20_000, 7, 64)
    assert (values.min(), values.max()) == (-32, 31)


def test_outputs_are_not_saturated_and_fill_their_range():
    for layer in LAYERS[:6]:
        assert 32 < int(np.abs(layer.operands.c.astype(int)).max()) <= 127


def test_a_network_s_own_weights_are_quantised_and_computed_with(tmp_path):
    small_cnn(tmp_path / "net.onnx")
    request = NetworkRequest(model=str(tmp_path / "net.onnx"), dims={"batch": 1})
    graph = prepare(graph_and_layer(request)[0], GEMMINI)
    conv = next(layer for layer in layers_of(graph, GEMMINI) if layer.kind == "conv" or "conv" in layer.name)
    operands = operands_of(conv, graph.constants, 0)
    real = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32).astype(float)
    expected = np.rint(real.transpose(2, 3, 1, 0) / (np.abs(real).max() / 127)).ravel()
    assert operands.b.values.tolist() == expected.tolist()
    assert operands.b.seed is None
    assert operands.a.seed is not None
    zeros = np.zeros(0, np.int32)
    values = nest_values(
        conv.work, operands.a.values, operands.b.values, zeros, relu=conv.activation == "relu", scale=operands.scale
    )
    np.testing.assert_array_equal(values, operands.c)


def test_rows_of_weights_lie_where_the_nest_has_them():
    layer = given_by("20,30,130")
    weights = np.random.default_rng(3).integers(-127, 128, (30, 130)).astype(np.float32)
    weights[0, 0] = 127
    operands = operands_of(layer, {layer.nest.reads[1].tensor: weights}, 0)
    pitch = layer.work.b_stride
    assert pitch > 130
    for row in range(30):
        assert operands.b.values[row * pitch : row * pitch + 130].tolist() == weights[row].tolist()
        assert not operands.b.values[row * pitch + 130 : (row + 1) * pitch].any()
    emitted(layer, constants={layer.nest.reads[1].tensor: weights})


def test_what_no_c_can_be_written_for_is_refused(monkeypatch):
    layer = given_by("64,64,64")
    narrow = msgspec.structs.replace(GEMMINI, array=msgspec.structs.replace(GEMMINI.array, mesh_output_bits=12))
    with pytest.raises(InputError, match="int8 into int32"):
        emitted(layer, accelerator=load_accelerator("gemmini-fp32"))
    with pytest.raises(InputError, match="sums in the mesh wrap at 12 bits"):
        emitted(layer, accelerator=narrow)
    monkeypatch.setattr(gemmini_c, "MOST_COMMANDS", 100)
    with pytest.raises(InputError, match="too many commands"):
        emitted(layer)
    monkeypatch.setattr(gemmini_c, "MOST_BYTES", 5000)
    with pytest.raises(InputError, match="too long"):
        c_file(("test",), LAYERS[:1], GEMMINI)
    nothing = Layer(name="nothing", kind="softmax", nest=layer.nest, work=None)
    with pytest.raises(ValueError, match="no command stream"):
        emitted_layer(nothing, None, GEMMINI, constants={})


@needs_gcc
def test_the_command_writes_a_network_s_file(tmp_path):
    small_cnn(tmp_path / "net.onnx")
    arguments = ("net.onnx", "--dim", "batch=1", "--gemmini-c", "net.c", "--host-header", "include/gemmini.h", "--json")
    done = systolic("emit", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [layer["weights_of_the_network"] for layer in said["layers"]] == [True, True]
    binary = tmp_path / "net"
    subprocess.run([GCC, *FLAGS, "-I", str(tmp_path), str(tmp_path / "net.c"), "-o", str(binary)], check=True)
    ran = run(binary)
    assert (ran.returncode, ran.stdout.count(" 0 differ")) == (0, 2)


def test_the_command_refuses_what_has_no_commands(tmp_path):
    wrong = systolic("emit", "resnet50:stem.pool", "--gemmini-c", "x.c", folder=tmp_path)
    assert_refused(wrong, tmp_path, exit_code=2, says=("nothing of it runs as commands",))
    assert not (tmp_path / "x.c").exists()
