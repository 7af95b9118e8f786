"""Recognises activation functions written in primitives: GELU (by erf, by tanh, by sigmoid), SiLU, hard swish.

A gate is a saturating operator E of a polynomial of x; the activation is a polynomial of x and E. Which x is meant is
tried for every tensor from which E's argument is computed, so the order and grouping of the factors do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import pi, sqrt

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.elementwise import Binary, Clip, HardSigmoid, Unary
from model_ir.ops.functions import GELU_SIGMOID_SLOPE
from model_ir.ops.normalisation import Gelu
from model_ir.passes.polynomial import Polynomial, polynomial, same
from model_ir.passes.rewriting import Replacement, View, rewrite

_X, _E = "x", "e"
_HALF_GATE: Polynomial = {(_X,): 0.5, (_E, _X): 0.5}
_PLAIN_GATE: Polynomial = {(_E, _X): 1.0}
_MAXIMUM_DISTANCE = 5

_Build = Callable[[Op, str], Op]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """`whole`, a polynomial of x and e, is the activation when e is an operator that `matches`, applied to `argument`
    of x."""

    matches: Callable[[Op], bool]
    argument: Polynomial
    whole: Polynomial
    build: _Build


def _unary(function: str) -> Callable[[Op], bool]:
    return lambda op: isinstance(op, Unary) and op.function == function


def _hard_sigmoid(op: Op) -> bool:
    return isinstance(op, HardSigmoid) and abs(op.alpha - 1 / 6) < 1e-5 and op.beta == 0.5


def _clip(low: float, high: float) -> Callable[[Op], bool]:
    return lambda op: isinstance(op, Clip) and (op.low, op.high) == (low, high)


def _build_gelu(approximate: str) -> _Build:
    def build(op: Op, x: str) -> Op:
        return Gelu(
            name=op.name, inputs=(x,), outputs=op.outputs, approximate="tanh" if approximate == "tanh" else "none"
        )

    return build


def _build_unary(function: str) -> _Build:
    return lambda op, x: Unary(name=op.name, inputs=(x,), outputs=op.outputs, function=function)


_TANH_SLOPE = sqrt(2 / pi)
# Hendrycks and Gimpel, Gaussian Error Linear Units, 2016 (three forms); Ramachandran et al., Searching for Activation
# Functions, 2017 (SiLU); Howard et al., Searching for MobileNetV3, 2019 (hard swish).
GATES: tuple[Gate, ...] = (
    Gate(matches=_unary("erf"), argument={(_X,): sqrt(0.5)}, whole=_HALF_GATE, build=_build_gelu("none")),
    Gate(
        matches=_unary("tanh"),
        argument={(_X,): _TANH_SLOPE, (_X, _X, _X): _TANH_SLOPE * 0.044715},
        whole=_HALF_GATE,
        build=_build_gelu("tanh"),
    ),
    Gate(
        matches=_unary("sigmoid"),
        argument={(_X,): GELU_SIGMOID_SLOPE},
        whole=_PLAIN_GATE,
        build=_build_unary("gelu_sigmoid"),
    ),
    Gate(matches=_unary("sigmoid"), argument={(_X,): 1.0}, whole=_PLAIN_GATE, build=_build_unary("silu")),
    Gate(matches=_hard_sigmoid, argument={(_X,): 1.0}, whole=_PLAIN_GATE, build=_build_unary("hard_swish")),
    Gate(
        matches=_clip(0.0, 6.0),
        argument={(_X,): 1.0, (): 3.0},
        whole={(_E, _X): 1 / 6},
        build=_build_unary("hard_swish"),
    ),
)


def recognise_activations(graph: Graph) -> Graph:
    """Replace decomposed activations of GATES by one operator."""
    return rewrite(graph, _activation)


def _activation(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function not in ("mul", "div", "add"):
        return None
    shape = view.shape(op.outputs[0])
    for saturating in _saturating_above(view, op):
        gate_input, gate_output = saturating.inputs[0], saturating.outputs[0]
        for x in _names_above(view, gate_input):
            if view.shape(x) != shape or view.is_parameter(x):
                continue
            argument = polynomial(view, gate_input, {x})
            whole = polynomial(view, op.outputs[0], {x, gate_output}) if argument is not None else None
            names = {_X: x, _E: gate_output}
            for gate in GATES:
                fits = same(argument, _named(gate.argument, names)) and same(whole, _named(gate.whole, names))
                if fits and gate.matches(saturating):
                    return Replacement(ops=(gate.build(op, x),))
    return None


def _named(terms: Polynomial, names: dict[str, str]) -> Polynomial:
    return {tuple(names[symbol] for symbol in term): number for term, number in terms.items()}


def _saturating_above(view: View, op: Op) -> Iterator[Op]:
    """The saturating operators that `op` reaches through arithmetic."""
    for name in (name for source in op.inputs for name in _names_above(view, source)):
        maker = view.maker(name, Op)
        if maker is not None and any(gate.matches(maker) for gate in GATES):
            yield maker


def _names_above(view: View, name: str) -> tuple[str, ...]:
    """`name` and the tensors from which it is computed by arithmetic alone, nearest first."""
    found, frontier = [name], [name]
    for _ in range(_MAXIMUM_DISTANCE):
        arithmetic = (view.maker(item, Binary) for item in frontier)
        frontier = [source for op in arithmetic if op is not None for source in op.inputs if source not in found]
        found.extend(dict.fromkeys(frontier))
    return tuple(found)
