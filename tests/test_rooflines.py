"""Rooflines: traffic against tiles enumerated one by one, work against loops that are run, what is ordered, files."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from math import inf
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_ir.builder import GraphBuilder
from model_ir.errors import InfeasibleError, InputError
from model_ir.loop_nest import Access, LoopNest
from simulator.accelerator_file import accelerator_names, load_accelerator
from simulator.analytical import analytical
from simulator.mapping import dataflows
from simulator.roofline import roofline_of_array_nest
from simulator.rooflines.attainable import attained
from simulator.rooflines.counting import Counting
from simulator.rooflines.formats import Storage, storage_of
from simulator.rooflines.gemmini import machine_of
from simulator.rooflines.machine import Level, Machine, bandwidth_of, peak_of, ridge_point
from simulator.rooflines.machine_file import load_machine, machine_names
from simulator.rooflines.machines import find_machine
from simulator.rooflines.operators import kind_of, layer_of, operators_of
from simulator.rooflines.traffic import FEW_BLOCKS, compulsory, first_stays, results_stay, second_stays, tiled
from simulator.rooflines.work import Work, elementwise_work, matmul_work, stack
from simulator.vector_cost import vector_cost
from tests.nest_cases import machines, mappings, nests
from workloads import bert
from workloads.catalogue import build
from workloads.layers import batch_norm, conv, unary

SURVEY = Path(__file__).parents[2] / "shared" / "facts" / "fullstack_survey.json"
BYTES = Storage(weights_bits=8, activations_bits=8, cache_bits=8, sums_bits=32, vectors_bits=8)


def level(capacity_bytes: float, **changes: object) -> Level:
    return msgspec.structs.replace(
        Level(name="buffer", capacity_bytes=capacity_bytes, bandwidth_bytes_per_second=1.0, source="test"), **changes
    )


def matmul(rows: int, columns: int, depth: int, repeats: int = 1, bits: tuple[int, int] = (8, 8)) -> Work:
    return matmul_work(
        rows=rows,
        columns=columns,
        depth=depth,
        repeats=repeats,
        first_bits=bits[0],
        second_bits=bits[1],
        result_bits=8,
        sums_bits=32,
    )


def softmax(rows: int, columns: int) -> Work:
    elements = rows * columns
    return elementwise_work(
        "softmax",
        elements=elements,
        flops_per_element=5,
        read_bytes=elements,
        result_bytes=elements,
        row_bytes=columns,
    )


def walked_bytes(work: Work, height: int, width: int, way: str) -> int:
    """Bytes that the tiles of one way read, tile by tile."""
    read = 0
    row_starts, column_starts = range(0, int(work.rows), height), range(0, int(work.columns), width)
    for top, left in itertools.product(row_starts, column_starts):
        rows, columns = min(height, work.rows - top), min(width, work.columns - left)
        first, second = (
            rows * work.depth * work.first_width_bytes,
            columns * work.depth * work.second_width_bytes,
        )
        read += (first if way != "first" or left == 0 else 0) + (second if way != "second" or top == 0 else 0)
    return read * work.repeats


def held_bytes(work: Work, height: int, width: int, way: str) -> float:
    """What must fit for one way's tile."""
    a, b, s = work.first_width_bytes, work.second_width_bytes, work.sum_width_bytes
    if way == "results":
        return height * width * s + 2 * (height * a + width * b)
    if way == "first":
        return height * (work.depth * a + 2 * s) + 2 * work.depth * b
    return width * (work.depth * b + 2 * s) + 2 * work.depth * a


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 14),
    columns=st.integers(1, 14),
    depth=st.integers(1, 12),
    repeats=st.integers(1, 3),
    bits=st.sampled_from([(8, 8), (16, 8), (16, 4), (32, 32)]),
    capacity=st.integers(24, 700),
)
def test_traffic_is_the_least_of_all_tiles(
    rows: int, columns: int, depth: int, repeats: int, bits: tuple[int, int], capacity: int
) -> None:
    work = matmul(rows, columns, depth, repeats, bits)
    least = min(
        walked_bytes(work, height, width, way)
        for way, heights, widths in (
            ("results", range(1, rows + 1), range(1, columns + 1)),
            ("first", range(1, rows + 1), (1,)),
            ("second", (1,), range(1, columns + 1)),
        )
        for height, width in itertools.product(heights, widths)
        if held_bytes(work, height, width, way) <= capacity
    )
    assert tiled(work, level(capacity)).read_bytes == least


def test_numbers_of_blocks_that_are_skipped_cost_little() -> None:
    work = matmul(9000, 70000, 64)
    for capacity in (2_000, 20_000, 300_000):
        widths = np.arange(1, 70001, dtype=float)
        heights = np.minimum((capacity - 2 * widths) // (4 * widths + 2), 9000)
        fits = heights >= 1
        row_blocks, column_blocks = -(-9000 // heights[fits]), -(-70000 // widths[fits])
        least = (work.first_bytes * column_blocks + work.second_bytes * row_blocks).min()
        assert column_blocks[0] > FEW_BLOCKS
        assert least <= results_stay(work, capacity) <= 1.03 * least


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.integers(3, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    capacity=st.integers(60, 800),
    ideal=st.booleans(),
)
def test_a_convolution_is_between_its_tensors_and_its_windows(
    size: int, kernel: int, stride: int, channels: tuple[int, int], capacity: int, ideal: bool
) -> None:
    work = operators_of(convolution(size, kernel, stride, channels), BYTES)[0].work
    traffic = tiled(work, level(inf if ideal else capacity))
    windows = work.rows * work.depth * -(-work.columns // 1) + work.rows * work.columns * work.depth
    assert work.compulsory_bytes <= traffic.bytes <= windows + work.result_bytes
    if ideal:
        assert traffic.bytes == work.compulsory_bytes


def convolution(size: int, kernel: int, stride: int, channels: tuple[int, int]):
    b = GraphBuilder("conv", origin="test")
    x = b.input("x", (1, channels[0], size, size))
    return b.finish(conv(b, x, "conv", channels[1], (kernel, kernel), stride=stride))


def rows_read(blocks: int, size: int, kernel: int) -> int:
    """Rows of input that `blocks` blocks of whole rows of results read, walked block by block; padded, stride 1."""
    height, reach = -(-size // blocks), kernel // 2
    read = 0
    for top in range(0, size, height):
        needed = range(top - reach, min(top + height, size) + reach)
        read += len([row for row in needed if 0 <= row < size])
    return read


def test_blocks_of_rows_of_a_convolution_read_their_overlap_again() -> None:
    size, channels, kernel = 16, 8, 3
    work = operators_of(convolution(size, kernel, 1, (channels, 4)), BYTES)[0].work
    assert work.halo_bytes == 2 * size * channels
    assert work.slice_depth == kernel * kernel
    # Room for the sums of four rows of results in four channels, and two slices of nine taps.
    rows = 4 * size
    capacity = 4 * rows * 4 + 2 * 9 * (rows + 4)
    assert results_stay(work, capacity) == rows_read(4, size, kernel) * size * channels + 4 * work.second_bytes
    # Room for four rows of input with their halo, and two columns of weights.
    assert first_stays(work, work.halo_bytes + rows * (channels + 2 * 4) + 2 * 72) == results_stay(work, capacity)


def test_weights_that_stay_let_windows_share_what_fits() -> None:
    work = operators_of(convolution(16, 3, 1, (8, 4)), BYTES)[0].work
    weights = 4 * (72 + 2 * 4)
    assert second_stays(work, weights + 2 * 72 + work.halo_bytes) == work.first_bytes + work.second_bytes
    assert second_stays(work, weights + 2 * 72) == 256 * 72 + work.second_bytes


def test_a_duplex_boundary_carries_both_directions_at_once() -> None:
    machine = machine_of(load_accelerator("gemmini"))
    (boundary,) = machine.boundaries
    assert boundary.duplex
    work = matmul(500, 500, 1)
    found = attained(work, machine, "int8", ideal=True)
    rate = bandwidth_of(boundary)
    assert found.boundary_seconds[0] == max(1000, 250000) / rate
    one_way = msgspec.structs.replace(
        machine, levels=(machine.levels[0], msgspec.structs.replace(boundary, duplex=False))
    )
    assert attained(work, one_way, "int8", ideal=True).boundary_seconds[0] == 251000 / rate


def test_a_stated_square_tile_reads_each_operand_once_a_block() -> None:
    work = matmul(2500, 1024, 64)
    traffic = tiled(work, level(1e9, square_tile=1024))
    assert traffic.read_bytes == 2500 * 64 * 1 + 1024 * 64 * 3
    assert traffic.write_bytes == 2500 * 1024


def test_a_row_that_does_not_fit_is_read_for_every_pass() -> None:
    work = softmax(8, 1000)
    assert tiled(work, level(1024)).read_bytes == 3 * 8000
    assert tiled(work, level(2000)).read_bytes == 8000


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 5000)] * 3),
    capacities=st.tuples(st.integers(1024, 1 << 22), st.integers(1024, 1 << 22)),
)
def test_more_memory_never_means_more_traffic(shape: tuple[int, int, int], capacities: tuple[int, int]) -> None:
    work = matmul(*shape)
    small, large = (tiled(work, level(capacity)).bytes for capacity in sorted(capacities))
    assert compulsory(work).bytes <= large <= small


@pytest.mark.parametrize("name", ["a100", "gemmini-ibert", "survey"])
def test_arrays_give_what_numbers_give(name: str) -> None:
    shapes = [(128, 768, 768, 12), (1, 32000, 4096, 1), (3000, 50, 7, 2), (9, 9, 9, 1)]
    works = [matmul(*shape) for shape in shapes] + [softmax(128, 512)]
    machine = find_machine(name)
    together = attained(stack(works), machine, "int8")
    for place, work in enumerate(works):
        alone = attained(work, machine, "int8")
        assert together.seconds[place] == alone.seconds
        assert together.bound[place] == alone.bound
        assert [t.bytes[place] for t in together.traffic] == [t.bytes for t in alone.traffic]


def run_nest(nest: LoopNest) -> tuple[int, list[int]]:
    """Multiply-accumulates of a nest run point by point, and the distinct elements each operand and the result has."""
    touched: list[set[tuple[int, ...]]] = [set() for _ in (*nest.reads, nest.write)]
    points = 0
    names = [name for name, _ in nest.dims]
    for values in itertools.product(*(range(size) for _, size in nest.dims)):
        at = dict(zip(names, values, strict=True))
        points += 1
        for place, access in enumerate((*nest.reads, nest.write)):
            element = position(access, at)
            if element is not None:
                touched[place].add(element)
    return points, [len(elements) for elements in touched]


def position(access: Access, at: dict[str, int]) -> tuple[int, ...] | None:
    element = tuple(index.offset + sum(step * at[loop] for loop, step in index.terms) for index in access.indices)
    inside = all(0 <= place < size for place, size in zip(element, access.shape, strict=True))
    return element if inside else None


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("free", [False, True])
def test_work_is_what_the_loops_do(groups: int, free: bool) -> None:
    b = GraphBuilder("conv", origin="test")
    x = b.input("x", (2, 4, 5, 6))
    graph = b.finish(conv(b, x, "conv", 8, (3, 2), stride=2, groups=groups, bias=True))
    nest = graph.nest_of(graph.ops[0])
    macs, (inputs, weights, biases, results) = run_nest(nest)
    work = operators_of(graph, BYTES, Counting(first_product_free=("matmul",) if free else ()))[0].work
    assert work.flops == 2 * macs
    assert work.repeats * work.rows * work.columns * work.depth == macs
    assert work.repeats == groups
    assert (work.first_bytes, work.second_bytes) == (inputs, weights)
    assert (work.other_bytes, work.result_bytes) == (biases, results)


def test_a_sum_without_bias_saves_its_first_addition() -> None:
    free = Counting(first_product_free=("matmul",))
    for bias, saved in ((None, 6), (8, 0)):
        numbers = {"rows": 2, "columns": 3, "depth": 5, "first_bits": 8, "second_bits": 8, "result_bits": 8}
        assert matmul_work(**numbers, bias_bits=bias, counting=free).flops == 60 - saved
        assert matmul_work(**numbers, bias_bits=bias).flops == 60


@pytest.mark.parametrize("name", ["bert-base", "gpt2", "resnet50", "llama-3-8b", "mobilenet-v2", "conformer-s"])
def test_a_networks_operations_are_its_loop_nests(name: str) -> None:
    graph = build(name)
    operators = operators_of(graph, storage_of("int8"))
    nests = [graph.nest_of(op) for op in graph.ops]
    assert sum(operator.work.flops for operator in operators) == pytest.approx(sum(nest.flops for nest in nests))
    assert all(operator.work.compulsory_bytes > 0 or operator.work.flops == 0 for operator in operators), (
        "nothing computes on nothing"
    )


def test_results_are_wide_where_a_function_reads_them_unrounded() -> None:
    b = GraphBuilder("wide", origin="test")
    x = b.input("x", (1, 4, 8, 8))
    graph = b.finish(unary(b, conv(b, x, "conv", 4, (1, 1)), "relu", "relu"))
    plain, wide = (operators_of(graph, BYTES, Counting(wide_before=before)) for before in ((), ("relu",)))
    assert [o.work.result_bytes for o in wide] == [4 * plain[0].work.result_bytes, plain[1].work.result_bytes]
    assert wide[1].work.first_bytes == 4 * plain[1].work.first_bytes


def test_a_fused_function_moves_only_its_result() -> None:
    b = GraphBuilder("fused", origin="test")
    x = b.input("x", (1, 4, 8, 8))
    graph = b.finish(unary(b, batch_norm(b, conv(b, x, "conv", 4, (1, 1)), "norm", 1e-5), "relu", "relu"))
    apart = operators_of(graph, BYTES)
    one = operators_of(graph, BYTES, Counting(fused_functions=("batch_norm", "relu")))
    assert [o.work.flops for o in one] == [o.work.flops for o in apart]
    assert one[0].work.compulsory_bytes == apart[0].work.compulsory_bytes
    assert [o.work.compulsory_bytes for o in one[1:]] == [one[1].work.other_bytes, 0]


def test_keys_and_values_have_the_caches_width() -> None:
    graph = build("llama-3-8b", phase="decode", context=1000)
    wide, narrow = (
        {o.name: o.work for o in operators_of(graph, storage_of("fp16", cache=cache))} for cache in ("fp16", "int8")
    )
    scores = "layers.3.attention.scores"
    assert wide[scores].second_bytes == 8 * 1001 * 128 * 2 == 2 * narrow[scores].second_bytes
    assert wide["layers.3.attention.attended"].second_bytes == 2 * narrow["layers.3.attention.attended"].second_bytes


def test_layers_and_kinds() -> None:
    assert [
        layer_of(name) for name in ("layers.10.attention.query", "pooler.dense", "/bert/layer.3/MatMul", "conv1")
    ] == [
        "layers.10",
        "pooler",
        "/bert/layer.3",
        "conv1",
    ]
    graph = build("bert-base")
    kinds = {op.name: kind_of(graph.nest_of(op)) for op in graph.ops}
    assert kinds["layers.0.attention.query"] == "matmul"
    assert kinds["layers.0.attention.scores"] == "matmul of activations"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_gemminis_ideal_roofline_is_below_the_analytical_model(data: st.DataObject) -> None:
    accelerator = data.draw(machines())
    nest = data.draw(nests(largest=6))
    assume(dataflows(nest, accelerator))
    try:
        cost = analytical(nest, data.draw(mappings(nest, accelerator)), accelerator)
    except (InfeasibleError, InputError):
        assume(False)
        raise
    work = replace(
        matmul(nest.pixels, nest.out_channels, nest.reduction, nest.repeat_count),
        first_bytes=roofline_of_array_nest(nest, accelerator).dram_read_bytes,
        second_bytes=0,
    )
    machine = machine_of(accelerator)
    bound = attained(work, machine, machine.formats[0], ideal=True)
    assert bound.seconds * accelerator.clock_hz <= cost.cycles * (1 + 1e-12)


@pytest.mark.parametrize("name", ["gemmini", "gemmini-ibert", "survey-256-64", "gemmini-soc"])
def test_functions_on_a_gemmini_are_below_what_they_cost_there(name: str) -> None:
    accelerator = load_accelerator(name)
    machine = machine_of(accelerator)
    graph = build("bert-base")
    storage = storage_of(machine.formats[0])
    works = {operator.name: operator.work for operator in operators_of(graph, storage)}
    for op in graph.ops:
        nest = graph.nest_of(op)
        if nest.kind == "elementwise":
            compute = attained(works[op.name], machine, machine.formats[0], ideal=True).compute_seconds
            assert compute * accelerator.clock_hz <= vector_cost(nest, accelerator)[1].cycles * (1 + 1e-12), op.name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=st.tuples(*[st.integers(1, 3000)] * 3), factor=st.floats(1, 16), name=st.sampled_from(machine_names()))
def test_more_bandwidth_and_more_peak_are_never_slower(shape: tuple[int, int, int], factor: float, name: str) -> None:
    machine = load_machine(name)
    number_format = machine.formats[0]
    work = matmul(*shape)
    before = attained(work, machine, number_format)
    assert attained(work, machine, number_format, ideal=True).seconds <= before.seconds
    for better in (faster_memory(machine, factor), faster_compute(machine, factor)):
        assert attained(work, better, number_format).seconds <= before.seconds
    assert before.flops_per_second <= peak_of(machine, number_format).operations_per_second * (1 + 1e-12)


def faster_memory(machine: Machine, factor: float) -> Machine:
    return msgspec.structs.replace(
        machine,
        levels=(
            machine.levels[0],
            *(
                msgspec.structs.replace(one, bandwidth_bytes_per_second=bandwidth_of(one) * factor)
                for one in machine.boundaries
            ),
        ),
    )


def faster_compute(machine: Machine, factor: float) -> Machine:
    return msgspec.structs.replace(
        machine,
        peaks=tuple(
            msgspec.structs.replace(peak, operations_per_second=peak.operations_per_second * factor)
            for peak in machine.peaks
        ),
    )


def test_bound_names_the_slowest_part() -> None:
    machine = load_machine("a100")
    large, thin = matmul(8192, 8192, 8192), matmul(1, 8192, 8192)
    assert attained(large, machine, "int8").bound == 0
    assert attained(thin, machine, "int8").bound == 1
    assert large.intensity > ridge_point(machine, "int8", machine.boundaries[0]) > thin.intensity


def test_an_elements_function_counts_by_the_conventions() -> None:
    numbers = {"elements": 10, "flops_per_element": 5, "read_bytes": 10, "result_bytes": 10, "vector_bytes": 4}
    assert elementwise_work("gelu", **numbers).flops == 50
    assert elementwise_work("gelu", **numbers, counting=Counting(flops_per_element={"gelu": 8})).flops == 80
    assert elementwise_work("gelu", **numbers, counting=Counting(bytes_per_element={"gelu": 3})).compulsory_bytes == 34


@pytest.mark.parametrize("name", machine_names())
def test_every_machine_that_ships_loads_and_cites_its_numbers(name: str) -> None:
    machine = load_machine(name)
    assert machine.name == name
    sources = [machine.vector.source, *(part.source for part in (*machine.peaks, *machine.levels))]
    assert all(source.strip() for source in sources)


@pytest.mark.parametrize("name", accelerator_names())
def test_every_accelerator_is_a_machine(name: str) -> None:
    accelerator = load_accelerator(name)
    machine = machine_of(accelerator)
    peak = machine.peaks[0].operations_per_second
    assert peak == 2 * accelerator.array.rows * accelerator.array.columns * accelerator.clock_hz
    assert bandwidth_of(machine.boundaries[0]) == accelerator.memory_bytes_per_cycle * accelerator.clock_hz


GOOD = """
name = "mine"
description = "a machine"
[[peaks]]
format = "int8"
operations_per_second = 1e12
source = "data sheet"
[[levels]]
name = "DRAM"
capacity_bytes = 1e9
source = "data sheet"
[[levels]]
name = "cache"
capacity_bytes = 1e6
bandwidth_bytes_per_second = 1e10
source = "data sheet"
[vector]
operations_per_second = 1e10
source = "data sheet"
"""


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('format = "int8"', 'format = "int9"', "peaks[0].format"),
        ("operations_per_second = 1e12", "operations_per_second = 0.0", "peaks[0].operations_per_second"),
        ("operations_per_second = 1e12", "operations_per_second = nan", "peaks[0].operations_per_second"),
        ("capacity_bytes = 1e6", "capacity_bytes = 10.0", "levels[1].capacity_bytes"),
        ("bandwidth_bytes_per_second = 1e10", "", "levels[1].bandwidth_bytes_per_second"),
        ('name = "cache"', 'name = "DRAM"', "levels[1].name"),
        ("bandwidth_bytes_per_second = 1e10", "bandwidth = 1e10", "levels[1].bandwidth"),
        ("capacity_bytes = 1e9", "capacity_bytes = 1e9\nbandwidth_bytes_per_second = 1.0", "levels[0]"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, where: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load_machine(path).name == "mine"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_machine(path)
    assert where in str(caught.value)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="int4"):
        attained(matmul(1, 1, 1), load_machine("survey"), "int4")
    with pytest.raises(InputError, match="unknown number format"):
        storage_of("int7")


@pytest.mark.parametrize("tokens", [128, 512, 4096])
def test_the_surveys_intensities_with_finite_memory(tokens: int) -> None:
    if not SURVEY.is_file():
        pytest.skip("the survey's numbers are not here")
    published = json.loads(SURVEY.read_text())["fullstack_2302_14017"]["table5_nonideal_AI"][str(tokens)]
    machine = load_machine("survey")
    graph = bert.build(replace(bert.BERT_BASE, positions=4096), seq=tokens)
    works = {operator.name: operator.work for operator in operators_of(graph, BYTES, machine.counting)}
    layer = ("attention.query", "attention.scores", "attention.attended", "attention.output")
    for name, value in zip((*layer, "feed_forward.in", "feed_forward.out"), published[:-1], strict=True):
        work = works[f"layers.5.{name}"]
        intensity = work.flops / tiled(work, machine.boundaries[0]).bytes
        assert intensity == pytest.approx(value, rel=1e-3), name
