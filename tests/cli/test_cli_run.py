from __future__ import annotations

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killing import is_bookkeeping, kill_command, snapshot
from toycli import HERE, environment, start_toy, toy
from toys import make_toy_data

from wsss.cli.options.shared_options import resume_command, worker_count
from wsss.cli.stage_table import headline
from wsss.errors import InvalidInput
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


def wait_for(path: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def test_a_run_ends_with_a_table_and_the_report(here: Path) -> None:
    done = toy("run", "p.yaml", cwd=here)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["stage", "status", "time", "metrics"]
    assert re.match(r"train +done +[\d.]+ s +loss 0.125, steps 3", lines[2])
    assert lines[-1] == "Report: runs/toy/all/index.html"
    assert "make done in" in done.stderr


def test_the_json_document(here: Path) -> None:
    done = toy("run", "p.yaml", "--json", cwd=here)
    document = json.loads(done.stdout)
    assert list(document) == ["run_dir", "status", "report", "stages"]
    assert (document["run_dir"], document["status"]) == ("runs/toy", "done")
    assert document["report"] == "runs/toy/all/index.html"
    assert [list(stage) for stage in document["stages"]] == [["id", "uses", "status", "seconds", "metrics"]] * 3
    assert [(s["id"], s["uses"], s["status"]) for s in document["stages"]] == [
        ("make", "make", "done"),
        ("train", "train", "done"),
        ("all", "gather", "done"),
    ]
    again = json.loads(toy("run", "p.yaml", "--json", cwd=here).stdout)
    assert [stage["status"] for stage in again["stages"]] == ["skipped"] * 3


def test_the_json_document_of_a_failed_run(here: Path) -> None:
    (here / "p.yaml").write_text(TEXT + "  bad: {uses: fail, needs: [make]}\n")
    done = toy("run", "p.yaml", "--json", cwd=here)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["status"] == "failed"
    assert {stage["id"]: stage["status"] for stage in document["stages"]}["bad"] == "failed"
    assert "Stage 'bad' failed: it did not work.\nTry something else." in done.stderr
    done = toy("run", "p.yaml", "--json", "--set", "make.m=1", cwd=here)
    assert done.returncode == 2
    assert json.loads(done.stdout) == {"run_dir": "runs/toy", "status": "failed", "report": None, "stages": []}
    done = toy("run", "none.yaml", "--json", cwd=here)
    assert json.loads(done.stdout) == {"run_dir": None, "status": "failed", "report": None, "stages": []}


def test_a_finished_run_does_nothing_quickly_and_without_torch(here: Path) -> None:
    toy("run", "p.yaml", cwd=here)
    before = snapshot(here)
    text = (
        "import sys, runpy\n"
        f"sys.argv = [{str(HERE / 'toycli.py')!r}, 'run', 'p.yaml']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([name for name in ('torch', 'cv2', 'scipy') if name in sys.modules], file=sys.stderr)\n"
    )
    before_that = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=here, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_that < 3
    assert snapshot(here) == before


def test_a_dry_run_says_what_and_why(here: Path) -> None:
    before = snapshot(here)
    done = toy("run", "p.yaml", "--dry-run", cwd=here)
    assert [line.split() for line in done.stdout.splitlines()][1] == ["make", "run", "never", "ran"]
    assert snapshot(here) == before
    toy("run", "p.yaml", cwd=here)
    done = toy("run", "p.yaml", "--dry-run", "--set", "train.steps=5", "--json", cwd=here)
    assert json.loads(done.stdout) == {
        "run_dir": "runs/toy",
        "status": "planned",
        "report": None,
        "stages": [
            {"id": "make", "uses": "make", "action": "skip", "reasons": ["finished"]},
            {"id": "train", "uses": "train", "action": "run", "reasons": ["config changed: steps 3 → 5"]},
            {"id": "all", "uses": "gather", "action": "run", "reasons": ["input stages: train changed"]},
        ],
    }
    done = toy("run", "p.yaml", "--dry-run", "--until", "make", "--set", "train.steps=5", cwd=here)
    assert re.search(r"train +skip +left out by --from or --until", done.stdout)


def test_mistakes_exit_with_2_and_name_line_and_key(here: Path) -> None:
    (here / "p.yaml").write_text(TEXT.replace("steps: 3", "step: 3"))
    done = toy("run", "p.yaml", cwd=here)
    assert done.returncode == 2
    assert done.stderr.startswith("error: p.yaml:5: stages.train.with.step: unknown key; allowed are fast, pause, prec")
    assert "did you mean 'steps'?" in done.stderr
    assert not (here / "runs").exists()


def test_what_is_wrong_with_the_data_and_with_the_stages_is_told_at_once(here: Path) -> None:
    done = toy("run", "p.yaml", "--set", "data.rot=x", "--set", "train.step=1", "--dry-run", cwd=here)
    assert done.returncode == 2
    assert [line.split(": ")[-2 if "unknown" in line else 0] for line in done.stderr.splitlines()] == [
        "data.rot",
        "stages.train.with.step",
    ]


def test_precision_and_workers(here: Path) -> None:
    done = toy("run", "p.yaml", "--precision", "bf16-mixed", "--workers", "2", cwd=here)
    assert done.returncode == 0, done.stderr
    assert (
        json.loads((here / "runs" / "toy" / "train" / "stage.json").read_text())["config"]["precision"] == "bf16-mixed"
    )
    done = toy("run", "p.yaml", "--precision", "8", cwd=here)
    assert done.returncode == 2
    assert "--precision 8: stages.train.with.precision: input should be '32-true' or 'bf16-mixed'" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_a_run_that_goes_on(here: Path, number: signal.Signals, code: int) -> None:
    whole = toy("run", "p.yaml", "--run-dir", "whole", "--set", "train.steps=8", cwd=here)
    assert whole.returncode == 0
    slow = ["run", "p.yaml", "--force", "make", "--json", "--set", "train.steps=8"]
    process = start_toy(*slow, "--set", "train.pause=0.2", cwd=here)
    wait_for(here / "runs" / "toy" / "train" / "checkpoint.pt")
    process.send_signal(number)
    output, messages = process.communicate(timeout=30)
    assert process.returncode == code
    document = json.loads(output)
    assert document["status"] == "interrupted"
    assert [stage["status"] for stage in document["stages"]] == ["done", "interrupted"]
    assert "Traceback" not in messages
    resume = messages.strip().splitlines()[-1].strip()
    assert resume == "wsss run p.yaml --json --set train.steps=8 --set train.pause=0.2"
    status = json.loads(toy("status", "toy", "--json", cwd=here).stdout)
    assert [stage["status"] for stage in status["stages"]] == ["done", "interrupted", "pending"]
    checkpoint = json.loads((here / "runs" / "toy" / "train" / "checkpoint.pt").read_text())
    assert 0 < checkpoint[0] < 8
    done = toy(*shlex.split(resume)[1:], cwd=here)
    assert [stage["status"] for stage in json.loads(done.stdout)["stages"]] == ["skipped", "done", "done"]
    for name in ("make/items/001.txt", "train/model.bin", "all/index.html"):
        assert (here / "runs" / "toy" / name).read_bytes() == (here / "whole" / name).read_bytes()


def test_ctrl_c_while_workers_work(here: Path) -> None:
    """Ctrl-C reaches the whole process group, workers too."""
    process = start_toy(
        "run", "p.yaml", "--workers", "2", "--set", "make.n=40", "--set", "make.pause=0.2", cwd=here,
        start_new_session=True,
    )  # fmt: skip
    wait_for(here / "runs" / "toy" / "make" / "items" / "001.txt")
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. Finished work is kept" in messages
    assert "Traceback" not in messages
    end = time.monotonic() + 20
    while group_lives(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not group_lives(process.pid)
    kept = len(list((here / "runs" / "toy" / "make" / "items").glob("*.txt")))
    assert 0 < kept < 40


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_second_process_is_told_who_works_there(here: Path) -> None:
    process = start_toy("run", "p.yaml", "--set", "make.pause=5", cwd=here)
    try:
        wait_for(here / "runs" / "toy" / "make" / "stage.json")
        second = toy("run", "p.yaml", cwd=here)
        assert second.returncode == 1
        assert f"Process {process.pid} on " in second.stderr
        assert f"kill {process.pid}" in second.stderr
        assert "--run-dir" in second.stderr
        status = toy("status", "runs/toy", cwd=here)
        assert f"running, process {process.pid} on" in status.stdout
        single = toy("make", "--out", "runs/toy/other", cwd=here)  # a single stage inside a run that is being worked on
        assert single.returncode == 1
        assert f"Process {process.pid} on " in single.stderr
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    after = toy("run", "p.yaml", cwd=here)
    assert after.returncode == 0
    assert f"Taking over runs/toy from process {process.pid}" in after.stderr


def test_a_killed_command_goes_on(here: Path) -> None:
    """The harness in `killing` also kills real command lines; here one without stages of our own."""
    done, writes = kill_command(["data", "synth", "shapes", "s", "--train", "2", "--val", "1"], 5, cwd=here)
    assert (done.returncode, writes) == (-signal.SIGKILL, 5)
    done, _ = kill_command(["data", "synth", "shapes", "s", "--train", "2", "--val", "1"], None, cwd=here)
    assert done.returncode == 0, done.stderr
    whole, _ = kill_command(["data", "synth", "shapes", "whole", "--train", "2", "--val", "1"], None, cwd=here)
    assert whole.returncode == 0
    assert snapshot(here / "s", ignore=is_bookkeeping) == snapshot(here / "whole", ignore=is_bookkeeping)


def test_a_file_size_limit_is_explained(here: Path) -> None:
    """A disk that takes no more bytes, as the operating system itself reports it."""
    limited = (
        "import resource, signal, sys, runpy\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        f"sys.argv = [{str(HERE / 'toycli.py')!r}, 'run', 'p.yaml', '--set', 'make.text={'x' * 9000}']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", limited], cwd=here, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert toy("run", "p.yaml", cwd=here).returncode == 0


def test_a_missing_dataset_is_told_first_and_with_all_else_that_is_missing(here: Path) -> None:
    (here / "d").rename(here / "elsewhere")
    text = TEXT.replace("split: train}", "split: train, weights: no/such.safetensors}")
    (here / "p.yaml").write_text(text)
    done = toy("run", "p.yaml", "--dry-run", cwd=here)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "error: p.yaml:2: data.root: no such folder: d"
    assert "stages.make.with.weights: no such file or folder: no/such.safetensors" in lines[1]
    assert "--set data.root=FOLDER" in lines[2]


@pytest.mark.parametrize("layout", [{}, {"layout": "auto"}, {"layout": "voc"}, {"layout": "folder"}])
def test_a_missing_dataset_of_any_layout(tmp_path: Path, layout: dict[str, str]) -> None:
    config = {"root": str(tmp_path / "none"), **layout}
    with pytest.raises(InvalidInput, match=r"^here: data\.root: no such folder: .*none\n.*--set data\.root=FOLDER"):
        check_data(config, locate=lambda path: "here" if path == ("root",) else "")


def test_the_resume_command_leaves_out_force() -> None:
    words = ["run", "p.yaml", "--force", "cam", "--set", "a=b c", "--force=x", "--json"]
    assert resume_command(words) == "wsss run p.yaml --set 'a=b c' --json"


def test_the_resume_command_of_a_single_stage_keeps_what_follows_the_flag() -> None:
    assert resume_command(["crf", "--force", "--out", "o"]) == "wsss crf --out o"
    assert resume_command(["cam", "--out", "run", "--force"]) == "wsss cam --out run"


def test_worker_counts() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == 1
    assert worker_count(None) >= 1


def test_headlines() -> None:
    metrics = {
        "images": 120,
        "iou": {"cat": 0.5},
        "miou": 0.51234567,
        "split": "val",
        "recall": 0.5,
        "precision": 1.0,
        "ok": True,
    }
    assert headline(metrics) == "mIoU 0.5123, precision 1, recall 0.5"
    assert headline({"zeta": 1, "alpha": 2.5}) == "zeta 1, alpha 2.5"
    assert headline({}) == ""
