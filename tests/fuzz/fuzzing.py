"""Fuzzing: reads corrupted inputs and reports unexpected errors, hangs and unbounded memory.

One minute of it runs with the tests. For hours: ``python tests/fuzz/fuzzing.py --cases 50000``; a failure is reproduced
with its seed.
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
"""Time limit of one case."""

MEMORY = 1500 << 20
"""Maximum growth of the process's peak memory in bytes, over all cases."""


class Hang(BaseException):
    """A case took longer than `SECONDS`; a `BaseException`, so that no ``except Exception`` swallows it."""


def fuzz(target: Any, cases: int, seed: int) -> list[str]:
    """Read ``cases`` corrupted inputs of a target; return the failures."""
    from wsss.errors import WsssError

    failures: list[str] = []
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = target.cases(Path(folder), rng)
        peak = _peak()
        for number in range(cases):
            description, read = next(stream)
            case = f"{target.name}, seed {seed}, case {number}"
            try:
                with _limited():
                    read()
            except WsssError:
                pass
            except (Exception, Hang) as error:
                failures.append(f"{case}: {error!r:.300}: {description:.1500}")
            if _peak() > peak + MEMORY:
                failures.append(f"{case}: {_peak() - peak >> 20} MiB: {description:.1500}")
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
    """Fuzz all targets or some; exit with 1 after failures."""
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
        failed = fuzz(target, cases, args.seed)
        failures += failed
        print(f"{target.name}: {cases} cases in {time.monotonic() - start:.0f} s, {len(failed)} failures", flush=True)
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    main()
