"""Reads odd inputs and notes what must not happen: other errors than those for people, hangs, memory without bound.

A minute's share runs with the tests. For hours: ``python tests/fuzz/fuzzing.py --cases 50000``; the seed of a failure
finds it again.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 10
"""Limit of one case."""

MEMORY = 1500 << 20
"""Bytes that all cases together may add to the process's largest memory."""


class Hang(BaseException):
    """A case took longer than `SECONDS`; no ``except Exception`` may swallow it."""


def fuzz(target: Any, cases: int, seed: int) -> list[str]:
    """Read so many odd inputs of a target; return what went wrong."""
    from wsss.errors import WsssError

    failures: list[str] = []
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = target.cases(Path(folder), dice)
        peak = _peak()
        for number in range(cases):
            told, read = next(stream)
            try:
                with _limited():
                    read()
            except WsssError:
                pass
            except (Exception, Hang) as error:
                failures.append(f"{target.name}, seed {seed}, case {number}: {error!r:.300}: {told:.1500}")
            if _peak() > peak + MEMORY:
                failures.append(f"{target.name}, seed {seed}, case {number}: {_peak() - peak >> 20} MiB: {told:.1500}")
                peak = _peak()
    return failures


@contextmanager
def _limited() -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise Hang(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Fuzz all targets, or some; exit with 1 if anything went wrong."""
    from fuzztargets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000, help="of all targets, in proportion to their speed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="name of a target")
    args = parser.parse_args(arguments)
    targets = [target for target in TARGETS if not args.only or target.name in args.only]
    share = args.cases / sum(target.quick for target in targets)
    failures: list[str] = []
    for target in targets:
        cases, start = round(share * target.quick), time.monotonic()
        found = fuzz(target, cases, args.seed)
        failures += found
        print(f"{target.name}: {cases} cases in {time.monotonic() - start:.0f} s, {len(found)} failures", flush=True)
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    main()
