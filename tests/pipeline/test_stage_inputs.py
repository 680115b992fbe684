"""Inputs of a stage: other stages, folders, and where they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toys import DOUBLE, FAIL, GATHER, MAKE, TRAIN
from toystage import run

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.plan.external_inputs import artifact_at, artifacts_of_run
from wsss.pipeline.stage import Artifact


def test_provenance_is_collected_from_upstream(tmp_path: Path) -> None:
    made = run(MAKE, tmp_path / "make").artifact
    doubled = run(DOUBLE, tmp_path / "double", inputs={"numbers": made}).artifact
    trained = run(TRAIN, tmp_path / "train", inputs={"numbers": doubled}).artifact
    assert trained.provenance == {"text": "x", "shared": "make", "factor": 2, "trained": True}


def test_provenance_of_a_nested_input_is_kept_apart(tmp_path: Path) -> None:
    made = run(MAKE, tmp_path / "make").artifact
    start = run(TRAIN, tmp_path / "start", inputs={"numbers": made}).artifact
    apart = replace(TRAIN, inputs={**TRAIN.inputs, "numbers": replace(TRAIN.inputs["numbers"], nested=True)})
    inputs = {"numbers": run(DOUBLE, tmp_path / "double", inputs={"numbers": made}).artifact, "start": start}
    trained = run(apart, tmp_path / "train", inputs=inputs).artifact
    of_numbers = {"text": "x", "shared": "make", "factor": 2}
    assert trained.provenance == {"text": "x", "shared": "make", "trained": True, "numbers": of_numbers}


def test_external_folders(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make")
    log: list[str] = []
    artifact = artifact_at(tmp_path / "make", ("numbers",), "--numbers", log.append)
    assert artifact.id == "make" and artifact.identity is not None and not log
    assert artifact.provenance == {"text": "x", "shared": "make"}
    (tmp_path / "make" / "items" / "001.txt").write_text("edited")
    edited = artifact_at(tmp_path / "make", ("numbers",), "--numbers", log.append)
    assert edited.identity is None and edited.provenance == artifact.provenance and len(log) == 1
    assert artifacts_of_run(tmp_path, ("numbers",), "--stages", log.append) is None


def test_invalid_external_folders(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make")
    with pytest.raises(InvalidInput) as error:
        artifact_at(tmp_path / "make", ("model",), "--start", print)
    assert (error.value.found, error.value.allowed) == ("numbers", ("model",))
    with pytest.raises(InvalidInput) as error:
        artifact_at(tmp_path / "none", ("numbers",), "--numbers", print)
    assert error.value.subject == f"--numbers {tmp_path / 'none'}"
    with pytest.raises(RunFailed):
        run(FAIL, tmp_path / "fail")
    with pytest.raises(InvalidInput) as error:
        artifact_at(tmp_path / "fail", ("nothing",), "--x", print)
    assert error.value.subject == f"--x {tmp_path / 'fail'}"


def test_a_plain_folder_counts_by_content(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "items").mkdir(parents=True)
    (plain / "items" / "a.txt").write_text("a")
    status = [run(DOUBLE, tmp_path / "out", inputs={"numbers": Artifact(plain)}).status for _ in range(2)]
    assert status == ["done", "skipped"]
    (plain / "items" / "a.txt").write_text("b")
    assert run(DOUBLE, tmp_path / "out", inputs={"numbers": Artifact(plain)}).status == "done"


def test_many_inputs(tmp_path: Path) -> None:
    made = run(MAKE, tmp_path / "make").artifact
    doubled = run(DOUBLE, tmp_path / "double", inputs={"numbers": made}).artifact
    outcome = run(GATHER, tmp_path / "all", inputs={"stages": (made, doubled)})
    assert (tmp_path / "all" / "index.html").read_text() == "<p>make, double"
    assert outcome.metrics == {"stages": 2}
