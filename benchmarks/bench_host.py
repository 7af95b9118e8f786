"""Cycles per element of the float operators that a host CPU runs where the array cannot: the `[host]` figures of
accelerators/*.toml.

`python -m benchmarks.bench_host`, with riscv64-linux-gnu-gcc and qemu-riscv64. `host_kernels/kernels.c` is compiled
with the flags of Gemmini's C library (gemmini-rocc-tests, bareMetalC/Makefile: -O2 -ffast-math -march=rv64gc) and run
under QEMU, which logs every instruction; an in-order pipeline that issues one instruction a cycle then replays them,
waiting for operands. Latencies are those that GCC 12 schedules Rocket by (gcc/config/riscv: riscv.cc rocket_tune_info,
generic.md). The difference between two lengths, over the elements it has more, is what an element costs; branches are
taken for predicted. To that come the lines that stream from DRAM and back: Rocket's L1 waits for each (blocking cache
of 16 KiB, a row fits), and a line takes 47 cycles ([M], simulator/accelerators/gemmini-soc.toml: code_miss_cycles).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "host_kernels" / "kernels.c"
FLAGS = ("-O2", "-ffast-math", "-march=rv64gc", "-static")
SHORT, LONG = 512, 1024
LINE_CYCLES, LINE_BYTES = 47, 64
KERNELS = {
    "dequantise": 8,
    "quantise": 5,
    "add": 12,
    "layer_norm": 8,
    "softmax_library": 8,
    "gelu_library": 8,
    "softmax_polynomial": 8,
    "gelu_polynomial": 8,
}
"""Bytes an element moves between DRAM and L1: float32 (int32 sums, int8 inputs of the array) in and out, once."""
LOADS = frozenset(("lb", "lbu", "lh", "lhu", "lw", "lwu", "ld", "flw", "fld"))
REGISTER = re.compile(r"\b(?:f?[ast]\d+|ft\d+|ra|sp|gp|tp)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One machine instruction: its name, the register it writes ("" for none), those it reads."""

    name: str
    target: str
    sources: tuple[str, ...]

    @property
    def latency(self) -> int:
        """Cycles from issue until a dependent instruction issues."""
        name = self.name
        if name.startswith(("fdiv", "fsqrt")):
            return 20
        if name.startswith(("fadd", "fsub", "fmul", "fmadd", "fmsub", "fnmadd", "fnmsub")):
            return 5 if name.endswith(".d") else 4
        if name in LOADS or (name.startswith("f") and name != "fence"):
            return 3
        if name.startswith("mul"):
            return 4
        return 34 if name.startswith(("div", "rem")) else 1


def main() -> None:
    """Print a line a kernel."""
    print(f"{'kernel':20} {'instructions':>12} {'cycles':>8} {'with memory':>12}   an element")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernels"
        subprocess.run(["riscv64-linux-gnu-gcc", *FLAGS, str(SOURCE), "-lm", "-o", str(binary)], check=True)
        code, skipped = _code(binary), _function(binary, "main")
        for kernel, moved in KERNELS.items():
            short, long = (_replayed(_trace(binary, kernel, size, skipped), code) for size in (SHORT, LONG))
            count, cycles = ((after - before) / (LONG - SHORT) for before, after in zip(short, long, strict=True))
            whole = cycles + moved * LINE_CYCLES / LINE_BYTES
            print(f"{kernel:20} {count:12.1f} {cycles:8.1f} {whole:12.1f}")


def _code(binary: Path) -> dict[int, Instruction]:
    """Every instruction of the program by its address."""
    listing = subprocess.run(["riscv64-linux-gnu-objdump", "-d", binary], check=True, capture_output=True, text=True)
    code = {}
    for line in listing.stdout.splitlines():
        if found := re.match(r"\s+([0-9a-f]+):\s+[0-9a-f]+\s+(\S+)\s*(.*)", line):
            name, registers = found[2], REGISTER.findall(found[3].split("#")[0].split("<")[0])
            stores = name.startswith(("sb", "sh", "sw", "sd", "fsw", "fsd", "b", "j")) or not registers
            code[int(found[1], 16)] = Instruction(
                name=name,
                target="" if stores else registers[0],
                sources=tuple(registers if stores else registers[1:]),
            )
    return code


def _function(binary: Path, name: str) -> range:
    """The addresses of a function."""
    symbols = subprocess.run(["riscv64-linux-gnu-nm", "-S", binary], check=True, capture_output=True, text=True).stdout
    for line in symbols.splitlines():
        fields = line.split()
        if fields[-1] == name:
            return range(int(fields[0], 16), int(fields[0], 16) + int(fields[1], 16))
    raise SystemExit(f"no function {name} in {binary}")


def _trace(binary: Path, kernel: str, elements: int, skipped: range) -> Iterator[int]:
    """Addresses of the instructions executed, without those that make the input."""
    log = binary.with_suffix(".log")
    command = ["qemu-riscv64", "-singlestep", "-d", "exec,nochain", "-D", str(log), str(binary), kernel, str(elements)]
    subprocess.run(command, check=True)
    with log.open() as lines:
        for line in lines:
            if line.startswith("Trace") and (address := int(line.split("/")[1], 16)) not in skipped:
                yield address


def _replayed(trace: Iterator[int], code: dict[int, Instruction]) -> tuple[int, int]:
    """(instructions, cycles) of `trace` in order, one a cycle, each when its operands are there; a second division
    waits for the first."""
    ready: dict[str, int] = {}
    count = now = divider = 0
    for address in trace:
        instruction = code.get(address)
        if instruction is None:
            continue
        count += 1
        now = max([now + 1, *(ready.get(source, 0) for source in instruction.sources)])
        if instruction.name.startswith(("fdiv", "fsqrt")):
            now = max(now, divider)
            divider = now + instruction.latency
        if instruction.target:
            ready[instruction.target] = now + instruction.latency
    return count, now


if __name__ == "__main__":
    main()
