"""Results of earlier settings, dataset or inputs have the status ``stale`` until they are computed again."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toyruns import ALL, TEXT, ran, run
from toys import MAKE, TOYS

from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_text
from wsss.pipeline.plan.external_inputs import artifacts_of_run
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.outdated import warn_of_outdated
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.run_summary import summarise
from wsss.pipeline.store.stage_folder import read_record, write_record

RUN = Path("runs/toy")
DONE = dict.fromkeys(ALL, "done")
AFTER_MAKE = [id for id in ALL if id != "make"]


def states() -> dict[str, str]:
    summary = summarise(RUN)
    assert summary is not None
    return {stage["id"]: stage["status"] for stage in summary["stages"]}


def stale() -> list[str]:
    found = states()
    assert set(found.values()) <= {"done", "stale"}
    return [id for id in ALL if found[id] == "stale"]


def test_results_after_a_changed_stage_are_stale(here: Path) -> None:
    assert ran() == ALL and states() == DONE
    assert ran("stages.make.with.text=y", until="make") == ["make"]
    assert stale() == AFTER_MAKE
    assert ran(until="make") == ["make"] and states() == DONE  # current again
    assert ran() == []


def test_results_that_a_run_replaced_are_no_longer_listed(here: Path) -> None:
    ran()
    assert ran("stages.make.with.text=y") == ALL
    record = read_run(RUN)
    assert record is not None and record["outdated"] == {}
    assert ran("stages.make.with.text=y") == [] and read_run(RUN) == record


def test_commands_may_use_the_stages_of_another_run_with_the_same_ids(here: Path) -> None:
    ran()
    record = read_record(RUN / "count@f=2")
    assert record is not None
    mine = {**record, "id": "mine", "inputs": {"numbers": "make"}, "identity_parts": {"inputs": {"numbers": "other"}}}
    (RUN / "mine").mkdir()
    write_record(RUN / "mine", mine)
    lines: list[str] = []
    warn_of_outdated([RUN / "mine"], "--masks", lines.append)
    assert lines == []


def test_results_of_settings_that_have_not_run_are_stale(here: Path) -> None:
    assert ran() == ALL
    assert ran("stages.double.with.mode=fancy", until="make") == []
    assert stale() == AFTER_MAKE
    assert ran("stages.train.with.steps=4", until="make") == []
    assert stale() == ["train@f=2", "train@f=3", "all"]
    assert ran() == [] and states() == DONE


def test_results_of_another_dataset_are_stale(here: Path) -> None:
    text = TEXT + "  other: {uses: count, needs: [double]}\n  left: {uses: make, with: {n: 2, split: val}}\n"
    ran(text=text)
    (here / "d" / "train" / "images").write_text("changed")
    assert ran(until="left", text=text) == []
    assert {id for id, state in states().items() if state == "done"} == {"left"}


def test_a_failed_run_leaves_no_outdated_result_done(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ctx: Any) -> Any:
        raise RuntimeError("no")

    ran()
    with monkeypatch.context() as patch:
        patch.setitem(TOYS, "double", replace(TOYS["double"], run=fail))
        assert run("stages.make.with.text=y").status == "failed"
    assert states() == {**dict.fromkeys(AFTER_MAKE, "stale"), "make": "done", "double@f=2": "failed"}
    assert ran("stages.make.with.text=y") == AFTER_MAKE and states() == DONE


def test_results_of_an_input_computed_again_with_other_bytes_are_stale(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(ctx: Any) -> Any:
        result = MAKE.run(ctx)
        for path in (ctx.out / "items").iterdir():
            write_text(path, "other " + path.read_text())
        return result

    ran()
    shutil.rmtree(RUN / "make")
    assert states() == {**DONE, "make": "pending"}
    with monkeypatch.context() as patch:
        patch.setitem(TOYS, "make", replace(MAKE, run=other))
        assert ran(until="make") == ["make"]
        assert stale() == AFTER_MAKE
    shutil.rmtree(RUN / "make")
    assert ran() == ["make"] and states() == DONE


def test_a_single_stage_makes_the_results_after_it_stale(here: Path) -> None:
    ran()
    session = Session(RUN, reporter=Reporter(io.StringIO()))
    run_stage(MAKE, MAKE.config(text="mine"), out=RUN / "make", session=session)
    assert stale() == AFTER_MAKE
    assert ran() == ["make"] and states() == DONE


def test_results_of_edited_files_and_of_external_folders_stay_done(here: Path) -> None:
    ran()
    record = read_record(RUN / "count@f=2")
    assert record is not None
    parts = {**record["identity_parts"], "inputs": {"numbers": "content:1234"}}
    write_record(RUN / "count@f=2", {**record, "identity_parts": parts, "input_results": {"numbers": None}})
    for inputs in ({"numbers": "double@f=2"}, {"numbers": "/elsewhere/double"}):
        record = read_record(RUN / "count@f=2")
        assert record is not None
        write_record(RUN / "count@f=2", {**record, "inputs": inputs})
        assert states() == DONE


def test_a_damaged_record_that_names_itself_as_input(here: Path) -> None:
    ran()
    record = read_record(RUN / "count@f=2")
    assert record is not None
    parts = {**record["identity_parts"], "inputs": {"numbers": record["identity"]}}
    write_record(RUN / "count@f=2", {**record, "inputs": {"numbers": "count@f=2"}, "identity_parts": parts})
    assert states()["count@f=2"] == "done"


def test_inputs_from_a_run_leave_out_stale_stages(here: Path) -> None:
    log: list[str] = []
    ran()
    ran("stages.double.with.mode=fancy", until="make")
    provided = {id: (read_record(RUN / id) or {})["provides"] for id in ALL}
    kept = artifacts_of_run(RUN, (provided["make"], provided["train@f=2"]), "--stages", log.append)
    assert [artifact.id for artifact in kept or ()] == ["make"]
    assert len(log) == 1 and "train@f=2" in log[0] and "make," not in log[0]
    with pytest.raises(InvalidInput):
        artifacts_of_run(RUN, (provided["train@f=2"],), "--stages", log.append)


def test_the_pipeline_is_suggested_only_if_it_is_unfinished(here: Path) -> None:
    """A finished run without a stage of that kind would have none afterwards, either."""

    def hint() -> str | None:
        with pytest.raises(InvalidInput) as error:
            artifacts_of_run(RUN, ("segmenter",), "--weights", print)
        return error.value.hint

    ran(until="make")
    assert "wsss run" in str(hint())
    ran()
    assert hint() is None


def test_a_given_folder_with_a_stale_result_is_a_warning(here: Path) -> None:
    def warnings() -> list[str]:
        log: list[str] = []
        warn_of_outdated([RUN / "make", RUN / "all", here / "d"], "--stages", log.append)
        return log

    ran()
    assert warnings() == []
    ran("stages.make.with.text=y", until="make")
    assert len(warnings()) == 1 and "runs/toy/all" in warnings()[0]
    (RUN / "run.json").write_text("{")
    assert warnings() == []


def test_a_run_with_nothing_to_do_records_that_nothing_is_outdated(here: Path) -> None:
    ran()
    ran("stages.double.with.mode=fancy", until="make")
    assert (read_run(RUN) or {})["outdated"].keys() == set(AFTER_MAKE)
    ran()
    assert (read_run(RUN) or {})["outdated"] == {}
