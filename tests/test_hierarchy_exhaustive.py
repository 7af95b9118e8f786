"""Exhaustive search over mappings onto a hierarchy: what must hold of optima."""

from __future__ import annotations

import msgspec
import pytest

from mapper.hierarchy.exhaustive import hierarchy_exhaustive
from mapper.hierarchy.space import legal_hierarchy_mappings
from mapper.solve import Objective
from model_ir.errors import InputError
from simulator.hierarchy.cost import hierarchy_cost
from simulator.hierarchy.dataflow import DATAFLOWS
from simulator.hierarchy.description import ROLES, Hierarchy, Level, SpatialAxis, WordBits
from simulator.hierarchy.nest import TensorNest, tensor_nest
from tests.hierarchy_cases import convolution, matmul

replace = msgspec.structs.replace

DRAM = Level(name="dram", stores=ROLES, read_pj_per_byte=100.0, write_pj_per_byte=100.0, shared_bytes_per_cycle=2.0)
BUFFER = Level(
    name="buffer",
    stores=ROLES,
    capacity_bytes=24,
    read_bytes_per_cycle=4.0,
    read_pj_per_byte=2.0,
    write_pj_per_byte=2.0,
    streams=True,
    fanout=(SpatialAxis(name="rows", size=2, multicast=("inputs", "weights"), reduces_outputs=True),),
)
REGISTERS = Level(
    name="registers",
    stores=("weights", "outputs"),
    capacity_bytes=5,
    read_pj_per_byte=0.1,
    write_pj_per_byte=0.1,
    streams=True,
    accumulates=True,
)
MACHINE = Hierarchy(
    name="small",
    description="three levels",
    clock_hz=1e9,
    mac_pj=0.3,
    word_bits=WordBits(inputs=8, weights=8, outputs=8, partial_sums=32),
    levels=(DRAM, BUFFER, REGISTERS),
)
NESTS = (tensor_nest(matmul(2, 4, 3)), tensor_nest(convolution(4, 3, 1, 2, out_rows=1, kernel_rows=1)))
OBJECTIVES: tuple[Objective, ...] = ("latency", "traffic", "energy", "energy_delay_product")


@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.name)
def test_every_objective_has_the_least_of_its_own(nest: TensorNest) -> None:
    costs = [hierarchy_exhaustive(nest, MACHINE, objective=objective)[1] for objective in OBJECTIVES]
    assert min(costs, key=lambda cost: cost.cycles).cycles == costs[0].cycles
    assert min(costs, key=lambda cost: cost.dram_bytes).dram_bytes == costs[1].dram_bytes
    assert min(costs, key=lambda cost: cost.energy_pj).energy_pj == costs[2].energy_pj
    assert min(costs, key=lambda cost: cost.energy_delay).energy_delay == costs[3].energy_delay


def with_buffer(**changes: object) -> Hierarchy:
    return replace(MACHINE, levels=(DRAM, replace(BUFFER, **changes), REGISTERS))


@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.name)
@pytest.mark.parametrize(
    "better",
    [
        with_buffer(capacity_bytes=64),
        with_buffer(read_bytes_per_cycle=8.0),
        with_buffer(fanout=(replace(BUFFER.fanout[0], size=4),)),
        replace(MACHINE, levels=(replace(DRAM, shared_bytes_per_cycle=4.0), BUFFER, REGISTERS)),
    ],
    ids=["capacity", "bandwidth", "fan-out", "DRAM"],
)
def test_a_better_machine_is_never_slower(nest: TensorNest, better: Hierarchy) -> None:
    base = hierarchy_exhaustive(nest, MACHINE)[1]
    assert hierarchy_exhaustive(nest, better)[1].cycles <= base.cycles


@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.name)
def test_more_freedom_is_never_worse(nest: TensorNest) -> None:
    free = hierarchy_exhaustive(nest, MACHINE, objective="energy")[1].energy_pj
    for flow in DATAFLOWS[1:4]:
        assert hierarchy_exhaustive(nest, MACHINE, objective="energy", flow=flow)[1].energy_pj >= free
    assert hierarchy_exhaustive(nest, MACHINE, objective="energy", bypass=True)[1].energy_pj <= free


def test_tiles_that_do_not_divide_can_be_better() -> None:
    """Three positions on two instances: two steps, where divisors leave one instance idle for three."""
    nest = tensor_nest(matmul(1, 1, 3))
    fast = replace(
        MACHINE,
        levels=(replace(DRAM, shared_bytes_per_cycle=None), replace(BUFFER, read_bytes_per_cycle=None), REGISTERS),
    )
    assert hierarchy_exhaustive(nest, fast)[1].cycles == 3
    assert hierarchy_exhaustive(nest, fast, tiles="any")[1].cycles == 2


def test_traffic_is_compulsory_where_everything_fits() -> None:
    nest = tensor_nest(matmul(2, 4, 3))
    roomy = with_buffer(capacity_bytes=1000)
    _, cost, solve = hierarchy_exhaustive(nest, roomy, objective="traffic")
    assert cost.dram_bytes == 2 * 4 + 4 * 3 + 2 * 3
    assert (solve.status, solve.gap) == ("optimal", 0.0)


def test_nothing_fits_is_said() -> None:
    tiny = replace(MACHINE, levels=(DRAM, BUFFER, replace(REGISTERS, capacity_bytes=1)))
    with pytest.raises(InputError, match="no mapping of it onto small fits"):
        hierarchy_exhaustive(tensor_nest(matmul(2, 2, 2)), tiny)


def test_every_mapping_is_met_once() -> None:
    nest = tensor_nest(matmul(2, 2, 3))
    met = list(legal_hierarchy_mappings(nest, MACHINE, bypass=True))
    assert len(set(met)) == len(met) > 100
    assert all(hierarchy_cost(nest, mapping, MACHINE).cycles >= 2 * 2 * 3 / MACHINE.multipliers for mapping in met)
