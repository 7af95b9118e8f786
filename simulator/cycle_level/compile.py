"""How the engine's functions are compiled: cached, and without reference counting.

The engine's functions pass a few arrays down and never create or keep one. Numba would still count references around
every call, and those atomic operations cost half of the run; `_nrt=False` leaves them out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

compiled = njit(cache=True, _nrt=False, nogil=True, error_model="numpy")
merged = njit(cache=True, _nrt=False, nogil=True, error_model="numpy", forceinline=True)
"""As `compiled`, for what is called often and in one or two places: it becomes part of its caller."""
inlined = njit(cache=True, _nrt=False, inline="always", error_model="numpy")


@inlined
def bits(word, high, low):  # type: ignore[no-untyped-def]
    """Bits high:low of a 64-bit pattern held as int64; high - low < 63."""
    return (word >> low) & ((1 << (high - low + 1)) - 1)


def _chosen(comparison: str) -> Any:
    """Intrinsic that takes the first of two numbers if it compares so with the other, without a branch."""

    def choose(_context, _one, _other):  # type: ignore[no-untyped-def]
        def code(_context, builder, _signature, values):  # type: ignore[no-untyped-def]
            return builder.select(builder.icmp_signed(comparison, *values), *values)

        return types.int64(types.int64, types.int64), code

    return intrinsic(choose)


def least(one: Any, other: Any) -> Any:
    """The smaller of two: numba's own min is a call, and takes as long as what surrounds it."""
    return one if one < other else other


def most(one: Any, other: Any) -> Any:
    """The greater of two."""
    return one if one > other else other


if not config.DISABLE_JIT:
    least, most = _chosen("<"), _chosen(">")


@intrinsic
def _data(_context, array):  # type: ignore[no-untyped-def]
    if array.layout != "C":
        raise TypingError("only a contiguous array is as good as its pointer")

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        made = context.make_array(signature.args[0])(context, builder, values[0])
        return made.data

    return types.CPointer(array.dtype)(array), code


def pointer_to(array: Any) -> Any:
    """What stands for a contiguous array in the engine's functions: compiled, its address; otherwise itself.

    An array is handed on as seven words, and every index into it is compared with zero first; an address is one word,
    and its indices, which the engine never takes from the end, are added to it as they are.
    """
    return array


@overload(pointer_to, inline="always")
def _pointer_to(array):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return lambda array: _data(array)


def least_of_sixteen(words: Any, first: int) -> Any:
    """The smallest of sixteen `words` from index `first` on; compiled, in a few vector instructions."""
    return min(words[first : first + 16])


@intrinsic
def _least_of_sixteen(_context, _words, _first):  # type: ignore[no-untyped-def]
    def code(_context, builder, _signature, values):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.IntType(64), 16)
        at = builder.bitcast(builder.gep(values[0], values[1:]), vector.as_pointer())
        smallest = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(64), [vector]), "llvm.vector.reduce.smin.v16i64"
        )
        return builder.call(smallest, [builder.load(at, align=8)])

    return types.int64(types.CPointer(types.int64), types.int64), code


if not config.DISABLE_JIT:
    least_of_sixteen = _least_of_sixteen


@intrinsic
def _trailing_zeros(_context, _mask):  # type: ignore[no-untyped-def]
    def code(context, builder, _signature, values):  # type: ignore[no-untyped-def]
        return builder.cttz(values[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), code


def lowest_bit(mask: Any) -> Any:
    """Position of the lowest bit of `mask`, which is not 0."""
    return int(mask & -mask).bit_length() - 1


@overload(lowest_bit, inline="always")
def _lowest_bit(mask):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return lambda mask: _trailing_zeros(mask)
