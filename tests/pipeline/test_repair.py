from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.repair import can_hold_records, repair_folder
from wsss.pipeline.store.run_folder import read_run, write_run


def silent(line: str) -> None:
    """Drop a message."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages: one is finished, one has never run."""
    folder = tmp_path / "make"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    stage_folder.write_record(folder, record(folder, "done"))
    write_run(tmp_path, {"name": "x", "status": "done", "stages": [{"id": i, "uses": i} for i in ("make", "wait")]})
    return tmp_path


def record(folder: Path, status: str) -> dict[str, Any]:
    return {
        "id": "make",
        "uses": "make",
        "status": status,
        "identity": "1",
        "artifacts": stage_folder.list_artifacts(folder),
    }


def test_an_intact_run_needs_no_repair(run: Path) -> None:
    assert repair_folder(run, silent) == []
    assert can_hold_records(run) and not can_hold_records(run / "nowhere")


@pytest.mark.parametrize("content", [None, "", "{", '{"id": 3}'])
def test_lost_and_damaged_records_are_restored(run: Path, content: str | None) -> None:
    before = read_run(run), stage_folder.read_record(run / "make")
    for path in (run / RUN, run / "make" / RECORD):
        path.unlink() if content is None else path.write_text(content)
    result = repair_folder(run, silent)
    assert [(one.path, one.restored) for one in result] == [(run / RUN, True), (run / "make" / RECORD, True)]
    for old, new in zip(before, (read_run(run), stage_folder.read_record(run / "make")), strict=True):
        assert old is not None and new is not None
        assert new.pop("restored") and new == old
    assert repair_folder(run, silent) == []


def test_a_single_stage(run: Path) -> None:
    (run / "make" / RECORD).unlink()
    assert [one.restored for one in repair_folder(run / "make", silent)] == [True]


@pytest.mark.parametrize("how", ["changed", "missing", "unlisted", "copy damaged", "no copy"])
def test_records_that_cannot_be_verified_are_not_restored(run: Path, how: str) -> None:
    folder = run / "make"
    copy = folder / COPIES[RECORD]
    (folder / RECORD).unlink()
    if how == "changed":
        (folder / "a.txt").write_text("b")
    elif how == "missing":
        (folder / "a.txt").unlink()
    elif how == "unlisted":
        (folder / "b.txt").write_text("b")
    elif how == "copy damaged":
        copy.write_text(copy.read_text().replace('"identity": "1"', '"identity": "2"'))
    else:
        copy.unlink()
    (one,) = repair_folder(run, silent)
    assert not one.restored and "Move " in one.hint and one.what.startswith("lost; ")
    assert stage_folder.read_record(folder) is None


def test_the_copy_is_deleted_with_the_result(run: Path) -> None:
    """Otherwise a restarted stage could be restored as finished."""
    stage_folder.write_record(run / "make", record(run / "make", "stale"))
    assert not (run / "make" / COPIES[RECORD]).exists()


def test_a_damaged_record_suggests_the_repair(run: Path) -> None:
    (run / "make" / RECORD).write_text("{")
    with pytest.raises(InvalidInput) as caught:
        stage_folder.read_record(run / "make")
    assert f"wsss status --repair {run} restores it" in str(caught.value.hint)
    (run / RUN).unlink()
    (run / COPIES[RUN]).unlink()
    first = repair_folder(run, silent)[0]
    assert not first.restored and f"wsss run PIPELINE --run-dir {run}" in first.hint
