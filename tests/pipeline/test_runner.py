"""A stage runs once; changes and damage run it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from killing import is_bookkeeping, snapshot
from toys import COUNT, MAKE, TOYS, ToyData, make_toy_data
from toystage import messages, run, session

from wsss.pipeline.stage import StageConfig


def test_a_stage_runs_once_and_is_then_skipped(tmp_path: Path) -> None:
    first = run(MAKE, tmp_path / "make", seed=3)
    assert (first.status, dict(first.metrics)) == ("done", {"n": 4, "loss": 0.5})
    assert (tmp_path / "make" / "items" / "002.txt").read_text() == "x 2 3.\n"
    before = snapshot(tmp_path)
    second = run(MAKE, tmp_path / "make", seed=3)
    assert second.status == "skipped"
    assert second.metrics == first.metrics
    assert snapshot(tmp_path) == before
    assert second.artifact == first.artifact


def test_the_keys_of_a_record(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make", {"text": "t"})
    record = json.loads((tmp_path / "make" / "stage.json").read_text())
    assert {
        "id", "uses", "status", "identity", "identity_parts", "config", "inputs", "seed", "metrics", "provenance",
        "seconds", "started", "finished", "host", "device", "versions", "artifacts",
    } <= set(record)  # fmt: skip
    assert (record["id"], record["uses"], record["status"], record["device"]) == ("make", "make", "done", "cpu")
    assert record["config"]["text"] == "t"
    assert set(record["artifacts"]) == {f"items/{i:03d}.txt" for i in range(4)}
    assert set(record["artifacts"]["items/000.txt"]) == {"bytes", "sha256", "mtime_ns"}
    assert json.loads((tmp_path / "make" / "metrics.json").read_text()) == {"n": 4, "loss": 0.5}


def test_a_changed_config_empties_the_folder_first(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make", {"n": 6})
    run(MAKE, tmp_path / "make", {"n": 2})
    assert sorted(path.name for path in (tmp_path / "make" / "items").iterdir()) == ["000.txt", "001.txt"]


def test_damaged_artifacts_are_computed_again_and_the_others_kept(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make")
    whole = snapshot(tmp_path / "make", ignore=is_bookkeeping)
    kept = tmp_path / "make" / "items" / "003.txt"
    stamp = kept.stat().st_mtime_ns
    (tmp_path / "make" / "items" / "001.txt").write_text("x 1")
    (tmp_path / "make" / "items" / "002.txt").unlink()
    again = session(tmp_path)
    outcome = run(MAKE, tmp_path / "make", session=again)
    assert outcome.status == "done"
    assert snapshot(tmp_path / "make", ignore=is_bookkeeping) == whole
    assert kept.stat().st_mtime_ns == stamp
    assert "warning: make: artifact items/001.txt is truncated; it is computed again." in messages(again)
    assert "warning: make: artifact items/002.txt is missing; it is computed again." in messages(again)


def test_changed_metrics_are_restored(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make")
    path = tmp_path / "make" / "metrics.json"
    whole = path.read_bytes()
    for spoil in (path.unlink, lambda: path.write_text("{"), lambda: path.write_text('{"n": 5}')):
        spoil()
        one = session(tmp_path)
        assert run(MAKE, tmp_path / "make", session=one).status == "skipped"
        assert path.read_bytes() == whole
        assert "metrics.json was missing or changed" in messages(one)


def test_force_runs_from_scratch(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make")
    (tmp_path / "make" / "items" / "extra.txt").write_text("x")
    assert run(MAKE, tmp_path / "make", force=True).status == "done"
    assert not (tmp_path / "make" / "items" / "extra.txt").exists()


def test_a_changed_dataset_re_runs_a_stage(tmp_path: Path) -> None:
    root = make_toy_data(tmp_path / "d")
    made = run(MAKE, tmp_path / "make").artifact
    for expected in ("done", "skipped"):
        outcome = run(COUNT, tmp_path / "count", inputs={"pred": made}, data=ToyData(root))
        assert outcome.status == expected
    (root / "val" / "masks").write_text("changed")
    assert run(COUNT, tmp_path / "count", inputs={"pred": made}, data=ToyData(root)).status == "done"
    (root / "val" / "images").write_text("not read by this stage")
    assert run(COUNT, tmp_path / "count", inputs={"pred": made}, data=ToyData(root)).status == "skipped"


def test_a_stage_that_reads_all_splits(tmp_path: Path) -> None:
    """The report without ``splits``."""
    from wsss.stages.report import STAGE as REPORT

    anything = replace(MAKE, reads=lambda config: REPORT.reads(REPORT.config()))
    root = make_toy_data(tmp_path / "d")
    one = session(tmp_path)
    assert run(anything, tmp_path / "make").status == "done"
    for expected in ("done", "skipped"):
        assert run(anything, tmp_path / "make", data=ToyData(root), session=one).status == expected
    (root / "val" / "masks").write_text("changed")
    assert run(anything, tmp_path / "make", data=ToyData(root)).status == "done"
    (root / "test").mkdir()
    for kind in ("images", "labels", "masks"):
        (root / "test" / kind).write_text(kind)
    assert run(anything, tmp_path / "make", data=ToyData(root)).status == "done"
    assert run(anything, tmp_path / "make").status == "done"


def test_a_report_without_a_dataset(tmp_path: Path) -> None:
    from wsss.stages.report import STAGE as REPORT

    made = run(MAKE, tmp_path / "make").artifact
    one = session(tmp_path)
    run(REPORT, tmp_path / "report", inputs={"stages": (made,)}, session=one)
    assert "no gallery, because no dataset is set" in messages(one)


def test_temporary_files_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "make").mkdir()
    (tmp_path / "make" / ".wsss-tmp-1-stage.json").write_text("{")
    run(MAKE, tmp_path / "make")
    assert not list((tmp_path / "make").rglob(".wsss-tmp-*"))


def test_every_toy_stage_has_the_name_it_is_registered_by() -> None:
    assert all(name == stage.name and issubclass(stage.config, StageConfig) for name, stage in TOYS.items())
