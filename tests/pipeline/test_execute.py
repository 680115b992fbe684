"""Runs of a pipeline: what runs again after which change."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import snapshot
from toyruns import ALL, TEXT, planned, ran, run, spec
from toys import TOYS, open_toy_data

from wsss.pipeline.plan.identity import identity_of
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import dry_run, run_pipeline
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.stage_folder import read_record, write_record


def test_everything_runs_once(here: Path) -> None:
    result = run()
    assert [outcome.id for outcome in result.outcomes] == ALL
    assert (result.status, result.report) == ("done", Path("runs/toy/all/index.html"))
    before = snapshot(here)
    again = run()
    assert [outcome.status for outcome in again.outcomes] == ["skipped"] * len(ALL)
    assert [outcome.metrics for outcome in again.outcomes] == [outcome.metrics for outcome in result.outcomes]
    assert again.report == result.report
    assert snapshot(here) == before  # run.json and run.log included


def test_run_json_holds_the_pipeline(here: Path) -> None:
    run("make.n=2")
    record = json.loads(Path("runs/toy/run.json").read_text())
    assert record["pipeline"]["stages"]["make"]["with"] == {"n": 2, "split": "train"}
    assert (record["name"], record["seed"], record["status"], record["command"]) == ("toy", 0, "done", ["wsss"])
    assert [stage["id"] for stage in record["stages"]] == ALL
    assert record["stages"][1] == {"id": "double@f=2", "uses": "double", "needs": ["make"]}
    assert record["report"] == "all/index.html"
    assert "python" in record["versions"]


def test_a_change_re_runs_its_dependants_only(here: Path) -> None:
    ran()
    assert ran("train.steps=4") == ["train@f=2", "train@f=3", "all"]
    assert ran("train.steps=4") == []
    assert planned("train.steps=4", "matrix.f=[2,5]") == {
        "double@f=5": "never ran",
        "train@f=5": "never ran",
        "count@f=5": "never ran",
        "all": "input stages: count@f=5, double@f=5, train@f=5 added; "
        "input stages: count@f=3, double@f=3, train@f=3 left out",
    }


def test_a_record_with_a_former_config_explains_why_its_stage_re_runs(here: Path) -> None:
    """A run directory that was made before `TrainConfig` had the field ``scales``."""
    ran()
    for folder in sorted(Path("runs/toy").glob("train@*")):
        record = read_record(folder)
        assert record is not None
        del record["identity_parts"]["config"]["scales"], record["config"]["scales"]
        write_record(folder, {**record, "identity": identity_of(record["identity_parts"])})
    assert planned() == dict.fromkeys(["train@f=2", "train@f=3"], "config changed: scales added ([1.0])")
    assert ran() == ["train@f=2", "train@f=3"]
    log = Path("runs/toy/run.log").read_text()
    assert "train@f=2 runs again: config changed: scales added ([1.0])" in log


def test_a_change_of_the_dataset_re_runs_the_stages_that_read_it(here: Path) -> None:
    ran()
    (here / "d" / "val" / "masks").write_text("other")
    assert planned() == {
        "count@f=2": "masks of val changed",
        "count@f=3": "masks of val changed",
        "all": "input stages: count@f=2, count@f=3 changed",
    }
    (here / "d" / "train" / "images").write_text("other")
    assert set(planned()) == set(ALL)
    assert planned()["make"] == "images of train changed"
    assert planned()["double@f=2"] == "input numbers changed"


def test_a_dry_run_changes_nothing(here: Path) -> None:
    before = snapshot(here)
    assert planned() == dict.fromkeys(ALL, "never ran")
    assert snapshot(here) == before
    ran()
    (here / "runs" / "toy" / "make" / "items" / "001.txt").write_text("x")
    before = snapshot(here)
    assert planned() == {"make": "artifact items/001.txt is truncated"}
    assert planned(force="train@f=2") == {
        "make": "artifact items/001.txt is truncated",
        "train@f=2": "forced",
        "all": "forced",
    }
    assert snapshot(here) == before


def test_a_dry_run_generates_data_elsewhere(here: Path) -> None:
    text = TEXT.replace("data: {root: d}", "data: {generate: pictures}").replace(
        "  count: {uses: count, needs: [double]}\n", ""
    )
    text = text.replace("train, count]", "train]")
    planned(text=text)
    assert not (here / "runs").exists()
    ran(text=text)
    assert (here / "runs" / "toy" / "data" / "toy" / "train" / "images").read_text() == "pictures"
    before = snapshot(here)
    assert planned(text=text) == {}
    assert snapshot(here) == before


def test_a_damaged_artifact_is_rebuilt_without_its_dependants(here: Path) -> None:
    ran()
    path = here / "runs" / "toy" / "double@f=3" / "items" / "001.txt"
    whole = path.read_bytes()
    path.write_bytes(whole[:3])
    result = run()
    assert [outcome.id for outcome in result.outcomes if outcome.status == "done"] == ["double@f=3"]
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_results_do_not_depend_on_workers(here: Path) -> None:
    ran(run_dir=Path("one"), text=TEXT)
    session = Session(Path("two"), workers=2, reporter=Reporter(io.StringIO()))
    result = run_pipeline(spec(), TOYS, session=session, open_data=open_toy_data)
    assert result.status == "done"

    def files(folder: str) -> Any:
        return snapshot(here / folder, ignore=lambda name: name.endswith(("run.json", "stage.json", "run.log")))

    assert files("one") == files("two")


def test_another_number_of_processes_re_runs_a_training(here: Path) -> None:
    registry = {**TOYS, "train": replace(TOYS["train"], trains=lambda config: 1)}
    text = TEXT.replace("matrix: {f: [2, 3]}\n", "").replace('"${{ matrix.f }}"', "2")

    def plan(ranks: int, **choice: str) -> dict[str, str]:
        steps = dry_run(
            spec(text=text), registry, run_dir=Path("r"), open_data=open_toy_data, choice=Choice(**choice), ranks=ranks
        )
        return {step.job.id: "; ".join(step.decision.reasons) for step in steps if step.runs}

    session = Session(Path("r"), reporter=Reporter(io.StringIO()))
    run_pipeline(spec(text=text), registry, session=session, open_data=open_toy_data)
    assert plan(1) == {}
    assert plan(2) == {
        "train": "number of processes (and thus the effective batch) changed: 1 → 2",
        "all": "input stages: train changed",
    }
    assert plan(2, start="all") == {}  # not for a stage that is left out
    assert plan(2, until="count") == {}
