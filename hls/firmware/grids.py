"""Which quantisers and constants are fixed-point, and which type each is; the rest is refused by name."""

from __future__ import annotations

from math import frexp

import numpy as np

from hls.firmware.fixed_point import Fixed, Rounding, Span
from hls.firmware.network import Stored
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.quantisation import Quant
from model_ir.passes.rewriting import View
from model_ir.precision import Precision

# QONNX's modes that hls4ml has a type for (hls4ml/model/optimizer/passes/quant_opt.py).
_ROUNDINGS: dict[str, Rounding] = {"ROUND": "RND_CONV", "HALF_EVEN": "RND_CONV", "FLOOR": "TRN"}
_WIDEST_BITS = 32


def fixed_of(graph: Graph, quant: Quant) -> Fixed:
    """The fixed-point type of a quantiser.

    Raises InputError naming quantiser and reason unless scale, zero point and bits are constants of one element, the
    scale a power of two, the zero point 0, the bits whole from 1 to 32, and the mode one that firmware has.
    """
    scale, zero_point, bits = (_constant(graph, quant, place) for place in (1, 2, 3))
    if not scale > 0 or frexp(scale)[0] != 0.5:
        raise _refusal(graph, quant, "the scale is not a power of two", value=scale)
    if zero_point != 0:
        raise _refusal(graph, quant, "the zero point is not 0", value=zero_point)
    if bits != int(bits) or not 1 <= bits <= _WIDEST_BITS:
        raise _refusal(graph, quant, "the bits are not a whole number from 1 on", value=bits, limit=_WIDEST_BITS)
    if quant.signed and bits == 1:
        raise _refusal(graph, quant, "one signed bit means -1 and 1, which is no fixed-point type")
    if quant.narrow and not quant.signed:
        raise _refusal(graph, quant, "unsigned and without its highest value, which is no fixed-point type")
    rounding = _ROUNDINGS.get(quant.rounding_mode.upper())
    if rounding is None:
        raise _refusal(
            graph, quant, "rounds in a way that firmware has not", value=quant.rounding_mode, limit="ROUND, FLOOR"
        )
    return Fixed(
        bits=int(bits),
        integer_bits=int(bits) + frexp(scale)[1] - 1,
        signed=quant.signed,
        rounding=rounding,
        overflow="SAT_SYM" if quant.narrow else "SAT",
    )


def stored(graph: Graph, name: str, *, needs_grid: bool) -> Stored | None:
    """The constant `name`, or a Quant of one, on its grid; None where `name` is computed from the input.

    A constant without a quantiser gets the coarsest grid that holds its values, unless it `needs_grid`. Raises
    InputError for a grid that is not fixed-point, values off their grid, and parameters without values.
    """
    quant = View(graph).maker(name, Quant)
    source = quant.inputs[0] if quant else name
    if source not in graph.parameters:
        return None
    if source not in graph.constants:
        raise InputError(graph.origin or graph.name, f"parameter {source!r} has no value")
    values = np.asarray(graph.constants[source], dtype=np.float32)
    if not np.all(np.isfinite(values)):
        raise InputError(graph.origin or graph.name, f"parameter {source!r} is not finite everywhere")
    if quant:
        operands = (graph.constants[item] for item in quant.inputs[1:])
        fixed = fixed_of(graph, quant)
        (values,) = quant.evaluate(np, values, *operands)
        return Stored(values=values, fixed=fixed)
    precision = graph.tensors[source].precision
    if not precision.is_float:
        return Stored(values=values, fixed=_folded(graph, source, precision, values))
    if needs_grid:
        raise InputError(graph.origin or graph.name, f"parameter {source!r} is not quantised: no Quant reads it")
    return Stored(values=values, fixed=_coarsest(values).fixed)


def whole(values: Stored, exponent: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """A stored constant as whole numbers of 2^exponent, which is at or below its own grid."""
    return np.round(np.ldexp(values.values.astype(np.float64), -exponent)).astype(np.int64)


def _coarsest(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Span:
    """The span of values on the coarsest grid of a power of two that holds them all."""
    exponent = 0
    nonzero = values[values != 0].astype(np.float64)
    if nonzero.size:
        mantissas, exponents = np.frexp(nonzero)
        integers = np.round(np.ldexp(mantissas, 24)).astype(np.int64)  # a float32 has 24 significant bits
        trailing = np.log2((integers & -integers).astype(np.float64)).astype(np.int64)
        exponent = int((exponents - 24 + trailing).min())
    scaled = np.ldexp(values.astype(np.float64), -exponent)
    return Span(low=int(scaled.min(initial=0)), high=int(scaled.max(initial=0)), exponent=exponent)


def _folded(
    graph: Graph, name: str, precision: Precision, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> Fixed:
    """The type of a constant whose quantiser was folded into it: its precision has the grid."""
    where = graph.origin or graph.name
    if frexp(precision.scale)[0] != 0.5 or precision.zero_point != 0:
        raise InputError(
            where,
            f"parameter {name!r} is not on a fixed-point grid (a scale that is a power of two, zero point 0)",
            value=(precision.scale, precision.zero_point),
        )
    fixed = Fixed(
        bits=precision.bits, integer_bits=precision.bits + frexp(precision.scale)[1] - 1, signed=precision.signed
    )
    counts = np.ldexp(values.astype(np.float64), -fixed.exponent)
    if np.any(counts != np.round(counts)) or counts.min() < fixed.span.low or counts.max() > fixed.span.high:
        raise InputError(
            where, f"parameter {name!r} has values off its grid (quantised per channel?)", limit=str(fixed)
        )
    return fixed


def _constant(graph: Graph, quant: Quant, place: int) -> float:
    what = ("scale", "zero point", "bit width")[place - 1]
    value = graph.constants.get(quant.inputs[place])
    if value is None:
        raise _refusal(graph, quant, f"the {what} is not a constant")
    if value.size != 1:
        raise _refusal(graph, quant, f"firmware takes one {what} a tensor", value=f"{value.size} values")
    return float(value.reshape(()))


def _refusal(graph: Graph, quant: Quant, problem: str, *, value: object = None, limit: object = None) -> InputError:
    where = graph.origin or graph.name
    return InputError(where, f"quantiser {quant.name!r} of {quant.inputs[0]!r}: {problem}", value=value, limit=limit)
