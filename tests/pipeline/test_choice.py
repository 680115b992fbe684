"""Runs of a part of a pipeline: ``--from``, ``--until`` and ``--force``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from toyruns import ALL, TEXT, planned, ran, run, spec
from toys import TOYS, open_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import run_pipeline
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session


def test_from_and_until_restrict_a_run(here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        ran(start="train", until="train")
    assert error.value.subject == "--from train" and "make: never ran" in error.value.problem
    assert ran(until="double") == ["make", "double@f=2", "double@f=3"]
    assert ran(until="train@f=2") == ["train@f=2"]
    assert ran(start="train", until="train") == ["train@f=3"]
    with pytest.raises(InvalidInput) as error:
        ran(start="train")  # the last stage needs the counts too
    assert error.value.problem.endswith("\n  count@f=2: never ran\n  count@f=3: never ran")
    assert ran(start="double", until="count") == ["count@f=2", "count@f=3"]
    assert ran(start="train") == ["all"]


def test_from_requires_finished_stages_upstream(here: Path) -> None:
    ran()
    with pytest.raises(InvalidInput) as caught:
        ran("make.n=4", start="train")
    assert caught.value.subject == "--from train" and "--from make" in str(caught.value.hint)
    assert "make: config changed: n 3 → 4\n  double@f=2: input numbers" in caught.value.problem
    with pytest.raises(InvalidInput) as caught:
        ran(start="train", until="count")
    assert caught.value.subject == "--from train --until count"
    with pytest.raises(InvalidInput) as caught:
        ran(until="trian")
    assert (caught.value.subject, caught.value.found) == ("--until", "trian")


def test_errors_of_stages_that_are_left_out_are_ignored(here: Path) -> None:
    wrong = "count.split=nowhere"
    assert isinstance(run(wrong).error, InvalidInput)
    assert list(planned(wrong, until="train")) == ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3"]
    assert ran(wrong, until="train") == ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3"]
    assert ran(wrong, start="train", until="train") == []
    with pytest.raises(InvalidInput) as error:
        ran("make.split=nowhere", start="train", until="train")
    assert error.value.subject == "Stage 'make': d" and "'nowhere'" in error.value.problem


def test_damage_of_a_stage_that_is_left_out_is_ignored(here: Path) -> None:
    ran()
    (here / "runs" / "toy" / "double@f=2" / "items" / "001.txt").unlink()
    assert ran(until="make") == []


def test_force_re_runs_a_stage_and_its_dependants_from_scratch(here: Path) -> None:
    ran()
    (here / "runs" / "toy" / "double@f=3" / "items" / "extra.txt").write_text("x")
    assert ran(force="double@f=3") == ["double@f=3", "train@f=3", "count@f=3", "all"]
    assert not (here / "runs" / "toy" / "double@f=3" / "items" / "extra.txt").exists()
    assert ran(force="make") == ALL
    with pytest.raises(InvalidInput) as error:
        ran(start="double", force="make")
    assert error.value.subject == "--force make"


def test_force_applies_to_the_next_run_after_a_failure(here: Path) -> None:
    text = TEXT.replace("{uses: count, needs: [double]}", "{uses: fail, needs: [double], with: {how: no}}")
    text = (
        text.replace("train, count]", "train]").replace("matrix: {f: [2, 3]}\n", "").replace('"${{ matrix.f }}"', "2")
    )
    ran(text=text)
    failing = text.replace("how: no", "how: run")
    with pytest.raises(RunFailed):
        ran(text=failing, force="double")
    assert planned(text=text) == {"count": "config changed: how run → no", "all": "forced"}


def test_what_force_discards_is_recorded_when_the_first_stage_has_begun(here: Path) -> None:
    ran()
    seen: list[dict[str, str]] = []
    session = Session(
        Path("runs/toy"), reporter=Reporter(io.StringIO()), on_start=lambda: seen.append(planned(until="train"))
    )
    done = run_pipeline(
        spec(), TOYS, session=session, open_data=open_toy_data, choice=Choice(force="double"), command=["wsss"]
    )
    assert done.status == "done"
    assert seen[0] == {"double@f=2": "interrupted", **dict.fromkeys(["double@f=3", "train@f=2", "train@f=3"], "forced")}
