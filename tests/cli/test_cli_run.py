"""``wsss run``: output, dry runs, invalid usage, interrupts and locks."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clocks import wait_until
from inprocess import toy
from killing import group_exists, is_bookkeeping, kill_command, snapshot
from toycli import HERE, environment, start_toy
from toys import make_toy_data

from wsss.cli.options.shared_options import resume_command
from wsss.cli.stage_table import headline
from wsss.errors import InvalidInput
from wsss.io.process.cores import worker_count
from wsss.whole_run import check_data

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  train: {uses: train, needs: [make], with: {steps: 3}}
  all: {uses: gather, needs: [make, train]}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_toy_data(tmp_path / "d")
    (tmp_path / "p.yaml").write_text(TEXT)
    return tmp_path


def test_output(here: Path) -> None:
    done = toy("run", "p.yaml", cwd=here)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["stage", "status", "time", "metrics"]
    assert re.match(r"train +done +[\d.]+ s +loss 0.125, steps 3", lines[2])
    assert lines[-1] == "Report: runs/toy/all/index.html" and "make done in" in done.stderr
    document = json.loads(toy("run", "p.yaml", "--json", cwd=here).stdout)
    assert list(document) == ["run_dir", "status", "report", "stages"]
    assert (document["run_dir"], document["status"]) == ("runs/toy", "done")
    assert document["report"] == "runs/toy/all/index.html"
    assert [list(stage) for stage in document["stages"]] == [["id", "uses", "status", "seconds", "metrics"]] * 3
    assert [(s["id"], s["uses"], s["status"]) for s in document["stages"]] == [
        ("make", "make", "skipped"),
        ("train", "train", "skipped"),
        ("all", "gather", "skipped"),
    ]


def test_json_document_of_a_failed_run(here: Path) -> None:
    (here / "p.yaml").write_text(TEXT + "  bad: {uses: fail, needs: [make]}\n")
    done = toy("run", "p.yaml", "--json", cwd=here)
    document = json.loads(done.stdout)
    assert done.returncode == 1 and document["status"] == "failed"
    assert {stage["id"]: stage["status"] for stage in document["stages"]}["bad"] == "failed"
    assert "Stage 'bad' failed: it did not work.\nTry something else." in done.stderr
    for arguments, folder in ((["p.yaml", "--set", "make.m=1"], "runs/toy"), (["none.yaml"], None)):
        done = toy("run", *arguments, "--json", cwd=here)
        assert done.returncode == 2
        assert json.loads(done.stdout) == {"run_dir": folder, "status": "failed", "report": None, "stages": []}


def test_only_rank_0_prints_the_document_of_a_pipeline_that_cannot_be_loaded(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = {"run_dir": None, "status": "failed", "report": None, "stages": []}
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, documents in (("0", [empty]), ("1", [])):
        monkeypatch.setenv("RANK", rank)
        done = toy("run", "none.yaml", "--json", cwd=here)
        assert done.returncode == 2 and "none.yaml" in done.stderr
        assert [json.loads(text) for text in [done.stdout] if text] == documents
    monkeypatch.setenv("RANK", "two")
    done = toy("run", "p.yaml", "--json", cwd=here)
    assert done.returncode == 2 and json.loads(done.stdout)["status"] == "failed"


def test_finished_run_ends_quickly_without_importing_torch(here: Path) -> None:
    toy("run", "p.yaml", cwd=here)
    before = snapshot(here)
    text = (
        "import sys, runpy\n"
        f"sys.argv = [{str(HERE / 'toycli.py')!r}, 'run', 'p.yaml']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([name for name in ('torch', 'cv2', 'scipy') if name in sys.modules], file=sys.stderr)\n"
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=here, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used < 3
    assert snapshot(here) == before


def test_dry_run(here: Path) -> None:
    before = snapshot(here)
    done = toy("run", "p.yaml", "--dry-run", cwd=here)
    assert [line.split() for line in done.stdout.splitlines()][1] == ["make", "run", "never", "ran"]
    assert snapshot(here) == before
    toy("run", "p.yaml", cwd=here)
    document = json.loads(toy("run", "p.yaml", "--dry-run", "--set", "train.steps=5", "--json", cwd=here).stdout)
    assert (document["run_dir"], document["status"], document["report"]) == ("runs/toy", "planned", None)
    assert [list(stage) for stage in document["stages"]] == [["id", "uses", "action", "reasons"]] * 3
    assert [(stage["id"], stage["action"]) for stage in document["stages"]] == [
        ("make", "skip"),
        ("train", "run"),
        ("all", "run"),
    ]
    done = toy("run", "p.yaml", "--dry-run", "--until", "make", "--set", "train.steps=5", cwd=here)
    assert re.search(r"train +skip +excluded by --from or --until", done.stdout)


def test_errors_name_line_and_key(here: Path) -> None:
    (here / "p.yaml").write_text(TEXT.replace("steps: 3", "step: 3"))
    done = toy("run", "p.yaml", cwd=here)
    assert done.returncode == 2 and not (here / "runs").exists()
    assert done.stderr.startswith("error: p.yaml:5: stages.train.with.step: ") and "'steps'?" in done.stderr


def test_problems_of_data_and_stages_are_reported_together(here: Path) -> None:
    done = toy("run", "p.yaml", "--set", "data.rot=x", "--set", "train.step=1", "--dry-run", cwd=here)
    first, second = done.stderr.splitlines()
    assert done.returncode == 2 and "data.rot" in first and "stages.train.with.step" in second


def test_precision_and_workers(here: Path) -> None:
    done = toy("run", "p.yaml", "--precision", "bf16-mixed", "--workers", "2", cwd=here)
    assert done.returncode == 0, done.stderr
    record = json.loads((here / "runs" / "toy" / "train" / "stage.json").read_text())
    assert record["config"]["precision"] == "bf16-mixed"
    done = toy("run", "p.yaml", "--precision", "8", cwd=here)
    assert done.returncode == 2 and "--precision 8: stages.train.with.precision: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_resumes(here: Path, number: signal.Signals, code: int) -> None:
    assert toy("run", "p.yaml", "--run-dir", "whole", "--set", "train.steps=8", cwd=here).returncode == 0
    slow = ["run", "p.yaml", "--force", "make", "--json", "--set", "train.steps=8"]
    process = start_toy(*slow, "--set", "train.pause=0.2", cwd=here)
    wait_until((here / "runs" / "toy" / "train" / "checkpoint.pt").exists)
    process.send_signal(number)
    output, messages = process.communicate(timeout=120)
    assert process.returncode == code and "Traceback" not in messages
    document = json.loads(output)
    assert document["status"] == "interrupted"
    assert [stage["status"] for stage in document["stages"]] == ["done", "interrupted"]
    resume = messages.strip().splitlines()[-1].strip()
    assert resume == "wsss run p.yaml --json --set train.steps=8 --set train.pause=0.2"
    status = json.loads(toy("status", "toy", "--json", cwd=here).stdout)
    assert [stage["status"] for stage in status["stages"]] == ["done", "interrupted", "pending"]
    assert 0 < json.loads((here / "runs" / "toy" / "train" / "checkpoint.pt").read_text())[0] < 8
    done = toy(*shlex.split(resume)[1:], cwd=here)
    assert [stage["status"] for stage in json.loads(done.stdout)["stages"]] == ["skipped", "done", "done"]
    for name in ("make/items/001.txt", "train/model.bin", "all/index.html"):
        assert (here / "runs" / "toy" / name).read_bytes() == (here / "whole" / name).read_bytes()


@pytest.mark.slow
def test_ctrl_c_ends_all_workers(here: Path) -> None:
    """Ctrl-C is sent to the whole process group."""
    process = start_toy(
        "run", "p.yaml", "--workers", "2", "--set", "make.n=40", "--set", "make.pause=0.2", cwd=here,
        start_new_session=True,
    )  # fmt: skip
    wait_until((here / "runs" / "toy" / "make" / "items" / "001.txt").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted. Finished work is kept" in messages and "Traceback" not in messages
    wait_until(lambda: not group_exists(process.pid), 20)
    assert 0 < len(list((here / "runs" / "toy" / "make" / "items").glob("*.txt"))) < 40


def test_second_process_is_refused(here: Path) -> None:
    process = start_toy("run", "p.yaml", "--set", "make.pause=5", cwd=here)
    try:
        wait_until((here / "runs" / "toy" / "make" / "stage.json").exists)
        for arguments in (["run", "p.yaml"], ["make", "--out", "runs/toy/other"]):
            second = toy(*arguments, cwd=here)
            assert second.returncode == 1 and f"process {process.pid} on " in second.stderr
            assert f"kill {process.pid}" in second.stderr
        assert f"running (process {process.pid} on" in toy("status", "runs/toy", cwd=here).stdout
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    after = toy("run", "p.yaml", cwd=here)
    assert after.returncode == 0 and f"Taking over runs/toy from process {process.pid}" in after.stderr


@pytest.mark.slow
def test_killed_command_resumes(here: Path) -> None:
    draw = ["data", "synth", "shapes", "s", "--train", "2", "--val", "1"]
    done, writes = kill_command(draw, 5, cwd=here)
    assert done.returncode == -signal.SIGKILL and writes >= 5
    for folder in ("s", "whole"):
        done, _ = kill_command([*draw[:3], folder, *draw[4:]], None, cwd=here)
        assert done.returncode == 0, done.stderr
    assert snapshot(here / "s", ignore=is_bookkeeping) == snapshot(here / "whole", ignore=is_bookkeeping)


def test_file_size_limit_is_reported(here: Path) -> None:
    """A disk that accepts no more bytes, as reported by the operating system."""
    limited = (
        "import resource, signal, sys, runpy\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        f"sys.argv = [{str(HERE / 'toycli.py')!r}, 'run', 'p.yaml', '--set', 'make.text={'x' * 9000}']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", limited], cwd=here, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert toy("run", "p.yaml", cwd=here).returncode == 0


def test_missing_dataset_is_reported_with_all_other_missing_files(here: Path) -> None:
    (here / "d").rename(here / "elsewhere")
    text = TEXT.replace("split: train}", "split: train, weights: no/such.safetensors}")
    (here / "p.yaml").write_text(text)
    done = toy("run", "p.yaml", "--dry-run", cwd=here)
    first, second, *hints = done.stderr.splitlines()
    assert done.returncode == 2 and first.startswith("error: p.yaml:2: data.root: ")
    assert "stages.make.with.weights: " in second and "--set data.root=FOLDER" in " ".join(hints)


@pytest.mark.parametrize("layout", [{}, {"layout": "auto"}, {"layout": "voc"}, {"layout": "folder"}])
def test_missing_dataset_of_any_layout(tmp_path: Path, layout: dict[str, str]) -> None:
    config = {"root": str(tmp_path / "none"), **layout}
    with pytest.raises(InvalidInput) as error:
        check_data(config, locate=lambda path: "here" if path == ("root",) else "")
    assert error.value.subject == "here: data.root" and "--set data.root=FOLDER" in str(error.value.hint)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "p", "--force", "cam", "--set", "a=b c", "--force=x", "--json"], "wsss run p --set 'a=b c' --json"),
        (["crf", "--force", "--out", "o"], "wsss crf --out o"),
        (["cam", "--out", "run", "--force"], "wsss cam --out run"),
    ],
)
def test_resume_command_omits_force(arguments: list[str], expected: str) -> None:
    assert resume_command(arguments) == expected
    assert resume_command(arguments, started=False) == shlex.join(["wsss", *arguments])


def test_worker_count() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == 1
    assert worker_count(None) >= 1


def test_headline() -> None:
    metrics = {"images": 120, "iou": {"cat": 0.5}, "miou": 0.51234567, "recall": 0.5, "precision": 1.0, "ok": True}
    assert headline(metrics) == "mIoU 0.5123, precision 1, recall 0.5"
    assert headline({"zeta": 1, "alpha": 2.5}) == "zeta 1, alpha 2.5"
    assert headline({}) == ""
