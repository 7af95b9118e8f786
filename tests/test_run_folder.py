"""Run folders and cached schedules appear whole or not at all."""

from pathlib import Path

import pytest

from model_ir.errors import InputError
from systolic.run_folder import new_run_folder
from systolic.schedule_cache import ScheduleCache


def write_run(place: Path, text: str) -> None:
    with new_run_folder(place) as folder:
        (folder / "run.json").write_text(text)


def test_a_folder_is_there_only_when_the_block_ended_well(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "one"
    with new_run_folder(place) as folder:
        (folder / "run.json").write_text("{}")
        assert not place.exists()
    assert (place / "run.json").read_text() == "{}"
    assert [path.name for path in place.parent.iterdir()] == ["one"]


@pytest.mark.parametrize(("error", "seen"), [(KeyboardInterrupt, InputError), (RuntimeError, RuntimeError)])
def test_a_failed_block_leaves_nothing_and_keeps_the_earlier_run(
    tmp_path: Path, error: type[BaseException], seen: type[Exception]
) -> None:
    place = tmp_path / "one"
    write_run(place, "old")

    def fail_halfway() -> None:
        with new_run_folder(place) as folder:
            (folder / "run.json").write_text("new")
            raise error

    with pytest.raises(seen):
        fail_halfway()
    assert (place / "run.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "one"
    write_run(place, "old")
    write_run(place, "new")
    assert (place / "run.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    place = tmp_path / "precious"
    place.mkdir()
    (place / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="precious"), new_run_folder(place):
        pass
    assert (place / "thesis.tex").read_text() == "years"


def test_a_parent_that_is_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"), new_run_folder(tmp_path / "file" / "one"):
        pass


def test_the_cache_keeps_values_and_takes_a_damaged_entry_for_absent(tmp_path: Path) -> None:
    cache = ScheduleCache(tmp_path / "cache")
    cache["key"] = {"tile": [1, 2, 3]}
    assert ScheduleCache(tmp_path / "cache")["key"] == {"tile": [1, 2, 3]}
    assert list(cache) == ["key"]
    (tmp_path / "cache" / "key.json").write_text('{"tile": [1')
    assert "key" not in cache
    cache["key"] = 1
    assert cache["key"] == 1
    del cache["key"]
    assert len(cache) == 0
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_where_no_folder_can_be_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        ScheduleCache(tmp_path / "file" / "cache")
