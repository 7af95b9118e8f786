"""What bits cost: model size, bit operations, and tables that somebody else computed (cycles, LUTs)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import TypeVar

from hls.allocation.problem import Amount, Budget, Pair, Problem, Single
from model_ir.errors import InputError

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`macs` multiplications, in sums of `reduction` of them, of operands in the precision of variables `activation`
    and `weight`; `nonzero` is the share of weights that is not zero.

    A layer's input precision is its producer's output precision: `activation` is the variable of that tensor, whoever
    else reads it.
    """

    activation: str
    weight: str
    macs: int
    reduction: int
    nonzero: float = 1.0


def layer_bops(macs: float, reduction: int, activation_bits: float, weight_bits: float, nonzero: float = 1.0) -> float:
    """Bit operations of a layer: m n (p b_a b_w + b_a + b_w + log2 n), of a convolution m n k^2 (... + log2 (n k^2)).

    `macs` is m n k^2, `reduction` n k^2, `nonzero` p (arXiv 2304.06745, after Baskin et al., UNIQ, arXiv 1804.10969).
    """
    operations = nonzero * activation_bits * weight_bits + activation_bits + weight_bits + log2(reduction)
    return macs * operations


def bit_operations(
    products: Sequence[Product], choices: Mapping[str, Sequence[int]], *, fixed: Mapping[str, int] | None = None
) -> Amount:
    """BOPs of all `products`. A variable that is not in `choices` has the bits of `fixed`. Raises InputError where it
    has neither, and for a share outside [0, 1]."""
    for product in products:
        if not 0 <= product.nonzero <= 1:
            raise InputError(f"product with {product.weight!r}", "share of non-zero weights", value=product.nonzero)

    def cost(product: Product, one: int, other: int) -> float:
        return layer_bops(product.macs, product.reduction, one, other, product.nonzero)

    return tabulated("bops", "bit operations", products, cost, choices, fixed=fixed)


def tabulated(
    name: str,
    unit: str,
    products: Sequence[Product],
    cost: Callable[[Product, int, int], float],
    choices: Mapping[str, Sequence[int]],
    *,
    fixed: Mapping[str, int] | None = None,
) -> Amount:
    """The sum over `products` of `cost` (product, activation bits, weight bits). A variable that is not in `choices`
    has the bits of `fixed`. Raises InputError where it has neither."""
    singles: dict[str, dict[int, float]] = {}
    pairs: dict[tuple[str, str], dict[tuple[int, int], float]] = {}
    constant = 0.0
    for product in products:
        costs = {
            (one, other): cost(product, one, other)
            for one in _bits(name, product.activation, choices, fixed)
            for other in _bits(name, product.weight, choices, fixed)
        }
        free = [variable for variable in dict.fromkeys((product.activation, product.weight)) if variable in choices]
        if len(free) == 2:
            _add(pairs.setdefault((product.activation, product.weight), {}), costs)
        elif product.activation == product.weight and free:
            _add(singles.setdefault(free[0], {}), {one: value for (one, other), value in costs.items() if one == other})
        elif free:
            place = 0 if free[0] == product.activation else 1
            _add(singles.setdefault(free[0], {}), {key[place]: value for key, value in costs.items()})
        else:
            constant += sum(costs.values())
    return Amount(name=name, unit=unit, singles=singles, pairs=pairs, constant=constant)


def model_size(elements: Mapping[str, int], choices: Mapping[str, Sequence[int]]) -> Amount:
    """Bytes of the weights: `elements` by variable times its bits."""
    singles = {name: {bits: count * bits / 8 for bits in choices[name]} for name, count in elements.items()}
    return Amount(name="size", unit="bytes", singles=singles)


def table(
    name: str,
    unit: str,
    singles: Mapping[str, Single],
    pairs: Mapping[tuple[str, str], Pair] | None = None,
    constant: float = 0.0,
) -> Amount:
    """An amount that was measured or estimated elsewhere: cycles of a simulator, LUTs of a firmware estimator, each
    entry by the bits of one variable or of an (activation, weight) pair."""
    return Amount(name=name, unit=unit, singles=dict(singles), pairs=dict(pairs or {}), constant=constant)


def between(
    amount: Amount, choices: Mapping[str, Sequence[int]], fraction: float, low: int = 4, high: int = 8
) -> float:
    """HAWQ-V3's limit: cost at `low` bits + fraction * (cost at `high` bits - cost at `low` bits).

    Variables with one choice keep it (the paper leaves out the first and the last layer). Raises InputError for a
    variable with several choices and not these. Source: Yao et al., HAWQ-V3, arXiv 2011.10680, section 4 (fractions
    0.25, 0.5, 0.75).
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"budget {amount.name!r}", "fraction outside [0, 1]", value=fraction)

    def uniform(bits: int) -> float:
        return amount.of({name: _uniform(name, options, bits) for name, options in choices.items()})

    return uniform(low) + fraction * (uniform(high) - uniform(low))


def with_budgets(problem: Problem, *budgets: Budget) -> Problem:
    """`problem` under these budgets too."""
    return replace(problem, budgets=(*problem.budgets, *budgets))


def _uniform(name: str, options: Sequence[int], bits: int) -> int:
    if len(options) == 1:
        return options[0]
    if bits not in options:
        raise InputError(f"choices of {name!r}", f"{bits} bits are not among them", value=tuple(options))
    return bits


def _bits(
    table: str, name: str, choices: Mapping[str, Sequence[int]], fixed: Mapping[str, int] | None
) -> Sequence[int]:
    if name in choices:
        return choices[name]
    if fixed is None or name not in fixed:
        raise InputError(f"table {table!r}", f"nothing says the bits of {name!r}")
    return (fixed[name],)


def _add(total: dict[Key, float], more: Mapping[Key, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value
