"""The description of a Gemmini-style machine: nouns only. `accelerator_file` reads them from TOML.

Field names carry their units; constants of Gemmini's RTL carry their source in the TOML where they stand.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Dataflow = Literal["ws", "os"]


class Array(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mesh of processing elements (rows x columns, square in Gemmini: DIM = rows)."""

    rows: int
    columns: int
    dataflows: tuple[Dataflow, ...]
    input_bits: int
    accumulator_bits: int
    tile_latency_cycles: int
    output_delay_cycles: int
    minimum_rows_per_compute: int
    """A compute with a garbage preload occupies the mesh for at least this many rows (4 in Gemmini)."""
    matmuls_in_flight: int
    mesh_output_bits: int = 20
    """Bits of a partial sum as it leaves the mesh (spatialArrayOutputType in Configs.scala)."""
    reads_accumulator: bool = True
    """Whether operands may come from the accumulator (ex_read_from_acc, Configs.scala)."""
    writes_scratchpad: bool = True
    """Whether results may go to the scratchpad (ex_write_to_spad, Configs.scala)."""
    adds_operand: bool = True
    """Whether a weight-stationary compute may add a D operand, an output-stationary preload bring one
    (not hardcode_d_to_garbage_addr, Configs.scala)."""


class Scratchpad(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Input memory: one row holds DIM inputs; single-ported banks."""

    capacity_bytes: int
    banks: int
    read_latency_cycles: int
    read_queue_cycles: int


class Accumulator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Output memory: one row holds DIM accumulators."""

    capacity_bytes: int
    banks: int
    ports: int
    sub_banks: int
    read_latency_cycles: int
    scale_latency_cycles: int
    full_width_read: bool


class Dma(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one port to memory: reads and writes of up to `request_bytes` in beats of `bus_bytes`."""

    bus_bytes: int
    request_bytes: int
    requests_in_flight: int
    mvin_scale_latency_cycles: int
    mvin_scale_units: int = 4
    """Elements a cycle that a mvin scale other than one passes (num_scale_units of mvin_scale_args, Configs.scala); 0:
    a pipeline for every column (num_scale_units = -1), which all rows pass."""
    mvin_accumulator_scale_latency_cycles: int = 0
    """Pipeline that rows of accumulator width pass on the way in (mvin_scale_acc_args, Configs.scala)."""
    pixel_repeater: bool = True
    """Whether input rows pass a register that can write a pixel several times (has_first_layer_optimizations)."""
    port_latency_cycles: int = 2
    """Buffers between the DMA and the memory port, each way (two TLBuffers, Scratchpad.scala)."""


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inclusive L2 that every request passes: writes allocate, dirty lines are written back when evicted."""

    capacity_bytes: int
    ways: int
    banks: int
    line_bytes: int
    hit_latency_cycles: int
    """From a request at the memory port to the first beat of its answer, when the line is there."""
    misses_in_flight: int
    """Lines on their way from DRAM at a time; one more request waits at the port, and all behind it."""
    same_line_cycles: int = 1
    """Least cycles between two requests of the same line or set: one unit serves all of a set's."""
    replacement: Literal["random", "lru"] = "random"


class Dram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel of DRAM behind the cache: open-page banks, lines dealt to them in turn, one data bus, a link each way
    between the channel and the cache. Cycles are the accelerator's."""

    link_bytes_per_cycle: float
    path_cycles: int
    """From a miss to the channel and from its data back to the answer, beyond what a hit takes."""
    banks: int
    row_bytes: int
    activate_cycles: int
    """Row to column command (tRCD)."""
    precharge_cycles: int
    """Closing a row (tRP)."""
    read_cycles: int
    """Column command to data (CL)."""
    burst_cycles: int
    """One line on the data bus."""
    row_cycle_cycles: int
    """Least time between two activations of a bank (tRC)."""
    refresh_interval_cycles: int = 0
    """Time between refreshes (tREFI); 0: none."""
    refresh_cycles: int = 0
    """All banks closed and busy for each refresh (tRFC)."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory behind the DMA.

    Without `cache`, of fixed latency: first beat of a response `latency_cycles` after its request, then a beat each
    `cycles_per_beat`. With `cache` and `dram` the cycle-level engine runs those, and the two numbers are what the
    analytical models take for them.
    """

    latency_cycles: int
    cycles_per_beat: int
    cache: Cache | None = None
    dram: Dram | None = None


class Queues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Command queues and the reservation station's entries per kind of command."""

    command_entries: int
    load_entries: int
    execute_entries: int
    store_entries: int
    load_command_entries: int = 8
    """Commands queued before the load controller (ld_queue_length, Configs.scala)."""
    store_command_entries: int = 2
    """Commands queued before the store controller (st_queue_length, Configs.scala)."""
    front_queues: int = 4
    """Two-entry queues from the host to the reservation station: raw, loop_conv, loop_matmul, unrolled
    (Controller.scala)."""
    front_queue_entries: int = 2


class VectorUnit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A special-function unit beside the accumulator: `lanes` elements a cycle, `latency_cycles` to fill, and for every
    function it has, the number of passes over the data."""

    lanes: int
    latency_cycles: int
    passes: dict[str, int]


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The CPU beside the array: accelerator-clock cycles per point of the loop nest for every function it runs, and the
    cost per point and operation of a function not listed."""

    cycles_per_element: dict[str, float]
    default_cycles_per_element: float


class Driver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host as it runs Gemmini's C library (`host_instructions` counts its instructions): what they cost."""

    cycles_per_instruction: float
    code_miss_cycles: int
    """A 64-byte line of instructions executed for the first time."""
    fence_cycles: int
    """A fence on an idle accelerator."""
    conv_search_cycles_per_try: float
    """Each tile that tiled_conv_auto measures."""


class Energy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Energy per event in picojoules."""

    mac_pj: float
    scratchpad_pj_per_byte: float
    accumulator_pj_per_byte: float
    dram_pj_per_byte: float


class Accelerator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine. Rows of the scratchpad hold `array.rows` inputs; rows of the accumulator as many accumulators."""

    name: str
    description: str
    clock_hz: float
    array: Array
    scratchpad: Scratchpad
    accumulator: Accumulator
    dma: Dma
    memory: Memory
    queues: Queues
    fused_activations: tuple[str, ...]
    """Functions applied for free as accumulator rows are stored (relu in every Gemmini; gelu with the normaliser)."""
    store_path_functions: tuple[str, ...] = ()
    """Functions that loads and stores do without the array: max_pool (pooling writer), add (accumulating mvin), concat,
    split, slice and transpose (strides), each where its shape allows."""
    vector_unit: VectorUnit | None = None
    host: Host
    driver: Driver | None = None
    """Where the cycles of the host's own program count (`soc`)."""
    energy: Energy

    @property
    def normaliser(self) -> VectorUnit | None:
        """Gemmini's normaliser, where the vector unit is one: it does LayerNorm and softmax on the way out."""
        unit = self.vector_unit
        return unit if unit is not None and {"layer_norm", "softmax"} <= set(unit.passes) else None

    @property
    def dim(self) -> int:
        """DIM: rows (= columns) of the mesh."""
        return self.array.rows

    @property
    def input_bytes(self) -> int:
        """Bytes of one input element."""
        return self.array.input_bits // 8

    @property
    def accumulator_bytes(self) -> int:
        """Bytes of one accumulator element."""
        return self.array.accumulator_bits // 8

    @property
    def scratchpad_rows(self) -> int:
        """Scratchpad capacity in rows of DIM inputs."""
        return self.scratchpad.capacity_bytes // (self.dim * self.input_bytes)

    @property
    def accumulator_rows(self) -> int:
        """Accumulator capacity in rows of DIM accumulators."""
        return self.accumulator.capacity_bytes // (self.dim * self.accumulator_bytes)

    @property
    def memory_bytes_per_cycle(self) -> float:
        """Peak bandwidth of the memory port in bytes per cycle."""
        return self.dma.bus_bytes / self.memory.cycles_per_beat

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle with every processing element busy."""
        return self.array.rows * self.array.columns
