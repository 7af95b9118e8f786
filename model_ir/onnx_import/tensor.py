"""Values and element types of ONNX tensors: sizes are checked against the bytes really present before anything is
allocated.

Weights beside the model file ("external data") are opened only inside the model's own folder.
"""

from __future__ import annotations

from math import prod
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from model_ir.errors import InputError
from model_ir.ops.arrays import storage_dtype
from model_ir.precision import BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, Precision

Array = npt.NDArray[Any]

MAXIMUM_RANK = 12
MAXIMUM_TENSOR_BYTES = 8 * 2**30

PRECISIONS: dict[int, Precision] = {
    TensorProto.FLOAT: FLOAT32,
    TensorProto.DOUBLE: FLOAT64,
    TensorProto.FLOAT16: FLOAT16,
    TensorProto.INT64: INT64,
    TensorProto.INT32: INT32,
    TensorProto.INT16: INT16,
    TensorProto.INT8: INT8,
    TensorProto.INT4: Precision(bits=4),
    TensorProto.UINT64: Precision(bits=64, signed=False),
    TensorProto.UINT32: Precision(bits=32, signed=False),
    TensorProto.UINT16: Precision(bits=16, signed=False),
    TensorProto.UINT8: UINT8,
    TensorProto.UINT4: Precision(bits=4, signed=False),
    TensorProto.BOOL: BOOL,
}

# The typed field that may carry the values instead of raw_data (onnx.proto, TensorProto); 4-bit values are packed two
# to an entry.
_TYPED_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.UINT32: "uint64_data",
}


def type_name(data_type: int) -> str:
    """ONNX's name of an element type, or its number where it has none."""
    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return names.get(data_type, str(data_type))


def precision_of(data_type: int, where: str, what: str) -> Precision:
    """The precision of an ONNX element type; InputError for one that the IR cannot represent (strings, bfloat16,
    float8, complex)."""
    if data_type not in PRECISIONS:
        raise InputError(
            where,
            f"{what} has an element type that is not supported",
            value=type_name(data_type),
            limit=", ".join(type_name(known) for known in PRECISIONS),
        )
    return PRECISIONS[data_type]


def data_type_of(precision: Precision) -> int:
    """ONNX's element type for a precision of the import table."""
    plain = Precision(bits=precision.bits, signed=precision.signed, is_float=precision.is_float)
    return next(number for number, known in PRECISIONS.items() if known == plain)


def check_shape(shape: tuple[int, ...], bits: int, where: str, what: str) -> None:
    """Raise InputError unless `shape` has no negative axis, a sane rank, and at most MAXIMUM_TENSOR_BYTES of `bits`-bit
    elements."""
    if len(shape) > MAXIMUM_RANK:
        raise InputError(where, f"{what} has too many axes", value=len(shape), limit=MAXIMUM_RANK)
    if any(size < 0 for size in shape):
        raise InputError(where, f"{what} has a negative axis", value=shape)
    size_bytes = prod(shape) * bits // 8
    if size_bytes > MAXIMUM_TENSOR_BYTES:
        raise InputError(
            where,
            f"{what} of shape {shape} is too large",
            value=f"{size_bytes} bytes",
            limit=f"{MAXIMUM_TENSOR_BYTES} bytes",
        )


def check_tensor(tensor: onnx.TensorProto, where: str, folder: Path | None) -> Precision:
    """Check that a tensor's type, dims and stored bytes agree, without reading values; return its precision.

    `folder` is where external data may lie; None forbids it. Raises InputError naming the tensor.
    """
    what = f"tensor {tensor.name!r}"
    precision = precision_of(tensor.data_type, where, what)
    shape = tuple(tensor.dims)
    check_shape(shape, precision.bits, where, what)
    if tensor.HasField("segment"):
        raise InputError(where, f"{what} is stored in segments, which is not supported")
    if tensor.data_location == TensorProto.EXTERNAL:
        _external_span(tensor, where, folder)
        return precision
    stored = _stored_entries(tensor)
    expected = _expected_entries(tensor, precision)
    if stored != expected:
        raise InputError(where, f"{what} of shape {shape} holds the wrong amount of data", value=stored, limit=expected)
    return precision


def tensor_value(tensor: onnx.TensorProto, where: str, folder: Path | None) -> Array:
    """The values of a tensor in its declared shape; 4-bit integers come as 8-bit ones.

    External data of whole-byte types is mapped, not read: a 10 GB file costs no memory until it is used. Raises
    InputError.
    """
    precision = check_tensor(tensor, where, folder)
    shape = tuple(int(size) for size in tensor.dims)
    if prod(shape) == 0:
        return np.zeros(shape, storage_dtype(precision))
    if tensor.data_location != TensorProto.EXTERNAL:
        return _widen(_to_array(tensor, where))
    path, offset, length = _external_span(tensor, where, folder)
    if precision.bits >= 8 or precision == BOOL:
        return np.asarray(np.memmap(path, dtype=storage_dtype(precision), mode="r", offset=offset, shape=shape))
    with path.open("rb") as stream:
        stream.seek(offset)
        inline = TensorProto(dims=shape, data_type=tensor.data_type, raw_data=stream.read(length))
    return _widen(_to_array(inline, where))


def _to_array(tensor: onnx.TensorProto, where: str) -> Array:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(where, f"tensor {tensor.name!r} cannot be decoded: {error}") from error


def _widen(array: Array) -> Array:
    return (
        array.astype(np.int8 if array.dtype.name == "int4" else np.uint8)
        if array.dtype.name in ("int4", "uint4")
        else array
    )


def _expected_entries(tensor: onnx.TensorProto, precision: Precision) -> int:
    elements: int = prod(tensor.dims)
    packed = -(-elements * precision.bits // 8) if precision.bits < 8 and precision != BOOL else None
    if tensor.HasField("raw_data"):
        return packed if packed is not None else elements * max(8, precision.bits) // 8
    return packed if packed is not None else elements


def _stored_entries(tensor: onnx.TensorProto) -> int:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    return len(getattr(tensor, _TYPED_FIELDS.get(tensor.data_type, "int32_data")))


def _external_span(tensor: onnx.TensorProto, where: str, folder: Path | None) -> tuple[Path, int, int]:
    """File, offset and length in bytes of a tensor's external data, checked to exist inside `folder`."""
    what = f"external data of tensor {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise InputError(where, f"{what} is not allowed here", value=location)
    path = _inside(location, folder, where, what)
    offset = _natural(entries.get("offset", "0"), where, f"{what}: offset")
    precision = precision_of(tensor.data_type, where, what)
    bits = 8 if precision == BOOL else precision.bits
    expected = -(-prod(tensor.dims) * bits // 8)
    length = _natural(entries.get("length", str(expected)), where, f"{what}: length")
    if length != expected:
        raise InputError(
            where, f"{what} has the wrong length for shape {tuple(tensor.dims)}", value=length, limit=expected
        )
    present = path.stat().st_size
    if offset + length > present:
        raise InputError(
            where,
            f"{what} ends beyond its file {location!r}",
            value=f"{offset + length} bytes",
            limit=f"{present} bytes",
        )
    return path, offset, length


def _inside(location: str | bytes, folder: Path, where: str, what: str) -> Path:
    windows = PureWindowsPath(location if isinstance(location, str) else "")
    if not isinstance(location, str) or not location or "\0" in location:
        raise InputError(where, f"{what} names no file", value=repr(location))
    if location.startswith(("/", "\\")) or windows.drive or ".." in windows.parts:
        raise InputError(where, f"{what} leaves the model's folder", value=location, limit=folder)
    try:
        path = (folder / location).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InputError(where, f"{what}: file is missing or cannot be reached", value=location) from error
    if not path.is_relative_to(folder.resolve()):
        raise InputError(where, f"{what} leaves the model's folder through a link", value=location, limit=folder)
    if not path.is_file():
        raise InputError(where, f"{what} is not a regular file", value=location)
    return path


def _natural(text: str | bytes, where: str, what: str) -> int:
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise InputError(where, f"{what} is not a non-negative whole number", value=repr(text))
