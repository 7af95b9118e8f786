"""Commands and host cycles of tiled_matmul_auto (include/gemmini.h: tiled_matmul_outer, sp_tiled_matmul_ws and
sp_tiled_matmul_os)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.host_calls import HostStream, MatmulCall, Timed, placed, timed_stream
from simulator.host_instructions import MATMUL, OUTPUT_STATIONARY
from simulator.isa_loops import LoopMatmul, loop_ws
from simulator.tiling_search import Sizes, TileSearch, matmul_tile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operand:
    """A row-major matrix in memory: its address, elements to a row, and bytes to an element."""

    address: int
    stride: int
    element_bytes: int

    @property
    def row_bytes(self) -> int:
        return self.stride * self.element_bytes

    def at(self, row: int, column: int) -> int:
        return self.address + (row * self.stride + column) * self.element_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """One call of the inner function: sizes in blocks, elements missing from the last block of each dimension,
    addresses (0: none), and whether the sums start anew."""

    i: int
    j: int
    k: int
    pad_i: int
    pad_j: int
    pad_k: int
    a: int
    b: int
    d: int
    c: int
    starts: bool
    a_half: int = 0
    b_half: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    a: _Operand
    b: _Operand
    d: _Operand
    c: _Operand


def matmul_search(call: MatmulCall, accelerator: Accelerator) -> TileSearch:
    """The tile (i, j, k) in blocks that the library chooses for `call`."""
    dim = accelerator.dim
    share = 2 if call.dataflow == "ws" else 1
    return matmul_tile(
        (-(-call.rows // dim), -(-call.columns // dim), -(-call.depth // dim)),
        dim=dim,
        scratchpad_rows=accelerator.scratchpad_rows // share,
        accumulator_rows=accelerator.accumulator_rows // share,
    )


def matmul_stream(
    call: MatmulCall,
    accelerator: Accelerator,
    *,
    cycles_per_instruction: float,
    at: tuple[int, int, int, int] | None = None,
) -> HostStream:
    """The commands of `call` with the host's cycles around them. A, B, bias and result lie `at` these addresses, by
    default one behind the other.

    Raises InputError for a dataflow that `accelerator` does not have.
    """
    if call.dataflow not in accelerator.array.dataflows:
        raise InputError("matmul.dataflow", f"{accelerator.name} has no such dataflow", value=call.dataflow)
    search = matmul_search(call, accelerator)
    layout = _layout(call, accelerator, at)
    stationary = call.dataflow == "ws"
    timed = list(_configuration(call, layout, search, accelerator))
    before = MATMUL.first_tile
    for position, tile in _tiles(call, layout, search, accelerator.dim):
        if any(position):
            before = MATMUL.next_depth if position[2] else (MATMUL.next_columns if position[1] else MATMUL.next_rows)
        if stationary:
            commands = loop_ws(_loop(call, layout, tile))
            timed.extend(zip((before, *MATMUL.loop), commands, strict=True))
        else:
            inner = _OutputStationary(call=call, layout=layout, tile=tile, accelerator=accelerator)
            timed.extend(inner.commands(before + OUTPUT_STATIONARY.enter))
    instructions = MATMUL if stationary else OUTPUT_STATIONARY
    return timed_stream(timed, instructions.after, instructions.code_lines, cycles_per_instruction)


def _layout(call: MatmulCall, accelerator: Accelerator, at: tuple[int, ...] | None) -> _Layout:
    narrow, wide = accelerator.input_bytes, accelerator.accumulator_bytes
    bias_rows = {"none": 0, "row": 1, "matrix": call.rows}[call.bias]
    bias_bytes = narrow if call.narrow_bias else wide
    result_bytes = wide if call.full_width else narrow
    sizes = (
        call.rows * call.depth * narrow,
        call.depth * call.columns * narrow,
        bias_rows * call.columns * bias_bytes,
        call.rows * call.columns * result_bytes,
    )
    a, b, d, c = at or placed(sizes)
    return _Layout(
        a=_Operand(
            address=a,
            stride=call.a_stride or (call.rows if call.a_transposed else call.depth),
            element_bytes=narrow,
        ),
        b=_Operand(
            address=b,
            stride=call.b_stride or (call.depth if call.b_transposed else call.columns),
            element_bytes=narrow,
        ),
        d=_Operand(address=d, stride=call.columns if call.bias == "matrix" else 0, element_bytes=bias_bytes),
        c=_Operand(address=c, stride=call.c_stride or call.columns, element_bytes=result_bytes),
    )


def _configuration(call: MatmulCall, layout: _Layout, search: TileSearch, accelerator: Accelerator) -> Iterator[Timed]:
    activation = isa.RELU if call.relu else isa.NO_ACTIVATION
    dim = accelerator.dim
    commands = (
        isa.config_ex(
            dataflow=isa.WEIGHT_STATIONARY if call.dataflow == "ws" else isa.OUTPUT_STATIONARY,
            activation=activation,
            a_transposed=call.a_transposed,
            b_transposed=call.b_transposed,
        ),
        isa.config_st(stride_bytes=layout.c.row_bytes, activation=activation),
        isa.config_ld(stride_bytes=layout.a.row_bytes, dim=dim),
        isa.config_ld(stride_bytes=layout.b.row_bytes, load_id=1, dim=dim),
        isa.config_ld(stride_bytes=layout.d.row_bytes, shrink=call.narrow_bias, load_id=2, dim=dim),
    )
    yield from zip((MATMUL.search + MATMUL.search_round * search.rounds, *MATMUL.configure), commands, strict=True)


def _tiles(call: MatmulCall, layout: _Layout, search: TileSearch, dim: int) -> Iterator[tuple[Sizes, _Tile]]:
    """((i, j, k) of the tile, the tile) in the library's order; it keeps an operand on chip that two tiles cover."""
    sizes = (call.rows, call.columns, call.depth)
    steps = tuple(blocks * dim for blocks in search.sizes)
    counts = tuple(-(-size // step) for size, step in zip(sizes, steps, strict=True))
    stationary = call.dataflow == "ws"
    keeps_a, keeps_b = stationary and counts[0] * counts[2] <= 2, stationary and counts[1] * counts[2] <= 2
    for position in product(*(range(count) for count in counts)):
        starts = tuple(index * step for index, step in zip(position, steps, strict=True))
        i, j, k = (min(step, size - start) for step, size, start in zip(steps, sizes, starts, strict=True))
        row, column, depth = starts
        a = layout.a.at(depth, row) if call.a_transposed else layout.a.at(row, depth)
        b = layout.b.at(column, depth) if call.b_transposed else layout.b.at(depth, column)
        biased = call.bias != "none" and depth == 0
        last = position[2] == counts[2] - 1
        yield (
            position,
            _Tile(
                i=-(-i // dim),
                j=-(-j // dim),
                k=-(-k // dim),
                pad_i=-i % dim,
                pad_j=-j % dim,
                pad_k=-k % dim,
                a=0 if keeps_a and position[1] else a,
                b=0 if keeps_b and position[0] else b,
                d=layout.d.at(row if call.bias == "matrix" else 0, column) if biased else 0,
                c=layout.c.at(row, column) if last else 0,
                starts=call.bias == "none" and depth == 0,
                a_half=(1 if position[0] + position[2] == 0 else 2) if keeps_a else 0,
                b_half=(1 if position[1] + position[2] == 0 else 2) if keeps_b else 0,
            ),
        )


def _loop(call: MatmulCall, layout: _Layout, tile: _Tile) -> LoopMatmul:
    return LoopMatmul(
        max_i=tile.i,
        max_j=tile.j,
        max_k=tile.k,
        pad_i=tile.pad_i,
        pad_j=tile.pad_j,
        pad_k=tile.pad_k,
        a_dram_addr=tile.a,
        b_dram_addr=tile.b,
        d_dram_addr=tile.d,
        c_dram_addr=tile.c,
        a_dram_stride=layout.a.stride,
        b_dram_stride=layout.b.stride,
        d_dram_stride=layout.d.stride,
        c_dram_stride=layout.c.stride,
        ex_accumulate=not tile.starts,
        full_c=call.full_width,
        low_d=call.narrow_bias,
        act=isa.RELU if call.relu else isa.NO_ACTIVATION,
        a_transpose=call.a_transposed,
        b_transpose=call.b_transposed,
        a_spad_id=tile.a_half,
        b_spad_id=tile.b_half,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputStationary:
    """One call of sp_tiled_matmul_os: loads of D, B and A, then every preload and compute, then the stores."""

    call: MatmulCall
    layout: _Layout
    tile: _Tile
    accelerator: Accelerator

    def commands(self, enter: int) -> Iterator[Timed]:
        """The tile's commands; `enter` instructions come before the first."""
        timed = [*self._load_d(), *self._load_b(), *self._load_a(), *self._compute()]
        yield enter, timed[0][1]
        yield from timed[1:]
        if self.tile.c:
            yield from self._store()

    def _columns(self, block: int, blocks: int, end: int, pad: int) -> int:
        return blocks * self.accelerator.dim - (pad if block + blocks >= end else 0)

    def _rows(self, block: int, end: int, pad: int) -> int:
        return self._columns(block, 1, end, pad)

    def _step(self, blocks: int, element_bytes: int) -> int:
        """Blocks in one mvin: as many as one request holds (MAX_BLOCK_LEN)."""
        return min(blocks, max(1, self.accelerator.dma.request_bytes // (self.accelerator.dim * element_bytes)))

    def _a_row(self, i: int, k: int) -> int:
        return (i * self.tile.k + k) * self.accelerator.dim

    def _b_row(self, k: int, j: int) -> int:
        tile, dim = self.tile, self.accelerator.dim
        return self.accelerator.scratchpad_rows - tile.k * tile.j * dim + (k * tile.j + j) * dim

    def _c_address(self, i: int, j: int, *, accumulate: bool) -> int:
        row = (i * self.tile.j + j) * self.accelerator.dim
        return isa.local_address(row, accumulator=True, accumulate=accumulate, full_width=self.call.full_width)

    def _load_d(self) -> Iterator[Timed]:
        tile, dim, d = self.tile, self.accelerator.dim, self.layout.d
        if not tile.d:
            return
        step = self._step(tile.j, d.element_bytes)
        yield OUTPUT_STATIONARY.configure_a, isa.config_ld(stride_bytes=d.row_bytes, dim=dim)
        for i in range(tile.i):
            for j in range(0, tile.j, step):
                row = (i * tile.j + j) * dim
                address = tile.d + (i * dim * d.stride + j * dim) * d.element_bytes
                columns = self._columns(j, min(step, tile.j - j), tile.j, tile.pad_j)
                local = isa.local_address(row, accumulator=True)
                yield OUTPUT_STATIONARY.load_a, isa.mvin(address, local, columns, self._rows(i, tile.i, tile.pad_i))

    def _load_b(self) -> Iterator[Timed]:
        tile, dim, b, count = self.tile, self.accelerator.dim, self.layout.b, OUTPUT_STATIONARY
        step = self._step(tile.j, b.element_bytes)
        yield count.configure_a, isa.config_ld(stride_bytes=b.row_bytes, dim=dim)
        for j in range(0, tile.j, step):
            columns = self._columns(j, min(step, tile.j - j), tile.j, tile.pad_j)
            for k in range(tile.k):
                before = count.load_b if k else (count.next_columns_of_b if j else count.first_load_b)
                address = tile.b + (k * dim * b.stride + j * dim) * b.element_bytes
                yield before, isa.mvin(address, self._b_row(k, j), columns, self._rows(k, tile.k, tile.pad_k))

    def _load_a(self) -> Iterator[Timed]:
        tile, dim, a, count = self.tile, self.accelerator.dim, self.layout.a, OUTPUT_STATIONARY
        step = self._step(tile.k, a.element_bytes)
        yield count.configure_a, isa.config_ld(stride_bytes=a.row_bytes, dim=dim)
        for i in range(tile.i):
            for k in range(0, tile.k, step):
                before = count.load_a if k else (count.next_rows_of_a if i else count.first_load_a)
                columns = self._columns(k, min(step, tile.k - k), tile.k, tile.pad_k)
                address = tile.a + (i * dim * a.stride + k * dim) * a.element_bytes
                yield before, isa.mvin(address, self._a_row(i, k), columns, self._rows(i, tile.i, tile.pad_i))

    def _before_preload(self, i: int, j: int, k: int) -> int:
        count = OUTPUT_STATIONARY
        if k:
            return count.last_depth if k == self.tile.k - 1 else count.next_depth
        if j:
            return count.next_columns_of_one if self.tile.k == 1 else count.next_columns
        return count.next_rows if i else count.first_preload

    def _compute(self) -> Iterator[Timed]:
        tile, dim, count = self.tile, self.accelerator.dim, OUTPUT_STATIONARY
        for i, j, k in product(range(tile.i), range(tile.j), range(tile.k)):
            last = k == tile.k - 1
            rows, columns = self._rows(i, tile.i, tile.pad_i), self._rows(j, tile.j, tile.pad_j)
            depth = self._rows(k, tile.k, tile.pad_k)
            result = self._c_address(i, j, accumulate=not tile.starts) if last else isa.GARBAGE
            yield (
                self._before_preload(i, j, k),
                isa.preload(
                    isa.GARBAGE,
                    result,
                    stationary_columns=dim,
                    stationary_rows=dim,
                    result_columns=columns,
                    result_rows=rows,
                ),
            )
            compute = isa.compute_accumulated if k else isa.compute_preloaded
            yield (
                count.compute if k else count.first_compute,
                compute(
                    self._a_row(i, k),
                    self._b_row(k, j),
                    a_columns=depth,
                    a_rows=rows,
                    other_columns=columns,
                    other_rows=depth,
                ),
            )

    def _store(self) -> Iterator[Timed]:
        tile, dim, c, count = self.tile, self.accelerator.dim, self.layout.c, OUTPUT_STATIONARY
        for i, j in product(range(tile.i), range(tile.j)):
            before = count.store if j else (count.next_rows_of_c if i else count.first_store)
            address = tile.c + (i * dim * c.stride + j * dim) * c.element_bytes
            local = self._c_address(i, j, accumulate=True)
            columns, rows = self._rows(j, tile.j, tile.pad_j), self._rows(i, tile.i, tile.pad_i)
            yield before, isa.mvout(address, local, columns, rows)
