"""The floating-point precision of stages on devices that lack the requested one, and of resumed stages."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field
from toys import TRAIN

from wsss.errors import RunFailed
from wsss.io.files.atomic import write_text
from wsss.pipeline.processes.precision import has_bfloat16, usable_precision
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.pipeline.store.stage_folder import read_record, write_record


class Config(StageConfig):
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "exact"] = Field("32-true", description="precision")


def stage(*, stops: bool = False, trains: bool = False) -> Stage[Any]:
    """Return a stage that appends its precision to a file."""

    def work(ctx: Context[Any]) -> Result:
        path = ctx.out / "used.txt"
        write_text(path, (path.read_text() if path.is_file() else "") + f"{ctx.precision}\n")
        if trains:
            write_text(ctx.out / "checkpoint.pt", "half")
        if stops:
            raise RunFailed("stopped")
        return Result({})

    return replace(TRAIN, run=work, inputs={}, config=Config, trains=(lambda config: 6) if trains else None)


def run(out: Path, precision: str, **keys: Any) -> tuple[list[str], dict[str, Any], str]:
    """Run the stage; return the precision of each attempt, its recorded machine, and the messages."""
    stream = io.StringIO()
    session = Session(out.parent, reporter=Reporter(stream))
    try:
        run_stage(stage(**keys), Config.model_validate({"precision": precision}), out=out, session=session)
    except RunFailed:
        assert keys["stops"]
    record = read_record(out)
    assert record is not None
    return (out / "used.txt").read_text().split(), record["machine"], stream.getvalue()


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets whether the device has bfloat16."""

    def set_to(value: bool) -> None:
        monkeypatch.setattr("wsss.pipeline.processes.precision.has_bfloat16", lambda device: value)

    set_to(False)
    return set_to


@pytest.mark.parametrize("trains", [False, True])
def test_the_precision_used_is_logged_and_recorded(tmp_path: Path, bfloat16: Any, trains: bool) -> None:
    used, machine, messages = run(tmp_path / "a", "16-mixed", trains=trains)
    assert used == ["32-true"] and machine["precision"] == "32-true" and "mixed_precision" not in machine
    assert "a: computed in 32-true instead of 16-mixed, because it requires a GPU" in messages
    used, machine, messages = run(tmp_path / "b", "bf16-mixed", trains=trains)
    assert used == ["32-true"] and "no bfloat16 instructions" in messages
    bfloat16(True)
    used, machine, messages = run(tmp_path / "c", "bf16-mixed", trains=trains)
    assert used == ["bf16-mixed"] == [machine["precision"]] and "instead of" not in messages


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_stage_resumes_in_the_precision_of_its_earlier_work(
    tmp_path: Path, bfloat16: Any, trains: bool, first: bool
) -> None:
    bfloat16(first)
    run(tmp_path / "a", "bf16-mixed", trains=trains, stops=True)
    bfloat16(not first)
    used, machine, messages = run(tmp_path / "a", "bf16-mixed", trains=trains)
    assert used == ["bf16-mixed" if first else "32-true"] * 2
    assert machine["precision"] == used[0] and "mixed_precision" not in machine
    assert f"a: resumes in {used[0]} as before" in messages and ("emulates" in messages) == first


def begun_on_a_gpu(out: Path) -> None:
    run(out, "16-mixed", trains=True, stops=True)
    record = read_record(out)
    assert record is not None
    write_record(out, {**record, "machine": {**record["machine"], "precision": "16-mixed"}})


def test_mixed_precisions_are_recorded(tmp_path: Path) -> None:
    begun_on_a_gpu(tmp_path / "a")
    used, machine, messages = run(tmp_path / "a", "16-mixed", trains=True, stops=True)
    assert used[-1] == "32-true" == machine["precision"]
    assert "warning: a: one part was computed in 16-mixed and the rest in 32-true" in messages
    assert run(tmp_path / "a", "16-mixed", trains=True)[1]["mixed_precision"] == ["16-mixed", "32-true"]


def test_a_training_without_a_checkpoint_starts_over(tmp_path: Path) -> None:
    begun_on_a_gpu(tmp_path / "a")
    (tmp_path / "a" / "checkpoint.pt").unlink()
    _, machine, messages = run(tmp_path / "a", "16-mixed", trains=True)
    assert machine["precision"] == "32-true" and "mixed_precision" not in machine and "one part" not in messages


def test_a_stage_without_results_starts_in_the_precision_of_the_device(tmp_path: Path, bfloat16: Any) -> None:
    run(tmp_path / "a", "bf16-mixed", trains=False, stops=True)
    (tmp_path / "a" / "used.txt").unlink()
    bfloat16(True)
    used, machine, messages = run(tmp_path / "a", "bf16-mixed", trains=False)
    assert used == ["bf16-mixed"] == [machine["precision"]] and "resumes in" not in messages


def test_another_meaning_of_precision(tmp_path: Path) -> None:
    used, machine, _ = run(tmp_path / "a", "exact")
    assert used == ["None"] and "precision" not in machine


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse2 avx512_bf16\n", True),
        ("processor : 0\nflags : fpu avx2\n", False),
        ("Features : fp asimd bf16\n", True),
        ("", False),
        (None, False),
    ],
)
def test_processors_with_bfloat16(tmp_path: Path, lines: str | None, expected: bool) -> None:
    if lines is not None:
        write_text(tmp_path / "cpuinfo", lines)
    assert has_bfloat16("cpu", tmp_path / "cpuinfo") == expected


def test_float16_on_a_gpu_is_used() -> None:
    assert usable_precision("16-mixed", "cuda") == "16-mixed" and usable_precision("32-true", "cuda") == "32-true"
