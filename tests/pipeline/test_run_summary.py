from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from toys import MAKE

from wsss.cli.commands.status import _age
from wsss.cli.main import cli
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.lock import run_lock
from wsss.pipeline.store.progress_note import NOTE
from wsss.pipeline.store.run_folder import write_run
from wsss.pipeline.store.run_summary import summarise
from wsss.pipeline.store.stage_folder import read_record, write_record


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A killed run: one stage done, one running, one not reached, one broken, one marked to re-run."""
    monkeypatch.chdir(tmp_path)
    run_dir = tmp_path / "runs" / "toy"
    session = Session(run_dir, reporter=Reporter(io.StringIO()))
    for name in ("done", "killed", "marked", "failed"):
        run_stage(MAKE, MAKE.config(), out=run_dir / name, session=session)
    for name, status in (("killed", "running"), ("marked", "stale"), ("failed", "failed")):
        record = read_record(run_dir / name)
        assert record is not None
        write_record(run_dir / name, {**record, "status": status, "finished": None, "metrics": {}})
    write_json(run_dir / "killed" / NOTE, {"description": "maps", "done": 3, "total": 10})
    write_json(run_dir / "broken" / "stage.json", [1])
    ids = ["done", "killed", "new", "broken", "marked", "failed"]
    stages = [{"id": id, "uses": "make", "needs": []} for id in ids]
    write_run(run_dir, {"name": "toy", "status": "running", "stages": stages, "report": "done/index.html"})
    return run_dir


def test_the_state_of_a_killed_run(run_dir: Path) -> None:
    summary = summarise(run_dir)
    assert summary is not None
    assert (summary["name"], summary["status"], summary["held_by"]) == ("toy", "interrupted", None)
    assert summary["report"] == str(run_dir / "done" / "index.html")
    assert {stage["id"]: stage["status"] for stage in summary["stages"]} == {
        "done": "done",
        "killed": "interrupted",
        "new": "pending",
        "broken": "broken",
        "marked": "stale",
        "failed": "failed",
    }
    progress = {stage["id"]: stage["progress"] for stage in summary["stages"] if stage["progress"]}
    assert progress == {"killed": {"description": "maps", "done": 3, "total": 10}}


def test_a_live_process_is_named(run_dir: Path) -> None:
    with run_lock(run_dir, print):
        summary = summarise(run_dir)
        assert summary is not None
        assert summary["status"] == "running"
        assert summary["held_by"].keys() == {"pid", "host", "start"}
        assert {s["id"]: s["status"] for s in summary["stages"]}["killed"] == "running"


def test_wsss_status(run_dir: Path) -> None:
    output = CliRunner().invoke(cli, ["status", "toy"]).output
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert output.startswith("toy in runs/toy: interrupted\n")
    assert "interrupted" in lines["killed"]
    assert "maps 3/10" in lines["killed"]
    assert "ago" in lines["done"]
    assert "loss 0.5, n 4" in lines["done"]


@pytest.mark.parametrize(("ended", "age"), [(7230, "2 h 0 min ago"), (86400, "1 day ago"), (200_000, "2 days ago")])
def test_age_of_a_stage(ended: int, age: str) -> None:
    assert _age((datetime.now(UTC) - timedelta(seconds=ended)).isoformat()) == age


def test_other_folders(tmp_path: Path) -> None:
    assert summarise(tmp_path) is None
    assert summarise(tmp_path / "none") is None
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InvalidInput) as error:
        summarise(tmp_path)
    assert str(error.value.subject).endswith("run.json")
