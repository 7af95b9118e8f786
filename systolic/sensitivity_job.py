"""`systolic sensitivity` and `systolic bits`: from a network and labelled data to what rounding each tensor costs, and
to bits under budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hls.allocation.allocate import Allocation, SolverName, allocate
from hls.allocation.costs import bit_operations, model_size, table
from hls.allocation.network import Counting, choices_for, quantisable
from hls.allocation.problem import Amount, Budget, Problem
from mapper.highs import STDOUT_ASIDE
from model_ir.errors import InputError
from model_ir.graph import Graph, random_parameters
from model_ir.passes.pipeline import run_passes
from systolic.budgets import limit_of
from systolic.labelled_data import labels_of, only_input, standardised
from systolic.network import NetworkRequest, load_network
from systolic.pipeline import Progress
from workloads.labelled_data import read_arrays

if TYPE_CHECKING:
    from hls.sensitivity.measures import Question

SMALL_MACS = 1_000_000
SMALL_BATCH, LARGE_BATCH = 100, 8
"""Rows at once for catalogue networks below and above `SMALL_MACS` multiply-accumulates a sample, unless asked."""

DEFAULT_ROWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityRequest:
    """What was asked: network, its data and how to estimate; `rows` None: as many whole batches as `DEFAULT_ROWS` and
    the file have. `groups` of each weight's output channels get bits of their own."""

    network: NetworkRequest
    data: Path
    standardise: bool = False
    rows: int | None = None
    bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    groups: int = 1
    measure: str = "omega"
    joint: bool = False
    relative_error: float = 0.05
    most_probes: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityRow:
    """A tensor or group of channels: `trace` of its Hessian block and what `bits` cost by Omega."""

    name: str
    kind: str
    elements: int
    trace: float
    standard_error: float
    probes: int
    converged: bool
    omega: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityReport:
    """The rows, activations first, and what was assumed."""

    network: str
    rows_of_data: int
    loss: float
    rows: tuple[SensitivityRow, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsRequest:
    """What was asked: the sensitivity, limits by amount ("size", "bops" or a table's name; "50%" is HAWQ-V3's rule),
    further tables, variables held at so many bits."""

    sensitivity: SensitivityRequest
    budgets: Mapping[str, str]
    tables: tuple[Path, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    unrolled: bool = False
    solver: SolverName = "cp-sat"
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsReport:
    """The allocation and its problem, for printing."""

    network: str
    measure: str
    problem: Problem
    allocation: Allocation
    notes: tuple[str, ...] = ()


def sensitivity_job(request: SensitivityRequest, progress: Progress) -> SensitivityReport:
    """Traces and Omega of every weight and activation. Raises InputError for unusable data, network or options."""
    graph, question, notes = _question(request)
    from hls.sensitivity.measures import omega_of, traces_of

    traces = traces_of(question, lambda done, total: progress("traces", done, total))
    costs = omega_of(question, traces)
    return SensitivityReport(
        network=graph.name,
        rows_of_data=len(question.surface.batches) * graph.tensors[graph.inputs[0]].shape[0],
        loss=question.surface.loss(),
        rows=tuple(
            SensitivityRow(
                name=part.name,
                kind="weight" if part.tensor in graph.parameters else "activation",
                elements=part.elements,
                trace=estimate.trace,
                standard_error=estimate.standard_error,
                probes=estimate.probes,
                converged=estimate.converged,
                omega=costs[part.name],
            )
            for part, estimate in ((part, traces.estimates[part.name]) for part in question.parts)
        ),
        notes=notes,
    )


def bits_job(request: BitsRequest, progress: Progress) -> BitsReport:
    """Bits for every weight and activation under the budgets. Raises InputError for unusable data, network, options or
    budgets' names, BudgetError with the minimum for budgets that nothing meets."""
    graph, question, notes = _question(request.sensitivity)
    from hls.sensitivity.measures import MEASURES

    measure = request.sensitivity.measure
    if measure not in MEASURES:
        raise InputError("--measure", "unknown measure", value=repr(measure), limit=", ".join(MEASURES))
    names = tuple(part.name for part in question.parts)
    for name in request.held:
        if name not in names:
            raise InputError("--hold", "nothing has this name", value=repr(name), limit=", ".join(names))
    choices = choices_for(names, request.sensitivity.bits, held=request.held)
    asked = tuple(sorted({bits for options in choices.values() for bits in options}))
    costs = MEASURES[measure](replace(question, bits=asked))
    progress("measure", 1, 1)
    problem = Problem(
        choices=choices,
        objective=table(measure, "loss", costs),
        budgets=_budgets(request, graph, choices),
    )
    with STDOUT_ASIDE:
        solved = allocate(problem, solver=request.solver, seconds=request.seconds)
    if _estimates_luts(request):
        notes = (*notes, _about_luts())
    return BitsReport(network=graph.name, measure=measure, problem=problem, allocation=solved, notes=notes)


def _question(request: SensitivityRequest) -> tuple[Graph, Question, tuple[str, ...]]:
    """The network ready to be asked, the question and what was assumed."""
    if find_spec("jax") is None:
        raise InputError("systolic sensitivity", "needs jax: pip install 'systolic[jax]'")
    from hls.parts import whole
    from hls.sensitivity.graph_loss import graph_surface
    from hls.sensitivity.measures import Question
    from hls.sensitivity.trace import Stopping

    if not 0 < request.relative_error < 1:
        raise InputError("--relative-error", "must be between 0 and 1", value=request.relative_error)
    graph = run_passes(load_network(_with_batch(request.network)))
    drawn = random_parameters(graph, request.seed)
    surface = graph_surface(graph, drawn, read_data(request, graph))
    found = quantisable(graph, groups=request.groups)
    notes = (f"{len(drawn)} parameters have no value in the network: drawn at random",) if drawn else ()
    question = Question(
        surface=surface,
        parts=(*(whole(name, surface.shapes[name]) for name in found.activations), *found.weights),
        bits=request.bits,
        estimator="joint" if request.joint else "separate",
        stopping=Stopping(
            relative_change=None,
            relative_error=request.relative_error,
            least_probes=min(8, request.most_probes),
            most_probes=request.most_probes,
        ),
        seed=request.seed,
    )
    return graph, question, notes


def _with_batch(network: NetworkRequest) -> NetworkRequest:
    if network.is_file or network.batch is not None:
        return network
    small = load_network(network).macs < SMALL_MACS
    return replace(network, batch=SMALL_BATCH if small else LARGE_BATCH)


def read_data(request: SensitivityRequest, graph: Graph) -> Any:
    """The rows that are used of an .npz with `y` (or `labels`) and each input under its name (or `X`, if it is one)."""
    from hls.data import Data

    where = str(request.data)
    arrays = read_arrays(request.data)
    labels = labels_of(request.data, arrays)
    if len(graph.inputs) == 1:
        arrays[graph.inputs[0]] = only_input(request.data, arrays, graph.inputs[0])
    size = (*graph.tensors[graph.inputs[0]].shape, 1)[0]
    rows = min(len(labels), max(DEFAULT_ROWS, size)) // size * size if request.rows is None else request.rows
    if not 0 < rows <= len(labels):
        raise InputError(where, "has too few rows", value=len(labels), limit=f"at least {max(rows, size)}")
    inputs = {}
    for name in graph.inputs:
        if name not in arrays:
            raise InputError(where, f"has no array for input {name!r}", value=", ".join(arrays))
        inputs[name] = (standardised(arrays[name]) if request.standardise else arrays[name])[:rows]
    integers = np.issubdtype(labels.dtype, np.integer)
    return Data(inputs=inputs, labels=(labels.astype(np.int32) if integers else labels)[:rows])


def _budgets(request: BitsRequest, graph: Graph, choices: Mapping[str, tuple[int, ...]]) -> tuple[Budget, ...]:
    """Size, BOPs and the tables, with the limits that were asked."""
    counting: Counting = "unrolled" if request.unrolled else "positions"
    groups = request.sensitivity.groups
    found = quantisable(graph, groups=groups, counting=counting)
    amounts = [model_size(found.elements, choices), bit_operations(found.products, choices)]
    amounts += [read_table(path) for path in request.tables]
    if _estimates_luts(request):
        from hls.resources.table import lut_table

        drawn = random_parameters(graph, request.sensitivity.seed)
        amounts.append(lut_table(graph, choices, parameters=drawn, groups=groups))
    names = [amount.name for amount in amounts]
    for name in request.budgets:
        if name not in names:
            raise InputError("--budget", "no amount has this name", value=repr(name), limit=", ".join(names))
    low, high = min(request.sensitivity.bits), max(request.sensitivity.bits)
    limits = {name: request.budgets.get(name, "inf") for name in names}
    return tuple(
        Budget(amount=amount, limit=limit_of(amount, choices, limits[amount.name], low, high)) for amount in amounts
    )


def _estimates_luts(request: BitsRequest) -> bool:
    """Whether LUTs are limited and no table says what they are."""
    return "luts" in request.budgets and all(read_table(path).name != "luts" for path in request.tables)


def _about_luts() -> str:
    from hls.resources.calibration import CONFIDENCE, vivado

    reach = vivado().area.reach
    return (
        f"luts: estimated for hls4ml's latency strategy, fully unrolled (model: {vivado().name}); "
        f"a prediction is within a factor {reach:.2g} in {CONFIDENCE:.0%} of cases"
    )


def read_table(path: Path) -> Amount:
    """An amount from JSON: name, unit, singles {variable: {bits: cost}}, pairs [[first, second, {"a,w": cost}], ...],
    constant. Raises InputError naming the place of what does not fit."""
    import msgspec

    class File(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
        name: str
        unit: str
        singles: dict[str, dict[int, float]] = {}
        pairs: list[tuple[str, str, dict[str, float]]] = []
        constant: float = 0.0

    try:
        file = msgspec.json.decode(path.read_bytes(), type=File)
        pairs = {
            (first, second): {_pair_key(key): cost for key, cost in costs.items()}
            for first, second, costs in file.pairs
        }
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise InputError(str(path), f"cannot be read as a table: {error}") from error
    return table(file.name, file.unit, file.singles, pairs, file.constant)


def _pair_key(text: str) -> tuple[int, int]:
    first, second = text.split(",")
    return int(first), int(second)
