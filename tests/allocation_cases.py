"""Bit allocations as large as those people solve."""

import numpy as np

from hls.allocation.costs import Product, between, bit_operations, layer_bops, model_size, table, with_budgets
from hls.allocation.problem import Budget, Problem


def hawq_style(seed: int, layers: int = 50, bits: tuple[int, ...] = (2, 4, 6, 8)) -> Problem:
    """As large as HAWQ's: layers of random size, work and curvature, under budgets of size, BOPs and latency."""
    generator = np.random.default_rng(seed)
    names = [f"w{index}" for index in range(layers)]
    choices = dict.fromkeys(names, bits)
    counts = generator.integers(1_000, 2_000_000, layers)
    macs = counts * generator.integers(1, 3_000, layers)
    curvature = np.exp(generator.normal(0, 2, layers)) * np.sqrt(counts)

    def random_table(
        scale: "np.ndarray[tuple[int], np.dtype[np.float64]]", power: float
    ) -> dict[str, dict[int, float]]:
        noise = 1 + 0.2 * generator.random((layers, len(bits)))
        return {
            name: {b: float(scale[i] * b**power * noise[i, j]) for j, b in enumerate(bits)}
            for i, name in enumerate(names)
        }

    omega = {
        name: {b: float(curvature[i] * 4.0**-b * (1 + 0.1 * generator.random())) for b in bits}
        for i, name in enumerate(names)
    }
    problem = Problem(choices=choices, objective=table("omega", "loss", omega))
    bops = {name: {b: layer_bops(float(macs[i]), 100 + i, b, b) for b in bits} for i, name in enumerate(names)}
    amounts = (
        model_size(dict(zip(names, map(int, counts), strict=True)), choices),
        table("bops", "bit operations", bops),
        table("latency", "cycles", random_table(macs / 256.0, 0.7)),
    )
    limits = [Budget(amount=amount, limit=between(amount, choices, 0.5, 4, 6)) for amount in amounts]
    return with_budgets(problem, *limits)


def with_activations(seed: int) -> Problem:
    """`hawq_style` with fifty activations more, and BOPs and cycles that depend on both operands' bits."""
    weights = hawq_style(seed)
    layers = tuple(weights.choices)
    bits = weights.choices[layers[0]]
    choices = dict(weights.choices) | {f"a{index}": bits for index in range(len(layers))}
    generator = np.random.default_rng(seed)
    curvature = np.exp(generator.normal(0, 2, len(layers)))
    costs = {f"a{i}": {b: float(curvature[i] * 4.0**-b) for b in bits} for i in range(len(layers))}
    work = generator.integers(1_000_000, 1_000_000_000, len(layers))
    products = [
        Product(activation=f"a{i}", weight=name, macs=int(work[i]), reduction=64 + i) for i, name in enumerate(layers)
    ]
    cycles = {
        (f"a{i}", name): {(a, w): float(work[i]) / 256 * max(a, w) / 8 for a in bits for w in bits}
        for i, name in enumerate(layers)
    }
    size = weights.budgets[0].amount
    amounts = (size, bit_operations(products, choices), table("cycles", "cycles", {}, cycles))
    objective = table("omega", "loss", {**weights.objective.singles, **costs})
    limits = [Budget(amount=amount, limit=between(amount, choices, 0.4, 2, 8)) for amount in amounts]
    return Problem(choices=choices, objective=objective, budgets=tuple(limits))
