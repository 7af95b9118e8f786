"""Stages of a long job: taken over while nothing before them changed, made again where anything did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_ir.errors import InputError
from systolic.firmware.stages import STAGES, Arrays, Stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    value: float


class Job:
    """Two stages that count how often they are made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, {"first": 0, "second": 0}

    def run(self, asked: int, key: str = "request", factor: float = 1.0) -> tuple[Made, Arrays]:
        stages = Stages(folder=self.folder, key=key)
        first, arrays = stages.run("first", {"asked": asked}, lambda _: self._make("first", asked * factor), Made)
        self.stages = stages
        return stages.run("second", None, lambda _: self._make("second", first.value + float(arrays["x"][0])), Made)

    def _make(self, name: str, value: float) -> tuple[Made, Arrays]:
        self.made[name] += 1
        return Made(value=value), {"x": np.array([value])}


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    job = Job(tmp_path)
    before = job.run(3)
    after = job.run(3)
    assert before == after == (Made(value=6.0), {"x": np.array([6.0])})
    assert job.made == {"first": 1, "second": 1}
    assert [record.resumed for record in job.stages.records] == [True, True]


@pytest.mark.parametrize("change", [{"asked": 4}, {"asked": 3, "key": "other"}])
def test_what_was_asked_otherwise_is_made_again_with_all_after_it(tmp_path: Path, change: dict[str, Any]) -> None:
    job = Job(tmp_path)
    job.run(3)
    job.run(**change)
    assert job.made == {"first": 2, "second": 2}


def test_a_damaged_stage_is_made_again(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.run(3)
    (tmp_path / STAGES / "first" / "result.json").write_text('{"value": 5.0}')
    job.run(3)
    assert job.made == {"first": 2, "second": 1}
    (tmp_path / STAGES / "first" / "arrays.npz").write_bytes(b"half")
    job.run(3)
    assert job.made == {"first": 3, "second": 1}


def test_another_result_of_an_earlier_stage_reaches_the_later_one(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.run(3)
    (tmp_path / STAGES / "first" / "done.json").unlink()
    assert job.run(3, factor=2.0)[0] == Made(value=12.0)
    assert job.made == {"first": 2, "second": 2}


def test_an_interrupted_stage_finds_its_checkpoints_and_nobody_elses(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def make(work: Path) -> tuple[Made, Arrays]:
        seen.append(sorted(path.name for path in work.iterdir()))
        (work / "checkpoint").write_text("1")
        if len(seen) != 3:
            raise KeyboardInterrupt
        return Made(value=1.0), {}

    def run(asked: int) -> None:
        Stages(folder=tmp_path, key="").run("slow", asked, make, Made)

    for asked in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run(asked)
    run(2)
    assert seen == [[], [], ["checkpoint"]]
    assert [path.name for path in (tmp_path / STAGES).iterdir()] == ["slow"]


def test_what_follows_a_leaf_does_not_mind_it(tmp_path: Path) -> None:
    made = []

    def run(leaf: float) -> None:
        stages = Stages(folder=tmp_path, key="")
        for name, value in (("leaf", leaf), ("after", 1.0)):
            stages.run(
                name, value, lambda _, v=value, n=name: (made.append(n), (Made(value=v), {}))[1], Made, leaf=True
            )

    run(1.0)
    run(2.0)
    assert made == ["leaf", "after", "leaf"]


def test_a_stage_is_made_again_where_what_it_left_is_gone(tmp_path: Path) -> None:
    def run() -> bool:
        stages = Stages(folder=tmp_path, key="")
        file = tmp_path / "file"
        stages.run("writes", None, lambda _: (file.touch(), (Made(value=1.0), {}))[1], Made, produces=file)
        return stages.records[0].resumed

    assert [run(), run()] == [False, True]
    (tmp_path / "file").unlink()
    assert not run()


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / STAGES).write_text("in the way")
    with pytest.raises(InputError, match="cannot keep a stage"):
        Job(tmp_path).run(3)
