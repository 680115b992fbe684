"""A command in a process of its own: its output, or its time and memory; and the folder for its files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

WSSS = (sys.executable, "-m", "wsss.cli.main")

MEASURE = """
import json, resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, done.stdout]))
"""


class Measured(NamedTuple):
    """Seconds, CPU seconds of the command and its workers, and MiB of the largest process."""

    seconds: float
    cpu: float
    peak: float


def run(*words: object, show: bool = True) -> str:
    """Run a command of wsss, and return its output.

    Args:
        show: let its progress appear on stderr.

    Raises:
        SystemExit: it failed.
    """
    call = [*WSSS, *map(str, words)]
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=None if show else subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(call)}: exit code {done.returncode}\n{done.stderr or ''}")
    return done.stdout


def measured(words: tuple[str, ...]) -> Measured:
    """Run a command.

    Raises:
        SystemExit: it failed.
    """
    out = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True).stdout
    returncode, took, cpu, peak, text = json.loads(out)
    if returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {returncode}\n{text}")
    return Measured(took, cpu, peak)


@contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """Provide a temporary folder inside ``parent``, which is created if needed; default: that of the system."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
