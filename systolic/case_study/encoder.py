"""A BERT encoder as Gemmini's own programs run it, layer by layer on the SoC: the C library's matmuls, and with the
integer units softmax, LayerNorm and the residual add as commands.

The order of calls is that of gemmini-rocc-tests at 180c468, transformers/transformer.c: heads are slices of rows, the
scores of a head are normalised as they leave the accumulator, the sums before a LayerNorm go to memory at full width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.codegen.emit import Addresses
from mapper.codegen.normalise import Normalisation, emit_fused, emit_normalisation
from mapper.residual_add import emit_residual_add
from model_ir.ops.integer_arithmetic import NormConstants, softmax_constants
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Result
from simulator.energy import energy_pj
from simulator.engine import simulate
from simulator.fusion import Tail
from simulator.host_calls import MatmulCall
from simulator.memory_state import later_run, new_memory
from simulator.program import Program
from simulator.soc import run_matmul

MATMULS = ("projections", "scores", "values", "output", "first", "second")
"""W_Q, W_K and W_V; query times key; scores times value; W_out; W_1; W_2."""
SOFTMAX, LAYER_NORM, RESIDUAL = "softmax", "layer_norm", "add"
SOFTMAX_SCALE = 1e-3
"""Of the scores; the timing does not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSizes:
    """Layers, tokens (l), features (d), heads (h), width of the feed-forward network (d_FFN), and features of a head
    (0: as many as share the d features out)."""

    layers: int
    tokens: int
    features: int
    heads: int
    hidden: int
    head_features: int = 0

    @property
    def head(self) -> int:
        """Features of a head."""
        return self.head_features or self.features // self.heads

    @property
    def attention(self) -> int:
        """Features of all heads together."""
        return self.heads * self.head

    @property
    def weights(self) -> int:
        """Weights of all layers' matmuls."""
        return self.layers * self.features * (4 * self.attention + 2 * self.hidden)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return self.tokens * (self.weights + self.layers * 2 * self.tokens * self.attention)


BERT_BASE_512 = EncoderSizes(layers=12, tokens=512, features=768, heads=12, hidden=3072)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRun:
    """Cycles of all layers by kind of work (`MATMULS`, and SOFTMAX, LAYER_NORM, RESIDUAL where the accelerator does
    them); softmax runs within the scores' matmul, and its cycles are what that takes longer."""

    sizes: EncoderSizes
    machine: Accelerator
    cycles: dict[str, int]
    moved_bytes: dict[str, int]
    """Into and out of the scratchpad, the accumulator and DRAM, all layers."""

    @property
    def all_cycles(self) -> int:
        """Of everything that ran."""
        return sum(self.cycles.values())

    @property
    def energy_pj(self) -> float:
        """Of `on_chip_pj` and DRAM."""
        return self.on_chip_pj + self.moved_bytes["DRAM"] * self.machine.energy.dram_pj_per_byte

    @property
    def on_chip_pj(self) -> float:
        """Multiply-accumulates and accesses to the memories of the accelerator; DRAM and special units apart."""
        return energy_pj(
            self.machine,
            macs=float(self.sizes.macs),
            scratchpad_bytes=float(self.moved_bytes["scratchpad"]),
            accumulator_bytes=float(self.moved_bytes["accumulator"]),
            dram_bytes=0.0,
        )

    @property
    def matmul_cycles(self) -> int:
        """Of the matmuls alone."""
        return sum(self.cycles[name] for name in MATMULS)

    @property
    def utilisation(self) -> float:
        """Share of the array's multipliers at work while matmuls run."""
        return self.sizes.macs / self.machine.peak_macs_per_cycle / self.matmul_cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of the library: its kind, and where A, B, bias and result lie."""

    kind: str
    call: MatmulCall
    at: tuple[int, int, int, int]


_TENSOR, _WEIGHTS = 1 << 24, 1 << 28
(_X, _Q, _K, _V, _S, _O, _SUMS, _R, _G, _BIAS, _W) = (_WEIGHTS * 8 + _TENSOR * index for index in range(11))
"""Addresses of tensors, apart by more than any takes."""


def run_matmuls(sizes: EncoderSizes, machine: Accelerator, *, wide: bool) -> EncoderRun:
    """The matmuls of the encoder by the C library; with `wide`, whatever a floating-point operator on the host reads
    leaves as 32-bit sums (section 3.3 of the survey)."""
    runner = _Runner(machine)
    for call in _calls(sizes, wide=wide):
        runner.call(call)
    return runner.run(sizes)


def run_integer(sizes: EncoderSizes, machine: Accelerator, *, split: bool = True) -> EncoderRun:
    """The whole encoder on the accelerator, with its integer units. Without `split`, the scores' matmul and softmax,
    which run as one, count as softmax."""
    runner = _Runner(machine)
    for call in _calls(sizes, wide=False):
        if call.kind == "scores":
            runner.program(SOFTMAX, _softmax_program(sizes, machine, call))
        else:
            runner.call(call)
        if call.kind in ("output", "second"):
            runner.program(LAYER_NORM, _layer_norm_program(sizes, machine))
            addresses = Addresses(a=_O, b=_X, c=_R)
            runner.program(RESIDUAL, emit_residual_add(sizes.tokens, sizes.features, machine, addresses=addresses))
    if not split:
        return runner.run(sizes)
    alone = run_matmuls(sizes, machine, wide=False).cycles["scores"]
    run = runner.run(sizes)
    together = run.cycles[SOFTMAX]
    run.cycles["scores"], run.cycles[SOFTMAX] = min(alone, together), max(0, together - alone)
    return run


def _calls(sizes: EncoderSizes, *, wide: bool) -> Iterator[_Call]:
    tokens, features, hidden = sizes.tokens, sizes.features, sizes.hidden
    width, head = sizes.attention, sizes.head
    weights = [_W + index * hidden * features for index in range(6)]
    for weight, result in zip(weights, (_Q, _K, _V), strict=False):
        call = MatmulCall(rows=tokens, columns=width, depth=features, bias="row")
        yield _Call(kind="projections", call=call, at=(_X, weight, _BIAS, result))
    result_bytes = 4 if wide else 1
    scores = MatmulCall(
        rows=tokens, columns=tokens, depth=head, b_transposed=True, full_width=wide, a_stride=width, b_stride=width
    )
    for index in range(sizes.heads):
        at = (_Q + index * head, _K + index * head, _BIAS, _S + index * tokens * tokens * result_bytes)
        yield _Call(kind="scores", call=scores, at=at)
    values = MatmulCall(rows=tokens, columns=head, depth=tokens, b_stride=width, c_stride=width)
    for index in range(sizes.heads):
        at = (_S + index * tokens * tokens, _V + index * head, _BIAS, _O + index * head)
        yield _Call(kind="values", call=values, at=at)
    call = MatmulCall(rows=tokens, columns=features, depth=width, bias="row", full_width=True)
    yield _Call(kind="output", call=call, at=(_O, weights[3], _BIAS, _SUMS))
    call = MatmulCall(rows=tokens, columns=hidden, depth=features, bias="row", full_width=wide)
    yield _Call(kind="first", call=call, at=(_R, weights[4], _BIAS, _G))
    call = MatmulCall(rows=tokens, columns=features, depth=hidden, bias="row", full_width=True)
    yield _Call(kind="second", call=call, at=(_G, weights[5], _BIAS, _SUMS))


class _Runner:
    """Programs of one layer one after another, each finding in the cache what the ones before left there."""

    def __init__(self, machine: Accelerator) -> None:
        self.machine = machine
        self.state = new_memory(machine.memory, machine.dma.bus_bytes)
        self.cycles: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def call(self, call: _Call) -> None:
        """A matmul of the library."""
        (done,) = run_matmul(call.call, self.machine, runs=1, code_cached=True, memory_state=self.state, at=call.at)
        self.state = done.memory_state
        self.cycles[call.kind] += done.cycles
        self._note(done.result)

    def program(self, kind: str, program: Program) -> None:
        """Commands that stand ready."""
        self.state = later_run(self.state)
        result = simulate(program, self.machine, memory_state=self.state)
        self.cycles[kind] += result.cycles
        self._note(result)

    def _note(self, result: Result) -> None:
        self.moved["scratchpad"] += result.scratchpad_read_bytes + result.scratchpad_write_bytes
        self.moved["accumulator"] += result.accumulator_read_bytes + result.accumulator_write_bytes
        self.moved["DRAM"] += result.read_bytes + result.write_bytes

    def run(self, sizes: EncoderSizes) -> EncoderRun:
        """What all layers take: each as long as the one that ran."""
        cycles = {kind: spent * sizes.layers for kind, spent in self.cycles.items()}
        moved = {memory: moved * sizes.layers for memory, moved in self.moved.items()}
        return EncoderRun(sizes=sizes, machine=self.machine, cycles=cycles, moved_bytes=moved)


def _softmax_program(sizes: EncoderSizes, machine: Accelerator, call: _Call) -> Program:
    """Scores of one head, normalised before they leave."""
    nest = scores_nest(sizes)
    mapping, _ = fused_mapping(nest, machine, Tail(normalise="softmax"), tile_rows="blocks")
    how = Normalisation(function="softmax", constants=softmax_constants(SOFTMAX_SCALE))
    a, b, _, c = call.at
    return emit_fused(nest, mapping, machine, how, addresses=Addresses(a=a, b=b, c=c))


def _layer_norm_program(sizes: EncoderSizes, machine: Accelerator) -> Program:
    how = Normalisation(function="layer_norm", constants=NormConstants(0, 0))
    return emit_normalisation(sizes.tokens, sizes.features, machine, how, source=_SUMS, target=_O)


def scores_nest(sizes: EncoderSizes) -> ArrayNest:
    """Query times key of one head, its operands slices of rows."""
    return matmul_nest(
        sizes.tokens, sizes.tokens, sizes.head, a_stride=sizes.attention, b_stride=sizes.attention, transpose_b=True
    )


def matmul_nest(
    rows: int, columns: int, depth: int, *, a_stride: int = 0, b_stride: int = 0, transpose_b: bool = False
) -> ArrayNest:
    """C[rows, columns] = A[rows, depth] B[depth, columns]; strides in elements, 0 where rows are dense."""
    return ArrayNest(
        images=1,
        out_rows=1,
        out_columns=rows,
        out_channels=columns,
        kernel_rows=1,
        kernel_columns=1,
        in_channels=depth,
        in_rows=1,
        in_columns=rows,
        row_stride=1,
        column_stride=1,
        row_dilation=1,
        column_dilation=1,
        top_pad=0,
        left_pad=0,
        a_stride=a_stride or depth,
        b_stride=b_stride or (depth if transpose_b else columns),
        c_stride=columns,
        repeats=(),
        transpose_a=False,
        transpose_b=transpose_b,
        bias=False,
    )
