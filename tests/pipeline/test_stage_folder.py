from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsss.errors import InvalidInput, Obstructed
from wsss.io.files.atomic import sha256_file
from wsss.pipeline.plan.decide import decide
from wsss.pipeline.plan.identity import identity_of
from wsss.pipeline.store.stage_folder import (
    RECORD,
    Damage,
    artifact_files,
    check_stage_folder,
    delete_damaged,
    empty,
    has_unlisted_files,
    list_artifacts,
    read_record,
    verify,
    write_record,
)

PARTS = {"stage": "cam", "version": 1, "seed": 0, "config": {"n": 1}, "inputs": {}, "reads": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cam"
    (folder / "cams").mkdir(parents=True)
    (folder / "cams" / "a.npz").write_bytes(b"aaaa")
    (folder / "b.json").write_bytes(b"bb")
    record = {"id": "cam", "status": "done", "identity": identity_of(PARTS), "identity_parts": PARTS}
    write_record(folder, {**record, "artifacts": list_artifacts(folder)})
    return folder


def record_of(folder: Path) -> dict[str, object]:
    record = read_record(folder)
    assert record is not None
    return record


def artifacts_of(folder: Path) -> dict[str, dict[str, object]]:
    artifacts = record_of(folder)["artifacts"]
    assert isinstance(artifacts, dict)
    return artifacts


def test_artifacts_leave_out_logs_bookkeeping_and_hidden_files(folder: Path) -> None:
    for name in ("tensorboard/events", "checkpoint.pt", "metrics.json", "run.log", ".wsss-tmp-1-x", ".wsss-data/i.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "sub").mkdir()
    (folder / "sub" / "checkpoint.pt").write_bytes(b"x")  # only the stage's own checkpoint is bookkeeping
    names = [path.relative_to(folder).as_posix() for path in artifact_files(folder)]
    assert names == ["b.json", "cams/a.npz", "sub/checkpoint.pt"]


def test_listed_artifacts_are_size_hash_and_time(folder: Path) -> None:
    path = folder / "cams" / "a.npz"
    assert artifacts_of(folder)["cams/a.npz"] == {
        "bytes": 4,
        "sha256": sha256_file(path),
        "mtime_ns": path.stat().st_mtime_ns,
    }
    assert verify(folder, artifacts_of(folder)) == []


def test_verify_finds_missing_truncated_and_changed_files(folder: Path) -> None:
    artifacts = artifacts_of(folder)
    path = folder / "cams" / "a.npz"
    path.write_bytes(b"aa")
    assert verify(folder, artifacts) == [Damage("cams/a.npz", "truncated")]
    path.write_bytes(b"aaaaaa")
    assert verify(folder, artifacts) == [Damage("cams/a.npz", "changed")]
    path.write_bytes(b"aaab")
    os.utime(path, ns=(1, 1))
    assert verify(folder, artifacts) == [Damage("cams/a.npz", "changed")]
    path.write_bytes(b"aaaa")  # the same bytes with another time, as after a copy
    os.utime(path, ns=(1, 1))
    assert verify(folder, artifacts) == []
    path.unlink()
    assert verify(folder, artifacts) == [Damage("cams/a.npz", "missing")]
    path.mkdir()
    assert len(verify(folder, artifacts)) == 1


def test_unlisted_files(folder: Path) -> None:
    assert not has_unlisted_files(folder, artifacts_of(folder))
    (folder / "more.txt").write_text("x")
    assert has_unlisted_files(folder, artifacts_of(folder))


def test_only_damaged_files_are_deleted(folder: Path) -> None:
    delete_damaged(folder, [Damage("cams/a.npz", "truncated"), Damage("gone", "missing")])
    assert [path.name for path in artifact_files(folder)] == ["b.json"]


def test_empty_keeps_the_record_and_marks_it(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (folder / "link").symlink_to(outside, target_is_directory=True)
    (folder / ".wsss-data").mkdir()  # generated data in use
    (folder / ".wsss-lock").touch()
    empty(folder, record_of(folder))
    assert sorted(path.name for path in folder.iterdir()) == [".wsss-data", ".wsss-lock", RECORD]
    assert record_of(folder)["status"] == "stale"
    assert (outside / "precious").read_text() == "x"  # the link is deleted, not its target


def test_invalid_records_are_refused(folder: Path) -> None:
    assert read_record(folder.parent) is None
    assert read_record(folder / "b.json") is None
    for text in ("{", "[]", '{"id": 1}', "\xff"):
        (folder / RECORD).write_text(text, encoding="latin-1")
        with pytest.raises(InvalidInput) as error:
            read_record(folder)
        assert str(error.value.subject).startswith(str(folder / RECORD))


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    check_stage_folder(folder)
    check_stage_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_stage_folder(tmp_path / "empty")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".wsss-tmp-1-stage.json").touch()
    check_stage_folder(tmp_path / "killed")
    (folder / RECORD).unlink()
    with pytest.raises(InvalidInput) as error:
        check_stage_folder(folder)
    assert "'b.json'" in error.value.problem
    with pytest.raises(Obstructed) as error:
        check_stage_folder(folder / "b.json")
    assert (error.value.found, error.value.allowed) == ("a file", "a folder")


def test_decisions(folder: Path, tmp_path: Path) -> None:
    assert decide(tmp_path / "new", PARTS).reasons == ("never ran",)
    finished = decide(folder, PARTS)
    assert (finished.action, finished.reasons, finished.keep) == ("skip", ("finished",), True)
    forced = decide(folder, PARTS, force=True)
    assert (forced.action, forced.reasons, forced.keep) == ("run", ("forced",), False)
    changed = decide(folder, {**PARTS, "config": {"n": 2}})
    assert (changed.action, changed.reasons, changed.keep) == ("run", ("config changed: n 1 → 2",), False)
    for status, reason, keep in (
        ("running", "interrupted", True),
        ("interrupted", "interrupted", True),
        ("failed", "failed last time", True),
        ("stale", "forced", False),
    ):
        write_record(folder, {**record_of(folder), "status": status})
        decision = decide(folder, PARTS)
        assert (decision.action, decision.reasons, decision.keep) == ("run", (reason,), keep)


def test_a_damaged_artifact_makes_the_stage_run_and_keeps_the_rest(folder: Path) -> None:
    (folder / "cams" / "a.npz").write_bytes(b"a")
    decision = decide(folder, PARTS)
    assert (decision.action, decision.keep) == ("run", True)
    assert decision.reasons == ("artifact cams/a.npz is truncated",)
    assert decision.damages == (Damage("cams/a.npz", "truncated"),)


def test_the_result_of_another_kind_of_stage_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text(
        '{"identity": "x", "id": "predict@seed=1", "uses": "predict"}', encoding="utf-8"
    )
    check_stage_folder(tmp_path)
    check_stage_folder(tmp_path, "predict")
    with pytest.raises(InvalidInput) as error:
        check_stage_folder(tmp_path, "report")
    assert error.value.subject == str(tmp_path) and "'predict@seed=1'" in error.value.problem


@pytest.mark.parametrize("invalid", [{"machine": {"workers": -1}}, {"uses": "score", "metrics": {"miou": 2.0}}])
def test_a_record_that_cannot_be_read_is_not_written(folder: Path, invalid: dict[str, object]) -> None:
    before = (folder / RECORD).read_bytes()
    with pytest.raises(InvalidInput):
        write_record(folder, {**record_of(folder), "status": "failed", **invalid})
    assert (folder / RECORD).read_bytes() == before and read_record(folder)
