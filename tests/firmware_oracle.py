"""A firmware network executed layer by layer in whole numbers, one multiplication at a time where it is a sum: slow,
and unable to hide a value that its type does not hold."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

from hls.firmware.fixed_point import Fixed
from hls.firmware.network import (
    Convolution,
    Dense,
    Flatten,
    Layer,
    MaxPooling,
    Network,
    Port,
    Relu,
    Sum,
    Weighted,
    from_firmware,
    to_channels_last,
)

Exact = Any  # an array of Fractions


def exact(values: Any) -> Exact:
    return np.array([Fraction(float(value)) for value in np.ravel(values)], dtype=object).reshape(np.shape(values))


def assigned(value: Fraction, fixed: Fixed) -> Fraction:
    """What a variable of the type holds after the assignment; a value that wraps is a failure."""
    steps = value / Fraction(2) ** fixed.exponent
    whole = floor(steps)
    if fixed.rounding == "RND_CONV":
        rest = steps - whole
        whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
    else:
        assert fixed.overflow != "WRAP" or steps == whole, f"{value} loses bits in {fixed}"
    low, high = fixed.span.low, fixed.span.high
    assert fixed.overflow != "WRAP" or low <= whole <= high, f"{value} does not fit {fixed}"
    return min(max(whole, low), high) * Fraction(2) ** fixed.exponent


def of_type(values: Exact, fixed: Fixed) -> Exact:
    return np.array([assigned(value, fixed) for value in values.ravel()], dtype=object).reshape(values.shape)


def summed(layer: Weighted, column: Exact, weights: Exact, bias: Fraction) -> Fraction:
    """As hls4ml adds up: every product in an accumulator, onto the bias."""
    total = assigned(bias, layer.accumulator)
    for value, weight in zip(column.ravel(), weights.ravel(), strict=True):
        total = assigned(total + assigned(value * weight, layer.accumulator), layer.accumulator)
    return total


def windows(x: Exact, layer: Convolution | MaxPooling) -> Any:
    """Every window of a padded image, by output row and column."""
    top, left, bottom, right = layer.window.pads
    padded = np.full((x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2]), Fraction(0), dtype=object)
    padded[top : top + x.shape[0], left : left + x.shape[1]] = x
    (rows, columns), (down, across) = layer.window.kernel, layer.window.strides
    for i in range(layer.shape[0]):
        for j in range(layer.shape[1]):
            yield i, j, padded[i * down : i * down + rows, j * across : j * across + columns]


def computed(layer: Layer, read: list[Exact]) -> Exact:
    result = np.empty(layer.shape, dtype=object)
    if isinstance(layer, Weighted):
        weights = of_type(exact(layer.weight.values), layer.weight.fixed)
        outputs = layer.shape[-1]
        biases = exact(np.zeros(outputs) if layer.bias is None else layer.bias.values)
        biases = biases if layer.bias is None else of_type(biases, layer.bias.fixed)
        if isinstance(layer, Dense):
            for out in range(outputs):
                result[out] = summed(layer, read[0], weights[:, out], biases[out])
            return result
        assert isinstance(layer, Convolution)
        for i, j, window in windows(read[0], layer):
            for out in range(outputs):
                seen = window[:, :, out : out + 1] if layer.depthwise else window
                result[i, j, out] = summed(layer, seen, weights[out], biases[out])
        return result
    if isinstance(layer, MaxPooling):
        for i, j, window in windows(read[0], layer):
            result[i, j] = window.max(axis=(0, 1))
        return result
    if isinstance(layer, Flatten):
        return read[0].reshape(-1)
    if isinstance(layer, Sum):
        return read[0] + read[1]
    return np.maximum(read[0], Fraction(0)) if isinstance(layer, Relu) else read[0]


def executed_in_whole_numbers(network: Network, inputs: Any) -> Any:
    """(samples, ...) of our graph in, its outputs out, as float64."""
    results = []
    for sample in to_channels_last(np.asarray(inputs)):
        values: dict[str, Exact] = {}
        for layer in network.layers:
            read = [exact(sample)] if isinstance(layer, Port) else [values[name] for name in layer.reads]
            values[layer.name] = of_type(computed(layer, read), layer.result)
        results.append(values[network.output].astype(np.float64).ravel())
    return from_firmware(network.by_name[network.output], np.array(results))
