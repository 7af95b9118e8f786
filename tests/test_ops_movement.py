"""Movements equal onnxruntime over drawn shapes, axes, bounds and modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import build, check, describe, integers, normal

from model_ir.errors import InputError
from model_ir.ops.gathering import Gather, GatherElements, GatherNd, ScatterNd
from model_ir.ops.interpolation import COORDINATE_MODES, NEAREST_MODES
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.resampling import CumSum, DepthToSpace, Resize, SpaceToDepth, Trilu

few = settings(max_examples=15, deadline=None, derandomize=True)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize(("shape", "target"), [((2, 6), (3, 4)), ((2, 6), (-1, 3)), ((1, 4, 1), (4,)), ((1,), ())])
def test_reshape(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    x = normal(shape)
    check(build(Reshape, 1, shape=target), [x], "Reshape", node_arrays=[x, np.array(target, np.int64)])


@few
@given(shapes.flatmap(lambda shape: st.tuples(st.just(shape), st.permutations(range(len(shape))))))
def test_transpose(case: tuple[tuple[int, ...], list[int]]) -> None:
    shape, perm = case
    check(build(Transpose, 1, perm=tuple(perm)), [normal(shape)], "Transpose", perm=perm)


@few
@given(shapes, st.data())
def test_concat_and_split(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    place = axis % len(shape)
    pieces = [normal((*shape[:place], size, *shape[place + 1 :]), seed) for seed, size in enumerate(sizes)]
    check(build(Concat, len(pieces), axis=axis), pieces, "Concat", axis=axis)
    whole = np.concatenate(pieces, axis=axis)
    op = build(Split, 1, outputs=len(sizes), axis=axis, sizes=tuple(sizes))
    check(op, [whole], "Split", node_arrays=[whole, np.array(sizes, np.int64)], axis=axis)


FAR = 2**31 - 1


@settings(few, max_examples=40)
@given(shapes, st.data())
def test_slice(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = shape[axis]
        first, last = sorted((data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))))
        step = data.draw(st.integers(1, 3))
        if data.draw(st.booleans()):
            starts.append(data.draw(st.sampled_from([first, first - size])))
            ends.append(data.draw(st.sampled_from([last + 1, FAR] + ([last + 1 - size] if last + 1 < size else []))))
            steps.append(step)
        else:
            starts.append(data.draw(st.sampled_from([last, last - size, FAR])))
            ends.append(data.draw(st.sampled_from([-FAR] + ([first - 1, first - 1 - size] if first else []))))
            steps.append(-step)
    given_axes = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    x = normal(shape)
    bounds = [np.array(values, np.int64) for values in (starts, ends, given_axes, steps)]
    op = build(Slice, 1, starts=tuple(starts), ends=tuple(ends), axes=tuple(given_axes), steps=tuple(steps))
    check(op, [x], "Slice", node_arrays=[x, *bounds])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@few
@given(st.lists(st.integers(3, 5), min_size=1, max_size=3), st.data())
def test_pad(mode: str, shape: list[int], data: st.DataObject) -> None:
    pads = tuple(data.draw(st.integers(0, 2)) for _ in range(2 * len(shape)))
    x = normal(shape)
    inputs = [x, np.array(pads, np.int64)]
    value = 0.0
    if mode == "constant":
        value = data.draw(st.sampled_from([0.0, -1.5]))
        inputs.append(np.array(value, np.float32))
    check(build(Pad, 1, pads=pads, mode=mode, value=value), [x], "Pad", opset=19, node_arrays=inputs, mode=mode)


def test_negative_pads_cut() -> None:
    x, pads = normal((5, 6)), (-1, 2, 0, -3)
    check(build(Pad, 1, pads=pads), [x], "Pad", opset=19, node_arrays=[x, np.array(pads)])


@pytest.mark.parametrize(
    ("shape", "target"), [((3, 1), (2, 3, 4)), ((2, 3), (1,)), ((1, 3, 1), (4, 1, 5)), ((), (2, 2)), ((3,), (3,))]
)
def test_expand(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    x = normal(shape)
    check(build(Expand, 1, shape=target), [x], "Expand", node_arrays=[x, np.array(target, np.int64)])


@few
@given(shapes, st.data())
def test_tile(shape: tuple[int, ...], data: st.DataObject) -> None:
    repeats = tuple(data.draw(st.integers(1, 3)) for _ in shape)
    x = normal(shape)
    check(build(Tile, 1, repeats=repeats), [x], "Tile", node_arrays=[x, np.array(repeats, np.int64)])


@few
@given(shapes, st.lists(st.integers(1, 4), max_size=2), st.data())
def test_gather(shape: tuple[int, ...], wanted: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = integers(wanted, -shape[axis], shape[axis])
    check(build(Gather, 2, axis=axis), [normal(shape), indices], "Gather", axis=axis)


@few
@given(shapes, st.data())
def test_gather_elements(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    covered = [data.draw(st.integers(1, size)) for size in shape]
    covered[axis] = data.draw(st.integers(1, 7))
    indices = integers(covered, -shape[axis], shape[axis])
    check(build(GatherElements, 2, axis=axis), [normal(shape), indices], "GatherElements", axis=axis)


@pytest.mark.parametrize("batch_dims", [0, 1])
@pytest.mark.parametrize("depth", [1, 2])
def test_gather_nd(batch_dims: int, depth: int) -> None:
    x = normal((3, 4, 4, 2))
    indices = integers((3, 5, depth), -3, 3)
    check(build(GatherNd, 2, batch_dims=batch_dims), [x, indices], "GatherND", batch_dims=batch_dims)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scatter_nd(depth: int) -> None:
    x = normal((4, 3, 2))
    cells = np.stack(np.unravel_index(np.array([3, 0, 2]), x.shape[:depth]), axis=1)
    cells[0, 0] -= x.shape[0]
    updates = normal((3, *x.shape[depth:]), 1)
    check(build(ScatterNd, 3), [x, cells, updates], "ScatterND")


@pytest.mark.parametrize("coordinate_mode", COORDINATE_MODES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("target", [(1, 2, 9, 4), (1, 2, 3, 13), (1, 2, 10, 12), (1, 2, 1, 3)])
def test_resize_to_sizes(mode: str, coordinate_mode: str, target: tuple[int, ...]) -> None:
    x = normal((1, 2, 5, 6))
    op = build(Resize, 1, sizes=target, mode=mode, coordinate_mode=coordinate_mode)
    sizes = np.array(target, np.int64)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinate_mode}
    check(op, [x], "Resize", opset=19, node_arrays=[x, None, None, sizes], **attributes)


@pytest.mark.parametrize("nearest_mode", NEAREST_MODES)
@pytest.mark.parametrize("coordinate_mode", ["asymmetric", "half_pixel", "align_corners"])
def test_resize_by_scales(nearest_mode: str, coordinate_mode: str) -> None:
    x = normal((1, 2, 5, 6))
    scales = (1.0, 1.0, 1.75, 0.625)
    op = build(Resize, 1, sizes=(1, 2, 8, 3), scales=scales, coordinate_mode=coordinate_mode, nearest_mode=nearest_mode)
    attributes = {"coordinate_transformation_mode": coordinate_mode, "nearest_mode": nearest_mode, "mode": "nearest"}
    check(op, [x], "Resize", opset=19, node_arrays=[x, None, np.array(scales, np.float32)], **attributes)


def test_resize_options_of_cubic() -> None:
    x, target = normal((1, 2, 5, 6)), (1, 2, 9, 11)
    op = build(Resize, 1, sizes=target, mode="cubic", cubic_coefficient=-0.5, exclude_outside=True)
    attributes = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    check(op, [x], "Resize", opset=19, node_arrays=[x, None, None, np.array(target, np.int64)], **attributes)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    check(build(DepthToSpace, 1, block=2, mode=mode), [normal((2, 12, 3, 2))], "DepthToSpace", blocksize=2, mode=mode)


def test_space_to_depth() -> None:
    check(build(SpaceToDepth, 1, block=3), [normal((2, 2, 6, 9))], "SpaceToDepth", blocksize=3)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, -1])
def test_cum_sum(axis: int, exclusive: bool, reverse: bool) -> None:
    flags = {"exclusive": exclusive, "reverse": reverse}
    for x in (normal((3, 5)), integers((3, 5), -9, 9, dtype=np.int32)):
        arrays = [x, np.array(axis, np.int64)]
        op = build(CumSum, 1, axis=axis, **flags)
        check(op, [x], "CumSum", node_arrays=arrays, **{name: int(flag) for name, flag in flags.items()})


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("k", [-2, 0, 1])
def test_trilu(k: int, upper: bool) -> None:
    x = normal((2, 4, 5))
    check(build(Trilu, 1, k=k, upper=upper), [x], "Trilu", node_arrays=[x, np.array(k, np.int64)], upper=int(upper))


SLICE = {"starts": (0,), "ends": (2,), "axes": (0,), "steps": (1,)}


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (build(Reshape, 1, shape=(4, 2)), [(3, 3)], ["value 8", "limit 9"]),
        (build(Reshape, 1, shape=(-1, 2)), [(3, 3)], ["limit 9"]),
        (build(Reshape, 1, shape=(-1, -1)), [(3, 3)], ["(-1, -1)"]),
        (build(Reshape, 1, shape=(-1, 0)), [(3, 3)], ["(-1, 0)"]),
        (build(Transpose, 1, perm=(0, 0)), [(3, 3)], ["repeated"]),
        (build(Transpose, 1, perm=(0,)), [(3, 3)], ["every axis"]),
        (build(Concat, 2, axis=0), [(3, 3), (3, 2)], ["(3, 2)", "(3, 3)"]),
        (build(Split, 1, outputs=2, axis=0, sizes=(1, 3)), [(3, 3)], ["add up", "limit 3"]),
        (build(Split, 1, outputs=3, axis=0, sizes=(1, 2)), [(3, 3)], ["outputs", "value 3"]),
        (build(Slice, 1, **(SLICE | {"ends": (0,)})), [(3, 3)], ["without elements"]),
        (build(Slice, 1, **(SLICE | {"steps": (0,)})), [(3, 3)], ["step 0"]),
        (build(Slice, 1, **(SLICE | {"axes": (2,)})), [(3, 3)], ["axis", "value 2"]),
        (build(Pad, 1, pads=(1, 1)), [(3, 3)], ["pads", "limit 4"]),
        (build(Pad, 1, pads=(3, 0), mode="reflect"), [(3,)], ["reflect", "(3, 0)"]),
        (build(Pad, 1, pads=(-2, -1)), [(3,)], ["without elements"]),
        (build(Expand, 1, shape=(2,)), [(3,)], ["broadcast"]),
        (build(Tile, 1, repeats=(2,)), [(3, 3)], ["repeats"]),
        (build(Gather, 2, axis=2), [(3, 3), (1,)], ["axis"]),
        (build(GatherElements, 2, axis=0), [(3, 3), (1, 4)], ["(1, 4)"]),
        (build(GatherNd, 2), [(3, 3), (1, 3)], ["rank", "value 3"]),
        (build(ScatterNd, 3), [(3, 3), (1, 1), (1, 2)], ["updates", "limit (1, 3)"]),
        (build(Resize, 1, sizes=(3, 0)), [(3, 3)], ["sizes", "(3, 0)"]),
        (build(Resize, 1, sizes=(3, 3), mode="lanczos"), [(3, 3)], ["lanczos"]),
        (build(DepthToSpace, 1, block=2), [(1, 6, 2, 2)], ["channels", "limit 6"]),
        (build(SpaceToDepth, 1, block=2), [(1, 6, 2, 3)], ["height", "(2, 3)"]),
        (build(CumSum, 1, axis=2), [(3, 3)], ["axis"]),
        (build(Trilu, 1), [(3,)], ["rank of at least 2"]),
    ],
)
def test_misfits_are_refused(op: Any, shapes: list[tuple[int, ...]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32) for shape in shapes]))
    for word in [op.kind, "'node'", *words]:
        assert word in str(caught.value)
