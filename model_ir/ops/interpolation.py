"""Where and with what weight one axis is sampled: coordinates, nearest rounding and interpolation weights of ONNX
Resize.

Formulas: ONNX operator specification, Resize; the cubic weights are those of Keys, Cubic Convolution Interpolation for
Digital Image Processing, IEEE Trans. ASSP 29 (1981), equation 15 with free coefficient a.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MODES = ("nearest", "linear", "cubic")

COORDINATE_MODES: dict[str, Callable[[Array, int, int, float], Array]] = {
    "half_pixel": lambda x, size, target, scale: (x + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda x, size, target, scale: (
        size / 2 * (1 - target / (scale * size)) + (x + 0.5) / scale - 0.5
    ),
    "pytorch_half_pixel": lambda x, size, target, scale: (x + 0.5) / scale - 0.5 if target > 1 else x * 0.0,
    "align_corners": lambda x, size, target, scale: x * (size - 1) / (target - 1) if target > 1 else x * 0.0,
    "asymmetric": lambda x, size, target, scale: x / scale,
}
"""Input coordinate of output positions x, for an axis of `size` resized to `target` by `scale`."""

NEAREST_MODES: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def taps_and_weights(
    size: int,
    target: int,
    scale: float,
    *,
    mode: str,
    coordinate_mode: str,
    nearest_mode: str,
    cubic_coefficient: float,
    exclude_outside: bool,
) -> tuple[list[Array], list[Array]]:
    """For every tap (1, 2 or 4 by `mode`) the input position and the weight (float64) at each of `target` output
    positions."""
    coordinates = COORDINATE_MODES[coordinate_mode](np.arange(target, dtype=np.float64), size, target, scale)
    if mode == "nearest":
        chosen = NEAREST_MODES[nearest_mode](coordinates).astype(np.int64)
        return [np.clip(chosen, 0, size - 1)], [np.ones(target)]
    if mode == "linear":
        coordinates = np.clip(coordinates, 0, size - 1)
    base = np.floor(coordinates).astype(np.int64)
    fraction = coordinates - base
    if mode == "linear":
        positions, weights = [base, base + 1], [1 - fraction, fraction]
    else:
        positions = [base + shift for shift in (-1, 0, 1, 2)]
        weights = [_keys(fraction - shift, cubic_coefficient) for shift in (-1, 0, 1, 2)]
    if exclude_outside:
        weights = [
            np.where((position >= 0) & (position < size), weight, 0.0)
            for position, weight in zip(positions, weights, strict=True)
        ]
        total = np.sum(weights, axis=0)
        weights = [weight / total for weight in weights]
    return [np.clip(position, 0, size - 1) for position in positions], weights


def _keys(distance: Array, a: float) -> Array:
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
