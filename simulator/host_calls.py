"""Calls of Gemmini's C library as data: a matmul or a convolution over tensors in memory. Nouns only.

Vocabulary and restrictions of tiled_matmul_auto and tiled_conv_auto (gemmini-rocc-tests at 180c468, include/gemmini.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.accelerator import Dataflow
from simulator.isa import Command, program_of
from simulator.program import Program

Bias = Literal["none", "matrix", "row"]
"""No bias, one of the result's shape, or one row for all rows."""
ALIGNMENT_BYTES = 64
Timed = tuple[int, Command]
"""Instructions of the host, then a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulCall:
    """tiled_matmul_auto: C[rows, columns] = act(A[rows, depth] B[depth, columns] + bias), row-major; dense but where
    a stride says how many elements a row of the matrix in memory has (0: as many as are used)."""

    rows: int
    columns: int
    depth: int
    dataflow: Dataflow = "ws"
    bias: Bias = "none"
    relu: bool = False
    full_width: bool = False
    """Store int32 sums instead of scaled inputs."""
    narrow_bias: bool = False
    """The bias has the width of the inputs."""
    a_transposed: bool = False
    b_transposed: bool = False
    a_stride: int = 0
    b_stride: int = 0
    c_stride: int = 0

    def __post_init__(self) -> None:
        _positive("matmul", rows=self.rows, columns=self.columns, depth=self.depth)
        for name, stride, used in (
            ("a_stride", self.a_stride, self.rows if self.a_transposed else self.depth),
            ("b_stride", self.b_stride, self.depth if self.b_transposed else self.columns),
            ("c_stride", self.c_stride, self.columns),
        ):
            if stride and stride < used:
                raise InputError(f"matmul.{name}", "shorter than a row", value=stride, limit=used)
        if self.a_transposed and self.b_transposed:
            raise InputError("matmul", "the library transposes one operand at most", value="both")
        if self.dataflow == "os" and (self.a_transposed or self.b_transposed or self.narrow_bias):
            raise InputError("matmul.dataflow", "the library has no such output-stationary matmul", value="os")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvCall:
    """tiled_conv_auto: channels-last images, a square kernel, optional max-pooling (`pool_size` 0: none)."""

    images: int = 1
    in_rows: int
    in_columns: int
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    kernel_dilation: int = 1
    pool_size: int = 0
    pool_stride: int = 0
    pool_padding: int = 0
    bias: bool = True
    relu: bool = False

    def __post_init__(self) -> None:
        _positive(
            "conv",
            images=self.images,
            in_rows=self.in_rows,
            in_columns=self.in_columns,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel=self.kernel,
            stride=self.stride,
            kernel_dilation=self.kernel_dilation,
        )
        if not 0 <= self.padding < self.kernel:
            raise InputError("conv.padding", "must be shorter than the kernel", value=self.padding, limit=self.kernel)
        if (self.pool_size > 0) != (self.pool_stride > 0) or min(self.pool_size, self.pool_padding) < 0:
            raise InputError("conv.pool_size", "size and stride of the pooling go together", value=self.pool_size)
        if min(self.out_rows, self.out_columns, self.pooled_rows, self.pooled_columns) < 1:
            raise InputError("conv.kernel", "leaves no output", value=self.kernel)

    @property
    def window(self) -> tuple[int, int, int]:
        """(size, stride, padding) of the pooling; the identity without one."""
        return (self.pool_size, self.pool_stride, self.pool_padding) if self.pool_size else (1, 1, 0)

    @property
    def out_rows(self) -> int:
        """Rows of the convolution's result, before pooling."""
        return self._outputs(self.in_rows)

    @property
    def out_columns(self) -> int:
        """Columns of the convolution's result, before pooling."""
        return self._outputs(self.in_columns)

    @property
    def pooled_rows(self) -> int:
        """Rows of the result in memory."""
        return self._pooled(self.out_rows)

    @property
    def pooled_columns(self) -> int:
        """Columns of the result in memory."""
        return self._pooled(self.out_columns)

    def _outputs(self, size: int) -> int:
        reach = self.kernel_dilation * (self.kernel - 1) + 1
        return (size + 2 * self.padding - reach) // self.stride + 1

    def _pooled(self, size: int) -> int:
        window, stride, padding = self.window
        return (size + 2 * padding - window) // stride + 1

    @property
    def downsamples(self) -> bool:
        """Whether the library loads every second pixel only (tiled_conv)."""
        even = self.in_rows % 2 == self.in_columns % 2 == 0
        return self.stride == 2 and self.kernel == 1 and even and not self.padding and not self.pool_size


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStream:
    """What a call puts into the accelerator: its commands, the host's cycles before each of them (int64 (n,)) and after
    the last, the fence apart. `code_lines` are the 64-byte lines of instructions executed."""

    program: Program
    host_cycles: npt.NDArray[np.int64]
    cycles_after: int
    code_lines: int


def timed_stream(timed: list[Timed], after: int, code_lines: int, cycles_per_instruction: float) -> HostStream:
    """`timed` as a HostStream; cycles are rounded so that their sum is right."""
    total = np.cumsum([0, *(instructions for instructions, _ in timed)]) * cycles_per_instruction
    return HostStream(
        program=program_of(command for _, command in timed),
        host_cycles=np.diff(np.rint(total)).astype(np.int64),
        cycles_after=round(after * cycles_per_instruction),
        code_lines=code_lines,
    )


def _positive(path: str, **sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"{path}.{name}", "must be at least 1", value=value, limit=1)


def placed(sizes_bytes: tuple[int, ...], base: int = 0x80000000) -> tuple[int, ...]:
    """Addresses of tensors of `sizes_bytes` one behind the other from `base` on, each on a line of its own."""
    addresses = []
    for size in sizes_bytes:
        addresses.append(base)
        base += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return tuple(addresses)
