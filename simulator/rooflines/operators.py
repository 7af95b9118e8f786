"""From a network's operators to their work: the loop nests' accesses by the conventions of a `Counting`.

Operator names are never looked at but to tell layers apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from model_ir.graph import Graph
from model_ir.loop_nest import Access, LoopNest
from simulator.rooflines.counting import DEFAULT_COUNTING, Counting
from simulator.rooflines.formats import Number, Storage
from simulator.rooflines.work import Operator, Work, elementwise_work, matmul_work

Bits = Mapping[str, Number]
"""Bits of one number of every tensor."""


def operators_of(graph: Graph, storage: Storage, counting: Counting = DEFAULT_COUNTING) -> tuple[Operator, ...]:
    """Every operator that costs anything, in order.

    Parameters are as wide as `storage` says of weights (more than one axis) or vectors; what is written, read again and
    an output of the network (keys and values) as the cache; whole numbers of 32 bits and more (token ids) as they are.
    A matmul's result is as wide as its sums where a function of `counting.wide_before` reads it. Where one of
    `counting.fused_functions` alone reads it, only that function's result crosses.
    """
    nests = [graph.nest_of(op) for op in graph.ops]
    fused = _fused(graph, nests, counting)
    bits = tensor_bits(graph, nests, storage, counting, fused)
    handed_on = _handed_on(nests, counting)
    return tuple(
        Operator(
            name=nest.name,
            layer=layer_of(nest.name),
            kind=kind_of(nest),
            work=nest_work(nest, _as_read(nest, bits, handed_on), storage, counting, inside=fused.get(nest.name)),
        )
        for nest in nests
        if nest.function not in counting.ignored_functions
    )


def layer_of(name: str) -> str:
    """The layer an operator belongs to: its name up to the first number that ends a component, or its first component
    ("layers.0.attention.query" is of "layers.0", "pooler.dense" of "pooler")."""
    numbered = re.match(r".*?\d+(?=[./]|$)", name)
    return numbered[0] if numbered else re.match(r"[./]?[^./]*", name)[0]  # type: ignore[index]


def kind_of(nest: LoopNest) -> str:
    """The function, and whether a matmul or convolution has no parameters."""
    if nest.kind == "mac" and not nest.reads[1].constant:
        return f"{nest.function} of activations"
    return nest.function


def tensor_bits(
    graph: Graph, nests: Sequence[LoopNest], storage: Storage, counting: Counting, fused: Mapping[str, str]
) -> dict[str, Number]:
    """Bits of one number of every tensor; `fused` names the tensors that functions on the way out take over."""
    bits: dict[str, Number] = {}
    for name, tensor in graph.tensors.items():
        whole = not tensor.precision.is_float and tensor.precision.bits >= 32
        vector = sum(size > 1 for size in tensor.shape) <= 1
        if name in graph.parameters:
            bits[name] = (counting.scale_bits or storage.vectors_bits) if vector else storage.weights_bits
        else:
            bits[name] = tensor.precision.bits if whole else storage.activations_bits
    readers: dict[str, list[LoopNest]] = {}
    for nest in nests:
        for access in nest.reads:
            readers.setdefault(access.tensor, []).append(nest)
    cached = {name for name in graph.outputs if name in readers}
    taken_over = set(fused.values())
    for nest in nests:
        result = nest.write.tensor
        if result in cached:
            bits[result] = storage.cache_bits
        elif nest.function in counting.ignored_functions and nest.reads and not nest.reads[0].constant:
            bits[result] = bits[nest.reads[0].tensor]
        elif nest.kind == "mac" and result not in taken_over and _read_wide(result, readers, counting):
            bits[result] = storage.sums_bits
    return bits


def nest_work(
    nest: LoopNest,
    bits: Bits,
    storage: Storage,
    counting: Counting = DEFAULT_COUNTING,
    *,
    inside: str | None = None,
) -> Work:
    """The work of one loop nest, tensors as wide as `bits` says. `inside` is the tensor that it takes from the matmul
    before it on the way out, which then has its result for its own."""
    if nest.kind == "mac":
        return _mac_work(nest, bits, storage, counting)
    streams = [access for access in nest.reads if not _is_vector(access)]
    vectors = [access for access in nest.reads if _is_vector(access)]
    row = streams[0] if streams else nest.write
    work = elementwise_work(
        nest.function,
        elements=nest.points if nest.kind == "elementwise" else 0,
        flops_per_element=nest.flops_per_point,
        read_bytes=sum(_bytes(access, bits) for access in streams if access.tensor != inside),
        vector_bytes=sum(_bytes(access, bits) for access in vectors),
        result_bytes=_bytes(nest.write, bits),
        row_bytes=(nest.write.shape[-1] if nest.write.shape else 1) * bits[row.tensor] / 8,
        counting=counting,
    )
    return replace(work, result_bytes=0) if inside else work


def _mac_work(nest: LoopNest, bits: Bits, storage: Storage, counting: Counting) -> Work:
    """Rows are the loops of the first operand and the result alone, columns those of the second and the result,
    repeats those of all three, depth the rest."""
    first, second, *bias = nest.reads
    in_first, in_second, in_result = (_loops(access) for access in (first, second, nest.write))
    extents = {"repeats": 1, "rows": 1, "columns": 1, "depth": 1}
    for name, size in nest.dims:
        if name not in in_result:
            extents["depth"] *= size
        elif name in in_first and name in in_second:
            extents["repeats"] *= size
        else:
            extents["rows" if name in in_first else "columns"] *= size
    return matmul_work(
        **extents,
        first_bits=bits[first.tensor],
        second_bits=bits[second.tensor],
        result_bits=bits[nest.write.tensor],
        sums_bits=storage.sums_bits,
        bias_bits=(counting.bias_bits or storage.vectors_bits) if bias else None,
        bias_elements=_elements(bias[0]) if bias else None,
        first_elements=_elements(first) / extents["repeats"],
        halo_elements=_halo_elements(first, nest) / extents["repeats"],
        taps=_taps(first, nest),
        counting=counting,
        function=nest.function,
    )


def _halo_elements(access: Access, nest: LoopNest) -> float:
    """Elements of all repeats that two neighbouring blocks of rows share: windows overlap on the outermost axis that a
    window slides along by its reach less its stride."""
    sizes = dict(nest.dims)
    written = _loops(nest.write)
    for place, index in enumerate(access.indices):
        strides = [step for loop, step in index.terms if loop in written]
        taps = [(sizes[loop], step) for loop, step in index.terms if loop not in written]
        if strides and taps and len(index.terms) > 1:
            reach = 1 + sum((count - 1) * step for count, step in taps)
            return max(0, reach - min(strides)) * prod(access.shape[place + 1 :])
    return 0


def _handed_on(nests: Sequence[LoopNest], counting: Counting) -> set[str]:
    """Tensors that a matmul takes where they are made, also through moves that cost nothing."""
    tensors: set[str] = set()
    for nest in nests:
        moved = nest.function in counting.ignored_functions and any(read.tensor in tensors for read in nest.reads)
        if moved or nest.function in counting.handed_on:
            tensors.add(nest.write.tensor)
    return tensors


def _as_read(nest: LoopNest, bits: Bits, handed_on: set[str]) -> Bits:
    """`bits` as `nest` sees them: nothing of what is handed on to it crosses."""
    taken = [access.tensor for access in nest.reads if access.tensor in handed_on] if nest.kind == "mac" else []
    return {**bits, **dict.fromkeys(taken, 0)} if taken else bits


def _taps(access: Access, nest: LoopNest) -> int:
    """Points of a window in one channel: the loops that share an index of the input with one of the result's."""
    sizes, written = dict(nest.dims), _loops(nest.write)
    windows = [index for index in access.indices if len(index.terms) > 1]
    return prod(sizes[loop] for index in windows for loop, _ in index.terms if loop not in written)


def _fused(graph: Graph, nests: Sequence[LoopNest], counting: Counting) -> dict[str, str]:
    """For every function done on the way out of a matmul, by name: the tensor it takes from there. Chains count."""
    uses: dict[str, int] = dict.fromkeys(graph.outputs, 1)
    for nest in nests:
        for access in nest.reads:
            uses[access.tensor] = uses.get(access.tensor, 0) + 1
    on_the_way: set[str] = set()
    fused: dict[str, str] = {}
    for nest in nests:
        if nest.kind == "mac":
            on_the_way.add(nest.write.tensor)
        elif nest.kind == "elementwise" and nest.function in counting.fused_functions:
            source = next((a.tensor for a in nest.reads if a.tensor in on_the_way and uses[a.tensor] == 1), None)
            if source is not None:
                fused[nest.name] = source
                on_the_way.add(nest.write.tensor)
    return fused


def _read_wide(tensor: str, readers: Mapping[str, Sequence[LoopNest]], counting: Counting) -> bool:
    return any(
        nest.function in counting.wide_before
        or (nest.function in counting.ignored_functions and _read_wide(nest.write.tensor, readers, counting))
        for nest in readers.get(tensor, ())
    )


def _is_vector(access: Access) -> bool:
    return access.constant and sum(size > 1 for size in access.shape) <= 1


def _loops(access: Access) -> set[str]:
    return {loop for index in access.indices for loop, step in index.terms if step}


def _elements(access: Access) -> int:
    return access.elements if access.touched_elements is None else access.touched_elements


def _bytes(access: Access, bits: Bits) -> Number:
    return _elements(access) * bits[access.tensor] / 8
