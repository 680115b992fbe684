"""Stages that are the same work run once: their results are copied, and are the bytes that a run would have made."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from toys import TOYS, make_toy_data, open_toy_data, run_toys

from wsss.errors import RunFailed
from wsss.pipeline.config.source import parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.deduplicate import copy_files
from wsss.pipeline.plan.run_plan import Choice
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


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    return tmp_path


def run(text: str = TEXT, **choice: str) -> tuple[list[str], str]:
    """Return the stages that were done, and what was said."""
    said = io.StringIO()
    result = run_toys(text, RUN, said=said, **choice)
    return [outcome.id for outcome in result.outcomes if outcome.status == "done"], said.getvalue()


def record(id: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RUN / id / "stage.json").read_text())
    return value


def hashes(id: str) -> dict[str, str]:
    return {name: one["sha256"] for name, one in list_artifacts(RUN / id).items()}


def test_the_same_work_is_done_once_and_copied() -> None:
    done, said = run()
    assert set(TRAINED) <= set(done)
    assert "train@variant=b: the same work as train@variant=a: copied" in said
    assert "double@variant=c: the same work as double@variant=a: copied" in said
    assert said.count("copied") == 2
    first, second, other = map(record, TRAINED)
    assert second["same_as"] == "train@variant=a" and "same_as" not in first and "same_as" not in other
    kept = ("identity", "metrics", "provenance", "config", "status", "inputs", "seed")
    assert {key: second[key] for key in kept} == {key: first[key] for key in kept}
    assert hashes(TRAINED[1]) == hashes(TRAINED[0]) != hashes(TRAINED[2])
    assert (RUN / TRAINED[1] / "metrics.json").read_bytes() == (RUN / TRAINED[0] / "metrics.json").read_bytes()
    assert run() == ([], ""), "nothing is left to do"


def test_a_copy_is_what_a_run_would_have_made() -> None:
    run()
    copied = hashes(TRAINED[1])
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""), force="train")
    assert hashes(TRAINED[1]) == copied and "same_as" not in record(TRAINED[1])


def test_a_stage_finished_before_is_copied_too_and_the_plan_says_so() -> None:
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""))
    spec = spec_from(parse_yaml(TEXT, "p.yaml"))
    steps = dry_run(spec, TOYS, run_dir=RUN, open_data=open_toy_data, choice=Choice())
    assert {step.job.id: step.twin for step in steps if step.runs} == {
        "train@variant=a": "train@variant=b",
        "double@variant=a": "double@variant=c",
    }
    assert run()[1].count("copied") == 2


def test_a_damaged_twin_is_not_copied() -> None:
    run()
    model = RUN / TRAINED[0] / "model.bin"
    whole = model.read_bytes()
    (RUN / TRAINED[1] / "model.bin").write_bytes(b"changed")
    model.write_bytes(b"damaged, too")
    run()
    assert model.read_bytes() == whole == (RUN / TRAINED[1] / "model.bin").read_bytes()


def test_repairing_one_leaves_the_other_alone() -> None:
    run()
    model = RUN / TRAINED[1] / "model.bin"
    assert not model.samefile(RUN / TRAINED[0] / "model.bin")
    whole = model.read_bytes()
    with model.open("r+b") as file:
        file.write(b"####")
    assert (RUN / TRAINED[0] / "model.bin").read_bytes() == whole
    assert run()[0] == [TRAINED[1]] and model.read_bytes() == whole


def test_forced_stages_run_once_more_and_not_from_what_was_there() -> None:
    run()
    begun = [record(one)["started"] for one in TRAINED]
    (RUN / TRAINED[0] / "stage.json").write_text(
        json.dumps({**record(TRAINED[0]), "started": "long ago"}), encoding="utf-8"
    )
    done, said = run(force="train")
    assert set(TRAINED) <= set(done) and "train@variant=b: the same work as train@variant=a: copied" in said
    assert record(TRAINED[0])["started"] >= begun[0] and "same_as" not in record(TRAINED[0])
    alone, said = run(force="train@variant=b")
    assert alone == [TRAINED[1]] and "copied" not in said and "same_as" not in record(TRAINED[1])


def test_a_twin_that_is_left_out_is_no_help() -> None:
    done, said = run(until="train@variant=b")
    assert done == ["make", TRAINED[1]] and "copied" not in said


def test_a_folder_that_was_renamed_is_copied_from_where_it_is() -> None:
    """What is finished under another name counts; what now has the old name is other work."""
    first = "    a: {steps: 3, factor: 2}\n"
    rest = "    b: {steps: 3, factor: 4}\n    c: {steps: 5, factor: 2}\n"
    run(TEXT.replace(rest, ""))
    (RUN / TRAINED[0]).rename(RUN / "train@variant=base")
    other = "    a: {steps: 5, factor: 2}\n    base: {steps: 3, factor: 2}\n"
    run(TEXT.replace(first, other).replace(rest, ""))
    run(TEXT.replace(first, other).replace(rest, "    new: {steps: 3, factor: 2}\n"))
    assert record("train@variant=new")["same_as"] == "train@variant=base"
    assert hashes("train@variant=new") == hashes("train@variant=base") != hashes(TRAINED[0])


def test_force_is_not_forgotten_when_the_forced_run_is_interrupted() -> None:
    run()
    done = record(TRAINED[1])
    (RUN / TRAINED[1] / "stage.json").write_text(json.dumps({**done, "status": "stale"}))  # before it got there
    assert "copied" not in run()[1] and "same_as" not in record(TRAINED[1])
    again = {**record(TRAINED[1]), "status": "interrupted", "forced": True}
    (RUN / TRAINED[1] / "stage.json").write_text(json.dumps(again))  # in the middle of it
    assert "copied" not in run()[1] and "forced" not in record(TRAINED[1])


def test_an_interrupted_training_goes_on_instead_of_waiting_for_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", ""), until="train")
    whole, folder = hashes(TRAINED[1]), RUN / TRAINED[1]
    (folder / "stage.json").write_text(json.dumps({**record(TRAINED[1]), "status": "interrupted"}))
    (folder / "checkpoint.pt").write_text(json.dumps([3, (folder / "model.bin").read_text()]))
    (folder / "model.bin").unlink()
    spec = spec_from(parse_yaml(TEXT, "p.yaml"))
    steps = dry_run(spec, TOYS, run_dir=RUN, open_data=open_toy_data, choice=Choice())
    assert not [step.twin for step in steps if step.job.id in TRAINED[:2] and step.twin]
    run()
    assert hashes(TRAINED[0]) == hashes(TRAINED[1]) == whole and "same_as" not in record(TRAINED[1])


def test_a_file_that_changes_while_it_is_copied_is_noticed(here: Path) -> None:
    run()
    twin = {"folder": TRAINED[0], "files": {"model.bin": "0" * 64}}
    with pytest.raises(RunFailed, match="changed while it was copied"):
        copy_files(twin, RUN, here / "copy")
    assert not (here / "copy" / "model.bin").exists()


def test_a_copy_of_a_copy_names_the_one_that_did_the_work() -> None:
    run()
    (RUN / TRAINED[0]).rename(RUN / "aside")  # what is left of the two is the copy
    more = "    a: {steps: 5, factor: 2}\n    d: {steps: 3, factor: 2}\n"
    run(TEXT.replace("    a: {steps: 3, factor: 2}\n", more))
    assert record("train@variant=d")["same_as"] == TRAINED[0] and hashes("train@variant=d") == hashes(TRAINED[1])
