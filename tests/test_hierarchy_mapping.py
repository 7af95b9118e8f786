"""Hierarchies, the nests they see, and which mappings fit."""

from pathlib import Path

import pytest

from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.dataflow import DATAFLOWS, dataflow, obeys
from simulator.hierarchy.file import hierarchy_names, load_hierarchy
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    LevelMapping,
    SpatialLoop,
    TemporalLoop,
    check_legal,
    tile_elements,
    tile_extents,
)
from simulator.hierarchy.nest import tensor_nest
from simulator.hierarchy.text import loop_text
from tests.hierarchy_cases import access, at, convolution, mac, matmul

MACHINE = """
name = "small"
description = "two memories"
clock_hz = 1e9
mac_pj = 1.0
[word_bits]
inputs = 8
weights = 8
outputs = 8
partial_sums = 32
[[levels]]
name = "dram"
stores = ["inputs", "weights", "outputs"]
read_pj_per_byte = 100.0
write_pj_per_byte = 100.0
[[levels]]
name = "buffer"
stores = ["inputs", "weights", "outputs"]
capacity_bytes = 50
partition_bytes = { weights = 12 }
read_pj_per_byte = 1.0
write_pj_per_byte = 1.0
[[levels.fanout]]
name = "rows"
size = 2
dims = ["out_channel"]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(MACHINE)
    return file


def mapping(*buffer_loops: tuple[str, int], spread: tuple[str, int, str] | None = None) -> HierarchyMapping:
    """Tiles of i = 2, j = 4, k = 3 in the buffer of a 4 x 6 x 4 matmul."""
    outer = (TemporalLoop(dim="i", tile=2), TemporalLoop(dim="k", tile=3))
    spatial = (SpatialLoop(dim=spread[0], tile=spread[1], axis=spread[2]),) if spread else ()
    keeps = ("inputs", "weights", "outputs")
    return HierarchyMapping(
        levels=(
            LevelMapping(temporal=outer, keeps=keeps),
            LevelMapping(
                temporal=tuple(TemporalLoop(dim=dim, tile=tile) for dim, tile in buffer_loops),
                spatial=spatial,
                keeps=keeps,
            ),
        )
    )


INNER = (("j", 1), ("i", 1), ("k", 1))


def test_kinds_of_loops_come_from_the_accesses() -> None:
    assert tensor_nest(matmul(4, 5, 6, batch=2)).kind_of == {
        "b": "group",
        "i": "image",
        "j": "out_channel",
        "k": "in_channel",
    }
    conv = tensor_nest(convolution(5, 3, 2, 3, images=2, groups=2, pad=1))
    assert conv.kind_of == {
        "n": "image",
        "g": "group",
        "oc": "out_channel",
        "p": "out_row",
        "q": "out_column",
        "ic": "in_channel",
        "r": "kernel_row",
        "s": "kernel_column",
    }
    pointwise = tensor_nest(convolution(5, 1, 2, 3))
    assert [kind for _, kind in zip(pointwise.dims, pointwise.kinds, strict=True)] == [
        "out_channel",
        "out_row",
        "out_column",
        "in_channel",
    ]


def test_scattered_sums_are_refused() -> None:
    scatter = mac(
        "scatter",
        {"p": 3, "r": 2},
        access("x", (3,), at("p")),
        access("w", (2,), at("r")),
        access("y", (4,), at("p", "r")),
    )
    with pytest.raises(InputError, match="overlap"):
        tensor_nest(scatter)


def test_the_halo_is_in_the_tile() -> None:
    nest = tensor_nest(convolution(8, 3, 1, 1, stride=2, dilation=2))
    extents = dict(nest.dims) | {"p": 2, "q": 3}
    assert tile_elements(nest.operand("inputs"), extents) == 4 * 5  # even rows and columns only


def test_a_mapping_that_fits_is_placed(small: Path) -> None:
    loops = check_legal(tensor_nest(matmul(4, 6, 4)), mapping(*INNER), load_hierarchy(small))
    assert [(loop.dim, loop.trips) for loop in loops] == [("i", 2), ("k", 2), ("j", 4), ("i", 2), ("k", 3)]
    assert tile_extents(tensor_nest(matmul(4, 6, 4)), loops, 1) == {"i": 2, "j": 4, "k": 3}


def test_the_loops_read_as_they_run(small: Path) -> None:
    """Chunks of two and three positions, the last of k smaller; eight sums of four bytes."""
    nest = tensor_nest(matmul(4, 5, 4))
    assert loop_text(nest, mapping(*INNER), load_hierarchy(small)) == "\n".join(
        [
            "[dram] inputs 20 (20 B), weights 20 (20 B), outputs 16 (16 B)",
            "for i in 2 of 2",
            "  for k in 2 of 3 (last 2)",
            "    [buffer] inputs 6 (6 B), weights 12 (12 B), outputs 8 (32 B)",
            "    for j in 4 of 1",
            "      for i in 2 of 1",
            "        for k in 3 of 1",
            "          multiply-accumulate",
        ]
    )


def test_partial_sums_take_their_width(small: Path) -> None:
    """8 sums of 4 bytes, 6 inputs and 12 weights."""
    small.write_text(MACHINE.replace("capacity_bytes = 50", "capacity_bytes = 40"))
    nest = tensor_nest(matmul(4, 6, 4))
    with pytest.raises(InfeasibleError, match="needs 50 bytes, has 40") as caught:
        check_legal(nest, mapping(*INNER), load_hierarchy(small))
    assert caught.value.demand - caught.value.capacity == 10


def test_spreading_obeys_size_and_kind(small: Path) -> None:
    nest, machine = tensor_nest(matmul(2, 3, 4)), load_hierarchy(small)
    everything = ("inputs", "weights", "outputs")

    def spread(dim: str, tile: int, *rest: tuple[str, int]) -> HierarchyMapping:
        return HierarchyMapping(
            levels=(
                LevelMapping(keeps=everything, temporal=tuple(TemporalLoop(dim=d, tile=t) for d, t in rest)),
                LevelMapping(
                    keeps=(),
                    spatial=(SpatialLoop(dim=dim, tile=tile, axis="rows"),),
                ),
            )
        )

    check_legal(nest, spread("j", 1, ("i", 1), ("k", 1), ("j", 2)), machine)
    with pytest.raises(InfeasibleError, match="needs 4 instances, has 2"):
        check_legal(nest, spread("j", 1, ("i", 1), ("k", 1)), machine)
    with pytest.raises(InputError, match="not spread along rows"):
        check_legal(nest, spread("i", 1, ("j", 1), ("k", 1)), machine)


def test_dataflows_are_named() -> None:
    assert len({flow.name for flow in DATAFLOWS}) == len(DATAFLOWS)
    with pytest.raises(InputError, match="did you mean row-stationary"):
        dataflow("row-stationery")


def test_stationary_is_the_order_of_loops() -> None:
    everything = ("inputs", "weights", "outputs")
    nest = tensor_nest(matmul(4, 6, 4))
    machine = load_hierarchy("simba-like")

    def ordered(*dims: str) -> HierarchyMapping:
        outer = LevelMapping(keeps=everything, temporal=tuple(TemporalLoop(dim=dim, tile=1) for dim in dims))
        inner = LevelMapping(keeps=("weights",))
        return HierarchyMapping(levels=(outer, *(LevelMapping() for _ in range(4)), inner))

    for dims, flow in ((("j", "k", "i"), "weight"), (("i", "k", "j"), "input")):
        placed = check_legal(nest, ordered(*dims), machine)
        assert obeys(nest, placed, ordered(*dims), dataflow("weight-stationary")) == (flow == "weight")


@pytest.mark.parametrize("name", hierarchy_names())
def test_shipped_hierarchies_state_their_name(name: str) -> None:
    assert load_hierarchy(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("capacity_bytes = 50", "capacity = 40", "lacks its unit, write capacity_bytes"),
        ("capacity_bytes = 50", "capacity_bytes = 0", r"levels\[1\].capacity_bytes: outside"),
        ("mac_pj = 1.0", "", "mac_pj: missing key"),
        ('name = "buffer"', 'name = "dram"', r"levels\[1\].name: two levels of one name"),
        ('dims = ["out_channel"]', 'dims = ["rows"]', r"levels\[1\].fanout\[0\].dims\[0\]: .*out_channel"),
        ("weights = 12", "weights = 99", r"partition_bytes.weights: outside"),
        ("size = 2", "sise = 2", r"levels\[1\].fanout\[0\].sise: unknown key; did you mean size"),
    ],
)
def test_faults_name_path_value_and_limit(small: Path, old: str, new: str, message: str) -> None:
    small.write_text(MACHINE.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load_hierarchy(small)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean simba-like"):
        load_hierarchy("simba-lik")
