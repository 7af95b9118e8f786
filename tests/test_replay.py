"""`systolic replay`: files of command streams in, one result a row out, in order, or one line saying what is wrong."""

import gzip
import json
from hashlib import sha256

import numpy as np
import pytest
from micro_rows import MICRO_ROWS
from simulator_programs import BASE, gemmini, tiled_matmul
from test_cli import systolic
from typer.testing import CliRunner

from model_ir.errors import InputError
from reports.fidelity import FidelityRow, summarise
from simulator import isa, stream_values
from simulator.accelerator import Memory
from systolic.cli import app
from systolic.replay_compare import compared
from systolic.replay_job import ReplayRequest, replay_file
from systolic.replay_rows import RowDefaults, parse_row, read_rows

KEYS = ["name", "cycles", "accepted_at", "read_requests", "read_bytes", "write_requests", "write_bytes", "stalls"]
DEFAULTS = RowDefaults(memory=Memory(latency_cycles=47, cycles_per_beat=2), command_gap_cycles=0)


def words(commands):
    return [[str(funct), f"{rs1:x}", f"{rs2:x}"] for funct, rs1, rs2 in commands]


def row_of(name, commands, latency, **rest):
    return {"name": name, "commands": words(commands), "latency_cycles": latency, "cycles_per_beat": 1, **rest}


def micro_file(path):
    rows = [row_of(name, commands, latency, family="micro", cycles=cycles)
            for name, commands, latency, cycles in MICRO_ROWS]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def request(path, **rest):
    return ReplayRequest(streams=path, accelerator=gemmini(), **rest)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_come_back_in_order_with_the_measured_cycles(tmp_path, workers):
    rows = [compared(one) for one in replay_file(request(micro_file(tmp_path / "s.jsonl"), workers=workers))]
    assert [(row.name, row.cycles, row.measured_cycles) for row in rows] == [
        (name, cycles, cycles) for name, _, _, cycles in MICRO_ROWS
    ]


def test_a_gzipped_file_under_any_name_and_blank_lines_read_the_same(tmp_path):
    plain = micro_file(tmp_path / "s.jsonl")
    (tmp_path / "packed").write_bytes(gzip.compress(plain.read_bytes().replace(b"\n", b"\n\n")))
    packed = list(read_rows(tmp_path / "packed", DEFAULTS))
    assert [row.commands for row in packed] == [row.commands for row in read_rows(plain, DEFAULTS)]
    assert packed[1].path == f"{tmp_path / 'packed'}:3 {MICRO_ROWS[1][0]}"


def test_reading_is_lazy(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(row_of("good", MICRO_ROWS[0][1], 1)) + "\nnot json\n")
    rows = read_rows(path, DEFAULTS)
    assert next(rows).name == "good"
    with pytest.raises(InputError, match=r"s\.jsonl:2: is not JSON"):
        next(rows)


def test_what_stands_before_a_bad_row_is_given_back_first(tmp_path):
    path = micro_file(tmp_path / "s.jsonl")
    path.write_text(path.read_text() + "{\n")
    got = []
    with pytest.raises(InputError, match=f"s.jsonl:{len(MICRO_ROWS) + 1}: is not JSON"):
        got.extend(one.row.name for one in replay_file(request(path, workers=2)))
    assert got == [name for name, *_ in MICRO_ROWS]


def test_json_is_one_object_a_line(tmp_path):
    path = micro_file(tmp_path / "s.jsonl")
    done = CliRunner().invoke(app, ["replay", str(path), "--json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["cycles"] for row in rows] == [cycles for *_, cycles in MICRO_ROWS]
    for row, (_, commands, *_) in zip(rows, MICRO_ROWS, strict=True):
        assert list(row) == KEYS
        assert len(row["accepted_at"]) == len(commands)


def test_tables_show_errors_and_families(tmp_path):
    done = systolic("replay", str(micro_file(tmp_path / "s.jsonl")), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "+0.00 %" in done.stdout
    assert MICRO_ROWS[0][0] in done.stdout
    assert "0.000 %" in done.stdout


def test_a_row_gets_the_options_or_the_accelerators_memory_where_it_states_none(tmp_path):
    path = tmp_path / "s.jsonl"
    commands = dict(zip([row[0] for row in MICRO_ROWS], MICRO_ROWS, strict=True))["mvin_16x64_x4_L100"][1]
    path.write_text(json.dumps({"name": "mvins", "commands": words(commands)}))

    def cycles(**rest):
        (only,) = replay_file(request(path, **rest))
        return only.result.cycles

    assert cycles(latency_cycles=100, cycles_per_beat=1) == 518
    assert cycles(latency_cycles=20, cycles_per_beat=1) == 300
    own = gemmini().memory
    assert cycles() == cycles(latency_cycles=own.latency_cycles, cycles_per_beat=own.cycles_per_beat)
    assert cycles(command_gap_cycles=200) > cycles()


def test_the_digest_is_of_the_output_that_numpy_computes(tmp_path):
    rows, columns, depth = 40, 24, 56
    commands = tiled_matmul((rows, columns, depth), (BASE + 0x100000, BASE + 0x800000, BASE + 0x1000000),
                            full_width=False)  # fmt: skip
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(row_of("matmul", commands, 1, I=rows, J=columns)))
    memory = stream_values.initial_memory()
    index = np.arange(0, memory.size, 4099, dtype=np.uint64)
    np.testing.assert_array_equal(memory[index], (index * np.uint64(2654435761)) >> np.uint64(13) & np.uint64(3))
    a = memory[0x100000:][: rows * depth].reshape(rows, depth).astype(np.int32)
    b = memory[0x800000:][: depth * columns].reshape(depth, columns).astype(np.int32)
    expected = np.clip(a @ b, -128, 127).astype(np.int8)
    (with_values,) = replay_file(request(path))
    assert with_values.output_sha256 == sha256(expected.tobytes()).hexdigest()
    (without,) = replay_file(request(path, values=False))
    assert without.output_sha256 is None


LEGAL = [words([isa.config_ld(stride_bytes=16)])[0], words([isa.mvin(BASE, 0, 16, 16)])[0]]
BAD_ROWS = {
    "a list": ("[1]", "must be a JSON object"),
    "no name": ('{"commands": []}', ":1 name: must be a text"),
    "no commands": ('{"name": "n"}', ":1 n commands: must be a list"),
    "commands of another kind": ('{"name": "n", "commands": {"0": 1}}', "commands: must be a list"),
    "a command that is no list": ('{"name": "n", "commands": ["0ab"]}', ":1 n: command 0: must be a list"),
    "two words": ('{"name": "n", "commands": [["0", "1"]]}', "command 0: needs funct, rs1 and rs2"),
    "bad hexadecimal": ('{"name": "n", "commands": [["0", "1", "0"], ["0", "g", "0"]]}', "command 1 rs1: not a number"),
    "negative": ('{"name": "n", "commands": [["0", "-1", "0"]]}', "command 0 rs1: not a number"),
    "a sign of another script": ('{"name": "n", "commands": [["٣", "0", "0"]]}', "command 0 funct: not a number"),
    "a fraction": ('{"name": "n", "commands": [[0, 1.5, 0]]}', "command 0 rs1: must be an integer"),
    "true": ('{"name": "n", "commands": [[true, 1, 0]]}', "command 0 funct: must be an integer"),
    "too wide": ('{"name": "n", "commands": [["0", "1", "10000000000000000"]]}', "command 0 rs2: does not fit"),
    "no such funct": ('{"name": "n", "commands": [["99", "0", "0"]]}', r"0 \(funct 99\) funct: unknown command"),
    "latency of nothing": ('{"name": "n", "commands": [], "latency_cycles": 0}', r"latency_cycles: .*value 0 cycles"),
    "latency of text": ('{"name": "n", "commands": [], "latency_cycles": "1"}', "latency_cycles: must be a whole"),
    "endless beats": ('{"name": "n", "commands": [], "cycles_per_beat": 99999999999}', "cycles_per_beat: out of"),
    "negative gap": ('{"name": "n", "commands": [], "command_gap_cycles": -1}', "command_gap_cycles: out of"),
    "output of no rows": ('{"name": "n", "commands": [], "I": 0, "J": 4}', r" I: out of range .*elements"),
    "output beyond the memory": ('{"name": "n", "commands": [], "I": 100000, "J": 1000}', "I x J must fit"),
    "acceptance of other commands": ('{"name": "n", "commands": [], "accepted_at": [1]}', "accepted_at: needs one"),
    "beyond the scratchpad": (
        json.dumps({"name": "n", "commands": [*LEGAL, words([isa.mvin(BASE, 16380, 16, 16)])[0]]}),
        r"command 2 \(mvin\) address: row beyond the scratchpad \(value .*16395.*16383",
    ),
    "no rows": (
        json.dumps({"name": "n", "commands": [*LEGAL, words([isa.mvin(BASE, 0, 16, 0)])[0]]}),
        r"command 2 \(mvin\) rows: out of range \(value 0",
    ),
    "NaN": ('{"name": "n", "commands": [], "latency_cycles": NaN}', "is not JSON"),
    "cut short": ('{"name": "n", "comm', "is not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_with_file_line_row_and_field(case, tmp_path):
    line, named = BAD_ROWS[case]
    path = tmp_path / "s.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=named) as caught:
        list(replay_file(request(path, workers=1)))
    assert str(caught.value).startswith(f"{path}:1")


def broken_files(folder):
    packed = gzip.compress(b'{"name": "n", "commands": []}\n' * 50)
    (folder / "cut.gz").write_bytes(packed[:-20])
    (folder / "damaged.gz").write_bytes(packed[:12] + b"\xff\xff\xff" + packed[15:])
    (folder / "bytes").write_bytes(b"\xff\xfe\x00\n")
    (folder / "empty").write_bytes(b"\n\n")
    (folder / "folder").mkdir()
    return ("cut.gz", "damaged.gz", "bytes", "empty", "folder", "missing")


def test_a_file_that_is_none_is_named(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(InputError, match=name):
            list(replay_file(request(tmp_path / name)))


def test_the_command_line_says_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "s.jsonl").write_text('{"name": "n", "commands": [["5", "0", "0"]]}')
    done = systolic("replay", "s.jsonl", "--json", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines() == [
        line for line in done.stderr.splitlines() if "s.jsonl:1 n: command 0" in line
    ]


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("systolic.replay_rows.MAX_LINE_BYTES", 1000)
    path = tmp_path / "s.jsonl"
    path.write_text('{"name": "n", "commands": [' + " " * 2000 + "]}")
    with pytest.raises(InputError, match="line too long"):
        list(read_rows(path, DEFAULTS))


def test_measurements_are_compared_field_by_field():
    row = row_of("n", MICRO_ROWS[0][1], 1, cycles=100, read_requests=1, output_sha256=None)
    parsed = parse_row(json.dumps(row).encode(), "f:1", DEFAULTS)
    assert (parsed.measured.cycles, parsed.measured.read_requests, parsed.measured.write_bytes) == (100, 1, None)
    rows = [
        FidelityRow(name="a", family="x", cycles=110, measured_cycles=100, accepted=4, accepted_near=3),
        FidelityRow(name="b", family="x", cycles=90, measured_cycles=100, traffic_exact=True, values_exact=False),
        FidelityRow(name="c", family="x", cycles=100, measured_cycles=100, traffic_exact=False),
        FidelityRow(name="d", family="y", cycles=7, measured_cycles=None),
    ]
    (family,) = summarise(rows)
    assert (family.family, family.rows, family.exact_rows, family.simulated_cycles) == ("x", 3, 1, 300)
    assert (family.mean_error, family.worst_error) == (pytest.approx(0.2 / 3), pytest.approx(0.1))
    assert (family.accepted_near, family.traffic_exact, family.values_exact) == (0.75, (1, 2), (0, 1))
