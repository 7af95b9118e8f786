"""Reading accelerator descriptions: what ships is valid, what is wrong is refused in a line that says where and how."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.accelerator_file import accelerator_names, load_accelerator

SHIPPED_FOLDER = resources.files("simulator").joinpath("accelerators")
GEMMINI: dict[str, Any] = tomllib.loads(SHIPPED_FOLDER.joinpath("gemmini.toml").read_text(encoding="utf-8"))
VECTOR_UNIT = {"lanes": 16, "latency_cycles": 4, "passes": {"softmax": 3}}


def toml_text(table: dict[str, Any], prefix: str = "") -> str:
    """`table` as TOML, the plain values of every table before the tables inside it."""
    plain = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    parts = ["\n".join(plain)]
    for key, value in table.items():
        if isinstance(value, dict):
            path = f"{prefix}{_key(key)}"
            parts.append(f"[{path}]\n" + toml_text(value, f"{path}."))
    return "\n".join(parts)


def _key(key: str) -> str:
    return _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return repr(value)


def changed(changes: dict[str, object]) -> dict[str, Any]:
    """Gemmini's table with `changes`, keyed by dotted path; None deletes."""
    table = deepcopy(GEMMINI)
    for dotted, value in changes.items():
        *outer, last = dotted.split(".")
        inner = table
        for part in outer:
            inner[part] = dict(inner.get(part, {}))
            inner = inner[part]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return table


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(table: dict[str, Any], name: str = "machine.toml") -> Path:
        path = tmp_path / name
        path.write_text(toml_text(table), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", accelerator_names())
def test_what_ships_is_valid_and_bears_its_file_name(name: str) -> None:
    accelerator = load_accelerator(name)
    assert accelerator.name == name
    assert (
        accelerator.scratchpad_rows * accelerator.dim * accelerator.input_bytes == accelerator.scratchpad.capacity_bytes
    )
    assert (
        accelerator.accumulator_rows * accelerator.dim * accelerator.accumulator_bytes
        == accelerator.accumulator.capacity_bytes
    )


def test_a_file_says_what_the_shipped_name_says(written: Callable[[dict[str, Any]], Path]) -> None:
    path = written(GEMMINI)
    assert load_accelerator(path) == load_accelerator(str(path)) == load_accelerator("gemmini")


# Every row: what is changed, where the message must point, and what it must say.
BAD = [
    ({"array.rows": 0}, "array.rows", "value 0, limit 2 to 1024 rows"),
    ({"array.rows": -16}, "array.rows", "value -16"),
    ({"array.rows": 16.0}, "array.rows", "expected int, got float"),
    ({"array.rows": "16"}, "array.rows", "expected int, got str"),
    ({"array.rows": True}, "array.rows", "expected int, got bool"),
    ({"array.rows": 10**30}, "array.rows", "1024 rows"),
    ({"array.rows": 32}, "array.columns", "must be square (value 16, limit 32 columns)"),
    ({"array.rows": 12, "array.columns": 12}, "array.rows", "power of two"),
    ({"array.input_bits": 12}, "array.input_bits", "8, 16, 32 or 64 bits"),
    ({"array.input_bits": 32, "array.accumulator_bits": 16}, "array.accumulator_bits", "at least 32 bits"),
    ({"array.dataflows": ["ws", "xs"]}, "array.dataflows[1]", "value 'xs', limit ws, os"),
    ({"array.dataflows": []}, "array.dataflows", "needs each dataflow once"),
    ({"array.dataflows": ["ws", "ws"]}, "array.dataflows", "needs each dataflow once"),
    ({"array.dataflows": "ws"}, "array.dataflows", "expected array, got str"),
    ({"array.lanes": 3}, "array.lanes", "known here: rows, columns"),
    ({"array": None}, "array", "missing key"),
    ({"array": 16}, "array", "expected object, got int"),
    ({"array.rows": None}, "array.rows", "missing key"),
    ({"name": None}, "name", "missing key"),
    ({"name": "../etc"}, "name", "letters, digits"),
    ({"name": "a\nb"}, "name", "letters, digits"),
    ({"description": "two\nlines"}, "description", "200 printable characters"),
    ({"clock_hz": 0}, "clock_hz", "1 to 1e+12 Hz"),
    ({"clock_hz": -1e9}, "clock_hz", "Hz"),
    ({"clock_hz": math.nan}, "clock_hz", "not a finite number"),
    ({"clock_hz": math.inf}, "clock_hz", "not a finite number"),
    ({"clock": 1e9}, "clock", "lacks its unit, write clock_hz"),
    ({"scratchpad.capacity": 262144}, "scratchpad.capacity", "lacks its unit, write capacity_bytes"),
    ({"scratchpad.capacity_byte": 262144}, "scratchpad.capacity_byte", "did you mean capacity_bytes?"),
    ({"scratchpad.capacity_bytes": 256}, "scratchpad.capacity_bytes", "at least 512 bytes"),
    ({"scratchpad.capacity_bytes": 0}, "scratchpad.capacity_bytes", "bytes"),
    ({"scratchpad.capacity_bytes": 262145}, "scratchpad.capacity_bytes", "multiple of 4 banks x 16 bytes"),
    ({"scratchpad.capacity_bytes": 3 * 65536}, "scratchpad.capacity_bytes", "3072 rows to each bank"),
    ({"scratchpad.capacity_bytes": 512}, "scratchpad.capacity_bytes", "at least DIM = 16"),
    ({"scratchpad.capacity_bytes": 2**30}, "scratchpad.capacity_bytes", "33554432 rows"),
    ({"scratchpad.capacity_bytes": 2**41}, "scratchpad.capacity_bytes", "bytes"),
    ({"scratchpad.banks": 0}, "scratchpad.banks", "value 0"),
    ({"accumulator.capacity_bytes": 512}, "accumulator.capacity_bytes", "at least 1024 bytes"),
    ({"accumulator.ports": 3}, "accumulator.ports", "1 to 2 ports"),
    ({"accumulator.sub_banks": 3}, "accumulator.sub_banks", "power of two"),
    ({"accumulator.full_width_read": 1}, "accumulator.full_width_read", "expected bool, got int"),
    ({"dma.bus_bytes": 0}, "dma.bus_bytes", "value 0"),
    ({"dma.bus_bytes": 24}, "dma.bus_bytes", "power of two"),
    ({"dma.request_bytes": 8}, "dma.request_bytes", "at least 16 bytes"),
    ({"dma.requests_in_flight": 0}, "dma.requests_in_flight", "value 0"),
    ({"memory.latency_cycles": 0}, "memory.latency_cycles", "cycles"),
    ({"memory.latency_cycles": -40}, "memory.latency_cycles", "cycles"),
    ({"memory.cycles_per_beat": 0}, "memory.cycles_per_beat", "cycles"),
    ({"memory.bandwidth": 16}, "memory.bandwidth", "unknown key"),
    ({"queues.load_entries": 0}, "queues.load_entries", "entries"),
    ({"energy.mac_pj": -0.1}, "energy.mac_pj", "0 to 1e+09 pJ"),
    ({"energy.dram_pj_per_byte": math.nan}, "energy.dram_pj_per_byte", "not a finite number"),
    ({"energy.mac": 0.3}, "energy.mac", "lacks its unit, write mac_pj"),
    ({"fused_activations": ["swish"]}, "fused_activations", "value 'swish', limit relu, gelu"),
    ({"fused_activations": ["relu", "relu"]}, "fused_activations", "names a function twice"),
    ({"store_path_functions": ["softmax"]}, "store_path_functions", "unknown function"),
    ({"host.cycles_per_element": {"softmx": 9.0}}, "host.cycles_per_element", "did you mean softmax?"),
    ({"host.cycles_per_element": {"softmax": "9"}}, "host.cycles_per_element.softmax", "expected float, got str"),
    ({"host.cycles_per_element": {"softmax": 0.0}}, "host.cycles_per_element.softmax", "cycles per element"),
    ({"host.cycles_per_element": {"softmax": math.inf}}, "host.cycles_per_element.softmax", "finite"),
    ({"vector_unit": VECTOR_UNIT | {"lanes": 0}}, "vector_unit.lanes", "lanes"),
    ({"vector_unit": VECTOR_UNIT | {"lanes": 12}}, "vector_unit.lanes", "power of two"),
    ({"vector_unit": VECTOR_UNIT | {"latency": 4}}, "vector_unit.latency", "write latency_cycles"),
    ({"vector_unit": VECTOR_UNIT | {"passes": {"softmax": 2.5}}}, "vector_unit.passes.softmax", "expected int"),
    ({"vector_unit": VECTOR_UNIT | {"passes": {"softmax": 0}}}, "vector_unit.passes.softmax", "passes"),
    ({"acumulator": {}}, "acumulator", "did you mean accumulator?"),
    ({"base": 5}, "base", "wrong type"),
    ({"base": "gemini"}, "base", "did you mean gemmini?"),
]


@pytest.mark.parametrize(
    ("changes", "where", "says"), BAD, ids=[f"{where}-{row}" for row, (_, where, _) in enumerate(BAD)]
)
def test_a_bad_description_is_refused_by_file_path_value_and_limit(
    written: Callable[[dict[str, Any]], Path], changes: dict[str, object], where: str, says: str
) -> None:
    path = written(changed(changes))
    with pytest.raises(InputError) as caught:
        load_accelerator(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {where}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "missing key"),
        (b"name = ", "is not TOML"),
        (b'name = "a"\nname = "b"', "is not TOML"),
        (b"\xff\xfe[array]", "is not UTF-8 text"),
        (b"x = " + b"[" * 100_000, "is not TOML"),
        (b"x = " + b"9" * 5000, "is not TOML"),
        (b"#" * (2 << 20), "too long"),
        (b"\0\0\0\0", "is not TOML"),
        (b'"a\\nb" = 1', "unknown key"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "machine.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_accelerator(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.toml", "missing.toml: no such file"),
        ("gemini", "did you mean gemmini?"),
        ("", "limit .*gemmini"),
        ("./", "is a folder"),
        ("a\nb.toml", "no such file"),
        ("a\0b.toml", "no such file|cannot be read"),
        ("x" * 5000 + ".toml", "cannot be read"),
    ],
)
def test_what_is_no_file_is_refused(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_accelerator(name)
    assert "\n" not in str(caught.value)


def test_a_base_is_overridden_table_by_table(written: Callable[[dict[str, Any]], Path]) -> None:
    path = written({"base": "gemmini", "name": "mine", "description": "", "memory": {"cycles_per_beat": 4}})
    gemmini = load_accelerator("gemmini")
    expected = msgspec.structs.replace(
        gemmini, name="mine", description="", memory=msgspec.structs.replace(gemmini.memory, cycles_per_beat=4)
    )
    assert load_accelerator(path) == expected


def test_a_base_may_be_a_file_beside(written: Callable[..., Path]) -> None:
    written(changed({"clock_hz": 2e9}), "below.toml")
    path = written({"base": "below.toml", "name": "mine", "description": ""}, "above.toml")
    assert load_accelerator(path).clock_hz == 2e9


def test_a_fault_in_the_base_names_the_base(written: Callable[..., Path]) -> None:
    below = written(changed({"array.rows": 0}), "below.toml")
    path = written({"base": "below.toml", "name": "mine", "description": "", "clock_hz": 2e9}, "above.toml")
    with pytest.raises(InputError) as caught:
        load_accelerator(path)
    assert str(caught.value).startswith(f"{below}: array.rows: ")


def test_a_wrong_type_over_a_base_names_the_file_above(written: Callable[..., Path]) -> None:
    path = written({"base": "gemmini", "name": "mine", "description": "", "array": {"rows": "many"}})
    with pytest.raises(InputError) as caught:
        load_accelerator(path)
    assert str(caught.value).startswith(f"{path}: array.rows: ")


@pytest.mark.parametrize("missing", ["name", "description"])
def test_a_derived_machine_has_its_own_name_and_description(written: Callable[..., Path], missing: str) -> None:
    table = {"base": "gemmini", "name": "mine", "description": ""}
    del table[missing]
    with pytest.raises(InputError, match=f"{missing}: missing; it is never inherited"):
        load_accelerator(written(table))


@pytest.mark.parametrize("base", ["machine.toml", "../{folder}/machine.toml"])
def test_bases_in_a_circle_are_refused(tmp_path: Path, written: Callable[..., Path], base: str) -> None:
    path = written({"base": base.format(folder=tmp_path.name), "name": "mine", "description": ""})
    with pytest.raises(InputError, match="the bases lead back"):
        load_accelerator(path)


def test_equal_to_the_one_built_from_the_plain_table() -> None:
    assert load_accelerator("gemmini") == msgspec.convert(GEMMINI, Accelerator)


def leaf_paths(table: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        path
        for key, value in table.items()
        for path in [(*prefix, key), *(leaf_paths(value, (*prefix, key)) if isinstance(value, dict) else [])]
    ]


def _get(table: dict[str, Any], path: tuple[str, ...]) -> Any:
    for part in path:
        table = table[part]
    return table


SCALE = st.sampled_from([0.25, 0.5, 1, 2, 4, 8])
NUMBERS = [path for path in leaf_paths(GEMMINI) if isinstance(_get(GEMMINI, path), int | float)]
MUTANTS = st.one_of(
    st.integers(-4, 70),
    st.integers(),
    st.sampled_from([2**power for power in range(64)]),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.lists(st.sampled_from(["ws", "os", "relu", "gelu", "max_pool", ""]), max_size=3),
    st.dictionaries(st.sampled_from(["softmax", "rows", "gelu", "a.b", ""]), st.integers() | st.floats(), max_size=2),
)


def load_or_complaint(file: Path) -> Accelerator | str:
    try:
        return load_accelerator(file)
    except InputError as error:
        return str(error)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    mutations=st.lists(st.tuples(st.sampled_from(leaf_paths(GEMMINI)), MUTANTS), min_size=1, max_size=3),
    renamed=st.none() | st.tuples(st.sampled_from(leaf_paths(GEMMINI)), st.text(max_size=6)),
)
def test_mutants_are_machines_or_input_errors(
    tmp_path_factory: pytest.TempPathFactory,
    mutations: list[tuple[tuple[str, ...], object]],
    renamed: tuple[tuple[str, ...], str] | None,
) -> None:
    table = changed({})
    for path, value in mutations:
        _set(table, path, path[-1], value)
    if renamed is not None:
        _set(table, renamed[0], renamed[1], 1)
    check_possible_or_refused(tmp_path_factory.getbasetemp() / "mutant.toml", table)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(scales=st.dictionaries(st.sampled_from(NUMBERS), SCALE, min_size=1, max_size=3), size=SCALE)
def test_machines_of_other_sizes_are_possible_or_input_errors(
    tmp_path_factory: pytest.TempPathFactory, scales: dict[tuple[str, ...], float], size: float
) -> None:
    table = changed({"array.rows": int(16 * size), "array.columns": int(16 * size)})
    for path, scale in scales.items():
        value = _get(table, path)
        scaled = value * scale if isinstance(value, float) else int(value * scale)
        _set(table, path, path[-1], scaled)
    check_possible_or_refused(tmp_path_factory.getbasetemp() / "mutant.toml", table)


def check_possible_or_refused(file: Path, table: dict[str, Any]) -> None:
    file.write_text(toml_text(table), encoding="utf-8")
    accelerator = load_or_complaint(file)
    if isinstance(accelerator, str):
        assert accelerator.startswith(str(file))
        assert "\n" not in accelerator
        return
    assert accelerator.scratchpad_rows >= 2 * accelerator.dim
    assert accelerator.accumulator_rows >= accelerator.dim
    for memory, rows in (
        (accelerator.scratchpad, accelerator.scratchpad_rows),
        (accelerator.accumulator, accelerator.accumulator_rows),
    ):
        assert rows % memory.banks == 0
        assert (rows // memory.banks) % accelerator.dim == 0
        assert (rows - 1).bit_length() <= 25
    assert 0 < accelerator.memory_bytes_per_cycle < math.inf
    assert accelerator.peak_macs_per_cycle == accelerator.dim**2


def _set(table: dict[str, Any], path: tuple[str, ...], key: str, value: object) -> None:
    for part in path[:-1]:
        table = table.get(part) or {}
        if not isinstance(table, dict):
            return
    table[key] = value
