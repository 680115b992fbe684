"""Kill runs at random times, and resume them with other numbers of processes, threads and workers.

A run consists of several attempts of one process or two (as under ``torchrun``) with some number of threads and
workers. Each is killed at a random time: all its processes, or one of them; the other then gets SIGTERM as from
``torchrun``, later SIGKILL as from the supervisor of a command, and must end. The last attempt finishes. Its files
are compared byte by byte with an undisturbed run with the same number of processes, and the number of threads that
``stage.json`` records for each stage. A stage resumed with another number of threads on request is recorded as mixed,
and counted separately.

All processes are forked from one that has imported everything. For hours:
``python tests/support/randomkills.py --kills 500``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import warm
from tinyrun import ranks, results

PIPELINE = Path(__file__).parent / "quick.yaml"
COMPUTED = ("classify", "expand", "cam", "segment", "predict")
"""Stages whose last digits depend on the number of threads."""
LONGEST = 2.5
"""Maximum number of seconds until an attempt is killed."""

NOTICE = 3.0
"""Seconds after which the partner of a killed process gets SIGTERM."""

GRACE = 5.0
"""Seconds after which it gets SIGKILL, as from `wsss.pipeline.processes.supervise`."""

PATIENCE = 60.0
"""Maximum number of seconds until it ends then; a whole run may take ten times as long."""


@dataclass(frozen=True)
class Attempt:
    """The processes of one attempt.

    Args:
        ranks: number of processes that work together.
        threads: number of torch threads set by the user; ``None``: not set, one per core.
        workers: number of processes for single images, per rank.
    """

    ranks: int
    threads: int | None
    workers: int


@dataclass
class Tally:
    """Counts of kills, runs and their outcomes."""

    kills: int = 0
    runs: int = 0
    identical: int = 0
    mixed: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line, and one per failure."""
        counts = f"{self.kills} kills in {self.runs} runs: {self.identical} identical, {self.mixed} of mixed threads"
        return "\n".join([f"{counts}, {len(self.failures)} failures", *self.failures])


def kill_at_random(folder: Path, kills: int, seed: int) -> Tally:
    """Kill runs in a folder until the number of kills is reached, and compare their files."""
    rng, tally = random.Random(seed), Tally()
    references: dict[tuple[int, ...], Mapping[str, bytes]] = {}
    while tally.kills < kills:
        run_dir = folder / f"run{tally.runs}"
        _one_run(run_dir, rng, tally, references)
        shutil.rmtree(run_dir)
        tally.runs += 1
        print(tally, file=sys.stderr, flush=True)
    return tally


def _one_run(
    run_dir: Path, rng: random.Random, tally: Tally, references: dict[tuple[int, ...], Mapping[str, bytes]]
) -> None:
    history = []
    ranks, threads = rng.choice((1, 2)), rng.choice((1, None))
    for _ in range(rng.randint(3, 12)):
        if rng.random() < 0.2:
            ranks = 3 - ranks
        if rng.random() < 0.2:
            threads = rng.choice((1, None))
        attempt = Attempt(ranks, threads, rng.choice((0, 0, 2)))
        after, alone = rng.uniform(0.05, LONGEST), rng.random() < 0.3
        history.append(f"{attempt} killed after {after:.2f} s")
        outcome = _attempt(run_dir, attempt, after, alone)
        tally.kills += outcome == "killed"
        if outcome not in ("killed", "done"):
            tally.failures.append(f"{outcome}\n  " + "\n  ".join(history))
            return
    last = Attempt(ranks, threads, 0)
    outcome = _attempt(run_dir, last, None, False)
    if outcome != "done":
        tally.failures.append(f"{last}: {outcome}\n  " + "\n  ".join(history))
        return
    machines = [json.loads((run_dir / stage / "stage.json").read_text())["machine"] for stage in COMPUTED]
    if any("mixed_threads" in machine for machine in machines):
        tally.mixed += 1
        return
    key = (ranks, *(int(machine["threads"]) for machine in machines))
    if key not in references:
        references[key] = _reference(run_dir.with_name("reference"), *key)
    different = _differences(results(run_dir), references[key])
    if different:
        tally.failures.append(f"{key}: {different}\n  " + "\n  ".join(history))
    else:
        tally.identical += 1


def _differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))


def _reference(folder: Path, ranks: int, *threads: int) -> Mapping[str, bytes]:
    """Run the pipeline undisturbed, with a number of threads for each of `COMPUTED`."""
    shutil.rmtree(folder, ignore_errors=True)
    for stage, number in zip((*COMPUTED[:-1], "report"), threads, strict=True):
        outcome = _attempt(folder, Attempt(ranks, number, 0), None, False, "--until", stage)
        assert outcome == "done", outcome
    return results(folder)


def _attempt(run_dir: Path, attempt: Attempt, after: float | None, alone: bool, *more: str) -> str:
    """Run the pipeline; return ``"done"``, ``"killed"``, or a description of the failure.

    Args:
        run_dir: its run directory.
        attempt: its processes.
        after: seconds until the kill; ``None``: no kill.
        alone: kill only one process of several.
        more: arguments of ``wsss run``.
    """
    log = run_dir.with_name("messages.txt")
    log.write_bytes(b"")
    arguments = ["run", str(PIPELINE), "--run-dir", str(run_dir), "--workers", str(attempt.workers), *more]
    threads = None if attempt.threads is None else str(attempt.threads)
    children = [start(arguments, variables, log) for variables in ranks(attempt.ranks, OMP_NUM_THREADS=threads)]
    ended: dict[int, int] = {}
    if after is not None:
        wait_for(children, ended, time.monotonic() + after)
        if not ended:
            victims = [children[int(after * 1000) % len(children)]] if alone else children
            for child in victims:
                os.killpg(child, signal.SIGKILL)
            wait_for(children, ended, time.monotonic() + NOTICE)
            for number in (signal.SIGTERM, signal.SIGKILL):
                for child in set(children) - ended.keys():
                    os.killpg(child, number)
                wait_for(children, ended, time.monotonic() + GRACE)
            wait_for(children, ended, time.monotonic() + PATIENCE)
            return "killed" if len(ended) == len(children) else give_up(children, ended, "a partner did not end")
    wait_for(children, ended, time.monotonic() + 10 * PATIENCE)
    if len(ended) < len(children):
        return give_up(children, ended, "the run did not end")
    return "done" if not any(ended.values()) else f"exit codes {sorted(ended.values())}: {log.read_text()[-2000:]}"


def start(arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
    """Fork one process of an attempt in its own process group; return its id."""
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    return warm.become(arguments, environment, supervised=False)


def wait_for(children: list[int], ended: dict[int, int], deadline: float) -> None:
    """Wait until all children have ended, or until the deadline."""
    while len(ended) < len(children) and time.monotonic() < deadline:
        for child in children:
            if child not in ended and (found := os.waitpid(child, os.WNOHANG))[0]:
                ended[child] = os.waitstatus_to_exitcode(found[1])
        time.sleep(0.01)


def give_up(children: list[int], ended: dict[int, int], why: str) -> str:
    for child in children:
        if child not in ended:
            os.killpg(child, signal.SIGKILL)
    wait_for(children, ended, time.monotonic() + PATIENCE)
    return f"{why} in time"


def main() -> None:
    """Run the harness; exit with 1 after failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warm.preload()
    folder = tempfile.mkdtemp()  # every forked process would delete a TemporaryDirectory at its end
    try:
        tally = kill_at_random(Path(folder), args.kills, args.seed)
    finally:
        shutil.rmtree(folder)
    print(tally)
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
