"""Which designs are made: bits by one integer program each, and uniform ones beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from hls.allocation.allocate import Allocation, allocate
from hls.allocation.costs import Product, bit_operations, model_size, table
from hls.allocation.network import choices_for, quantisable
from hls.allocation.problem import Amount, Budget, Problem
from mapper.highs import STDOUT_ASIDE
from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import Method, Proof
from systolic.budgets import limit_of
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.sensitivity import Sensitivities

SOLVER_SECONDS = 60.0
AMOUNTS = ("bops", "size", "luts")
"""What budgets can limit."""
OMEGA, SQUARED_ERROR = "omega", "squared error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A design to be made: its bits by tensor, how they were chosen, and whether it is retrained. `proof` is the
    integer program's, where there was one."""

    name: str
    method: Method
    bits: Mapping[str, int]
    bops: float
    size_bytes: float
    retrained: bool
    proof: Proof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be chosen: widths by tensor, the costs of choices, and both objectives; the layers' `products`, and how
    many numbers each weight has."""

    choices: Mapping[str, tuple[int, ...]]
    amounts: tuple[Amount, ...]
    objectives: Mapping[str, Amount]
    products: tuple[Product, ...]
    elements: Mapping[str, int]

    def amount(self, name: str) -> Amount:
        """The amount of that name."""
        return next(amount for amount in self.amounts if amount.name == name)


def options_of(graph: Graph, found: Sensitivities, request: FirmwareRequest) -> Options:
    """All choices for the float `graph`, whose input has the sensor's bits."""
    from hls.resources.table import lut_table

    one = with_batch_size(graph, 1)
    known = quantisable(one)
    choices = choices_for(known.variables, request.widths, held={graph.inputs[0]: request.input_bits})
    amounts = (
        bit_operations(known.products, choices),
        model_size(known.elements, choices),
        lut_table(one, choices),
    )
    return Options(
        choices=choices,
        amounts=amounts,
        objectives={
            OMEGA: table(OMEGA, "loss", {row.name: row.omega for row in found.rows}),
            SQUARED_ERROR: table(SQUARED_ERROR, "squared error", {row.name: row.squared_error for row in found.rows}),
        },
        products=known.products,
        elements=known.elements,
    )


def chosen_plan(options: Options, request: FirmwareRequest) -> Plan:
    """The design of least Omega under the request's budgets. Raises BudgetError with the minimum where nothing meets
    them."""
    low, high = min(request.widths), max(request.widths)
    limits = {
        name: limit_of(options.amount(name), options.choices, text, low, high) for name, text in request.budgets.items()
    }
    under = ", ".join(f"{name} {text}" for name, text in request.budgets.items())
    return _solved(options, OMEGA, limits, request, name=f"Hessian-aware, {under or 'no budget'}", retrained=True)


def swept_plans(options: Options, request: FirmwareRequest) -> tuple[Plan, ...]:
    """Uniform designs of every width, and at the bit operations of each, and halfway to the next, those of least Omega
    and of least squared error: both rounded alone, and those of one width and of least Omega retrained."""
    plans: list[Plan] = []
    for width in request.widths:
        plans += _twice(_plan(options, _uniform(options, width), f"uniform, {width} bits", "uniform"))
    for place in _halves(request.widths):
        limit = {"bops": _bops_at(options, place)}
        for measure, method in ((OMEGA, "Hessian-aware"), (SQUARED_ERROR, "squared error")):
            plan = _solved(options, measure, limit, request, name=f"{method}, BOPs of {place:g} bits", retrained=False)
            plans += _twice(plan) if measure == OMEGA else (plan,)
    return tuple(plans)


def _twice(plan: Plan) -> tuple[Plan, Plan]:
    return replace(plan, name=f"{plan.name}, rounded", retrained=False), replace(plan, retrained=True)


def _uniform(options: Options, width: int) -> dict[str, int]:
    """`width` bits for every tensor that has a choice."""
    return {name: offered[0] if len(offered) == 1 else width for name, offered in options.choices.items()}


def _halves(widths: Sequence[int]) -> tuple[float, ...]:
    ordered = sorted(widths)
    between = [(low + high) / 2 for low, high in pairwise(ordered)]
    return tuple(sorted({*map(float, ordered[1:-1]), *between}))


def _bops_at(options: Options, place: float) -> float:
    """Bit operations at `place` bits: between two widths, halfway between theirs."""
    ordered = sorted({width for offered in options.choices.values() if len(offered) > 1 for width in offered})
    low = max(width for width in ordered if width <= place)
    high = min(width for width in ordered if width >= place)
    costs = [options.amount("bops").of(_uniform(options, width)) for width in (low, high)]
    return costs[0] if low == high else costs[0] + (costs[1] - costs[0]) * (place - low) / (high - low)


def _solved(
    options: Options,
    measure: str,
    limits: Mapping[str, float],
    request: FirmwareRequest,
    *,
    name: str,
    retrained: bool,
) -> Plan:
    budgets = tuple(Budget(amount=amount, limit=limits.get(amount.name, inf)) for amount in options.amounts)
    problem = Problem(choices=options.choices, objective=options.objectives[measure], budgets=budgets)
    with STDOUT_ASIDE:
        answer = allocate(problem, solver=request.solver, seconds=SOLVER_SECONDS)
    method: Method = "Hessian-aware" if measure == OMEGA else "squared error"
    plan = _plan(options, answer.bits, name, method)
    return replace(plan, retrained=retrained, proof=_proof(answer, measure, budgets))


def _plan(options: Options, bits: Mapping[str, int], name: str, method: Method) -> Plan:
    return Plan(
        name=name,
        method=method,
        bits=dict(bits),
        bops=options.amount("bops").of(bits),
        size_bytes=options.amount("size").of(bits),
        retrained=False,
    )


def _proof(answer: Allocation, measure: str, budgets: Sequence[Budget]) -> Proof:
    limited = [budget for budget in budgets if budget.limit != inf]
    return Proof(
        measure=measure,
        solver=answer.solver,
        status=answer.status,
        objective=answer.objective,
        bound=answer.bound,
        seconds=answer.seconds,
        budgets=tuple(
            (budget.amount.name, answer.amounts[budget.amount.name], budget.limit, budget.amount.unit)
            for budget in limited
        ),
    )


def average_bits(options: Options, bits: Mapping[str, int]) -> float:
    """Mean bits of the weights."""
    return sum(count * bits[name] for name, count in options.elements.items()) / sum(options.elements.values())
