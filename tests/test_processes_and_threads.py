"""Runs resumed with another number of processes or threads: the same bytes, or a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import warm
from clocks import wait_until
from flipping import flip
from killing import KILLED, kill_command
from safetensors.torch import load_file
from tinyrun import SEVERAL, TINY, command, environment, results, several, statuses_in, wsss

from wsss.io.process.cores import bound_cores

UNTIL = ("--until", "classify")
AT = 3
"""Number of the write after its first checkpoint at which a training is killed."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one(memory: Path) -> Path:
    """A run of one process, up to the refined masks; read-only."""
    done = wsss(*command(memory / "one", "--until", "crf"))
    assert done.returncode == 0, done.stderr
    return memory / "one"


@pytest.fixture(scope="module")
def two(memory: Path) -> Path:
    """A training by two processes; read-only."""
    done = several(2, *command(memory / "two", *UNTIL))
    assert done.returncode == 0, done.stderr
    return memory / "two"


@pytest.fixture(scope="module")
def killed(memory: Path) -> Path:
    """A training by one process with one thread, killed in the middle; read-only."""
    run_dir = memory / "killed"
    checkpoint = run_dir / "classify" / "checkpoint.pt"
    done, _ = kill_command(
        command(run_dir, *UNTIL), AT, cwd=memory, after=checkpoint, start=warm.command(), OMP_NUM_THREADS="1"
    )
    assert done.returncode == KILLED and checkpoint.is_file()
    return run_dir


def copied(run: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", str(run), str(to)], check=True)
    return to


def weights(run_dir: Path) -> bytes:
    return (run_dir / "classify" / "model.safetensors").read_bytes()


def machine(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "classify" / "stage.json").read_text())["machine"]
    return found


def reason(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return " ".join(json.loads(done.stdout)["stages"][0]["reasons"])


def test_a_finished_training_of_two_processes_is_not_that_of_one(one: Path, two: Path, tmp_path: Path) -> None:
    assert weights(one) != weights(two)
    assert (machine(two)["ranks"], machine(two)["effective_batch"]) == (2, 4)
    run_dir = copied(two, tmp_path / "run")
    assert reason(several(2, *command(run_dir, *UNTIL, "--dry-run", "--json"))) == "finished"
    planned = reason(wsss(*command(run_dir, *UNTIL, "--dry-run", "--json")))
    assert "processes" in planned and "2 → 1" in planned
    done = wsss(*command(run_dir, *UNTIL))
    assert done.returncode == 0 and "2 → 1" in done.stderr, done.stderr
    assert weights(run_dir) == weights(one)


def test_srun_gives_the_same_bytes_as_torchrun(two: Path, tmp_path: Path) -> None:
    """Also without ``--ntasks-per-node``, and in an interactive allocation."""
    done = several(2, *command(tmp_path / "run", *UNTIL), srun=True)
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "run") == weights(two)


def test_half_the_batch_size_in_each_of_two_processes_gives_the_same_weights(one: Path, tmp_path: Path) -> None:
    done = several(2, *command(tmp_path / "run", *UNTIL, "--set", "classify.batch_size=1"))
    assert done.returncode == 0, done.stderr
    first, second = (load_file(run / "classify" / "model.safetensors") for run in (one, tmp_path / "run"))
    assert max(float((first[name] - second[name]).abs().max()) for name in first) <= 1e-5
    rows = [(run / "classify" / "history.csv").read_text().splitlines()[-1] for run in (one, tmp_path / "run")]
    assert float(rows[0].split(",")[3]) == pytest.approx(float(rows[1].split(",")[3]), abs=1e-6)


def test_a_training_that_is_left_out_may_have_any_number_of_processes(two: Path, tmp_path: Path) -> None:
    run_dir = copied(two, tmp_path / "run")
    without = ("--set", "expand.enabled=false", "--set", "shrink.enabled=false")
    found = statuses_in(wsss(*command(run_dir, "--from", "cam", "--until", "cam", "--json", *without)))
    assert found == {"classify": "skipped", "cam": "done"}
    assert weights(run_dir) == weights(two)


def test_one_process_does_not_resume_a_training_of_two(one: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    longer = ("--set", "classify.epochs=60")  # the signal comes in the middle
    call = [*SEVERAL, "2", "-m", "wsss.cli.main", *command(run_dir, *UNTIL, *longer)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    wait_until((run_dir / "classify" / "checkpoint.pt").exists)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=300)
    advice = [line.strip() for line in messages.splitlines() if line.strip().startswith("torchrun --nproc-per-node 2")]
    assert len(advice) == 1 and f"-m wsss.cli.main run {TINY}" in advice[0], messages
    record = json.loads((run_dir / "run.json").read_text())
    assert record["command"][:3] == ["torchrun", "--nproc-per-node", "2"]
    assert (run_dir / "classify" / "checkpoint.pt").is_file()
    planned = reason(wsss(*command(run_dir, *UNTIL, *longer, "--dry-run", "--json")))
    assert "2 → 1" in planned
    done = wsss(*command(run_dir, *UNTIL))
    assert done.returncode == 0 and "2 → 1" in done.stderr, done.stderr
    assert weights(run_dir) == weights(one)


def test_two_processes_do_not_resume_a_training_of_one(two: Path, killed: Path, tmp_path: Path) -> None:
    run_dir = copied(killed, tmp_path / "run")
    done = several(2, *command(run_dir, *UNTIL))
    assert done.returncode == 0 and "1 → 2" in done.stderr, done.stderr
    assert weights(run_dir) == weights(two)
    rows = (run_dir / "classify" / "history.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["1", "2"], ["2", "4"]]  # epoch, step


def test_single_images_do_not_depend_on_the_number_of_processes(one: Path, tmp_path: Path) -> None:
    run_dir = copied(one, tmp_path / "run")
    for stage in ("cam", "pseudo", "crf"):
        subprocess.run(["rm", "-r", str(run_dir / stage)], check=True)
    done = several(2, *command(run_dir, "--from", "cam", "--until", "crf"))
    assert done.returncode == 0, done.stderr
    assert results(run_dir) == results(one)
    identities = [json.loads((run / "cam" / "stage.json").read_text())["identity"] for run in (run_dir, one)]
    assert identities[0] == identities[1]


def test_a_training_resumes_with_the_same_number_of_threads(one: Path, killed: Path, tmp_path: Path) -> None:
    run_dir = copied(killed, tmp_path / "run")
    done = wsss(*command(run_dir, *UNTIL), OMP_NUM_THREADS=None)  # by default one thread per core
    assert done.returncode == 0, done.stderr
    assert weights(run_dir) == weights(one)
    assert machine(run_dir)["threads"] == 1


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="requires two cores")
def test_a_number_of_threads_set_by_the_user_is_recorded(killed: Path, tmp_path: Path) -> None:
    run_dir = copied(killed, tmp_path / "run")
    done = wsss(*command(run_dir, *UNTIL), OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert "the number of threads was 1 and is now 2" in done.stderr
    assert machine(run_dir)["mixed_threads"] == [1, 2]
    again = wsss(*command(run_dir, *UNTIL, "--json"))
    assert statuses_in(again) == {"classify": "skipped"}


def test_processes_on_one_machine_share_its_cores(tmp_path: Path) -> None:
    """Fabric must not change the number after it is recorded."""
    done = several(2, *command(tmp_path / "run", "--until", "expand"), OMP_NUM_THREADS=None, MKL_NUM_THREADS=None)
    assert done.returncode == 0, done.stderr
    records = [json.loads((tmp_path / "run" / one / "stage.json").read_text()) for one in ("classify", "expand")]
    expected = max(1, bound_cores() // 2)
    assert [record["machine"]["threads"] for record in records] == [expected, expected]


def test_a_checkpoint_with_a_flipped_bit_is_discarded(one: Path, killed: Path, tmp_path: Path) -> None:
    run_dir = copied(killed, tmp_path / "run")
    path = run_dir / "classify" / "checkpoint.pt"
    flip(path, bit=8 * (path.stat().st_size // 2) + 2)
    done = wsss(*command(run_dir, *UNTIL))
    assert done.returncode == 0, done.stderr
    assert "checkpoint.pt: checkpoint discarded (it is damaged" in done.stderr
    assert weights(run_dir) == weights(one)
