"""From a LoopNest to the ArrayNest it is on Gemmini's array, by the roles of the loops alone.

A loop in the accesses of A and C only runs over pixels, of B and C over output channels, of A and B over the reduction,
of all three over independent repeats. Operator names are never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

from model_ir.errors import InputError
from model_ir.loop_nest import Access, LoopNest
from simulator.array_nest import ArrayNest, Repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """One loop and by how many elements a step of it moves in each operand; `along` are the axes of A it
    runs along, `axis` the one of them whose bounds it can leave."""

    size: int
    a: int
    b: int
    c: int
    bias: int
    axis: int | None
    along: frozenset[int] = frozenset()

    def holds(self, inner: _Loop) -> bool:
        """Whether this loop and `inner` together are one contiguous loop in every operand."""
        pairs = ((self.a, inner.a), (self.b, inner.b), (self.c, inner.c), (self.bias, inner.bias))
        return self.axis is None and inner.axis is None and all(outer == step * inner.size for outer, step in pairs)

    def around(self, inner: _Loop) -> _Loop:
        """This loop and `inner` as one."""
        return replace(inner, size=self.size * inner.size, along=self.along | inner.along)


_NO_LOOP = _Loop(size=1, a=0, b=0, c=0, bias=0, axis=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """One direction of the image: the pixel loop and the kernel loop along it, and A's axis where its bounds matter."""

    pixel: _Loop = _NO_LOOP
    kernel: _Loop = _NO_LOOP
    axis: int | None = None

    @property
    def first_axis(self) -> int:
        """The outermost axis of A it runs along."""
        bounded: tuple[int, ...] = () if self.axis is None else (self.axis,)
        axes: tuple[int, ...] = (*bounded, *self.pixel.along, *self.kernel.along)
        return min(axes)

    @property
    def steps(self) -> tuple[int, ...]:
        """Elements of A that its loops move by."""
        return tuple(loop.a for loop in (self.pixel, self.kernel) if loop.size > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A window in numbers: input elements `size` apart by `unit` elements of A, as stride, dilation and padding."""

    size: int
    stride: int
    dilation: int
    pad: int


def array_nest(nest: LoopNest) -> ArrayNest:
    """The matmul or convolution that a "mac" nest is on the array.

    Loops that are contiguous in every operand are merged first, so a 1x1 convolution is a matmul over all its pixels.
    Raises InputError naming the loop or operand that has no place in that form.
    """
    path = f"nest {nest.name}"
    if nest.kind != "mac" or len(nest.reads) not in (2, 3):
        raise InputError(path, "not a multiply-accumulate of two operands and an optional bias", value=nest.function)
    first, second = nest.reads[:2]
    try:
        return _view(nest, first, second)
    except InputError as error:
        if len(nest.reads) == 3:
            raise
        try:
            return _view(nest, second, first)  # C transposed = B transposed x A transposed
        except InputError:
            raise error from None


def _view(nest: LoopNest, a: Access, b: Access) -> ArrayNest:
    path = f"nest {nest.name}"
    bias = nest.reads[2] if len(nest.reads) == 3 else None
    for operand in (b, nest.write, *(() if bias is None else (bias,))):
        if _bounded_axes(nest, operand):
            raise InputError(f"{path}: {operand.tensor}", "only the first operand may be offset or padded")
    groups = _by_role(nest, a, b, bias)
    pixels, reductions = _merged(groups["pixel"]), _merged(groups["reduction"], groups["pixel"])
    channels, repeats = _merged(groups["channel"]), list(groups["repeat"])
    out_channel = next((loop for loop in channels if loop.c == 1 and (bias is None or loop.bias == 1)), _NO_LOOP)
    if channels and out_channel is _NO_LOOP and bias is None and any(loop.c == 1 for loop in pixels):
        raise InputError(f"{path}: {nest.write.tensor}", "contiguous along pixels, not along output channels")
    repeats += [loop for loop in channels if loop is not out_channel]
    if any(loop.bias for loop in (*pixels, *reductions)):
        raise InputError(f"{path}: {nest.reads[2].tensor}", "a bias is one value per output channel")

    in_channel = next((loop for loop in reductions if loop.a == 1 and loop.axis is None), _NO_LOOP)
    transposed = _transposed_pixel(pixels, reductions) if in_channel is _NO_LOOP else None
    if transposed is not None:
        in_channel = reductions[0]
        repeats += [loop for loop in pixels if loop is not transposed]
        pixels = [transposed]
    kernels = [loop for loop in reductions if loop is not in_channel]
    pixels, apart = _in_one_plane(pixels, kernels)
    repeats += apart
    image, windows, spilled = _windows(path, nest, a, pixels, kernels)
    repeats += spilled
    if transposed is None:
        plane = _plane(path, a, image, windows, in_channel)
        if plane is None:
            repeats.append(image)
            image = _NO_LOOP
            plane = _plane(path, a, image, windows, in_channel)
        assert plane is not None
        rows, columns, a_stride = plane
    else:
        rows = _Line(size=1, stride=1, dilation=1, pad=0)
        columns = _Line(size=transposed.size, stride=1, dilation=1, pad=0)
        a_stride = in_channel.a
    row, column = windows
    b_stride, transpose_b = _weights(path, b, row.kernel, column.kernel, in_channel, out_channel)
    c_stride = _result_stride(path, nest.write, image, row.pixel, column.pixel, out_channel)
    return ArrayNest(
        images=image.size,
        out_rows=row.pixel.size,
        out_columns=column.pixel.size,
        out_channels=out_channel.size,
        kernel_rows=row.kernel.size,
        kernel_columns=column.kernel.size,
        in_channels=in_channel.size,
        in_rows=rows.size,
        in_columns=columns.size,
        row_stride=rows.stride,
        column_stride=columns.stride,
        row_dilation=rows.dilation,
        column_dilation=columns.dilation,
        top_pad=rows.pad,
        left_pad=columns.pad,
        a_stride=a_stride,
        b_stride=b_stride,
        c_stride=c_stride,
        repeats=tuple(
            Repeat(count=loop.size, a_stride=loop.a, b_stride=loop.b, c_stride=loop.c, bias_stride=loop.bias)
            for loop in _merged(repeats)
        ),
        transpose_a=transposed is not None,
        transpose_b=transpose_b,
        bias=bias is not None,
    )


def _bounded_axes(nest: LoopNest, access: Access) -> tuple[int, ...]:
    """Axes whose index has an offset or leaves the tensor somewhere in the iteration space."""
    sizes = dict(nest.dims)
    found = []
    for axis, (index, extent) in enumerate(zip(access.indices, access.shape, strict=True)):
        reach = [coefficient * (sizes[name] - 1) for name, coefficient in index.terms]
        low = index.offset + sum(step for step in reach if step < 0)
        high = index.offset + sum(step for step in reach if step > 0)
        if index.offset or low < 0 or high >= extent:
            found.append(axis)
    return tuple(found)


def _coefficients(access: Access | None) -> dict[str, int]:
    """Elements of storage that one step of each loop moves by."""
    steps: dict[str, int] = {}
    pitch = 1
    for index, extent in zip(reversed(access.indices), reversed(access.shape), strict=True) if access else ():
        for name, coefficient in index.terms:
            steps[name] = steps.get(name, 0) + coefficient * pitch
        pitch *= extent
    return steps


def _by_role(nest: LoopNest, a: Access, b: Access, bias: Access | None) -> dict[str, list[_Loop]]:
    """The loops of size over 1, as pixel, channel, reduction and repeat loops."""
    steps = [_coefficients(access) for access in (a, b, nest.write, bias)]
    bounded = _bounded_axes(nest, a)
    groups: dict[str, list[_Loop]] = {"pixel": [], "channel": [], "reduction": [], "repeat": []}
    roles = {(1, 0, 1): "pixel", (0, 1, 1): "channel", (1, 1, 0): "reduction", (1, 1, 1): "repeat"}
    for name, size in nest.dims:
        if size == 1:
            continue
        moves = [step.get(name, 0) for step in steps]
        role = roles.get((int(moves[0] != 0), int(moves[1] != 0), int(moves[2] != 0)))
        if role is None or min(moves) < 0:
            problem = "loop is not a pixel, output-channel, reduction or repeat loop of a matmul or convolution"
            raise InputError(f"nest {nest.name}: loop {name}", problem)
        along = frozenset(axis for axis, index in enumerate(a.indices) if name in dict(index.terms))
        axis = next((axis for axis in bounded if axis in along), None)
        if axis is not None and (role == "repeat" or len(along) > 1):
            raise InputError(
                f"nest {nest.name}: loop {name}", "runs along a padded axis of the input and elsewhere too"
            )
        groups[role].append(_Loop(size=size, a=moves[0], b=moves[1], c=moves[2], bias=moves[3], axis=axis, along=along))
    return groups


def _merged(loops: Sequence[_Loop], across: Sequence[_Loop] = ()) -> list[_Loop]:
    """Loops with contiguous neighbours joined, coarsest first; reductions that windows of the `across` loops share stay
    apart."""
    merged: list[_Loop] = []
    for loop in sorted(loops, key=lambda loop: (loop.c, loop.a, loop.b), reverse=True):
        outer = merged[-1] if merged else None
        shared = outer is not None and any(loop.a <= other.a < outer.a * outer.size for other in across)
        if outer is not None and outer.holds(loop) and not shared:
            merged[-1] = outer.around(loop)
        else:
            merged.append(loop)
    return merged


def _in_one_plane(pixels: Sequence[_Loop], kernels: Sequence[_Loop]) -> tuple[list[_Loop], list[_Loop]]:
    """Pixel loops whose results follow each other at one step, and those that do not and no window needs."""
    kept: list[_Loop] = []
    apart = []
    step = 0
    for loop in sorted(pixels, key=lambda loop: loop.c):
        in_window = loop.axis is not None or any(loop.along & kernel.along for kernel in kernels)
        if in_window or step in (0, loop.c):
            kept.append(loop)
            step = loop.c * loop.size
        else:
            apart.append(loop)
    return kept, apart


def _transposed_pixel(pixels: Sequence[_Loop], reductions: Sequence[_Loop]) -> _Loop | None:
    """The pixel loop along which A is contiguous, where A is stored transposed."""
    if len(reductions) != 1 or reductions[0].axis is not None:
        return None
    return next((loop for loop in pixels if loop.a == 1 and loop.axis is None), None)


def _windows(
    path: str, nest: LoopNest, a: Access, pixels: Sequence[_Loop], kernels: Sequence[_Loop]
) -> tuple[_Loop, tuple[_Window, _Window], list[_Loop]]:
    """The image loop, the row and column windows, and the pixel loops left over for repeats."""
    windows = []
    for axis in _bounded_axes(nest, a):
        along = [[loop for loop in loops if loop.axis == axis] for loops in (pixels, kernels)]
        if max(len(loops) for loops in along) > 1:
            raise InputError(path, "several pixel or several kernel loops run along one padded axis of the input")
        pixel, kernel = (loops[0] if loops else _NO_LOOP for loops in along)
        windows.append(_Window(pixel=pixel, kernel=kernel, axis=axis))
    free = [loop for loop in pixels if loop.axis is None]
    for kernel in (loop for loop in kernels if loop.axis is None):
        pixel = next((loop for loop in free if loop.along & kernel.along), _NO_LOOP)
        free = [loop for loop in free if loop is not pixel]
        windows.append(_Window(pixel=pixel, kernel=kernel))
    if len(windows) > 2:
        raise InputError(path, "more than two window directions", value=len(windows), limit=2)
    free.sort(key=lambda loop: loop.c)
    while free and len(windows) < 2:
        windows.append(_Window(pixel=free.pop(0)))
    windows.sort(key=lambda window: (_axis_pitch(a, window.axis) or min(window.steps, default=0), -window.first_axis))
    windows.reverse()
    if not windows or len(windows) == 1:
        windows = [_Window()] * (2 - len(windows)) + windows
    image = free.pop(0) if free else _NO_LOOP
    return image, (windows[0], windows[1]), free


def _plane(
    path: str, a: Access, image: _Loop, windows: tuple[_Window, _Window], in_channel: _Loop
) -> tuple[_Line, _Line, int] | None:
    """Rows, columns and pixel pitch of A's image; None where the image loop does not step by whole planes."""
    row, column = windows
    pitches = [_axis_pitch(a, window.axis) for window in (row, column)]
    image_steps = (image.a,) if image.size > 1 else ()
    a_stride = pitches[1] or gcd(*column.steps, *row.steps, *image_steps, pitches[0]) or in_channel.size
    coarser = (*row.steps, *image_steps, pitches[0])
    if column.axis is not None:
        in_columns = a.shape[column.axis]
    else:
        in_columns = (pitches[0] or gcd(*coarser)) // a_stride or _extent(column, a_stride)
    row_pitch = in_columns * a_stride
    if pitches[0] not in (0, row_pitch) or any(step % row_pitch for step in row.steps):
        raise InputError(f"{path}: {a.tensor}", "rows of the input are not whole columns apart", value=row.steps)
    in_rows = a.shape[row.axis] if row.axis is not None else image.a // row_pitch or _extent(row, row_pitch)
    if image_steps and image.a != in_rows * row_pitch:
        return None
    for window, unit, size in ((row, row_pitch, in_rows), (column, a_stride, in_columns)):
        if window.axis is None and _extent(window, unit) > size:
            if image_steps:
                return None
            raise InputError(f"{path}: {a.tensor}", "windows run over the end of a row of the input", value=size)
    return (
        _line(a, row, row_pitch, in_rows),
        _line(a, column, a_stride, in_columns),
        a_stride,
    )


def _axis_pitch(a: Access, axis: int | None) -> int:
    """Elements between neighbours along a bounded axis of A; 0 without one."""
    if axis is None:
        return 0
    pitch = 1
    for extent in a.shape[axis + 1 :]:
        pitch *= extent
    return pitch


def _extent(window: _Window, unit: int) -> int:
    """Input elements `unit` apart that the window's loops cover."""
    return 1 + sum((loop.size - 1) * (loop.a // unit) for loop in (window.pixel, window.kernel))


def _line(a: Access, window: _Window, unit: int, size: int) -> _Line:
    return _Line(
        size=size,
        stride=window.pixel.a // unit or 1,
        dilation=window.kernel.a // unit or 1,
        pad=0 if window.axis is None else -a.indices[window.axis].offset,
    )


def _weights(
    path: str, b: Access, kernel_row: _Loop, kernel_column: _Loop, in_channel: _Loop, out_channel: _Loop
) -> tuple[int, bool]:
    """B's pitch and whether it is stored [out_channel, in_channel]."""
    kernels = kernel_row.size * kernel_column.size
    if out_channel.size > 1 and out_channel.b != 1:
        if kernels > 1 or (in_channel.size > 1 and in_channel.b != 1):
            raise InputError(f"{path}: {b.tensor}", "contiguous neither along output nor along input channels")
        return out_channel.b, True
    steps = ((in_channel, 1), (kernel_column, in_channel.size), (kernel_row, in_channel.size * kernel_column.size))
    known = [loop.b // rows for loop, rows in steps if loop.size > 1]
    b_stride = known[0] if known else out_channel.size
    if any(loop.size > 1 and loop.b != b_stride * rows for loop, rows in steps):
        raise InputError(f"{path}: {b.tensor}", "kernel positions are not whole blocks of input channels apart")
    return b_stride, False


def _result_stride(path: str, c: Access, image: _Loop, row: _Loop, column: _Loop, out_channel: _Loop) -> int:
    """Elements of C from one pixel to the next."""
    steps = ((column, 1), (row, column.size), (image, column.size * row.size))
    known = [loop.c // pixels for loop, pixels in steps if loop.size > 1]
    c_stride = known[0] if known else out_channel.size
    if any(loop.size > 1 and loop.c != c_stride * pixels for loop, pixels in steps):
        raise InputError(f"{path}: {c.tensor}", "pixels of the result are not a constant step apart")
    return c_stride
