"""`Surface`: a loss as a function of perturbations of the tensors asked for, with exact Hessian-vector products.

The loss is one function of (perturbations by tensor, batch), traced once; what is measured of it (traces, eigenvalues,
spectra, changes) is in other files. No graph enters this one: a quadratic function is as good a surface as a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hls.parts import Part
from model_ir.errors import InputError
from model_ir.tensor import Shape

Array = npt.NDArray[Any]
Function = Callable[[Mapping[str, Any], Any], Any]
"""(perturbations by tensor, batch) -> scalar, in jax.numpy."""

Values = Callable[[str, int], Array]
"""(tensor, place of the batch) -> what the tensor is there."""


class Surface:
    """The mean of `function` over `batches` around the perturbation zero.

    `shapes` are the tensors that can be perturbed. `varying` names those whose values differ from batch to batch
    (activations): each batch has its own, and a vector for them is used in every batch. `values` says what tensors are
    where nothing is perturbed.
    """

    def __init__(
        self,
        *,
        shapes: Mapping[str, Shape],
        batches: Sequence[Any],
        function: Function,
        values: Values,
        varying: frozenset[str] = frozenset(),
    ) -> None:
        if not batches:
            raise InputError("sensitivity", "there is no data")
        self.shapes = dict(shapes)
        self.batches = tuple(batches)
        self.function = function
        self.values = values
        self.varying = varying

    def on(self, batches: Sequence[int]) -> Surface:
        """The same loss over some of the batches only; what was compiled is not compiled again."""
        places = tuple(batches)
        part = Surface(
            shapes=self.shapes,
            batches=[self.batches[place] for place in places],
            function=self.function,
            values=lambda name, place: self.values(name, places[place]),
            varying=self.varying,
        )
        part.__dict__ |= {name: getattr(self, name) for name in ("_loss", "_product", "_forms", "_zeros")}
        return part

    def loss(self, perturbations: Sequence[Mapping[str, Array]] | None = None) -> float:
        """Mean loss with tensors shifted by `perturbations`, one mapping a batch; tensors left out stay."""
        each = perturbations or [{}] * len(self.batches)
        pairs = zip(each, self.batches, strict=True)
        return float(np.mean([float(self._loss(self._complete(shift), batch)) for shift, batch in pairs]))

    def product(self, vector: Mapping[str, Array]) -> dict[str, Array]:
        """The Hessian of the mean loss times `vector` (zero for tensors that it leaves out)."""
        full = self._complete(vector)
        total = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        for batch in self.batches:
            for name, value in self._product(full, batch).items():
                total[name] += np.asarray(value, np.float64)
        return {name: value / len(self.batches) for name, value in total.items()}

    def operator(self, parts: Sequence[Part]) -> tuple[int, Callable[[Array], Array]]:
        """The block of the Hessian of these parts as (size, function of a flat vector of that size).

        Raises InputError for a tensor that has other values in every batch when there are several: the mean of such
        blocks is no block of a Hessian.
        """
        for part in parts:
            if part.tensor in self.varying and len(self.batches) > 1:
                raise InputError(
                    f"block of {part.name!r}", "an activation has one for each batch", value=len(self.batches)
                )
        edges = np.cumsum([0, *(part.elements for part in parts)])

        def apply(flat: Array) -> Array:
            vector = {part.tensor: np.zeros(part.shape) for part in parts}
            for part, start, stop in zip(parts, edges, edges[1:], strict=False):
                place = vector[part.tensor][part.index]
                place[...] = flat[start:stop].reshape(place.shape)
            product = self.product(vector)
            return np.concatenate([product[part.tensor][part.index].ravel() for part in parts])

        return int(edges[-1]), apply

    def forms(self, key: Any, mask: Mapping[str, float], axes: Mapping[str, int | None]) -> dict[str, Array]:
        """v * (H v) of a Rademacher probe drawn from `key`, summed over each tensor of `axes` (over all axes of the
        tensor but `axes[name]`).

        `mask` scales the probe by tensor: 0 leaves the tensor out of v. The mean over the batches, each with a probe
        of its own: that has the same expectation as one probe for all, and its noise averages out.
        """
        static = tuple(sorted((name, -1 if axis is None else axis) for name, axis in axes.items()))
        scale = {name: float(mask.get(name, 0)) for name in self.shapes}
        total: dict[str, Array] = {}
        for place, batch in enumerate(self.batches):
            for name, value in self._forms(key, place, scale, batch, static).items():
                total[name] = total.get(name, 0.0) + np.asarray(value, np.float64)
        return {name: value / len(self.batches) for name, value in total.items()}

    def _complete(self, vector: Mapping[str, Array]) -> dict[str, Any]:
        """`vector` over every tensor, so that one traced function serves all."""
        return {
            name: jnp.asarray(vector[name], jnp.float32) if name in vector else self._zeros[name]
            for name in self.shapes
        }

    @cached_property
    def _zeros(self) -> Mapping[str, Any]:
        return {name: jnp.zeros(shape, jnp.float32) for name, shape in self.shapes.items()}

    @cached_property
    def _loss(self) -> Any:
        return jax.jit(self.function)

    @cached_property
    def _product(self) -> Any:
        return jax.jit(self._hessian_product)

    @cached_property
    def _forms(self) -> Any:
        def forms(
            key: Any, place: Any, mask: Mapping[str, Any], batch: Any, axes: tuple[tuple[str, int], ...]
        ) -> dict[str, Any]:
            probe = self._signs(jax.random.fold_in(key, place))
            probe = {name: mask[name] * signs for name, signs in probe.items()}
            product = self._hessian_product(probe, batch)
            return {name: _summed(probe[name] * product[name], axis) for name, axis in axes}

        return jax.jit(forms, static_argnums=4)

    def _signs(self, key: Any) -> dict[str, Any]:
        """Rademacher signs for every tensor, cut from one draw: a generator for each takes XLA longer to compile than
        the network."""
        edges = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes.values())])
        signs = jax.random.rademacher(key, (int(edges[-1]),), jnp.float32)
        return {
            name: signs[start:stop].reshape(shape)
            for (name, shape), start, stop in zip(self.shapes.items(), edges, edges[1:], strict=False)
        }

    def _hessian_product(self, vector: Mapping[str, Any], batch: Any) -> Mapping[str, Any]:
        """Forward over reverse: the derivative of the gradient along `vector` (Pearlmutter, Neural Computation 6,
        1994)."""
        zero = {name: jnp.zeros(shape, jnp.float32) for name, shape in self.shapes.items()}
        gradient = jax.grad(lambda shift: self.function(shift, batch))
        product: Mapping[str, Any] = jax.jvp(gradient, (zero,), (dict(vector),))[1]
        return product


def _summed(values: Any, axis: int) -> Any:
    return jnp.sum(values, axis=tuple(place for place in range(values.ndim) if place != axis))
