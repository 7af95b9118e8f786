"""Largest eigenvalues of a symmetric operator by power iteration with deflation, as PyHessian finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Vector = npt.NDArray[Any]
Operator = Callable[[Vector], Vector]

_FLOOR = 1e-6
"""PyHessian adds this to the magnitude that a change is relative to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenpair:
    """An eigenvalue and its unit `vector`; `residual` is |A v - value v|. `converged`: it moved less than asked."""

    value: float
    vector: Vector = field(repr=False)
    residual: float
    iterations: int
    converged: bool


def top_eigenvalues(
    apply: Operator, size: int, count: int = 1, *, tolerance: float = 1e-3, most_iterations: int = 100, seed: int = 0
) -> tuple[Eigenpair, ...]:
    """The `count` eigenvalues of largest magnitude, signs kept, each found orthogonal to those before it.

    Stops when a value moves by less than `tolerance` of its magnitude (PyHessian's rule, Yao et al., arXiv
    1912.07145). Raises InputError for more eigenvalues than `size`.
    """
    if not 1 <= count <= size:
        raise InputError("eigenvalues", "as many as the operator has", value=count, limit=size)
    generator = np.random.default_rng(seed)
    found: list[Eigenpair] = []
    for _ in range(count):
        start = generator.standard_normal(size)
        found.append(_iterate(apply, start, [pair.vector for pair in found], tolerance, most_iterations))
    return tuple(found)


def _iterate(apply: Operator, start: Vector, known: list[Vector], tolerance: float, most: int) -> Eigenpair:
    vector = _unit(_orthogonal(start, known))
    value, residual, iterations, converged = 0.0, np.inf, 0, False
    for iterations in range(1, most + 1):
        image = apply(vector)
        before, value = value, float(vector @ image)
        residual = float(np.linalg.norm(image - value * vector))
        converged = iterations > 1 and abs(value - before) / (abs(value) + _FLOOR) < tolerance
        following = _orthogonal(image, known)
        if converged or not following.any():
            break
        vector = _unit(following)
    return Eigenpair(value=value, vector=vector, residual=residual, iterations=iterations, converged=converged)


def _orthogonal(vector: Vector, known: list[Vector]) -> Vector:
    for _ in range(2):  # once more: the first pass leaves rounding errors of the size of what it took away
        for other in known:
            vector = vector - (vector @ other) * other
    return vector


def _unit(vector: Vector) -> Vector:
    result: Vector = vector / np.linalg.norm(vector)
    return result
