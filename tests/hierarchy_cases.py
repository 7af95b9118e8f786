"""Loop nests and hierarchies for the tests of the general model."""

from __future__ import annotations

from model_ir.loop_nest import Access, AffineIndex, LoopNest
from model_ir.precision import INT8, INT32


def at(*terms: str | tuple[str, int], offset: int = 0) -> AffineIndex:
    return AffineIndex(terms=tuple((term, 1) if isinstance(term, str) else term for term in terms), offset=offset)


def access(tensor: str, shape: tuple[int, ...], *indices: AffineIndex) -> Access:
    return Access(tensor=tensor, shape=shape, indices=indices, precision=INT8)


def mac(name: str, dims: dict[str, int], first: Access, second: Access, write: Access) -> LoopNest:
    return LoopNest(
        name=name,
        kind="mac",
        function=name,
        dims=tuple(dims.items()),
        reads=(first, second),
        write=write,
        flops_per_point=2.0,
    )


def matmul(rows: int, inner: int, columns: int, batch: int = 1) -> LoopNest:
    return mac(
        "matmul",
        {"b": batch, "i": rows, "j": columns, "k": inner},
        access("a", (batch, rows, inner), at("b"), at("i"), at("k")),
        access("b", (batch, inner, columns), at("b"), at("k"), at("j")),
        access("c", (batch, rows, columns), at("b"), at("i"), at("j")),
    )


def convolution(
    out: int,
    kernel: int,
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    groups: int = 1,
    images: int = 1,
    out_rows: int | None = None,
    kernel_rows: int | None = None,
) -> LoopNest:
    """`out` columns (and rows) of `out_channels` a group, each over `in_channels` a group."""
    rows = out if out_rows is None else out_rows
    taps = kernel if kernel_rows is None else kernel_rows
    height, width = (
        max(1, (size - 1) * stride + (reach - 1) * dilation + 1 - 2 * pad)
        for size, reach in ((rows, taps), (out, kernel))
    )
    return mac(
        "conv",
        {"n": images, "g": groups, "oc": out_channels, "p": rows, "q": out, "ic": in_channels, "r": taps, "s": kernel},
        access(
            "x",
            (images, height, width, groups * in_channels),
            at("n"),
            at(("p", stride), ("r", dilation), offset=-pad),
            at(("q", stride), ("s", dilation), offset=-pad),
            at(("g", in_channels), "ic"),
        ),
        access(
            "w",
            (taps, kernel, in_channels, groups * out_channels),
            at("r"),
            at("s"),
            at("ic"),
            at(("g", out_channels), "oc"),
        ),
        Access(
            tensor="y",
            shape=(images, rows, out, groups * out_channels),
            indices=(at("n"), at("p"), at("q"), at(("g", out_channels), "oc")),
            precision=INT32,
        ),
    )
