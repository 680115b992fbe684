from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flipping import flip
from killing import snapshot
from toys import make_toy_data, run_toys

from wsss.pipeline.store.stage_folder import read_record, write_record
from wsss.pipeline.store.verification import Verification, verify_folder

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make]}
  train: {uses: train, needs: [double], with: {steps: 3}}
"""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    run_toys(TEXT, tmp_path / "run")
    return tmp_path / "run"


def verified(folder: Path) -> Verification:
    result = verify_folder(folder)
    assert result is not None
    return result


def damaged(folder: Path) -> list[tuple[str | None, str]]:
    return [(one.stage, one.path.relative_to(folder).as_posix()) for one in verified(folder).damaged]


def test_an_intact_run_is_read_and_unchanged(run_dir: Path) -> None:
    before, steps = snapshot(run_dir), []

    def track(what: str, total: int) -> Callable[[int], None]:
        steps.append(total)
        return steps.append

    result = verify_folder(run_dir, track)
    assert result == Verification(files=7)
    assert steps == [7, *[1] * 7]
    assert snapshot(run_dir) == before
    assert verify_folder(run_dir / "make") == Verification(files=3)
    assert verify_folder(run_dir.parent) is None


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("make/items/001.txt", "make"),
        ("train/model.bin", "train"),
        ("double/stage.json", "double"),
        ("double/metrics.json", "double"),
        ("run.json", None),
    ],
)
def test_a_flipped_bit_is_listed_with_a_hint(run_dir: Path, path: str, stage: str | None) -> None:
    flip(run_dir / path, 8 * ((run_dir / path).stat().st_size - 5))
    result = verified(run_dir)
    assert [(one.stage, one.path) for one in result.damaged] == [(stage, run_dir / path)]
    assert result.damaged[0].hint
    assert result.to_json()["damaged"][0]["path"] == str(run_dir / path)
    if path.startswith(("make", "train")):
        assert result.damaged[0].what == "changed"
        assert f"--run-dir {run_dir} --force {stage}" in result.damaged[0].hint
        assert f"delete {run_dir / str(stage)}" in result.damaged[0].hint


def test_missing_and_truncated_files(run_dir: Path) -> None:
    (run_dir / "make/items/000.txt").unlink()
    (run_dir / "make/items/002.txt").write_text("")
    (run_dir / "double/metrics.json").unlink()
    assert [(one.path.name, one.what) for one in verified(run_dir).damaged] == [
        ("000.txt", "missing"), ("002.txt", "truncated"), ("metrics.json", "changed"),
    ]  # fmt: skip


def edit_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit a record, without its checksum."""
    record = json.loads((folder / "stage.json").read_text())
    change(record)
    (folder / "stage.json").write_text(json.dumps(record))


def test_records_without_hashes_are_listed(run_dir: Path) -> None:
    def without_hashes(record: dict[str, Any]) -> None:
        for known in record["artifacts"].values():
            del known["sha256"]

    edit_record(run_dir / "make", without_hashes)
    edit_record(run_dir / "double", lambda record: record.pop("artifacts"))
    flip(run_dir / "make/items/000.txt", 9)  # undetectable
    result = verified(run_dir)
    assert (result.files, result.damaged, result.not_recorded) == (1, [], ["make", "double"])
    (run_dir / "make/items/001.txt").unlink()
    assert damaged(run_dir) == [("make", "make/items/001.txt")]


def test_unfinished_stages_have_only_a_checkpoint_to_verify(run_dir: Path) -> None:
    record = read_record(run_dir / "train")
    assert record is not None
    interrupted = {**record, "status": "interrupted", "artifacts": {}}
    write_record(run_dir / "train", interrupted)
    (run_dir / "train/checkpoint.pt").write_text("of another kind")
    assert verified(run_dir).unfinished == ["train"] and not damaged(run_dir)
    write_record(run_dir / "train", {**interrupted, "machine": {"effective_batch": 4}})
    assert damaged(run_dir) == [("train", "train/checkpoint.pt")]
    (run_dir / "train").rename(run_dir.parent / "elsewhere")
    assert verified(run_dir).unfinished == ["train"] and not damaged(run_dir)


def test_a_run_with_a_damaged_record_is_verified_stage_by_stage(run_dir: Path) -> None:
    (run_dir / "run.json").write_text("{")
    flip(run_dir / "train/model.bin", 3)
    assert damaged(run_dir) == [(None, "run.json"), ("train", "train/model.bin")]
