"""Skipping what repeats gives the result of the full run, field by field; no state of the machine is left out of it."""

from collections import Counter
from string import ascii_uppercase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_programs import Matmul, matmul_program
from mapping_strategies import NESTS, legal_mappings
from nest_cases import GEMMINI, RESNET50
from simulator_programs import BASE, tiled_matmul
from test_engine_mappings import SIZES, cut

from mapper.codegen.emit import emit, emit_chunks
from mapper.heuristic import heuristic
from mapper.program import addresses_of
from simulator import isa
from simulator.accelerator import Memory
from simulator.cycle_level import state as engine_state
from simulator.cycle_level.port import PAGE_TRANSLATED, PAGE_TURN, READER, WRITER
from simulator.engine import in_full, simulate
from simulator.program import Program
from simulator.skipping import kinds
from simulator.skipping.skipper import Skipper
from simulator.skipping.table import COUNTERS

MEMORIES = st.builds(
    Memory, latency_cycles=st.sampled_from((1, 15, 47, 300)), cycles_per_beat=st.sampled_from((1, 2, 5))
)


def both(chunks, accelerator, **options):
    """Fields of the result with skipping and of the full run, and the share of the cycles that were skipped."""
    chunks, skipper = list(chunks), Skipper()
    results = [simulate(iter(chunks), accelerator, advance=way, **options) for way in (skipper, in_full)]
    fields = [{name: getattr(r, name) for name in r.__dataclass_fields__ if name != "accepted_at"} for r in results]
    return *fields, skipper.skipped_cycles / max(1, results[0].cycles)


def repeated(program, times):
    return Program(**{name: np.tile(getattr(program, name), times) for name in ("funct", "rs1", "rs2")})


def pieces(program, size):
    return cut(program, range(0, len(program), size))


@pytest.mark.parametrize(
    ("name", "least"), [("56 1x1 256-64", 0.3), ("28 1x1 512-128", 0.02), ("56 3x3/2 128", 0), ("28 3x3 128", 0)]
)
def test_layers_of_a_network(name, least):
    nest = RESNET50[name]
    mapping, addresses = heuristic(nest, GEMMINI), addresses_of(nest, GEMMINI)
    chunks = emit_chunks(nest, mapping, GEMMINI, addresses=addresses, chunk_commands=20_000)
    found, full, skipped = both(chunks, GEMMINI)
    assert found == full
    assert skipped >= least


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data(), NESTS, MEMORIES, st.sampled_from((0, 3)), st.sampled_from((150, 5000)))
def test_every_mapping_on_every_machine(data, nest, memory, gap, size):
    accelerator = data.draw(st.sampled_from(SIZES))
    mapping = data.draw(legal_mappings(nest, accelerator))
    if mapping is None:
        return
    program = repeated(emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator)), 4)
    found, full, _ = both(pieces(program, size), accelerator, memory=memory, command_gap_cycles=gap)
    assert found == full


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 90)), st.sampled_from((0, 1)), st.booleans(),
    st.booleans(), st.sampled_from((8192, 2048, 16)), MEMORIES,
)  # fmt: skip
def test_blocks_that_share_banks_and_wait_for_each_other(sizes, dataflow, transposed, full_width, bank_of_b, memory):
    commands = tiled_matmul(
        sizes, (BASE, BASE + 0x10000, BASE + 0x20000), dataflow=dataflow, a_transposed=transposed,
        full_width=full_width, bank_of_b=bank_of_b,
    )  # fmt: skip
    found, full, _ = both(pieces(repeated(isa.program_of(commands), 5), 700), GEMMINI, memory=memory)
    assert found == full


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.tuples(st.integers(16, 60), st.integers(16, 60), st.integers(16, 90)),
    st.lists(st.tuples(*[st.integers(0, 300)] * 3), min_size=4, max_size=8), MEMORIES,
)  # fmt: skip
def test_equal_work_in_other_pages(sizes, places, memory):
    parts = [
        tiled_matmul(sizes, (BASE + 64 * a, BASE + 0x10000 + 64 * b, BASE + 0x20000 + 64 * c)) for a, b, c in places
    ]
    program = isa.program_of([command for part in parts * 3 for command in part])
    found, full, _ = both(pieces(program, 3000), GEMMINI, memory=memory)
    assert found == full


def test_equal_work_over_and_over_is_simulated_once():
    commands = tiled_matmul((64, 64, 128), (BASE, BASE + 0x10000, BASE + 0x20000))
    found, full, skipped = both(pieces(repeated(isa.program_of(commands), 30), 20_000), GEMMINI)
    assert found == full
    assert skipped > 0.5


def test_what_is_logged_of_pages_are_the_layers_own_addresses():
    """Also of a packet that steps aside, in front of one that goes around, while its page is being asked for."""
    nest, logged = RESNET50["56 1x1 64-256"], []

    def logging(m, *rest):
        m[engine_state.O_PAGES_LOGGED] = 0
        end = in_full(m, *rest)
        assert m[engine_state.O_PAGES_LOGGED] < engine_state.PAGES_LOGGED
        log = m[engine_state.PAGE_LOG :][: m[engine_state.O_PAGES_LOGGED] * engine_state.PL_SIZE]
        logged.extend(log.reshape(-1, engine_state.PL_SIZE).tolist())
        return end

    addresses = addresses_of(nest, GEMMINI)
    chunks = emit_chunks(nest, heuristic(nest, GEMMINI), GEMMINI, addresses=addresses, chunk_commands=100)
    simulate(chunks, GEMMINI, advance=logging)
    found = [record for record in logged if record[engine_state.PL_WHAT] & ~1 != PAGE_TURN]
    assert min(record[engine_state.PL_ADDRESS] for record in found) == min(addresses.a, addresses.b)
    assert {record[engine_state.PL_WHAT] for record in found} >= {PAGE_TRANSLATED + READER, PAGE_TRANSLATED + WRITER}


def test_nothing_is_skipped_from_the_first_loop_command_on():
    plain = isa.program_of(tiled_matmul((64, 64, 64), (BASE, BASE + 0x10000, BASE + 0x20000)))
    loop = isa.program_of(matmul_program(Matmul(rows=48, columns=32, depth=80, tile=(1, 2, 2))))
    chunks = [plain, plain, loop, plain, loop, plain]
    found, full, _ = both(chunks, GEMMINI)
    assert found == full


def slots_and_fields():
    """Names of the state's slots (46 to 703), and by letter its fields of records."""
    slots, fields = {}, {}
    for name, value in vars(engine_state).items():
        letter, _, rest = name.partition("_")
        if letter not in ("WR", *ascii_uppercase) or not rest or not isinstance(value, int) or letter == "P":
            continue
        if letter in ("WR", *"YEKCQDJUTIB") or name in ("O_LEFT", "O_SLOT", "O_START", "O_SIZE"):
            if rest not in ("SIZE", "RECORD"):
                fields.setdefault(letter, {})[name] = value
        elif 46 <= value < 704:
            slots[value] = name
    return slots, fields


def test_every_slot_has_one_kind():
    slots, _ = slots_and_fields()
    groups = (
        kinds.ALWAYS, kinds.LOADING, kinds.READING, kinds.MERGING, kinds.ZEROING, kinds.HOLDING, kinds.OPERATING,
        kinds.CAUSE, kinds.STORING, kinds.SENDING_PACKETS, kinds.MEETING,
    )  # fmt: skip
    count = Counter(slot for group in groups for slot in group[:, 0].tolist())
    count.update(kinds.POSITIONS + kinds.PAGES + kinds.OPERANDS + kinds.PASSING + kinds.UNUSED + kinds.LOOPS)
    count.update(slot for slot in COUNTERS.tolist() if slot < 704)
    assert {slots[slot] for slot in slots if count[slot] != 1} == set()


def test_every_table_is_walked_or_at_rest():
    names = [name for name, _, _ in engine_state._TABLES]
    assert sorted(kinds.WALKED_TABLES + kinds.OTHER_TABLES) == sorted(names)


@pytest.mark.parametrize(
    ("letter", "groups"),
    [
        ("Y", (kinds.WAITING_COMMAND, kinds.GONE_COMMAND)),
        ("E", (kinds.ALLOCATED,)),
        ("U", (kinds.QUEUED,)),
        ("K", (kinds.TRACKED,)),
        ("Q", (kinds.ROW, kinds.READ_UNDER_WAY)),
        ("D", (kinds.READY, kinds.LENGTH, kinds.ANSWER)),
        ("T", (kinds.TAG,)),
        ("I", (kinds.ITEM_ON_ITS_WAY,)),
        ("WR", (kinds.ROW_TO_WRITE,)),
    ],
)
def test_every_field_has_one_kind(letter, groups):
    _, fields = slots_and_fields()
    count = Counter(field for group in groups for field in group[:, 0].tolist())
    count.update(kinds.PASSING_FIELDS.get(letter, ()))
    assert {name for name, field in fields[letter].items() if count[field] != 1} == set()
