"""Kill one process of several in the middle of each stage, and resume, also with another number of processes.

For every stage of ``benchmarks/processes.yaml`` and every rank, an attempt of two or three processes starts with this
stage in a copy of a finished run. One process gets SIGKILL at a random time after ``stage.json`` says that the stage
runs; the others get no signal, as under ``srun`` without ``--kill-on-bad-exit``, and must end by themselves with a
message that names the cause. The run is then resumed with one, two or three processes. The files of the stage must be
those of an undisturbed run: of one process, or for training, whose result depends on their number, of as many.

All processes are forked from one that has imported everything: ``python tests/support/rankkills.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import warm
import yaml
from randomkills import PATIENCE, give_up, start, wait_for
from tinyrun import ranks, results

PIPELINE = Path(__file__).parents[2] / "benchmarks" / "processes.yaml"
TRAINING = ("classify", "expand", "shrink", "affinity", "segment")
MESSAGE = "Another rank of this run has exited"
TRIES = 6
"""Maximum number of attempts until one is killed before it ends."""


@dataclass(frozen=True)
class Case:
    """One kill.

    Args:
        stage: the stage in which it happens.
        count: number of processes.
        victim: the one that is killed.
        again: number of processes that resume the run.
    """

    stage: str
    count: int
    victim: int
    again: int

    def __str__(self) -> str:
        return f"{self.stage}: rank {self.victim} of {self.count} killed, resumed with {self.again}"


@dataclass
class Tally:
    """Counts of kills and their outcomes.

    Args:
        ended: seconds until the other processes had ended, per kill.
        finished: kills after the last exchange, which the other processes did not notice.
        missed: cases whose attempts all ended before they were killed.
        failures: descriptions of what went wrong.
    """

    ended: list[float] = field(default_factory=list)
    finished: int = 0
    missed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = f"the others ended within {max(self.ended, default=0):.1f} s"
        counts = f"{len(self.ended)} kills, {len(self.failures)} failures; {slowest}; {self.finished} after the end"
        return "\n".join([counts, *(f"not killed in time: {case}" for case in self.missed), *self.failures])


class Harness:
    """Runs of the pipeline in a folder.

    Args:
        folder: empty folder.
        stages: the stages in which processes are killed, in the order of the pipeline.
    """

    def __init__(self, folder: Path, stages: Sequence[str]) -> None:
        self.folder, self.one, self.log = folder, folder / "one", folder / "messages.txt"
        self.of_several: dict[tuple[str, int], Mapping[str, bytes]] = {}
        for stage in reversed(stages):
            if not (self.one / stage).exists():  # the last one does not depend on all others
                self.run(self.one, 1, "--until", stage)

    def begin(self, run_dir: Path, count: int, *more: str) -> list[int]:
        """Start the processes of an attempt; return their ids."""
        self.log.write_bytes(b"")
        arguments = ["run", str(PIPELINE), "--run-dir", str(run_dir), "--workers", "0", *more]
        return [start(arguments, variables, self.log) for variables in ranks(count)]

    def run(self, run_dir: Path, count: int, *more: str) -> None:
        """Run to the end; raise if that fails."""
        children, ended = self.begin(run_dir, count, *more), dict[int, int]()
        wait_for(children, ended, time.monotonic() + 10 * PATIENCE)
        if len(ended) < len(children):
            raise RuntimeError(give_up(children, ended, "the run did not end"))
        if any(ended.values()):
            raise RuntimeError(f"exit codes {list(ended.values())}: {self.log.read_text()[-2000:]}")

    def without(self, stage: str, name: str) -> Path:
        """Return a copy of the finished run without the results of a stage."""
        run_dir = self.folder / name
        shutil.rmtree(run_dir, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.one), str(run_dir)], check=True)
        shutil.rmtree(run_dir / stage)
        return run_dir

    def expected(self, stage: str, count: int) -> Mapping[str, bytes]:
        """Return the files of a stage after an undisturbed run of as many processes."""
        if count == 1 or stage not in TRAINING:
            return files_of(self.one, stage)
        if (stage, count) not in self.of_several:
            run_dir = self.without(stage, "several")
            self.run(run_dir, count, "--from", stage, "--until", stage)
            self.of_several[stage, count] = files_of(run_dir, stage)
        return self.of_several[stage, count]

    def kill(self, case: Case, rng: random.Random, tally: Tally) -> None:
        """Kill one process of an attempt, resume the run and compare its files."""
        expected = self.expected(case.stage, case.again)
        only = ("--from", case.stage, "--until", case.stage)
        duration = float(json.loads((self.one / case.stage / "stage.json").read_text())["seconds"])
        for number in range(TRIES):
            run_dir = self.without(case.stage, "run")
            children, ended = self.begin(run_dir, case.count, *only), dict[int, int]()
            self._wait_until_running(run_dir / case.stage / "stage.json", children, ended)
            wait_for(children, ended, time.monotonic() + rng.uniform(0, duration / 2**number))
            if not ended:
                break
            wait_for(children, ended, time.monotonic() + PATIENCE)
        else:
            tally.missed.append(str(case))
            return
        os.killpg(children[case.victim], signal.SIGKILL)
        begin = time.monotonic()
        wait_for(children, ended, begin + PATIENCE)
        if len(ended) < len(children):
            tally.failures.append(f"{case}: {give_up(children, ended, 'a partner did not end')}")
            return
        if ended[children[case.victim]] != -signal.SIGKILL:  # it had just exited by itself
            tally.missed.append(str(case))
            return
        tally.ended.append(time.monotonic() - begin)
        failed = [ended[child] for child in children if child != children[case.victim] and ended[child]]
        tally.finished += not failed
        if failed and MESSAGE not in self.log.read_text():
            tally.failures.append(f"{case}: {self.log.read_text()[-1000:]}")
        try:
            self.run(run_dir, case.again, *only)
        except RuntimeError as error:
            tally.failures.append(f"{case}: {error}")
            return
        found = files_of(run_dir, case.stage)
        different = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        if different:
            tally.failures.append(f"{case}: different files: {different}")

    def _wait_until_running(self, record: Path, children: list[int], ended: dict[int, int]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not record.is_file() and not ended and time.monotonic() < deadline:
            wait_for(children, ended, time.monotonic() + 0.005)


def files_of(run_dir: Path, stage: str) -> Mapping[str, bytes]:
    """Return the reproducible files of a stage."""
    return results(run_dir / stage)


def cases(stages: Sequence[str], rng: random.Random) -> list[Case]:
    """Return a case for every stage and each of its processes, of which there are two, or three where images are."""
    found = []
    for stage in stages:
        trains = stage in TRAINING
        count = 2 if trains else rng.choice((2, 3))
        again = (1, 2) if trains else (1, 2, 3)
        found += [Case(stage, count, victim, rng.choice(again)) for victim in range(count)]
    return found


def main() -> None:
    """Run the harness; exit with 1 after failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(yaml.safe_load(PIPELINE.read_text())["stages"])
    parser.add_argument("--stages", nargs="+", choices=known, default=known, metavar="STAGE", help="default: all")
    parser.add_argument("--kills", type=int, help="number of kills, chosen at random; default: one per process")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, tally = random.Random(args.seed), Tally()
    chosen = cases(args.stages, rng)
    if args.kills is not None:
        chosen = rng.sample(chosen, min(args.kills, len(chosen)))
    warm.preload()
    folder = tempfile.mkdtemp()  # every forked process would delete a TemporaryDirectory at its end
    try:
        harness = Harness(Path(folder), sorted(args.stages, key=known.index))
        for case in chosen:
            harness.kill(case, rng, tally)
            print(f"{case}\n{tally}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder)
    print(tally)
    sys.exit(bool(tally.failures or tally.missed))


if __name__ == "__main__":
    main()
