"""Layers written plainly in numpy and float64, one input at a time: what the tests of the workloads hold the builders'
graphs to."""

from math import erf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Values = dict[str, Array]


class Plain:
    """Layers with the parameters `values` of one graph; sequences are (tokens, features), images (channels, height,
    width)."""

    def __init__(self, values: Values, epsilon: float) -> None:
        self.values = {name: value.astype(np.float64) for name, value in values.items()}
        self.epsilon = epsilon

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def dense(self, x: Array, name: str) -> Array:
        return x @ self[f"{name}.weight"] + self[f"{name}.bias"]

    def norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.epsilon)
        return centred / deviation * self[f"{name}.scale"] + self[f"{name}.bias"]

    def batch_norm(self, x: Array, name: str, epsilon: float) -> Array:
        """Over the first axis."""
        scale, bias, mean, variance = (
            self[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 1)) for part in ("scale", "bias", "mean", "variance")
        )
        return (x - mean) / np.sqrt(variance + epsilon) * scale + bias

    def attention(self, x: Array, name: str, heads: int) -> Array:
        query, key, value = (self.dense(x, f"{name}.{part}") for part in ("query", "key", "value"))
        width = x.shape[-1] // heads
        parts = [slice(start, start + width) for start in range(0, x.shape[-1], width)]
        mixed = [softmax(query[:, s] @ key[:, s].T / sqrt(width)) @ value[:, s] for s in parts]
        return self.dense(np.concatenate(mixed, axis=1), f"{name}.output")

    def relative_attention(self, x: Array, name: str, heads: int) -> Array:
        """Transformer-XL's: every score from the distance of its query and key, one by one."""
        steps, features = x.shape
        query, key, value = (self.dense(x, f"{name}.{part}") for part in ("query", "key", "value"))
        width = features // heads
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            u, v = (self[f"{name}.{kind}.bias"][head, 0] for kind in ("content", "distance"))
            scores = np.zeros((steps, steps))
            for i in range(steps):
                for j in range(steps):
                    distance = (sinusoid(i - j, features) @ self[f"{name}.position.weight"])[part]
                    scores[i, j] = (query[i, part] + u) @ key[j, part] + (query[i, part] + v) @ distance
            mixed[:, part] = softmax(scores / sqrt(width)) @ value[:, part]
        return self.dense(mixed, f"{name}.output")

    def conv(self, x: Array, name: str, *, stride: int, pads: tuple[int, int], groups: int = 1) -> Array:
        """Convolution of (channels, *space), every spatial axis padded by `pads` before and after; bias where there is
        one."""
        weight = self[f"{name}.weight"]
        kernel = weight.shape[2:]
        padded = np.pad(x, [(0, 0), *[pads] * len(kernel)])
        axes = tuple(range(1, x.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=axes)
        windows = windows[(slice(None), *[slice(None, None, stride)] * len(kernel))]
        space = windows.shape[1 : x.ndim]
        per_group = weight.shape[0] // groups
        result = np.zeros((weight.shape[0], *space))
        for channel in range(weight.shape[0]):
            first = channel // per_group * weight.shape[1]
            seen = windows[first : first + weight.shape[1]]
            summed = (0, *range(x.ndim, seen.ndim))
            result[channel] = (seen * weight[channel].reshape(-1, *[1] * len(space), *kernel)).sum(axis=summed)
        bias = self.values.get(f"{name}.bias")
        return result if bias is None else result + bias.reshape(-1, *[1] * len(kernel))


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def gelu(x: Array) -> Array:
    return np.vectorize(lambda value: value * 0.5 * (1 + erf(value / sqrt(2))))(x)


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sinusoid(distance: int, features: int) -> Array:
    angles = [distance / 10000 ** (2 * (column // 2) / features) for column in range(features)]
    return np.array([np.cos(angle) if column % 2 else np.sin(angle) for column, angle in enumerate(angles)])
