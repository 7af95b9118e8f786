"""Calls of Gemmini's C library as a program on the SoC sees them: host, accelerator, cache and DRAM together.

A run's cycles begin with the call's first instruction and end when it returns, the fence at its end included.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Driver
from simulator.cost import Result
from simulator.engine import simulate
from simulator.host_calls import ConvCall, HostStream, MatmulCall
from simulator.host_conv import conv_stream, search_cycles
from simulator.host_matmul import matmul_stream
from simulator.memory_state import later_run, new_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class SocRun:
    """One run of a call: `cycles` of the whole, of which `host_only_cycles` lie before the accelerator's first command
    and after its last busy cycle; `result` is the accelerator's own part."""

    cycles: int
    host_only_cycles: int
    result: Result


def run_matmul(
    call: MatmulCall, accelerator: Accelerator, *, runs: int = 2, code_cached: bool = False
) -> tuple[SocRun, ...]:
    """`runs` runs of `call`: the first finds the cache empty, each later one what the one before left in it.

    The first also fetches the library's instructions, unless they are `code_cached` from an earlier call. Raises
    InputError for a machine without a description of its host (`driver`), and for what the library cannot do.
    """
    driver = _driver(accelerator)
    stream = matmul_stream(call, accelerator, cycles_per_instruction=driver.cycles_per_instruction)
    return _runs(stream, accelerator, driver, runs, code_cached=code_cached, search=0)


def run_conv(
    call: ConvCall, accelerator: Accelerator, *, runs: int = 2, code_cached: bool = False, searched: bool = False
) -> tuple[SocRun, ...]:
    """Like `run_matmul` for a convolution; `searched` adds the library's search for the tile to every run."""
    driver = _driver(accelerator)
    stream = conv_stream(call, accelerator, cycles_per_instruction=driver.cycles_per_instruction)
    search = 0
    if searched:
        search = search_cycles(call, accelerator, cycles_per_try=driver.conv_search_cycles_per_try)
    return _runs(stream, accelerator, driver, runs, code_cached=code_cached, search=search)


def _driver(accelerator: Accelerator) -> Driver:
    if accelerator.driver is None:
        raise InputError(f"{accelerator.name}.driver", "the host is not described", value=None, limit="[driver]")
    return accelerator.driver


def _runs(
    stream: HostStream, accelerator: Accelerator, driver: Driver, runs: int, *, code_cached: bool, search: int
) -> tuple[SocRun, ...]:
    state = new_memory(accelerator.memory, accelerator.dma.bus_bytes)
    done = []
    for run in range(runs):
        state = later_run(state) if run else state
        result = simulate(stream.program, accelerator, host_cycles=stream.host_cycles, memory_state=state)
        code = 0 if code_cached or run else stream.code_lines * driver.code_miss_cycles
        host = search + int(stream.host_cycles[0]) + code + driver.fence_cycles + stream.cycles_after
        done.append(SocRun(cycles=host + result.cycles, host_only_cycles=host, result=result))
    return tuple(done)
