"""A quantised Graph as da4ml's distributed-arithmetic logic: exact, one sample, refused where it does not fit.

The logic's inputs are the values behind each graph input's Quant; its outputs are the graph's. da4ml (LGPL v3, the
extra `rtl`) finds the shared adders (Sun et al., da4ml, arXiv 2507.04535) and interprets what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.extras import needs
from hls.rtl.project import Port, Word
from hls.rtl.quants import FixedGrid, constant_parameters, fixed_grid, one_sample
from hls.rtl.symbolic import apply, check_operator, quantised
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
"""What is being done, steps done, and steps in all."""
MAX_MULTIPLICATIONS = 1 << 18
"""Every multiplication becomes adders of its own: da4ml takes about a second for a thousand of them at 6 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """Logic of one sample: `logic` is da4ml's CombLogic, ports as the graph's inputs and outputs in order."""

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    logic: Any = field(repr=False)

    @property
    def estimated_luts(self) -> float:
        """da4ml's cost of the logic, in 6-input lookup tables."""
        return float(self.logic.cost)

    @property
    def estimated_depth(self) -> float:
        """da4ml's latency of the logic, in adders one behind the other."""
        return float(max(self.logic.latency))


def trace(graph: Graph, *, progress: Progress | None = None) -> Traced:
    """The logic of `graph`. InputError where an input is not quantised, a Quant is not fixed-point, an operator, a form
    of it or a constant does not fit, or sums could be inexact in the graph's own float32 execution."""
    needs("rtl", "da4ml")
    _check_size(graph)
    tracing = _Tracing.start(graph)
    for done, op in enumerate(graph.ops):
        tracing.step(op)
        if progress is not None:
            progress("tracing", done + 1, len(graph.ops))
    return tracing.finish()


def predict(traced: Traced, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What the logic computes for `inputs` (samples, ...) by name, by da4ml's own interpreter; float64."""
    feeds = quantised_inputs(traced.graph, inputs)
    joined = np.concatenate([feeds[port.name].reshape(len(feeds[port.name]), -1) for port in traced.inputs], axis=1)
    results = traced.logic.predict(np.ascontiguousarray(joined, np.float64), 1)
    ends = np.cumsum([len(port.words) for port in traced.outputs])[:-1]
    parts = np.split(results, ends, axis=1)
    return {port.name: part.reshape(-1, *port.shape) for port, part in zip(traced.outputs, parts, strict=True)}


def quantised_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Each graph input behind its Quant, for any number of samples. InputError where one is missing or misshapen."""
    constants, results = _known(graph), {}
    for name in graph.inputs:
        if name not in inputs:
            raise InputError(graph.origin or graph.name, f"no values for input {name!r}")
        wanted, values = graph.tensors[name].shape[1:], np.asarray(inputs[name], np.float32)
        if values.shape[1:] != wanted:
            raise InputError(f"values of {name!r}", "wrong shape", value=values.shape, limit=("samples", *wanted))
        quant = _input_quant(graph, name)
        (results[name],) = quant.evaluate(np, values, *constant_parameters(quant, constants))
    return results


def _check_size(graph: Graph) -> None:
    samples = _samples(graph)
    total = graph.macs // samples
    if total > MAX_MULTIPLICATIONS:
        where = graph.origin or graph.name
        raise InputError(where, "too many multiplications a sample to unroll", value=total, limit=MAX_MULTIPLICATIONS)


def _samples(graph: Graph) -> int:
    sizes = {graph.tensors[name].shape[:1] for name in (*graph.inputs, *graph.outputs)}
    if len(sizes) != 1 or () in sizes:
        where = graph.origin or graph.name
        raise InputError(where, "the first axis of all inputs and outputs must count samples", value=sorted(sizes))
    return sizes.pop()[0]


def _known(graph: Graph) -> dict[str, Array]:
    for name in sorted(graph.parameters - set(graph.constants)):
        raise InputError(graph.origin or graph.name, f"parameter {name!r} has no value")
    return {name: np.asarray(graph.constants[name]) for name in graph.parameters}


def _input_quant(graph: Graph, name: str) -> Quant:
    readers = [op for op in graph.ops if name in op.inputs]
    if name in graph.outputs or len(readers) != 1 or not isinstance(readers[0], Quant) or readers[0].inputs[0] != name:
        found = ", ".join(f"{op.kind} {op.name!r}" for op in readers) or "nothing"
        raise InputError(graph.origin or graph.name, f"input {name!r} must be read by one Quant only", value=found)
    return readers[0]


@dataclass(slots=True, kw_only=True)
class _Tracing:
    """Values on the way through the graph: constants as arrays, the rest as symbols of one sample."""

    graph: Graph
    samples: int
    constants: dict[str, Array]
    symbols: dict[str, Any]
    inputs: list[Port]
    first: dict[str, Any]

    @classmethod
    def start(cls, graph: Graph) -> _Tracing:
        constants = _known(graph)
        computed = set(graph.inputs)
        for op in graph.ops:
            if computed.intersection(op.inputs):
                computed.update(op.outputs)
                if not isinstance(op, Quant):
                    check_operator(op)
        for name in graph.inputs:
            _input_quant(graph, name)
        return cls(graph=graph, samples=_samples(graph), constants=constants, symbols={}, inputs=[], first={})

    def step(self, op: Op) -> None:
        if not any(name in self.symbols or name in self.graph.inputs for name in op.inputs):
            self._evaluate(op)
        elif isinstance(op, Quant):
            self._quantise(op)
        else:
            operands = [self._operand(name) if name else None for name in op.inputs]
            self.symbols[op.outputs[0]] = apply(op, operands, self._shape(op.outputs[0]))

    def finish(self) -> Traced:
        from da4ml.trace import comb_trace

        graph = self.graph
        outputs = [self._output(name) for name in graph.outputs]
        inputs = [symbol for name in graph.inputs for symbol in self.first[name].ravel()]
        results = [symbol for values in outputs for symbol in values.ravel()]
        logic = comb_trace(inputs, results, keep_dead_inputs=True)
        return Traced(
            graph=graph,
            inputs=_ports(graph.inputs, [self.first[name].shape[1:] for name in graph.inputs], logic.inp_qint),
            outputs=_ports(graph.outputs, [values.shape[1:] for values in outputs], logic.out_qint),
            logic=logic,
        )

    def _evaluate(self, op: Op) -> None:
        operands = [self.constants[name] if name else None for name in op.inputs]
        if isinstance(op, Quant):
            fixed_grid(op, constant_parameters(op, self.constants))
        results = op.evaluate(np, *operands)
        self.constants.update(zip(op.outputs, map(np.asarray, results), strict=True))

    def _quantise(self, op: Quant) -> None:
        shape = self._shape(op.outputs[0])
        parameters = [
            one_sample(f"Quant {op.name!r}", name, value, len(shape))
            for name, value in zip(op.inputs[1:], constant_parameters(op, self.constants), strict=True)
        ]
        grid = fixed_grid(op, parameters)
        if op.inputs[0] in self.graph.inputs:
            self.first[op.inputs[0]] = self.symbols[op.outputs[0]] = _fresh(grid, shape)
        else:
            self.symbols[op.outputs[0]] = quantised(self.symbols[op.inputs[0]], grid)

    def _operand(self, name: str) -> Any:
        return self.symbols[name] if name in self.symbols else self.constants[name]

    def _output(self, name: str) -> Any:
        if name not in self.symbols:
            raise InputError(self.graph.origin or self.graph.name, f"output {name!r} does not depend on an input")
        return self.symbols[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.graph.tensors[name].shape
        if not shape or shape[0] != self.samples:
            raise InputError(self.graph.origin or self.graph.name, f"{name!r} mixes samples", value=shape)
        return (1, *shape[1:])


def _fresh(grid: FixedGrid, shape: tuple[int, ...]) -> Any:
    """Symbols that can be any value of `grid`."""
    from da4ml.trace import FixedVariableArray, HWConfig

    low, high, step = (np.broadcast_to(array, shape) for array in (grid.low, grid.high, grid.step))
    return FixedVariableArray.from_lhs(low, high, step, hwconf=HWConfig(1, -1, -1))._vars


def _ports(names: tuple[str, ...], shapes: list[tuple[int, ...]], ranges: list[Any]) -> tuple[Port, ...]:
    from da4ml.types import minimal_kif

    words = []
    for interval in ranges:
        signed, integer, fraction = minimal_kif(interval)
        words.append(Word(signed=bool(signed), bits=int(signed + integer + fraction), step=2.0**-fraction))
    ports = []
    for name, shape in zip(names, shapes, strict=True):
        count = int(np.prod(shape))
        ports.append(Port(name=name, shape=shape, words=tuple(words[:count])))
        words = words[count:]
    return tuple(ports)
