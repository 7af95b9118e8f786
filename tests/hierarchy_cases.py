"""Loop nests and hierarchies for the tests of the general model."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from model_ir.loop_nest import Access, AffineIndex, LoopNest
from model_ir.precision import INT8, INT32
from simulator.hierarchy.description import ROLES, Hierarchy, Level, SpatialAxis, WordBits
from simulator.hierarchy.mapping import HierarchyMapping, LevelMapping, SpatialLoop, TemporalLoop
from simulator.hierarchy.nest import TensorNest


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


@st.composite
def small_nests(draw: st.DrawFn, *, points: int = 400) -> LoopNest:
    """Matmuls and convolutions of at most `points` multiply-accumulates."""
    if draw(st.booleans()):
        nest = matmul(*(draw(st.integers(1, 7)) for _ in range(3)), batch=draw(st.integers(1, 2)))
    else:
        nest = convolution(
            draw(st.integers(1, 5)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 3)),
            stride=draw(st.integers(1, 3)),
            dilation=draw(st.integers(1, 2)),
            pad=draw(st.integers(0, 1)),
            groups=draw(st.integers(1, 2)),
            out_rows=draw(st.integers(1, 3)),
            kernel_rows=draw(st.integers(1, 2)),
        )
    assume(nest.points <= points)
    return nest


@st.composite
def windows(draw: st.DrawFn) -> LoopNest:
    """Convolutions along one line."""
    return convolution(
        draw(st.integers(3, 12)),
        draw(st.integers(2, 3)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        stride=draw(st.integers(1, 2)),
        dilation=draw(st.integers(1, 2)),
        pad=draw(st.integers(0, 1)),
        out_rows=1,
        kernel_rows=1,
    )


@st.composite
def machines(draw: st.DrawFn, *, keeps_overlap: bool | None = None) -> Hierarchy:
    """Hierarchies of two to four levels that store, spread, multicast, add and keep windows at random."""
    roles = st.lists(st.sampled_from(ROLES), unique=True).map(tuple)
    levels = []
    for index in range(draw(st.integers(2, 4))):
        fanout = tuple(
            SpatialAxis(
                name=f"axis{number}",
                size=draw(st.integers(1, 4)),
                multicast=tuple(role for role in draw(roles) if role != "outputs"),
                reduces_outputs=draw(st.booleans()),
            )
            for number in range(draw(st.integers(0, 2)))
        )
        level = Level(
            name=f"level{index}",
            stores=ROLES if index == 0 else draw(roles.filter(bool)),
            read_bytes_per_cycle=draw(st.sampled_from((None, 1.0, 3.0))),
            write_bytes_per_cycle=draw(st.sampled_from((None, 1.0, 3.0))),
            shared_bytes_per_cycle=draw(st.sampled_from((None, 2.0))),
            read_pj_per_byte=2.0,
            write_pj_per_byte=3.0,
            accumulates=draw(st.booleans()),
            streams=draw(st.booleans()),
            keeps_overlap=draw(st.booleans()) if keeps_overlap is None else keeps_overlap,
            fanout=fanout,
            network_pj_per_byte=0.5,
        )
        levels.append(level)
    return Hierarchy(
        name="random",
        description="random",
        clock_hz=1e9,
        mac_pj=1.0,
        word_bits=WordBits(inputs=8, weights=4, outputs=8, partial_sums=24),
        levels=tuple(levels),
    )


@st.composite
def mappings(draw: st.DrawFn, nest: TensorNest, machine: Hierarchy) -> HierarchyMapping:
    """Any tiling, order and spreading with any operands passing by; capacities are not looked at."""
    extents = dict(nest.dims)
    levels = []
    for index, level in enumerate(machine.levels):
        last = index == len(machine.levels) - 1
        temporal, spatial = draw(_last_loops(extents, level) if last else _loops(extents, level))
        keeps = ROLES if index == 0 else tuple(role for role in level.stores if draw(st.integers(0, 3)))
        doubled = tuple(role for role in keeps if index and draw(st.booleans()))
        levels.append(LevelMapping(temporal=temporal, spatial=spatial, keeps=keeps, double_buffered=doubled))
    return HierarchyMapping(levels=tuple(levels))


Loops = tuple[tuple[TemporalLoop, ...], tuple[SpatialLoop, ...]]


@st.composite
def _loops(draw: st.DrawFn, extents: dict[str, int], level: Level) -> Loops:
    """A few loops over what is left of `extents`, which they cut down."""
    temporal, spatial = [], []
    if not extents:
        return (), ()
    dims = st.sampled_from(tuple(extents))
    for dim in draw(st.lists(dims, max_size=4)):
        extents[dim] = draw(st.integers(1, extents[dim]))
        temporal.append(TemporalLoop(dim=dim, tile=extents[dim]))
    for axis in level.fanout:
        dim = draw(dims)
        extents[dim] = draw(st.integers(-(-extents[dim] // axis.size), extents[dim]))
        spatial.append(SpatialLoop(dim=dim, tile=extents[dim], axis=axis.name))
    return tuple(temporal), tuple(spatial)


@st.composite
def _last_loops(draw: st.DrawFn, extents: dict[str, int], level: Level) -> Loops:
    """Loops, in any order, that leave one position of every dim."""
    temporal, spatial = [], []
    room = {axis.name: axis.size for axis in level.fanout}
    for dim in draw(st.permutations(tuple(extents))):
        axis = draw(st.sampled_from(("", *room)))
        instances = draw(st.integers(1, min(extents[dim], room[axis]))) if axis else 1
        if instances < extents[dim]:
            temporal.append(TemporalLoop(dim=dim, tile=instances))
        if instances > 1:
            spatial.append(SpatialLoop(dim=dim, tile=1, axis=axis))
            room[axis] //= instances
    return tuple(temporal), tuple(spatial)
