"""LUTs by the bits of every layer's operands: a table for the bit allocation, from the firmware estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.allocation.costs import Product, tabulated
from hls.allocation.network import Quantisable, quantisable
from hls.allocation.problem import Amount
from hls.resources.adders import Integers, unrolled
from hls.resources.calibration import Calibration, vivado
from hls.resources.estimate import luts
from hls.resources.layers import output_rows
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul


def lut_table(
    graph: Graph,
    choices: Mapping[str, Sequence[int]],
    *,
    parameters: Mapping[str, npt.NDArray[Any]] | None = None,
    groups: int = 1,
    fixed: Mapping[str, int] | None = None,
    calibration: Calibration | None = None,
) -> Amount:
    """LUTs of the float `graph` fully unrolled (latency strategy, reuse 1) for all `choices` of bits: "luts".

    The variables are those of `hls.allocation.network.quantisable` with so many `groups`; one that is not in `choices`
    has the bits of `fixed`. `parameters` are weights that the graph has no values of. Weights are rounded to a power of
    two that just holds the largest of their tensor. Raises InputError for products of two activations and for layers
    that firmware has not.
    """
    model = calibration or vivado()
    found = quantisable(graph, groups=groups, counting="unrolled")
    values = {**graph.constants, **(parameters or {})}
    rows = {name: _Part(found, graph, name, values) for name in found.elements}

    def cost(product: Product, activation_bits: int, weight_bits: int) -> float:
        if product.weight not in rows:
            raise InputError(f"product of {product.activation!r} and {product.weight!r}", "firmware has no such layer")
        path = unrolled(
            rows[product.weight].integers(weight_bits),
            activation_bits=activation_bits,
            weight_bits=weight_bits,
            dsp_bits=model.dsp_bits,
        )
        return luts(path, model.area.factor)

    return tabulated("luts", "LUT", found.products, cost, choices, fixed=fixed)


class _Part:
    """The weights of one variable, rounded once for each number of bits."""

    def __init__(self, found: Quantisable, graph: Graph, name: str, values: Mapping[str, npt.NDArray[Any]]) -> None:
        part = next(part for part in found.weights if part.name == name)
        op = next(op for op in graph.ops if part.tensor in op.inputs[1:2])
        if not isinstance(op, MatMul | Conv) or len(part.shape) < 2:
            raise InputError(f"{op.kind} {op.name!r}", "firmware has no such layer")
        if part.tensor not in values:
            raise InputError(f"weight {part.tensor!r}", "has no value")
        self._largest = float(np.abs(values[part.tensor]).max())
        self._rows = output_rows(op, values[part.tensor][part.index])
        self._known: dict[int, Integers] = {}

    def integers(self, bits: int) -> Integers:
        """(outputs, terms) on the grid of `bits`."""
        if bits not in self._known:
            self._known[bits] = rounded(self._rows, self._largest, bits)
        return self._known[bits]


def rounded(values: npt.NDArray[Any], largest: float, bits: int) -> Integers:
    """`values` as multiples of the power of two of which `bits` bits with a sign just hold `largest`."""
    limit = 2 ** (bits - 1) - 1
    if largest == 0 or limit == 0:
        return np.asarray(np.sign(values), np.int64)
    step = 2.0 ** ceil(log2(largest / limit))
    return np.asarray(np.clip(np.rint(values / step), -limit, limit), np.int64)
