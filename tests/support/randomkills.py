"""Runs that are killed at random times and resumed by other numbers of processes, threads and workers.

A run goes through several attempts. Each is one process or two (as ``torchrun`` would start them) with some number of
threads and workers, and is killed at a random time: all its processes, or one of them alone; its partner, which gets
SIGTERM a while later as from ``torchrun``, and SIGKILL as from the supervisor of a command, must end then. The last
attempt may finish. What it leaves is compared byte by byte with a run that nothing disturbed: by as many processes,
every stage by as many threads as ``stage.json`` records. A stage that was resumed with another number of threads
because that was asked for is recorded as mixed; it has no counterpart and is counted apart.

All processes are forked from one that has imported everything, which saves most of their time. Run it by hand for
hours: ``python tests/support/randomkills.py --kills 500``.
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
LONGEST = 4.0
"""Seconds until an attempt is killed, at most."""

NOTICE = 3.0
"""Seconds after which the partner of a killed process gets SIGTERM, unless it has ended by itself."""

GRACE = 5.0
"""Seconds after which it gets SIGKILL: `wsss.pipeline.processes.supervise`, which these processes lack, takes 3."""

PATIENCE = 60.0
"""Seconds that it has to end then, and ten times as many for a whole run."""


@dataclass(frozen=True)
class Attempt:
    """How a run is started.

    Args:
        ranks: processes that work together.
        threads: torch's, as a user asks for them; ``None``: not asked for, as many as there are cores.
        workers: processes for single images, of each rank.
    """

    ranks: int
    threads: int | None
    workers: int


@dataclass
class Tally:
    """What happened."""

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
    """Kill runs in a folder until so many kills are reached, and compare what they leave."""
    dice, tally = random.Random(seed), Tally()
    references: dict[tuple[int, ...], Mapping[str, bytes]] = {}
    while tally.kills < kills:
        run_dir = folder / f"run{tally.runs}"
        _one_run(run_dir, dice, tally, references)
        shutil.rmtree(run_dir)
        tally.runs += 1
        print(tally, file=sys.stderr, flush=True)
    return tally


def _one_run(
    run_dir: Path, dice: random.Random, tally: Tally, references: dict[tuple[int, ...], Mapping[str, bytes]]
) -> None:
    history = []
    ranks, threads = dice.choice((1, 2)), dice.choice((1, None))
    for _ in range(dice.randint(3, 12)):
        if dice.random() < 0.2:
            ranks = 3 - ranks
        if dice.random() < 0.2:
            threads = dice.choice((1, None))
        attempt = Attempt(ranks, threads, dice.choice((0, 0, 2)))
        after, alone = dice.uniform(0.05, LONGEST), dice.random() < 0.3
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
    wanted = (ranks, *(int(machine["threads"]) for machine in machines))
    if wanted not in references:
        references[wanted] = _reference(run_dir.with_name("reference"), *wanted)
    different = _differences(results(run_dir), references[wanted])
    if different:
        tally.failures.append(f"{wanted}: {different}\n  " + "\n  ".join(history))
    else:
        tally.identical += 1


def _differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))


def _reference(folder: Path, ranks: int, *threads: int) -> Mapping[str, bytes]:
    """Run the pipeline undisturbed, each of `COMPUTED` by its number of threads."""
    shutil.rmtree(folder, ignore_errors=True)
    for stage, number in zip((*COMPUTED[:-1], "report"), threads, strict=True):
        outcome = _attempt(folder, Attempt(ranks, number, 0), None, False, "--until", stage)
        assert outcome == "done", outcome
    return results(folder)


def _attempt(run_dir: Path, attempt: Attempt, after: float | None, alone: bool, *more: str) -> str:
    """Run the pipeline; return ``"done"``, ``"killed"``, or what went wrong.

    Args:
        run_dir: its run directory.
        attempt: by how many.
        after: seconds until the kill; ``None``: none.
        alone: kill one process of several only, at random; the others must end.
        more: arguments of ``wsss run``.
    """
    log = run_dir.with_name("messages.txt")
    log.write_bytes(b"")
    arguments = ["run", str(PIPELINE), "--run-dir", str(run_dir), "--workers", str(attempt.workers), *more]
    threads = None if attempt.threads is None else str(attempt.threads)
    children = [_start(arguments, variables, log) for variables in ranks(attempt.ranks, OMP_NUM_THREADS=threads)]
    ended: dict[int, int] = {}
    if after is not None:
        _wait(children, ended, time.monotonic() + after)
        if not ended:
            victims = [children[int(after * 1000) % len(children)]] if alone else children
            for child in victims:
                os.killpg(child, signal.SIGKILL)
            _wait(children, ended, time.monotonic() + NOTICE)
            for number in (signal.SIGTERM, signal.SIGKILL):
                for child in set(children) - ended.keys():
                    os.killpg(child, number)
                _wait(children, ended, time.monotonic() + GRACE)
            _wait(children, ended, time.monotonic() + PATIENCE)
            return "killed" if len(ended) == len(children) else _give_up(children, ended, "a partner did not end")
    _wait(children, ended, time.monotonic() + 10 * PATIENCE)
    if len(ended) < len(children):
        return _give_up(children, ended, "the run did not end")
    return "done" if not any(ended.values()) else f"exit codes {sorted(ended.values())}: {log.read_text()[-2000:]}"


def _start(arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
    """Fork one process of an attempt, in a process group of its own; return its id."""
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    return warm.become(arguments, environment, supervised=False)


def _wait(children: list[int], ended: dict[int, int], deadline: float) -> None:
    """Wait until all children have ended, or the time is over."""
    while len(ended) < len(children) and time.monotonic() < deadline:
        for child in children:
            if child not in ended and (found := os.waitpid(child, os.WNOHANG))[0]:
                ended[child] = os.waitstatus_to_exitcode(found[1])
        time.sleep(0.01)


def _give_up(children: list[int], ended: dict[int, int], why: str) -> str:
    for child in children:
        if child not in ended:
            os.killpg(child, signal.SIGKILL)
    _wait(children, ended, time.monotonic() + PATIENCE)
    return f"{why} within its time"


def main() -> None:
    """Kill as often as asked; exit with 1 if any run was not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warm.preload()
    folder = tempfile.mkdtemp()  # a TemporaryDirectory would be deleted by every forked process that ends
    try:
        tally = kill_at_random(Path(folder), args.kills, args.seed)
    finally:
        shutil.rmtree(folder)
    print(tally)
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
