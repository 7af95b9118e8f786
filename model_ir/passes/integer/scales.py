"""The scale of every activation before any operator is converted: from its clip, and from what additions, softmax and
GELU demand of the integers they get."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import sqrt

from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.gathering import Gather
from model_ir.ops.integer_arithmetic import (
    EXP_A,
    INT32_LIMIT,
    NormConstants,
    gelu_constants,
    gelu_fits,
    softmax_constants,
    softmax_fits,
)
from model_ir.ops.movement import Expand, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.normalisation import Gelu, Softmax
from model_ir.ops.pooling import MaxPool
from model_ir.ops.resampling import DepthToSpace, SpaceToDepth
from model_ir.passes.integer.calibration import HIGHEST, Calibration

MOVES: tuple[type[Op], ...] = (Reshape, Transpose, Slice, Split, Expand, Tile, DepthToSpace, SpaceToDepth, MaxPool)
"""Operators that pick values of their first operand: integers stay what they are, and so does their scale."""

WIDEST = 16.0
"""Most that the scale of attention scores is widened so that their exponentials sum within 32 bits; beyond it scores
are brought to 8 bits first."""

FINER = 1.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePlan:
    """`scales`: of the tensors that operators compute (not of moved or scaled ones: `Flow.source` finds those);
    `grids`: of both operands of each addition; `wide`: the softmaxes that read int32 sums."""

    scales: Mapping[str, float] = field(repr=False)
    grids: Mapping[str, float] = field(repr=False)
    wide: frozenset[str]


class Flow:
    """Who makes and who reads what in the prepared float graph, past moves and multiplications by one number."""

    def __init__(self, graph: Graph) -> None:
        """Index `graph`."""
        self.graph = graph
        self._makers = {name: op for op in graph.ops for name in op.outputs}
        self._readers: dict[str, list[Op]] = {}
        for op in graph.ops:
            for name in op.inputs:
                self._readers.setdefault(name, []).append(op)

    def maker(self, name: str) -> Op | None:
        """The operator that computes `name`."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[Op]:
        """The operators that read `name`, once for each time they do."""
        return self._readers.get(name, [])

    def only_reader(self, name: str) -> Op | None:
        """The one operator that reads `name`, if the caller of the graph does not too."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.graph.outputs else None

    def is_parameter(self, name: str) -> bool:
        """Whether `name` is a constant."""
        return name in self.graph.parameters

    def number(self, op: Op) -> tuple[str, float] | None:
        """The operand and the positive number that `op` multiplies it by, where that is all it does."""
        if not isinstance(op, Binary) or op.function not in ("mul", "div"):
            return None
        for place in (1, 0) if op.function == "mul" else (1,):
            value = self.graph.constants.get(op.inputs[place])
            if value is not None and value.size == 1 and float(value.reshape(())) > 0:
                number = float(value.reshape(()))
                return op.inputs[1 - place], number if op.function == "mul" else 1 / number
        return None

    def source(self, name: str) -> tuple[str, float]:
        """The computed tensor that `name` is moved from, and the number it is multiplied by on the way."""
        factor = 1.0
        while (op := self.maker(name)) is not None:
            scaled = self.number(op)
            if scaled is not None:
                name, factor = scaled[0], factor * scaled[1]
            elif is_move(op, self):
                name = op.inputs[0]
            else:
                break
        return name, factor

    def leads_only_to(self, name: str, wanted: frozenset[str]) -> bool:
        """Whether everybody who reads `name`, moved and multiplied or not, is an operator of `wanted` or the graph's
        caller."""
        for op in self.readers(name):
            passes = is_move(op, self) or self.number(op) is not None
            if op.name in wanted or (passes and all(self.leads_only_to(out, wanted) for out in op.outputs)):
                continue
            return False
        return True


def is_move(op: Op, flow: Flow) -> bool:
    """Whether `op` only moves values of its first operand."""
    gathers = isinstance(op, Gather) and not flow.is_parameter(op.inputs[0])
    return isinstance(op, MOVES) or gathers


def plan_scales(graph: Graph, calibration: Calibration, host: AbstractSet[str], masked: Mapping[str, str]) -> ScalePlan:
    """Scales for the prepared `graph`, but for tensors that stay the host's (`host`); `masked` has the scores that a
    mask is added to by the sum's name. Raises InputError where the calibration is of another network."""
    flow = Flow(graph)
    scales = {}
    made = [op for op in graph.ops if not is_move(op, flow) and host.isdisjoint(op.outputs)]
    for name in (*graph.inputs, *(name for op in made for name in op.outputs)):
        if graph.tensors[name].precision.is_float and name not in masked:
            scales[name] = _limit(graph, flow, calibration, name) / HIGHEST
    added = [op for op in made if _adds(op) and op.outputs[0] not in masked]
    grids = {op.name: _one_grid(flow, calibration, op, scales) for op in added}
    softmaxes = [op for op in made if isinstance(op, Softmax)]
    wide = frozenset(op.name for op in softmaxes if _sums_fit(flow, op, scales, masked))
    for op in graph.ops:
        if isinstance(op, Gelu):
            source, factor = flow.source(op.inputs[0])
            while not gelu_fits(gelu_constants(scales[source] * factor)):
                scales[source] *= FINER
    return ScalePlan(scales=scales, grids=grids, wide=wide)


def _limit(graph: Graph, flow: Flow, calibration: Calibration, name: str) -> float:
    """The clip of `name`; a looked-up table counts whole, data may not have met all its rows."""
    op = flow.maker(name)
    if isinstance(op, Gather) and op.inputs[0] in graph.constants:
        return float(abs(graph.constants[op.inputs[0]]).max()) or 1.0
    return calibration.limit(name)


def _adds(op: Op) -> bool:
    return isinstance(op, Binary) and op.function in ("add", "sub")


def _one_grid(flow: Flow, calibration: Calibration, op: Op, scales: dict[str, float]) -> float:
    """The scale on which both operands of an addition meet; what only it reads is computed on it at once."""
    limits = []
    for name in op.inputs:
        constant = flow.graph.constants.get(name)
        if constant is not None:
            limits.append(float(abs(constant).max()))
        elif flow.graph.tensors[name].precision.is_float:
            limits.append(calibration.limit(name))
    grid = (max(limits, default=0.0) or 1.0) / HIGHEST
    for name in op.inputs:
        source, factor = flow.source(name)
        if source in scales and _only_for(flow, source, name, op):
            scales[source] = grid / factor
    return grid


def _only_for(flow: Flow, source: str, operand: str, op: Op) -> bool:
    """Whether `source` is made for `op` alone, to which it comes as `operand`."""
    if flow.maker(source) is None:
        return False
    name = operand
    if flow.only_reader(name) is not op:
        return False
    while name != source:
        maker = flow.maker(name)
        assert maker is not None
        scaled = flow.number(maker)
        name = scaled[0] if scaled is not None else maker.inputs[0]
        if flow.only_reader(name) is not maker:
            return False
    return True


def _sums_fit(flow: Flow, op: Op, scales: dict[str, float], masked: Mapping[str, str]) -> bool:
    """Whether the softmax `op` can read the int32 sums of a product of two activations, whose scales are widened for
    it where that is needed; masked ones have no other form."""
    source, factor = flow.source(masked.get(op.inputs[0], op.inputs[0]))
    product = flow.maker(source)
    if not isinstance(product, MatMul) or any(flow.is_parameter(name) for name in product.inputs):
        return False
    (left, left_factor), (right, right_factor) = (flow.source(name) for name in product.inputs[:2])
    scale = scales[left] * scales[right] * left_factor * right_factor * factor
    needed = least_score_scale(flow.graph.tensors[op.inputs[0]].shape[-1])
    if needed > WIDEST * scale and op.inputs[0] not in masked:
        return False
    for name in (left, right):
        scales[name] *= sqrt(max(1.0, needed / scale))
    widened = scales[left] * scales[right] * left_factor * right_factor * factor
    return softmax_constants_of(op, widened).qln2 > 0


def least_score_scale(count: int) -> float:
    """The finest scale at which the exponentials of a row of `count` scores sum within 32 bits."""
    scale = sqrt(count / (EXP_A * INT32_LIMIT))
    while not softmax_fits(softmax_constants(scale), count):
        scale *= FINER
    return scale


def softmax_constants_of(op: Op, scale: float) -> NormConstants:
    """`softmax_constants`, with an InputError that names `op` where the scores are too large for any."""
    try:
        return softmax_constants(scale)
    except ZeroDivisionError:
        raise InputError(
            f"{op.kind} {op.name!r}", "its scores are too large for 8 bits: ln 2 is less than one unit", value=scale
        ) from None
