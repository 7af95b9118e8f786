"""The spectral density of a symmetric operator by stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from hls.sensitivity.eigen import Operator, Vector
from model_ir.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """Gauss quadrature of the spectrum of an operator of `size`: of each probe the `nodes` and their `weights`, which
    add up to 1."""

    size: int
    nodes: tuple[Floats, ...] = field(repr=False)
    weights: tuple[Floats, ...] = field(repr=False)

    def moment(self, power: int) -> float:
        """Mean of the eigenvalues' powers, trace(A^power) / size, as the probes estimate it."""
        pairs = zip(self.nodes, self.weights, strict=True)
        return float(np.mean([weights @ nodes**power for nodes, weights in pairs]))

    def density(self, grid: Floats, width: float) -> Floats:
        """Density at the points of `grid`, every node a Gaussian of standard deviation `width`."""
        total = np.zeros(len(grid))
        for nodes, weights in zip(self.nodes, self.weights, strict=True):
            total += np.exp(-(((grid[:, None] - nodes) / width) ** 2) / 2) @ weights
        density: Floats = total / len(self.nodes) / (width * sqrt(2 * pi))
        return density

    @property
    def extremes(self) -> tuple[float, float]:
        """Least and greatest node."""
        return float(min(nodes[0] for nodes in self.nodes)), float(max(nodes[-1] for nodes in self.nodes))


def spectral_density(apply: Operator, size: int, *, steps: int = 100, probes: int = 1, seed: int = 0) -> Spectrum:
    """`probes` runs of `steps` Lanczos steps with full re-orthogonalisation from Rademacher vectors.

    Keeps steps * size numbers of 8 bytes. 100 steps and one probe are PyHessian's (Yao et al., arXiv 1912.07145; Ubaru,
    Chen, Saad, SIAM J. Matrix Anal. 38, 2017). Raises InputError for fewer than one step or probe.
    """
    if steps < 1 or probes < 1:
        raise InputError("spectral density", "takes at least one step and one probe", value=(steps, probes))
    generator = np.random.default_rng(seed)
    nodes, weights = [], []
    for _ in range(probes):
        start = generator.choice([-1.0, 1.0], size) / sqrt(size)
        diagonal, beside = lanczos(apply, start, min(steps, size))
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        nodes.append(values)
        weights.append(vectors[0] ** 2)
    return Spectrum(size=size, nodes=tuple(nodes), weights=tuple(weights))


def lanczos(apply: Operator, start: Vector, steps: int) -> tuple[Floats, Floats]:
    """Diagonal and off-diagonal of the tridiagonal matrix of `apply` on the Krylov space of the unit vector `start`;
    shorter where that space is exhausted."""
    basis = np.zeros((steps, len(start)))
    basis[0] = start
    diagonal: list[float] = []
    beside: list[float] = []
    largest = 0.0
    for step in range(steps):
        image = apply(basis[step])
        diagonal.append(float(basis[step] @ image))
        for _ in range(2):  # twice is enough (Kahan and Parlett)
            image = image - basis[: step + 1].T @ (basis[: step + 1] @ image)
        length = float(np.linalg.norm(image))
        largest = max(largest, abs(diagonal[-1]), length)
        if step + 1 == steps or length <= largest * len(start) * np.finfo(np.float64).eps:
            break
        beside.append(length)
        basis[step + 1] = image / length
    return np.array(diagonal), np.array(beside)
