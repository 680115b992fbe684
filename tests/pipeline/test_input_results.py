"""Results computed from other bytes of an input are computed again, under the same identity."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import TOYS, make_toy_data, open_toy_data, run_toys

from wsss.io.files.atomic import write_text
from wsss.pipeline.config.source import parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.plan.deduplicate import read_original
from wsss.pipeline.plan.input_results import follow_inputs
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import RunResult, dry_run
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.stage import Artifact, Context, Result
from wsss.pipeline.store.stage_folder import INPUT_RESULTS, list_artifacts, read_record, result_of, write_record

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make], with: {factor: 2}}
  train: {uses: train, needs: [double], with: {steps: 3}}
  all: {uses: gather, needs: [make, double, train]}
"""
RUN = Path("runs/toy")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")


def registry() -> dict[str, Any]:
    """Return the stages as of another machine: the first writes other bytes under the same identity."""
    real = TOYS["make"].run

    def make(ctx: Context[Any]) -> Result:
        result = real(ctx)
        for path in (ctx.out / "items").iterdir():
            write_text(path, "another " + path.read_text())
        return result

    return {**TOYS, "make": replace(TOYS["make"], run=make)}


def run(stages: Any, **choice: str) -> RunResult:
    return run_toys(TEXT, RUN, stages=stages, **choice)


def ran(stages: Any, **choice: str) -> list[str]:
    return [outcome.id for outcome in run(stages, **choice).outcomes if outcome.status == "done"]


def planned() -> dict[str, tuple[str, ...]]:
    spec = spec_from(parse_yaml(TEXT, "p.yaml"))
    steps = dry_run(spec, TOYS, run_dir=RUN, open_data=open_toy_data, choice=Choice())
    return {step.job.id: step.decision.reasons for step in steps if step.runs}


def doubled() -> list[str]:
    return [path.read_text() for path in sorted((RUN / "double" / "items").iterdir())]


def delete_first_stage() -> None:
    shutil.rmtree(RUN / "make")


def test_an_input_re_run_with_other_bytes_re_runs_its_dependants() -> None:
    run(TOYS)
    delete_first_stage()
    assert ran(registry()) == ["make", "double", "train", "all"]
    result = list_artifacts(RUN / "double").keys(), doubled()
    shutil.rmtree(RUN)
    run(registry())
    assert (list_artifacts(RUN / "double").keys(), doubled()) == result


def test_an_input_re_run_with_the_same_bytes_re_runs_nothing_else() -> None:
    run(TOYS)
    delete_first_stage()
    assert ran(TOYS) == ["make"]


def test_a_plan_compares_inputs_of_an_earlier_run() -> None:
    run(TOYS)
    delete_first_stage()
    result = run(registry(), until="make")
    assert [outcome.id for outcome in result.outcomes if outcome.status != "done"] == []
    assert planned()["double"] == ("input numbers: re-run with a different result",)
    assert ran(registry()) == ["double", "train", "all"]


def test_an_interrupted_stage_does_not_resume_from_another_input() -> None:
    run(TOYS)
    record = read_record(RUN / "double")
    assert record is not None
    write_record(RUN / "double", {**record, "status": "interrupted"})
    delete_first_stage()
    assert "double" in ran(registry())
    assert all(text.startswith("another ") for text in doubled())
    assert planned() == {}


def test_a_record_without_hashes_stays_finished() -> None:
    run(TOYS)
    record = read_record(RUN / "double")
    assert record is not None and set(record[INPUT_RESULTS]) == {"numbers"}
    write_record(RUN / "double", {name: value for name, value in record.items() if name != INPUT_RESULTS})
    delete_first_stage()
    assert ran(registry()) == ["make", "all"]


def test_a_result_of_another_input_is_not_copied() -> None:
    """Two stages of one identity whose inputs have other bytes."""
    run(TOYS)
    record = read_record(RUN / "double")
    assert record is not None
    assert read_original(RUN / "double", record["identity"], record[INPUT_RESULTS]) is not None
    assert read_original(RUN / "double", record["identity"], {"numbers": "0" * 64}) is None


def test_the_identity_in_the_context_depends_on_seed_and_bytes_of_inputs(tmp_path: Path) -> None:
    """Checkpoints hold it, so that one copied from another run is not resumed."""
    seen = []

    def double(ctx: Context[Any]) -> Result:
        seen.append(ctx.identity)
        return TOYS["double"].run(ctx)

    stage = replace(TOYS["double"], run=double)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        write_text(folder / "items" / "000.txt", folder.name)
    for number, (source, seed) in enumerate([(first, 0), (first, 1), (second, 0), (first, 0)]):
        run_stage(stage, stage.config(), out=tmp_path / str(number), inputs={"numbers": Artifact(source)}, seed=seed)
    assert len(set(seen[:3])) == 3 and seen[3] == seen[0] and all(seen)


hashes = st.none() | st.sampled_from(["a", "b"])
single = dict.fromkeys("xy", hashes)
several = {"z": st.dictionaries(st.sampled_from("pq"), hashes)}
results = st.fixed_dictionaries({}, optional={**single, **several})


@given(results, results)
def test_only_known_hashes_that_differ_count(before: Any, now: Any) -> None:
    decision = Decision("skip", ("finished",), keep=True, record={INPUT_RESULTS: before})
    result = follow_inputs(decision, now)

    def flat(some: Any) -> dict[Any, str]:
        pairs = ((name, value) for name, value in some.items())
        spread = [((n, i), h) for n, v in pairs for i, h in (v.items() if isinstance(v, dict) else [(None, v)])]
        return {key: value for key, value in spread if value is not None}

    old, new = flat(before), flat(now)
    differs = any(old[key] != new[key] for key in old.keys() & new.keys())
    assert (result.action, result.keep) == (("run", False) if differs else ("skip", True))


@pytest.mark.parametrize(
    "record",
    [None, {"status": "running", "artifacts": {"a": {"sha256": "x"}}}, {"status": "done", "artifacts": {"a": {}}}],
)
def test_no_hash_of_an_unfinished_stage_or_without_recorded_hashes(record: Any) -> None:
    assert result_of(record) is None
