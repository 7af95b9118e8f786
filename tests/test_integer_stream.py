"""Integer-only networks as commands: every step's numbers are the graph executor's, and the programs of passes without
the array are the operators, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_integer_conversion import SMALL_BERT, SMALL_VIT, converted, feeds_of, masked_feeds, masked_graph, valued

from mapper.codegen.normalise import Normalisation
from mapper.codegen.passes import Source, emit_activation, emit_sum_normalised
from mapper.integer.execution import IntegerProgram, check_integers, compile_integers, engine_cycles, run_commands
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.integer import ChannelMultiply, IntegerAdd, IntegerGelu, IntegerLayerNorm, IntegerSoftmax
from model_ir.ops.integer_arithmetic import NormConstants, dyadic, gelu_constants, gelu_unit, softmax_constants
from model_ir.passes.integer.calibration import calibrate
from model_ir.passes.integer.convert import integer_only
from simulator.accelerator_file import load_accelerator
from simulator.functional import execute
from workloads import bert, token_classifier, vit
from workloads.tasks import load_digits
from workloads.token_classifier import DIGITS

IBERT, PLAIN = load_accelerator("gemmini-ibert"), load_accelerator("gemmini")
BASE, SECOND, TARGET, END = (0x80000000 + part * 0x8000 for part in range(4))
SOME_BYTES = st.tuples(st.integers(1, 40), st.sampled_from((1, 7, 16, 33, 64, 100, 128)), st.integers(0, 999))


def ran(program: Any, *operands: npt.NDArray[np.int8], count: int) -> npt.NDArray[np.int8]:
    """The first `count` bytes that `program` leaves at TARGET."""
    image = np.zeros(END - BASE, np.uint8)
    for at, values in zip((BASE, SECOND), operands, strict=False):
        image[at - BASE :][: values.size] = values.reshape(-1).view(np.uint8)
    execute(program, IBERT, image, BASE)
    return image[TARGET - BASE :][:count].view(np.int8)


def bytes_of(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(SOME_BYTES, st.integers(1, 6), st.sampled_from((1.0, 0.37, 1.9)), st.booleans())
def test_sums_are_normalised_as_the_operators_say(
    size: tuple[int, int, int], gain: int, scale: float, both: bool
) -> None:
    rows, columns, seed = size
    a, b = bytes_of((rows, columns), seed), bytes_of((rows, columns), seed + 1)
    factor, load = dyadic(31.7), dyadic(scale)
    add = IntegerAdd(name="add", inputs=("a", "b"), outputs=("s",), b_factor=load)
    norm = IntegerLayerNorm(name="norm", inputs=("s",), outputs=("y",), gain=gain, factor=factor)
    (sums,) = add.evaluate(np, a, b) if both else (a,)
    (expected,) = norm.evaluate(np, sums)
    sources = [Source(address=BASE), Source(address=SECOND, scale=load.value)]
    program = emit_sum_normalised(
        rows,
        columns,
        IBERT,
        Normalisation(function="layer_norm", constants=NormConstants(0, 0), scale=factor.value),
        sources=sources if both else sources[:1],
        gain=gain,
        target=TARGET,
    )
    np.testing.assert_array_equal(ran(program, a, b, count=a.size), expected.reshape(-1))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(SOME_BYTES, st.sampled_from((0.01, 0.05, 0.2)))
def test_softmax_of_bytes(size: tuple[int, int, int], scale: float) -> None:
    rows, columns, seed = size
    x, factor, constants = bytes_of((rows, columns), seed), dyadic(1.3), softmax_constants(scale)
    op = IntegerSoftmax(name="y", inputs=("x",), outputs=("y",), constants=constants, factor=factor)
    normalisation = Normalisation(function="softmax", constants=constants, scale=factor.value)
    program = emit_sum_normalised(
        rows, columns, IBERT, normalisation, sources=[Source(address=BASE)], gain=1, target=TARGET
    )
    np.testing.assert_array_equal(ran(program, x, count=x.size), op.evaluate(np, x)[0].reshape(-1))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 3000), st.integers(0, 999), st.sampled_from((0.003, 0.04, 0.2)))
def test_gelu_on_the_way_out(count: int, seed: int, scale: float) -> None:
    x, constants, factor = bytes_of((count,), seed), gelu_constants(scale), dyadic(gelu_unit(scale) / scale)
    op = IntegerGelu(name="y", inputs=("x",), outputs=("y",), constants=constants, factor=factor)
    program = emit_activation(
        count, IBERT, source=Source(address=BASE), target=TARGET, scale=factor.value, gelu=constants
    )
    np.testing.assert_array_equal(ran(program, x, count=count), op.evaluate(np, x)[0])


def test_passes_that_the_machine_cannot_make_are_refused() -> None:
    norm = Normalisation(function="layer_norm", constants=NormConstants(0, 0))
    sources = [Source(address=BASE)]
    with pytest.raises(InputError, match="no normaliser"):
        emit_sum_normalised(4, 16, PLAIN, norm, sources=sources, gain=1, target=TARGET)
    with pytest.raises(InputError, match="do not fit"):
        emit_sum_normalised(4, 4096, IBERT, norm, sources=sources, gain=1, target=TARGET)
    with pytest.raises(InputError, match="one or two"):
        emit_sum_normalised(4, 16, IBERT, norm, sources=sources * 3, gain=1, target=TARGET)
    with pytest.raises(InputError, match="no integer GELU"):
        emit_activation(4, PLAIN, source=sources[0], target=TARGET, scale=1.0, gelu=gelu_constants(0.1))
    with pytest.raises(InputError, match="int8 into int32"):
        compile_integers(integers("bert"), load_accelerator("gemmini-fp32"))


@cache
def integers(name: str) -> Graph:
    """An integer network: of real digits, or of drawn weights."""
    if name == "digits":
        graph = valued(token_classifier.build(DIGITS, batch=2))
        task = load_digits()
        batches = [{"tokens": task.train_inputs[first : first + 2]} for first in range(0, 64, 2)]
        return integer_only(graph, calibrate(graph, batches)).graph
    built = {
        "bert": lambda: bert.build(replace(SMALL_BERT, layers=1), seq=9, batch=2),
        "vit": lambda: vit.build(SMALL_VIT, image=16),
    }
    return converted(valued(built[name]())).graph


@pytest.mark.parametrize("exporter", ["old", "dynamo"])
def test_masked_attention_of_an_exported_network_is_bit_exact(tmp_path: Path, exporter: str) -> None:
    graph = masked_graph(tmp_path, exporter)
    batches = [masked_feeds(graph, seed, 4) for seed in range(3)]
    network = integer_only(graph, calibrate(graph, batches))
    program = compile_integers(network.graph, IBERT)
    assert all(check.equal for check in check_integers(program, [masked_feeds(graph, 7, keys) for keys in (1, 5)]))
    assert places(program, IntegerSoftmax) == {"array + normaliser"}


def places(program: IntegerProgram, kind: type[Any]) -> set[str]:
    return {step.place for step in program.steps if any(isinstance(op, kind) for op in step.ops)}


def test_a_transformer_on_real_inputs_is_bit_exact_step_by_step() -> None:
    program = compile_integers(integers("digits"), IBERT)
    inputs = load_digits().test_inputs
    checks = check_integers(program, [{"tokens": inputs[first : first + 2]} for first in (0, 2, 4)])
    assert [check.step for check in checks] == list(program.steps)
    assert all(check.equal and check.elements for check in checks)
    assert places(program, IntegerSoftmax) == {"array + normaliser"}
    assert places(program, IntegerLayerNorm) == {"normaliser"}
    assert places(program, IntegerGelu) == {"store path"}
    assert places(program, ChannelMultiply) == {"array"}
    hosted = {step.kind for step in program.steps if step.place == "host"}
    assert hosted == {"QuantizeLinear", "IntegerMean", "DequantizeLinear"}


@pytest.mark.parametrize(("name", "machine"), [("bert", IBERT), ("vit", IBERT), ("digits", PLAIN)])
def test_other_networks_and_machines_are_bit_exact(name: str, machine: Any) -> None:
    graph = integers(name)
    program = compile_integers(graph, machine)
    checks = check_integers(program, [feeds_of(graph, 3)])
    assert [check.step.name for check in checks if not check.equal] == []
    assert places(program, ChannelMultiply) == {"array"}
    if machine is PLAIN:
        assert places(program, IntegerSoftmax) == places(program, IntegerGelu) == {"host"}


def test_rows_that_do_not_fit_the_accumulator_are_the_hosts() -> None:
    of = msgspec.structs.replace
    small = of(IBERT, accumulator=of(IBERT.accumulator, capacity_bytes=4096))
    graph = converted(valued(bert.build(replace(SMALL_BERT, layers=1, positions=40), seq=40))).graph
    program = compile_integers(graph, small)
    assert places(program, IntegerSoftmax) == {"host"}
    assert places(program, IntegerLayerNorm) == {"normaliser"}
    assert [step.note for step in program.steps if step.note] == [
        "two blocks of rows take 96 rows of the accumulator's 64"
    ]
    assert all(check.equal for check in check_integers(program, [feeds_of(graph, 3)]))


def test_one_wrong_number_is_found() -> None:
    graph = integers("digits")
    program = compile_integers(graph, IBERT)
    name = "layers.0.feed_forward.in.scaled_weight.int8"
    broken = replace(program, graph=replace(graph, constants={**graph.constants, name: -graph.constants[name]}))
    feeds = {"tokens": load_digits().test_inputs[:2]}
    honest, wrong = run_commands(program, feeds), run_commands(broken, feeds)
    assert np.any(honest["layers.0.feed_forward.in.int8"] != wrong["layers.0.feed_forward.in.int8"])
    np.testing.assert_array_equal(honest["embedding.int8"], wrong["embedding.int8"])


def test_every_program_runs_on_the_cycle_engine() -> None:
    program = compile_integers(integers("digits"), IBERT)
    for step, code, cycles in zip(program.steps, program.codes, engine_cycles(program), strict=True):
        assert (cycles is None) == (step.place in ("host", "view"))
        assert code is None or (cycles is not None and cycles > code.commands)
