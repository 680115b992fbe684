from __future__ import annotations

import importlib
import inspect
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import is_bookkeeping, snapshot
from toys import COUNT, DOUBLE, FAIL, GATHER, MAKE, TOYS, TRAIN, ToyData, make_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.plan.external_inputs import artifact_at, artifacts_of_run
from wsss.pipeline.processes.interrupt import Interrupted
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Artifact, Result, Stage, StageConfig
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages import STAGES


def session(tmp_path: Path) -> Session:
    return Session(tmp_path, reporter=Reporter(io.StringIO()))


def messages(one: Session) -> str:
    stream = one.reporter.stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def run(stage: Stage[Any], out: Path, config: dict[str, Any] | None = None, **more: Any) -> Any:
    values = {"session": session(out.parent), **more}
    return run_stage(stage, stage.config(**(config or {})), out=out, **values)


class BatchConfig(StageConfig):
    batch_size: int = 16


def test_memory_that_runs_out_in_batches_points_to_their_size(tmp_path: Path) -> None:
    def fill(ctx: Any) -> Result:
        raise MemoryError

    stage = Stage("fill", 1, BatchConfig, fill, "nothing", "Fill memory.")
    with pytest.raises(RunFailed) as found:
        run(stage, tmp_path / "fill", {"batch_size": 64})
    assert str(found.value.hint).startswith("Lower batch_size (64;")
    with pytest.raises(RunFailed) as found:
        run(stage, tmp_path / "single", {"batch_size": 1})
    assert "batch_size" not in str(found.value.hint)


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


def test_an_error_of_prepare_leaves_the_folder_unchanged(tmp_path: Path) -> None:
    seen: list[int] = []

    def prepare(config: Any, data: Any) -> None:
        seen.append(config.n)
        if config.n > 4:
            raise InvalidInput("too many")

    stage = replace(MAKE, prepare=prepare)
    run(stage, tmp_path / "make")
    run(stage, tmp_path / "make")
    assert seen == [4], "not for a finished stage"
    before = snapshot(tmp_path)
    with pytest.raises(InvalidInput, match="too many"):
        run(stage, tmp_path / "make", {"n": 5})
    assert snapshot(tmp_path) == before


def test_files_that_change_after_the_plan_are_errors(tmp_path: Path) -> None:
    """Other stages may run for hours between the plan and the stage."""
    weights = tmp_path / "weights"
    weights.write_text("planned")
    late = replace(MAKE, prepare=lambda config, data: weights.write_text("changed"))
    with pytest.raises(InvalidInput) as caught:
        run(late, tmp_path / "out", {"weights": weights})
    assert "weights" in caught.value.problem and "out" in str(caught.value.subject)
    assert run(late, tmp_path / "out", {"weights": weights}).status == "done"


def test_an_error_of_ready_leaves_the_folder_unchanged(tmp_path: Path) -> None:
    """`ready` is called with the finished inputs, `prepare` is not."""

    def ready(ctx: Any) -> None:
        text = (ctx.inputs["numbers"].path / "items" / "002.txt").read_text()
        assert (ctx.config, ctx.data, ctx.out) == (DOUBLE.config(), None, tmp_path / "double")
        if "bad" in text:
            raise InvalidInput("not this one", hint="Another.")

    stage = replace(DOUBLE, ready=ready)
    good, bad = (run(MAKE, tmp_path / name, {"text": name}).artifact for name in ("good", "bad"))
    run(stage, tmp_path / "double", inputs={"numbers": good})
    before = snapshot(tmp_path)
    with pytest.raises(InvalidInput, match="Stage 'double' failed: not this one") as caught:
        run(stage, tmp_path / "double", inputs={"numbers": bad})
    assert caught.value.hint == "Another."
    assert snapshot(tmp_path) == before
    assert run(stage, tmp_path / "double", inputs={"numbers": good}).status == "skipped"


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


def test_an_interrupted_training_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    numbers = run(MAKE, tmp_path / "make").artifact
    whole = run(TRAIN, tmp_path / "intact", inputs={"numbers": numbers}, seed=5)

    def stop(ctx: Any) -> Result:
        class Progress:
            def track(self, description: str, total: int, done: int = 0) -> Any:
                def advance(steps: int) -> None:
                    raise Interrupted

                return advance

        return TRAIN.run(type(ctx)(**{**vars(ctx), "progress": Progress()}))

    stopping = Stage("train", 1, TRAIN.config, stop, "model", "x", TRAIN.inputs)
    for _ in range(3):
        with pytest.raises(Interrupted):
            run(stopping, tmp_path / "parts", inputs={"numbers": numbers}, seed=5)
    record = read_record(tmp_path / "parts")
    assert record is not None
    assert record["status"] == "interrupted"
    assert json.loads((tmp_path / "parts" / "checkpoint.pt").read_text())[0] == 3
    outcome = run(TRAIN, tmp_path / "parts", inputs={"numbers": numbers}, seed=5)
    assert outcome.artifact.identity == whole.artifact.identity
    assert snapshot(tmp_path / "parts", ignore=is_bookkeeping) == snapshot(tmp_path / "intact", ignore=is_bookkeeping)


def test_the_checkpoint_is_kept_until_the_stage_is_recorded_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    numbers = run(MAKE, tmp_path / "make").artifact
    checkpoint = tmp_path / "train" / "checkpoint.pt"
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr("wsss.pipeline.store.stage_folder.list_artifacts", stopped)
        run(TRAIN, tmp_path / "train", inputs={"numbers": numbers})
    content = checkpoint.read_text()
    assert run(TRAIN, tmp_path / "train", inputs={"numbers": numbers}).status == "done"
    assert not checkpoint.exists()
    checkpoint.write_text(content)  # killed between the record and the removal
    assert run(TRAIN, tmp_path / "train", inputs={"numbers": numbers}).status == "skipped"
    assert not checkpoint.exists()


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


@pytest.mark.parametrize(
    ("how", "type", "message", "hint"),
    [
        ("run", RunFailed, "Stage 'fail' failed: it did not work.", "Try something else."),
        ("input", InvalidInput, "Stage 'fail' failed: the data are wrong.", None),
        ("bug", RunFailed, "Stage 'fail' failed: KeyError: 'oops'", "--debug"),
        ("full", RunFailed, "Stage 'fail' failed: ", "Free some space"),
        ("nan", RunFailed, "Stage 'fail' failed: non-finite metrics: loss is nan.", "lower the learning rate"),
    ],
)
def test_failures_name_the_stage(tmp_path: Path, how: str, type: Any, message: str, hint: str | None) -> None:
    one = session(tmp_path)
    one.reporter.file = tmp_path / "run.log"
    with pytest.raises(type) as caught:
        run(FAIL, tmp_path / "fail", {"how": how}, session=one)
    assert caught.value.message.startswith(message)
    assert (hint or "") in (caught.value.hint or "")
    record = read_record(tmp_path / "fail")
    assert record is not None
    assert record["status"] == "failed"
    if how == "bug":
        assert "Traceback" in (tmp_path / "run.log").read_text()


def test_other_folders_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match="not empty and not the folder of a stage"):
        run(MAKE, tmp_path / "mine")
    assert snapshot(tmp_path) == {"mine/thesis.tex": b"x"}


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFailed, match="cannot write"):
        run(MAKE, tmp_path / "file" / "make")


def test_missing_inputs_and_failing_checks_are_raised_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run(DOUBLE, tmp_path / "double")
    assert (error.value.subject, error.value.allowed) == ("double", "numbers")
    data = ToyData(make_toy_data(tmp_path / "d"))
    made = run(MAKE, tmp_path / "make").artifact
    with pytest.raises(InvalidInput, match="counting on train is not allowed"):
        run(COUNT, tmp_path / "count", {"split": "train"}, inputs={"pred": made}, data=data)
    assert not (tmp_path / "count").exists()


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


def test_the_reason_of_a_re_run_is_logged(tmp_path: Path) -> None:
    one = session(tmp_path)
    run(MAKE, tmp_path / "make", session=one)
    run(MAKE, tmp_path / "make", session=one)
    assert "again" not in messages(one)
    run(MAKE, tmp_path / "make", {"n": 2}, session=one)
    assert "make runs again: config changed: n 4 → 2\n" in messages(one)


def test_a_resumed_stage_logs_its_position(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make", {"n": 20})
    path = tmp_path / "make" / "stage.json"
    record = json.loads(path.read_text())
    for number in range(9, 20):
        (tmp_path / "make" / "items" / f"{number:03d}.txt").unlink()
    for status in ("interrupted", "failed", "running"):
        path.write_text(json.dumps({**record, "status": status, "artifacts": {}}))
        one = session(tmp_path)
        run(MAKE, tmp_path / "make", {"n": 20}, session=one)
        assert messages(one).splitlines() == ["make: resumed at 9/20"]
        for number in range(9, 20):
            (tmp_path / "make" / "items" / f"{number:03d}.txt").unlink()
    (tmp_path / "make" / "items" / "000.txt").unlink()
    path.write_text(json.dumps(record))
    one = session(tmp_path)
    run(MAKE, tmp_path / "make", {"n": 20}, session=one)  # files of a finished stage were deleted
    assert "make runs again: artifact items/000.txt is missing" in messages(one)
    assert "make: resumed at 8/20" in messages(one)


def test_a_stage_that_restarts_logs_it(tmp_path: Path) -> None:
    made = run(MAKE, tmp_path / "make").artifact
    run(DOUBLE, tmp_path / "double", inputs={"numbers": made})
    path = tmp_path / "double" / "stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "interrupted"}))
    one = session(tmp_path)
    run(DOUBLE, tmp_path / "double", inputs={"numbers": made}, session=one)
    assert messages(one) == "double runs again: interrupted\n"


def test_every_stage_that_keeps_work_declares_that_it_resumes() -> None:
    """Stages that use `pending`, batches or `fit`, and no others."""
    for name in STAGES:
        module = importlib.import_module(STAGES[name].run.__module__)
        source = inspect.getsource(module)
        words = ("pending(", "work_in_batches(", "fit(job", "train_on_labels(", "train_sampler(", "refine_maps(")
        keeps = any(word in source for word in words)
        assert STAGES[name].resumes is keeps, name


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
    with pytest.raises(InvalidInput, match="failed"):
        artifact_at(tmp_path / "fail", ("nothing",), "--x", print)


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


def test_temporary_files_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "make").mkdir()
    (tmp_path / "make" / ".wsss-tmp-1-stage.json").write_text("{")
    run(MAKE, tmp_path / "make")
    assert not list((tmp_path / "make").rglob(".wsss-tmp-*"))


def test_every_toy_stage_has_the_name_it_is_registered_by() -> None:
    assert all(name == stage.name and issubclass(stage.config, StageConfig) for name, stage in TOYS.items())
