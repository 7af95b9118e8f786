"""Calls of Gemmini's C library as a program on the SoC sees them: host, accelerator, cache and DRAM together.

A run's cycles begin with the call's first instruction and end when it returns, the fence at its end included.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
    and after its last busy cycle; `result` is the accelerator's own part; `memory_state` what the run left
    in the cache."""

    cycles: int
    host_only_cycles: int
    result: Result
    memory_state: npt.NDArray[np.int64] = field(repr=False)


def run_matmul(
    call: MatmulCall,
    accelerator: Accelerator,
    *,
    runs: int = 2,
    code_cached: bool = False,
    after: SocRun | None = None,
    memory_state: npt.NDArray[np.int64] | None = None,
    at: tuple[int, int, int, int] | None = None,
) -> tuple[SocRun, ...]:
    """`runs` runs of `call`: each finds in the cache what the one before left there, the first what `after` left, or
    whatever left `memory_state`, or nothing.

    The first also fetches the library's instructions, unless they are `code_cached` from an earlier call. Operands lie
    `at` the addresses of A, B, bias and result, by default one behind the other. Raises InputError for a machine
    without a description of its host (`driver`), and for what the library cannot do.
    """
    driver = _driver(accelerator)
    stream = matmul_stream(call, accelerator, cycles_per_instruction=driver.cycles_per_instruction, at=at)
    left = after.memory_state if after else memory_state
    return _runs(stream, accelerator, driver, runs, code_cached=code_cached, search=0, left=left)


def run_conv(
    call: ConvCall,
    accelerator: Accelerator,
    *,
    runs: int = 2,
    code_cached: bool = False,
    after: SocRun | None = None,
    at: tuple[int, int, int, int] | None = None,
    searched: bool = False,
) -> tuple[SocRun, ...]:
    """Like `run_matmul` for a convolution, `at` being the addresses of input, weights, bias and output; `searched` adds
    the library's search for the tile to every run."""
    driver = _driver(accelerator)
    stream = conv_stream(call, accelerator, cycles_per_instruction=driver.cycles_per_instruction, at=at)
    search = 0
    if searched:
        search = search_cycles(call, accelerator, cycles_per_try=driver.conv_search_cycles_per_try)
    left = after.memory_state if after else None
    return _runs(stream, accelerator, driver, runs, code_cached=code_cached, search=search, left=left)


def _driver(accelerator: Accelerator) -> Driver:
    if accelerator.driver is None:
        raise InputError(f"{accelerator.name}.driver", "the host is not described", value=None, limit="[driver]")
    return accelerator.driver


def _runs(
    stream: HostStream,
    accelerator: Accelerator,
    driver: Driver,
    runs: int,
    *,
    code_cached: bool,
    search: int,
    left: npt.NDArray[np.int64] | None,
) -> tuple[SocRun, ...]:
    state = new_memory(accelerator.memory, accelerator.dma.bus_bytes) if left is None else left
    done = []
    for run in range(runs):
        state = later_run(state)
        result = simulate(stream.program, accelerator, host_cycles=stream.host_cycles, memory_state=state)
        code = 0 if code_cached or run else stream.code_lines * driver.code_miss_cycles
        host = search + int(stream.host_cycles[0]) + code + driver.fence_cycles + stream.cycles_after
        done.append(SocRun(cycles=host + result.cycles, host_only_cycles=host, result=result, memory_state=state))
    return tuple(done)
