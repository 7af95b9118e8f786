"""Squared errors are those of the grids that the network gets, and Omega weighs them."""

from __future__ import annotations

import numpy as np
import pytest
from quantised_networks import all_bits, cnn, data_for

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.error import omega, rounding_errors
from hls.quantise.scheme import Scheme
from model_ir.errors import InputError
from model_ir.graph import execute
from model_ir.passes.batch_size import with_batch_size


@pytest.mark.parametrize("scheme", [Scheme(), Scheme(scales="free", affine_weights=True, per_channel=True)])
def test_errors_are_those_of_the_calibrated_grids(scheme: Scheme) -> None:
    graph, data = cnn(), data_for(cnn(), 40)
    errors = rounding_errors(graph, data, (2, 5, 8), scheme)
    assert tuple(errors) == quantisable(graph).variables
    values = dict(graph.constants)
    execute(with_batch_size(graph, 40), {"image": data}, watch=values.__setitem__)
    for bits in (2, 5, 8):
        for name, grid in calibrated(graph, data, all_bits(graph, bits), scheme).items():
            value = values[name].astype(np.float64)
            squared = np.square(grid.nearest(value) - value)
            expected = squared.sum() if name in graph.parameters else squared.mean() * graph.tensors[name].elements
            assert errors[name][bits] == pytest.approx(expected, rel=1e-5)
    for table in errors.values():
        assert table[2] > table[5] > table[8] > 0


def test_groups_have_the_errors_of_their_own_grids() -> None:
    graph, data = cnn(), data_for(cnn(), 40)
    whole = rounding_errors(graph, data, (3,), Scheme(per_channel=True))
    parts = rounding_errors(graph, data, (3,), Scheme(per_channel=True), groups=2)
    assert {"conv_1.w[0:2]", "conv_1.w[2:4]"} <= set(parts)
    assert parts["conv_1.w[0:2]"][3] + parts["conv_1.w[2:4]"][3] == pytest.approx(whole["conv_1.w"][3])
    apart = rounding_errors(graph, data, (3,), groups=2)
    together = rounding_errors(graph, data, (3,))
    assert apart["conv_1.w[0:2]"][3] + apart["conv_1.w[2:4]"][3] <= together["conv_1.w"][3]


def test_omega_is_trace_times_error() -> None:
    errors = {"a": {2: 4.0, 3: 1.0}, "b": {2: 2.0, 3: 0.5}}
    assert omega(errors, {"a": 0.25, "b": -1.0}) == {"a": {2: 1.0, 3: 0.25}, "b": {2: 0.0, 3: 0.0}}
    with pytest.raises(InputError, match=r"none for.*b"):
        omega(errors, {"a": 1.0})
