"""Arithmetic read as a polynomial of chosen tensors, so that a formula is recognised in whatever order its factors were
written."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from model_ir.ops.elementwise import Binary, Unary
from model_ir.passes.rewriting import View

# Coefficient of every product of symbols; a symbol occurs as often as its power, the empty product is the constant.
Polynomial = Mapping[tuple[str, ...], float]

MAXIMUM_TERMS = 8
MAXIMUM_DEGREE = 4
MAXIMUM_DEPTH = 8
RELATIVE_TOLERANCE = 2e-5


def polynomial(view: View, name: str, symbols: Collection[str], depth: int = 0) -> Polynomial | None:
    """`name` as a polynomial of `symbols`; None where it depends on anything else or is too large to be a formula."""
    if name in symbols:
        return {(name,): 1.0}
    number = view.scalar(name)
    if number is not None:
        return {(): number}
    op = view.maker(name, Binary)
    if depth == MAXIMUM_DEPTH:
        return None
    if op is None:
        negated = view.maker(name, Unary)
        if negated is None or negated.function != "neg":
            return None
        inner = polynomial(view, negated.inputs[0], symbols, depth + 1)
        return None if inner is None else _product({(): -1.0}, inner)
    left = polynomial(view, op.inputs[0], symbols, depth + 1)
    right = None if left is None else polynomial(view, op.inputs[1], symbols, depth + 1)
    return None if left is None or right is None else _apply(op.function, left, right)


def same(found: Polynomial | None, wanted: Polynomial) -> bool:
    """Whether two polynomials have the same terms, coefficients within RELATIVE_TOLERANCE (constants are printed with
    few digits)."""
    if found is None or set(found) != {tuple(sorted(term)) for term in wanted}:
        return False
    return all(
        abs(found[tuple(sorted(term))] - number) <= RELATIVE_TOLERANCE * abs(number) for term, number in wanted.items()
    )


def _apply(function: str, left: Polynomial, right: Polynomial) -> Polynomial | None:
    number = right.get((), 0.0) if set(right) <= {()} else None
    if function == "add":
        return _sum(left, right)
    if function == "sub":
        return _sum(left, _product({(): -1.0}, right))
    if function == "mul":
        return _bounded(_product(left, right))
    if function == "div" and number:
        return _product(left, {(): 1.0 / number})
    if function == "pow" and number in (1.0, 2.0, 3.0):
        result = left
        for _ in range(int(number) - 1):
            result = _product(result, left)
        return _bounded(result)
    return None


def _bounded(terms: Polynomial) -> Polynomial | None:
    return terms if len(terms) <= MAXIMUM_TERMS and all(len(term) <= MAXIMUM_DEGREE for term in terms) else None


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    terms = dict(left)
    for term, number in right.items():
        terms[term] = terms.get(term, 0.0) + number
    return {term: number for term, number in terms.items() if number != 0.0}


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    terms: dict[tuple[str, ...], float] = {}
    for one, a in left.items():
        for other, b in right.items():
            term = tuple(sorted(one + other))
            terms[term] = terms.get(term, 0.0) + a * b
    return {term: number for term, number in terms.items() if number != 0.0}
