"""Every stage with one process and with two, as under ``torchrun``: time, and equality of the results.

    python benchmarks/processes.py [--images 48] [--size 128] [--steps 20] [--batch 8] [--rounds 3 | --equality]

The pipeline is ``processes.yaml``. It runs once with one process; then the stages run again, alternately with one
and with two processes (``torchrun``, gloo) on the same inputs, which are copies of that run. Each process has one
thread and one worker, so that the seconds of two processes show what a second core, GPU or machine contributes. They
mean something on an idle machine with a core for each process only; CPU seconds, summed over the processes, show what
the second process costs. Both are the times of the stage itself: starting Python, importing packages and joining the
other process take some seconds per command, and are not included.

Results of stages that do not train have to be equal byte by byte. A training with one process accumulates the gradients
of two batches (``accumulate: 2``), one with two processes averages those of one batch each: both see the same images in
each step. The largest difference in weights is printed as a fraction of the largest weight of the network, and that of
the loss in the last row of the history as it is. ``--equality`` runs each stage once with two processes and measures
nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve()
PIPELINE = HERE.with_suffix(".yaml")
TRAINING = ("classify", "expand", "shrink", "affinity", "segment")
GROUPS = (
    *("tiles", "classify", "expand", "shrink", "cam", "lightness", "colour average pseudo-sure crf-sure", "affinity"),
    *(
        "propagate par pseudo crf snap",
        "segment",
        "calibrate",
        "predict score compare",
        "sweep",
        "score-topology bench",
        "report",
    ),
)
"""Stages that are measured in one command: each depends on the first, and the last on each."""

COLUMNS = ("stage", "s, 1 process", "s, 2 processes", "1 / 2", "CPU s, 1", "CPU s, 2", "equal")
RECORDS = ("stage.json", "run.json", "run.log")
TIMED = ("index.html", "tensorboard", ".wsss-")
"""Parts of the names of further files with times."""

MEASURE, RUN = "measure", "run-once"
"""First arguments of this program as one process of a run, with and without loading everything first. Not options:
``torchrun`` would refuse those that begin like its own."""

Times = dict[str, list[tuple[float, float]]]
"""Stage → wall-clock seconds and CPU seconds of every round."""


def measure(folder: Path, arguments: list[str], *, preload: bool) -> None:
    """Run ``wsss ARGUMENTS`` in this process, and write the times of its stages to ``folder/RANK.json``."""
    if preload:
        _preload()
    from wsss.cli.main import main as command
    from wsss.pipeline.run import run_steps

    perform, times = run_steps.perform, {}

    def timed(task: Any, *more: Any, **named: Any) -> Any:
        wall, cpu = time.monotonic(), time.process_time()
        outcome = perform(task, *more, **named)
        if outcome.status == "done":
            times[task.id] = time.monotonic() - wall, time.process_time() - cpu
        return outcome

    run_steps.perform = timed
    try:
        command(arguments)
    finally:
        (folder / f"{os.environ.get('RANK', '0')}.json").write_text(json.dumps(times))


def _preload() -> None:
    """Import what the stages import, and load compiled kernels, so that no stage waits for it."""
    import albumentations  # noqa: F401
    import lightning_fabric  # noqa: F401
    import monai.networks.nets  # noqa: F401
    import skimage.segmentation  # noqa: F401
    from torch.utils import tensorboard  # noqa: F401

    import wsss.topology
    from wsss.stages import STAGES

    for name in STAGES:
        STAGES[name]
    wsss.topology.warmup()


class Runs:
    """Runs of the pipeline in a folder.

    Args:
        work: the folder.
        settings: ``KEY=VALUE`` of ``--set``.
        preload: load before the first stage what all stages need, so that times do not include it.
    """

    def __init__(self, work: Path, settings: Sequence[str], *, preload: bool) -> None:
        self.work, self.settings, self.one = work, settings, work / "one"
        self.role = MEASURE if preload else RUN

    def run(self, run_dir: Path, count: int, *more: str) -> dict[str, tuple[float, float]]:
        """Run the pipeline; return stage → wall-clock seconds of the first process, and CPU seconds of all."""
        with tempfile.TemporaryDirectory(dir=self.work) as name:
            launch = [sys.executable] if count == 1 else [*_torchrun(count)]
            sets = [word for setting in self.settings for word in ("--set", setting)]
            words = ["run", str(PIPELINE), "--run-dir", str(run_dir), "--workers", "1", "--device", "cpu"]
            call = [*launch, str(HERE), self.role, name, *words, *sets, *more]
            path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
            done = subprocess.run(call, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
            ranks = [json.loads((Path(name) / f"{rank}.json").read_text()) for rank in range(count)]
        return {stage: (wall, sum(rank[stage][1] for rank in ranks)) for stage, (wall, _) in ranks[0].items()}

    def copy(self, stages: Sequence[str], count: int) -> Path:
        """Return a copy of the first run without the results of some stages."""
        run_dir = self.work / f"{'-'.join(stages[:1])}-{count}"
        shutil.rmtree(run_dir, ignore_errors=True)
        shutil.copytree(self.one, run_dir)
        for stage in stages:
            shutil.rmtree(run_dir / stage)
        return run_dir


def _torchrun(count: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]


def groups() -> list[list[str]]:
    """Return the stages by command; ``--from`` and ``--until`` select exactly those of a group."""
    found = [group.split() for group in GROUPS]
    listed = sorted(stage for group in found for stage in group)
    if listed != sorted(yaml.safe_load(PIPELINE.read_text())["stages"]):
        raise ValueError(f"the stages of {PIPELINE} are not those of GROUPS: {listed}")
    return found


def require_processes(run_dir: Path, stages: Sequence[str], count: int) -> None:
    """Require that the stages ran in as many processes.

    Raises:
        RuntimeError: a record states another number.
    """
    for stage in stages:
        ranks = json.loads((run_dir / stage / "stage.json").read_text())["machine"]["ranks"]
        if ranks != count:
            raise RuntimeError(f"{stage}: expected {count} processes, got {ranks}")


def compare(stage: str, one: Path, other: Path) -> str:
    """Describe how two results of a stage agree."""
    if stage in TRAINING:
        return _compared_training(one / stage, other / stage)
    files, others = _files(one / stage), _files(other / stage)
    different = sorted(name for name in {*files, *others} if files.get(name) != others.get(name))
    if different:
        return f"**different**: {', '.join(different[:3])} and so on ({len(different)} of {len(files)} files)"
    return f"{len(files)} files" if files else "only times"


def _files(folder: Path) -> Mapping[str, bytes]:
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if path.name not in RECORDS and not any(part in name for part in TIMED)
    }


def _compared_training(one: Path, other: Path) -> str:
    from safetensors.torch import load_file

    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    largest = max(float(value.abs().max()) for value in first.values())
    apart = max(float((first[name] - second[name]).abs().max()) for name in first)
    losses = [float(_rows(folder)[-1]["train_loss"]) for folder in (one, other)]
    return f"weights {apart / largest:.0e}, loss {abs(losses[0] - losses[1]):.0e}"


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table(times: Mapping[int, Times], equal: Mapping[str, str]) -> str:
    """Return the table in Markdown: medians over the rounds."""
    if not times[1]:
        columns, rows = (COLUMNS[0], COLUMNS[-1]), list(equal.items())
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * 2, *rows))
    rows = []
    for stage, agreement in equal.items():
        one, two = times[1][stage], times[2][stage]
        ratios = [wall / other for (wall, _), (other, _) in zip(one, two, strict=True)]
        medians = [statistics.median(values) for values in (*zip(*one, strict=True), *zip(*two, strict=True))]
        wall, cpu, wall_of_two, cpu_of_two = (f"{value:.2f}" for value in medians)
        rows.append((stage, wall, wall_of_two, f"{statistics.median(ratios):.2f}", cpu, cpu_of_two, agreement))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows))


def parse() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=48, help="training images; default 48")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels; default 128")
    parser.add_argument("--steps", type=int, default=20, help="steps of each training; default 20")
    parser.add_argument("--batch", type=int, default=8, help="images per step of all processes; default 8")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of measurement; default 3")
    parser.add_argument("--equality", action="store_true", help="compare results only")
    arguments = parser.parse_args()
    if arguments.batch % 2:
        parser.error("--batch: expected an even number, to be divided between two processes")
    return arguments


def settings(arguments: argparse.Namespace) -> list[str]:
    """Return the settings of the pipeline: size of the data, and length and batches of training."""
    numbers = [f"data.train={arguments.images}", f"data.val={arguments.images // 2}", f"data.size={arguments.size}"]
    of_training = {"steps": arguments.steps, "batch_size": arguments.batch // 2, "accumulate": 2}
    return [*numbers, *(f"{stage}.{key}={value}" for stage in TRAINING for key, value in of_training.items())]


def one_round(runs: Runs, counts: Sequence[int], times: Mapping[int, Times]) -> dict[str, str]:
    """Run all stages with these numbers of processes, and add their times; return stage → agreement of the last one."""
    equal = {}
    for stages in groups():
        for count in counts:
            run_dir = runs.copy(stages, count)
            parts = [f"--set={stage}.accumulate={2 // count}" for stage in stages if stage in TRAINING]
            measured = runs.run(run_dir, count, "--from", stages[0], "--until", stages[-1], *parts)
            require_processes(run_dir, stages, count)
            for stage, (wall, cpu) in measured.items():
                times[count][stage].append((wall, cpu))
                print(f"{stage}: {count} processes, {wall:.2f} s, {cpu:.2f} CPU s", file=sys.stderr, flush=True)
        equal |= {stage: compare(stage, runs.one, run_dir) for stage in stages}
        shutil.rmtree(run_dir)
    return equal


def main() -> None:
    """Measure and print Markdown."""
    if sys.argv[1:2] in ([MEASURE], [RUN]):
        measure(Path(sys.argv[2]), sys.argv[3:], preload=sys.argv[1] == MEASURE)
        return
    arguments = parse()
    times: dict[int, Times] = {1: defaultdict(list), 2: defaultdict(list)}
    with tempfile.TemporaryDirectory() as name:
        runs = Runs(Path(name), settings(arguments), preload=not arguments.equality)
        runs.run(runs.one, 1)
        for _ in range(1 if arguments.equality else arguments.rounds):
            equal = one_round(runs, (2,) if arguments.equality else (1, 2), times)
    print(table(times, equal))


if __name__ == "__main__":
    main()
