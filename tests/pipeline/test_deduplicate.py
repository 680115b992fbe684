"""Duplicates of a stage are copied, byte by byte what a run would have computed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from toys import TOYS, open_toy_data, run_toys

from wsss.errors import RunFailed
from wsss.pipeline.config.source import parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.deduplicate import copy_files
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import dry_run
from wsss.pipeline.store.stage_folder import list_artifacts

# Variants a and b share their training; c has one of its own.
TEXT = """\
name: toy
data: {root: d}
matrix:
  variant:
    a: {steps: 3, factor: 2}
    b: {steps: 3, factor: 4}
    c: {steps: 5, factor: 2}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  train: {uses: train, needs: [make], with: {steps: "${{ matrix.variant.steps }}"}}
  double: {uses: double, needs: [make], with: {factor: "${{ matrix.variant.factor }}"}}
"""
TRAINED = [f"train@variant={one}" for one in "abc"]
RUN = Path("runs/toy")


pytestmark = pytest.mark.usefixtures("here")


def run(text: str = TEXT, **choice: str) -> tuple[list[str], str]:
    """Return the stages that were done, and the messages."""
    stream = io.StringIO()
    result = run_toys(text, RUN, stream=stream, **choice)
    return [outcome.id for outcome in result.outcomes if outcome.status == "done"], stream.getvalue()


def record(id: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RUN / id / "stage.json").read_text())
    return value


def hashes(id: str) -> dict[str, str]:
    return {name: artifact["sha256"] for name, artifact in list_artifacts(RUN / id).items()}


def test_a_duplicate_is_copied() -> None:
    done, messages = run()
    assert set(TRAINED) <= set(done)
    assert "train@variant=b: duplicate of train@variant=a: copied" in messages
    assert "double@variant=c: duplicate of double@variant=a: copied" in messages
    assert messages.count("copied") == 2
    first, second, other = map(record, TRAINED)
    assert second["same_as"] == "train@variant=a" and "same_as" not in first and "same_as" not in other
    kept = ("identity", "metrics", "provenance", "config", "status", "inputs", "seed")
    assert {key: second[key] for key in kept} == {key: first[key] for key in kept}
    assert hashes(TRAINED[1]) == hashes(TRAINED[0]) != hashes(TRAINED[2])
    assert (RUN / TRAINED[1] / "metrics.json").read_bytes() == (RUN / TRAINED[0] / "metrics.json").read_bytes()
    assert run() == ([], "")


def test_a_copy_equals_the_result_of_a_run() -> None:
    run()
    copied = hashes(TRAINED[1])
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""), force="train")
    assert hashes(TRAINED[1]) == copied and "same_as" not in record(TRAINED[1])


def test_a_stage_finished_earlier_is_copied_and_planned() -> None:
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""))
    spec = spec_from(parse_yaml(TEXT, "p.yaml"))
    steps = dry_run(spec, TOYS, run_dir=RUN, open_data=open_toy_data, choice=Choice())
    assert {step.job.id: step.duplicate_of for step in steps if step.runs} == {
        "train@variant=a": "train@variant=b",
        "double@variant=a": "double@variant=c",
    }
    assert run()[1].count("copied") == 2


def test_a_damaged_original_is_not_copied() -> None:
    run()
    model = RUN / TRAINED[0] / "model.bin"
    intact = model.read_bytes()
    (RUN / TRAINED[1] / "model.bin").write_bytes(b"changed")
    model.write_bytes(b"damaged, too")
    run()
    assert model.read_bytes() == intact == (RUN / TRAINED[1] / "model.bin").read_bytes()


def test_editing_a_copy_does_not_change_the_original() -> None:
    run()
    model = RUN / TRAINED[1] / "model.bin"
    assert not model.samefile(RUN / TRAINED[0] / "model.bin")
    intact = model.read_bytes()
    with model.open("r+b") as file:
        file.write(b"####")
    assert (RUN / TRAINED[0] / "model.bin").read_bytes() == intact
    assert run()[0] == [TRAINED[1]] and model.read_bytes() == intact


def test_forced_stages_copy_no_earlier_result() -> None:
    run()
    started = [record(one)["started"] for one in TRAINED]
    (RUN / TRAINED[0] / "stage.json").write_text(
        json.dumps({**record(TRAINED[0]), "started": "long ago"}), encoding="utf-8"
    )
    done, messages = run(force="train")
    assert set(TRAINED) <= set(done) and "train@variant=b: duplicate of train@variant=a: copied" in messages
    assert record(TRAINED[0])["started"] >= started[0] and "same_as" not in record(TRAINED[0])
    alone, messages = run(force="train@variant=b")
    assert alone == [TRAINED[1]] and "copied" not in messages and "same_as" not in record(TRAINED[1])


def test_a_stage_that_is_left_out_is_not_copied() -> None:
    done, messages = run(until="train@variant=b")
    assert done == ["make", TRAINED[1]] and "copied" not in messages


def test_a_renamed_folder_is_copied() -> None:
    """Its old name now belongs to a stage with another identity."""
    first = "    a: {steps: 3, factor: 2}\n"
    rest = "    b: {steps: 3, factor: 4}\n    c: {steps: 5, factor: 2}\n"
    run(TEXT.replace(rest, ""))
    (RUN / TRAINED[0]).rename(RUN / "train@variant=base")
    other = "    a: {steps: 5, factor: 2}\n    base: {steps: 3, factor: 2}\n"
    run(TEXT.replace(first, other).replace(rest, ""))
    run(TEXT.replace(first, other).replace(rest, "    new: {steps: 3, factor: 2}\n"))
    assert record("train@variant=new")["same_as"] == "train@variant=base"
    assert hashes("train@variant=new") == hashes("train@variant=base") != hashes(TRAINED[0])


def test_force_applies_to_the_run_after_an_interrupt() -> None:
    run()
    done = record(TRAINED[1])
    (RUN / TRAINED[1] / "stage.json").write_text(json.dumps({**done, "status": "stale"}))
    assert "copied" not in run()[1] and "same_as" not in record(TRAINED[1])
    again = {**record(TRAINED[1]), "status": "interrupted", "forced": True}
    (RUN / TRAINED[1] / "stage.json").write_text(json.dumps(again))  # interrupted in the stage
    assert "copied" not in run()[1] and "forced" not in record(TRAINED[1])


def test_an_interrupted_training_resumes_rather_than_copies() -> None:
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""), until="train")
    intact, folder = hashes(TRAINED[1]), RUN / TRAINED[1]
    (folder / "stage.json").write_text(json.dumps({**record(TRAINED[1]), "status": "interrupted"}))
    (folder / "checkpoint.pt").write_text(json.dumps([3, (folder / "model.bin").read_text()]))
    (folder / "model.bin").unlink()
    spec = spec_from(parse_yaml(TEXT, "p.yaml"))
    steps = dry_run(spec, TOYS, run_dir=RUN, open_data=open_toy_data, choice=Choice())
    assert not [step.duplicate_of for step in steps if step.job.id in TRAINED[:2] and step.duplicate_of]
    run()
    assert hashes(TRAINED[0]) == hashes(TRAINED[1]) == intact and "same_as" not in record(TRAINED[1])


def test_a_file_that_changes_while_it_is_copied_is_refused(here: Path) -> None:
    run()
    original = {"folder": TRAINED[0], "files": {"model.bin": "0" * 64}}
    with pytest.raises(RunFailed) as error:
        copy_files(original, RUN, here / "copy")
    assert error.value.subject == str(RUN / TRAINED[0] / "model.bin")
    assert not (here / "copy" / "model.bin").exists()


def test_a_copy_of_a_copy_names_the_original() -> None:
    run()
    (RUN / TRAINED[0]).rename(RUN / "aside")  # only the copy remains
    more = "    a: {steps: 5, factor: 2}\n    d: {steps: 3, factor: 2}\n"
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", more))
    assert record("train@variant=d")["same_as"] == TRAINED[0] and hashes("train@variant=d") == hashes(TRAINED[1])
