"""The array's view of a nest computes what the nest says: both evaluated by brute force on the same flat operands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_strategies import operand_sizes, oracle

from model_ir.errors import InputError
from model_ir.loop_nest import Access, AffineIndex, LoopNest
from model_ir.precision import Precision
from simulator.nest_view import array_nest

INT8 = Precision(bits=8, signed=True)


def on(*loops, offset=0):
    """One axis addressed by loops, given by name or as (name, coefficient)."""
    terms = tuple(loop if isinstance(loop, tuple) else (loop, 1) for loop in loops)
    return AffineIndex(terms=terms, offset=offset)


def access(name, shape, indices):
    """An Access of int8 elements."""
    return Access(tensor=name, shape=tuple(shape), indices=tuple(indices), precision=INT8)


def mac(dims, reads, write):
    return LoopNest(name="n", kind="mac", function="any", dims=dims, reads=reads, write=write, flops_per_point=2.0)


def flat_places(access, values):
    """Flat storage index of `access` at every point of the iteration space (any shape), and whether it is inside the
    tensor."""
    place, inside = 0, True
    for index, extent in zip(access.indices, access.shape, strict=True):
        at = index.offset + sum(coefficient * values[name] for name, coefficient in index.terms)
        place, inside = place * extent + at, inside & (np.asarray(at) >= 0) & (np.asarray(at) < extent)
    return place, inside


def evaluate(nest, operands):
    """The nest point by point: flat result in storage order, exact integers."""
    sizes = [size for _, size in nest.dims]
    grid = np.indices(sizes).reshape(len(sizes), -1)
    values = {name: row for (name, _), row in zip(nest.dims, grid, strict=True)}
    product = np.ones(grid.shape[1], np.int64)
    for read, operand in zip(nest.reads[:2], operands, strict=False):
        place, inside = flat_places(read, values)
        product *= np.where(inside, operand[np.where(inside, place, 0)], 0)
    result = np.zeros(nest.write.elements, np.int64)
    out, inside = flat_places(nest.write, values)
    assert np.all(inside)
    np.add.at(result, out, product)
    if len(nest.reads) == 3:
        place, _ = flat_places(nest.reads[2], values)
        biases = np.zeros_like(result)
        biases[out] = operands[2][place]
        result += biases
    return result


def computed(view, pair, bias, size):
    """The view's result in C's storage; None where this is not the order of its operands."""
    if any(needed > operand.size for needed, operand in zip(elements_read(view), pair, strict=True)):
        return None
    result = np.full(size, 99999)
    at, sums = oracle(view, *pair, *(bias or (None,)))
    result[at.reshape(-1)] = sums.reshape(-1)
    return result


def elements_read(view):
    """Elements up to the last that the view reads of A and B; windows that share pixels end before the last pixel
    does."""
    a, b, *_ = operand_sizes(view)
    return a - max(0, view.in_channels - view.a_stride) * (not view.transpose_a), b


def check(nest):
    """The view of `nest` has its work, reads and writes inside its tensors, and computes the same."""
    view = array_nest(nest)
    assert view.macs == nest.macs
    rng = np.random.default_rng(0)
    operands = [rng.integers(-128, 128, read.elements) for read in nest.reads]
    expected = evaluate(nest, operands)
    orders = (operands[:2], operands[1::-1])  # the view may take the second operand as A
    assert any(np.array_equal(computed(view, pair, operands[2:], expected.size), expected) for pair in orders)
    return view


def matmul(batch_a, batch_b, batch_c, sizes, i, j, k, ta=False, tb=False, bias=False):
    """C[batch, i, j] with the batch loops each operand has."""
    dims = (*((name, size) for name, size in sizes.items()), ("i", i), ("j", j), ("k", k))

    def of(name, batch, rows, columns):
        loops = [*batch, *((columns, rows) if (name == "a" and ta) or (name == "b" and tb) else (rows, columns))]
        extents = dict(dims)
        return access(name, [extents[loop] for loop in loops], [on(loop) for loop in loops])

    reads = [of("a", batch_a, "i", "k"), of("b", batch_b, "k", "j")]
    if bias:
        reads.append(access("bias", (j,), [on("j")]))
    return mac(dims, tuple(reads), of("c", batch_c, "i", "j"))


SMALL = st.integers(1, 5)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    sizes=st.tuples(SMALL, SMALL, SMALL, SMALL, SMALL),
    batch_a=st.sampled_from((("x", "y"), ("x",), ("y",), ())),
    batch_b=st.sampled_from((("x", "y"), ("x",), ("y",), ())),
    ta=st.booleans(),
    tb=st.booleans(),
    bias=st.booleans(),
)
def test_matmuls_with_any_batch_axes(sizes, batch_a, batch_b, ta, tb, bias):
    batch = {name: size for name, size in zip("xy", sizes, strict=False) if name in (*batch_a, *batch_b)}
    check(matmul(batch_a, batch_b, tuple(batch), batch, *sizes[2:], ta=ta, tb=tb, bias=bias))


def test_batch_that_the_weights_do_not_have_is_more_pixels():
    view = check(matmul(("x",), (), ("x",), {"x": 3}, 5, 4, 6))
    assert (view.out_columns, view.repeats) == (15, ())


def test_heads_are_repeats():
    view = check(matmul(("x", "y"), ("x", "y"), ("x", "y"), {"x": 2, "y": 3}, 5, 4, 6))
    assert [repeat.count for repeat in view.repeats] == [6]


def test_attention_over_a_fused_projection():
    """Heads interleaved in the rows of one tensor: [token, head, k] for queries, keys as [token, head, k]."""
    dims = (("h", 3), ("i", 4), ("j", 5), ("k", 8))
    reads = (
        access("q", (4, 3, 8), [on("i"), on("h"), on("k")]),
        access("keys", (5, 3, 8), [on("j"), on("h"), on("k")]),
    )
    view = check(mac(dims, reads, access("s", (3, 4, 5), [on("h"), on("i"), on("j")])))
    assert view.transpose_b
    assert (view.a_stride, view.b_stride, view.repeat_count) == (24, 24, 3)


@st.composite
def convolutions(draw):
    """A 1- or 2-d convolution with groups, strides, pads and dilations, channels last."""
    flat = draw(st.booleans())
    groups, ic, oc, n = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 2)),
    )
    axes = []
    for name in ("w",) if flat else ("h", "w"):
        size, kernel, stride, dilation = (draw(st.integers(1, high)) for high in (7, 3, 3, 2))
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        reach = (kernel - 1) * dilation + 1
        after = max(after, reach - size - before)
        out = (size + before + after - reach) // stride + 1
        axes.append((name, size, kernel, stride, dilation, before, out))
    dims = (
        ("n", n),
        ("g", groups),
        ("oc", oc),
        *((f"o{a[0]}", a[6]) for a in axes),
        ("ic", ic),
        *((f"k{a[0]}", a[2]) for a in axes),
    )
    if groups == 1:
        dims = tuple(dim for dim in dims if dim[0] != "g")
    group_in, group_out = ((("g", ic),), (("g", oc),)) if groups > 1 else ((), ())
    x = access(
        "x",
        (n, *(a[1] for a in axes), groups * ic),
        [on("n"), *(on((f"o{a[0]}", a[3]), (f"k{a[0]}", a[4]), offset=-a[5]) for a in axes), on(*group_in, "ic")],
    )
    w = access(
        "w",
        (*(a[2] for a in axes), ic, groups * oc),
        [*(on(f"k{a[0]}") for a in axes), on("ic"), on(*group_out, "oc")],
    )
    y = access(
        "y",
        (n, *(a[6] for a in axes), groups * oc),
        [on("n"), *(on(f"o{a[0]}") for a in axes), on(*group_out, "oc")],
    )
    bias = (access("bias", (groups * oc,), [on(*group_out, "oc")]),) if draw(st.booleans()) else ()
    return mac(dims, (x, w, *bias), y)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(nest=convolutions())
def test_convolutions(nest):
    view = check(nest)
    sizes = dict(nest.dims)
    assert view.repeat_count % sizes.get("g", 1) == 0


def conv(n, h, w, ic, oc, kernel, stride, pad):
    out = [(size + 2 * pad - kernel) // stride + 1 for size in (h, w)]
    dims = (("n", n), ("oc", oc), ("oh", out[0]), ("ow", out[1]), ("ic", ic), ("kh", kernel), ("kw", kernel))
    x = access(
        "x",
        (n, h, w, ic),
        [on("n"), on(("oh", stride), "kh", offset=-pad), on(("ow", stride), "kw", offset=-pad), on("ic")],
    )
    weights = access("w", (kernel, kernel, ic, oc), [on(name) for name in ("kh", "kw", "ic", "oc")])
    y = access("y", (n, *out, oc), [on(name) for name in ("n", "oh", "ow", "oc")])
    return mac(dims, (x, weights), y)


def test_pointwise_convolution_is_a_matmul_over_all_its_pixels():
    view = check(conv(2, 6, 5, 3, 4, kernel=1, stride=1, pad=0))
    assert (view.images, view.out_rows, view.out_columns) == (1, 1, 60)


def test_patches_are_one_long_reduction():
    """A convolution whose windows do not overlap reads whole rows of each patch at once."""
    view = check(conv(1, 8, 12, 3, 4, kernel=4, stride=4, pad=0))
    assert (view.kernel_rows, view.kernel_columns, view.in_channels) == (4, 1, 12)


def test_depthwise_convolution_is_repeats_over_channels():
    dims = (("g", 5), ("oh", 4), ("ow", 4), ("kh", 3), ("kw", 3))
    x = access("x", (4, 4, 5), [on("oh", "kh", offset=-1), on("ow", "kw", offset=-1), on("g")])
    w = access("w", (3, 3, 1, 5), [on("kh"), on("kw"), on(), on("g")])
    y = access("y", (4, 4, 5), [on("oh"), on("ow"), on("g")])
    view = check(mac(dims, (x, w), y))
    assert (view.repeat_count, view.in_channels, view.out_channels) == (5, 1, 1)


def test_three_padded_directions_are_refused():
    names = ("d", "h", "w")
    dims = (*((f"o{a}", 3) for a in names), *((f"k{a}", 3) for a in names), ("ic", 2), ("oc", 2))
    x = access("x", (3, 3, 3, 2), [*(on(f"o{a}", f"k{a}", offset=-1) for a in names), on("ic")])
    w = access("w", (3, 3, 3, 2, 2), [*(on(f"k{a}") for a in names), on("ic"), on("oc")])
    y = access("y", (3, 3, 3, 2), [*(on(f"o{a}") for a in names), on("oc")])
    with pytest.raises(InputError, match="window directions"):
        array_nest(mac(dims, (x, w), y))


def test_a_full_matrix_of_biases_is_refused():
    nest = matmul((), (), (), {}, 3, 4, 5)
    bias = access("bias", (3, 4), [on("i"), on("j")])
    with pytest.raises(InputError, match="one value per output channel"):
        array_nest(mac(nest.dims, (*nest.reads, bias), nest.write))


def test_an_elementwise_nest_is_refused():
    nest = matmul((), (), (), {}, 3, 4, 5)
    with pytest.raises(InputError, match="not a multiply-accumulate"):
        array_nest(
            LoopNest(
                name="e",
                kind="elementwise",
                function="add",
                dims=nest.dims,
                reads=nest.reads,
                write=nest.write,
                flops_per_point=1.0,
            )
        )
