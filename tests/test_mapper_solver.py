"""The integer program against exhaustive search, Gemmini's heuristic and its own claims."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.exhaustive import exhaustive
from mapper.heuristic import heuristic
from mapper.integer_program import solve
from mapper.solve import Objective
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.mapping import check_legal
from tests.nest_cases import BERT, GEMMINI, RESNET50, convolution, machine, machines, matmul, nests


@settings(max_examples=60, deadline=None, derandomize=True)
@given(nest=nests(largest=4), accelerator=machines(), objective=st.sampled_from(("cycles", "traffic")))
def test_optimum_is_the_exhaustive_optimum(nest: ArrayNest, accelerator: Accelerator, objective: Objective) -> None:
    try:
        _, _, oracle = exhaustive(nest, accelerator, objective=objective)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve(nest, accelerator, objective=objective)
        return
    mapping, found = solve(nest, accelerator, objective=objective)
    cost = analytical(nest, mapping, accelerator)
    numbers = (cost.cycles, cost.dram_bytes) if objective == "cycles" else (cost.dram_bytes, cost.cycles)
    assert (found.objective, found.tie_objective) == numbers == (oracle.objective, oracle.tie_objective)
    assert found.status == "optimal"
    assert (found.bound, found.tie_bound, found.gap, found.tie_gap) == (*numbers, 0.0, 0.0)
