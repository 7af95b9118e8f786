"""Graph inputs: their types, and dynamic axes bound to sizes by name."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from model_ir.errors import InputError
from model_ir.onnx_import.scope import Scope
from model_ir.onnx_import.tensor import check_shape, precision_of
from model_ir.tensor import Shape


def declare_inputs(scope: Scope, dims: Mapping[str, int]) -> None:
    """Declare every graph input that has no initialiser, dynamic axes bound by `dims`.

    A key of `dims` is an axis name of the file or `input:axis`. Raises InputError for an axis left unbound, a size
    below 1, and a key that matches nothing.
    """
    where = scope.file.path
    for key, size in dims.items():
        if size < 1:
            raise InputError(where, f"--dim {key}: a size must be at least 1", value=size)
    used: set[str] = set()
    names: set[str] = set()
    for value in scope.file.graph.input:
        if value.name in scope.initialisers:
            continue
        if value.type.WhichOneof("value") != "tensor_type":
            raise InputError(where, f"input {value.name!r} is not a tensor", value=value.type.WhichOneof("value"))
        shape = _bound_shape(value, dims, used, names, where)
        precision = precision_of(value.type.tensor_type.elem_type, where, f"input {value.name!r}")
        check_shape(shape, precision.bits, where, f"input {value.name!r}")
        scope.builder.input(str(value.name), shape, precision)
    unknown = sorted(set(dims) - used)
    if unknown:
        known = ", ".join(sorted(names)) or "none"
        raise InputError(
            where, f"--dim {unknown[0]} matches no dynamic axis", value=unknown[0], limit=f"dynamic axes: {known}"
        )


def _bound_shape(
    value: onnx.ValueInfoProto, dims: Mapping[str, int], used: set[str], names: set[str], where: str
) -> Shape:
    if not value.type.tensor_type.HasField("shape"):
        raise InputError(where, f"input {value.name!r} has no shape, not even a rank")
    sizes: list[int] = []
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        position = f"{value.name}:{axis}"
        if dim.WhichOneof("value") == "dim_value":
            if dim.dim_value < 1:
                raise InputError(where, f"axis {axis} of input {value.name!r} must be at least 1", value=dim.dim_value)
            sizes.append(int(dim.dim_value))
            continue
        keys = [position, *([str(dim.dim_param)] if dim.dim_param else [])]
        names.add(keys[-1])
        matching = [key for key in keys if key in dims]
        if not matching:
            raise InputError(
                where,
                f"axis {axis} of input {value.name!r} is dynamic; bind it with --dim {keys[-1]}=1",
                value=keys[-1],
            )
        used.update(matching)
        sizes.append(dims[matching[0]])
    return tuple(sizes)


def axis_size(dim: onnx.TensorShapeProto.Dimension, dims: Mapping[str, int]) -> int | None:
    """The size of a declared axis, by value or by a bound name; None where it is unknown."""
    if dim.WhichOneof("value") == "dim_value":
        return int(dim.dim_value) if dim.dim_value > 0 else None
    return dims.get(str(dim.dim_param))
