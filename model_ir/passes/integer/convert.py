"""`integer_only`: a trained float network and a calibration in, a network of integers out; and how far off each
operator is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_ir.graph import Graph, execute
from model_ir.op import Op
from model_ir.ops.elementwise import Unary
from model_ir.ops.quantisation import DequantizeLinear
from model_ir.passes.integer.calibration import Calibration
from model_ir.passes.integer.conversion import Conversion, Value, no_integer_form
from model_ir.passes.integer.masks import flags_of, masks_of
from model_ir.passes.integer.prepare import prepared
from model_ir.passes.integer.rules import RULES
from model_ir.passes.integer.scales import Flow, plan_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerNetwork:
    """`graph` takes and gives what the float network does (`float_graph`, prepared); between its quantised inputs and
    its last dequantisation all numbers are integers. `values` has the integers of each float tensor."""

    graph: Graph
    float_graph: Graph
    values: Mapping[str, Value] = field(repr=False)
    calibration: Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorError:
    """How far the integers of one operator's result are from the float network's: largest and root-mean-square error
    in the result's own units, and the signal's power over the error's in decibels."""

    operator: str
    kind: str
    integer_kind: str
    tensor: str
    bits: int
    scale: float
    largest: float
    rms: float
    signal_to_noise_db: float


def integer_only(graph: Graph, calibration: Calibration) -> IntegerNetwork:
    """The integer network of a float `graph` with weights.

    Weights int8, symmetric, one scale a tensor: Gemmini scales an accumulator row by one factor, whatever its channel.
    Activations int8, one scale a tensor, clipped where `calibration` says. Biases int32. Between them dyadic factors.

    Raises InputError naming the operator that cannot be made integer, weights without values, or a calibration of
    another network.
    """
    float_graph = prepared(graph)
    flow = Flow(float_graph)
    masks = masks_of(float_graph, flow)
    host = {name for op in float_graph.ops for name in op.outputs if masks and flags_of(flow, name) is not None}
    masked = {mask.added.outputs[0]: mask.scores for mask in masks.values()}
    plan = plan_scales(float_graph, calibration, host, masked)
    conversion = Conversion(float_graph, plan, masks)
    for op in float_graph.ops:
        waits = not host.isdisjoint(op.outputs) and float_graph.tensors[op.outputs[0]].precision.is_float
        if op.name not in conversion.done and not waits:
            _convert(conversion, op)
    for name in float_graph.outputs:
        _give(conversion, name)
    values = {name: conversion.narrowed(name) for name in conversion.values}
    return IntegerNetwork(
        graph=conversion.builder.finish(*float_graph.outputs),
        float_graph=float_graph,
        values=values,
        calibration=calibration,
    )


def _convert(conversion: Conversion, op: Op) -> None:
    if isinstance(op, Unary) and op.function == "isnan":
        return  # Of integers it is never true; whoever reads it says so, or cannot be made integer.
    if all(conversion.is_host(name) for name in op.outputs):
        if not all(name in conversion.builder.tensors for name in op.inputs if not conversion.flow.is_parameter(name)):
            raise no_integer_form(op, "those whose integers depend on no real number")
        conversion.builder.add(conversion.copied(op))
        return
    rule = RULES.get(type(op))
    if rule is None:
        raise no_integer_form(op, ", ".join(sorted(kind.__name__ for kind in RULES)))
    rule(conversion, op)


def _give(conversion: Conversion, name: str) -> None:
    """The graph's output `name` as a real number; indices are given as they are."""
    if conversion.is_host(name):
        return
    value = conversion.values[name]
    scale = conversion.builder.parameter(f"{name}.output_scale", (), value=np.array(value.scale, np.float32))
    conversion.builder.add(DequantizeLinear(name=f"{name}.real", inputs=(value.tensor, scale), outputs=(name,), axis=0))


def operator_errors(network: IntegerNetwork, feeds: Mapping[str, Any]) -> tuple[OperatorError, ...]:
    """Every operator of the float network that has integers, in order, on `feeds`."""
    floats: dict[str, Any] = {}
    integers: dict[str, Any] = {}
    execute(network.float_graph, feeds, watch=floats.__setitem__)
    execute(network.graph, feeds, watch=integers.__setitem__)
    makers = {name: op for op in network.graph.ops for name in op.outputs}
    rows = []
    for op in network.float_graph.ops:
        for name in op.outputs:
            value = network.values.get(name)
            if value is None:
                continue
            exact = floats[name].astype(np.float64)
            error = integers[value.tensor].astype(np.float64) * value.scale - exact
            rms, signal = (float(np.sqrt(np.mean(array**2))) for array in (error, exact))
            rows.append(
                OperatorError(
                    operator=op.name,
                    kind=op.kind,
                    integer_kind=makers[value.tensor].kind,
                    tensor=value.tensor,
                    bits=network.graph.tensors[value.tensor].precision.bits,
                    scale=value.scale,
                    largest=float(np.abs(error).max()),
                    rms=rms,
                    signal_to_noise_db=20 * float(np.log10(signal / rms)) if rms and signal else float("inf"),
                )
            )
    return tuple(rows)
