"""A folder that is replaced as a whole: written under a temporary name, and renamed when it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.io.files.atomic import TEMPORARY, convert_os_errors, temporary_beside
from wsss.io.process.shared_state import deleted_if_killed

OLD = "-old"
"""End of the temporary name of a folder that is being replaced."""


def restore_killed(out: Path) -> None:
    """Restore a folder that a killed process moved away and did not replace; no other process may be replacing it.

    Raises:
        RunFailed: the folder cannot be renamed.
    """
    out = Path(os.path.realpath(out))
    name = temporary_beside(out).name.removeprefix(f"{TEMPORARY}{os.getpid()}-")
    left = [path for path in out.parent.glob(f"{TEMPORARY}*") if path.name.endswith(f"-{name}{OLD}") and path.is_dir()]
    if left and not out.exists():
        with convert_os_errors(out):
            max(left, key=lambda path: path.stat().st_mtime).rename(out)


@contextmanager
def replaced_folder(out: Path, finish: Callable[[Path], None] = lambda folder: None) -> Iterator[Path]:
    """Yield an empty folder that replaces ``out`` if the block ends without an error.

    Args:
        out: the folder; it need not exist.
        finish: called with the new folder after the block, before it is renamed.

    Raises:
        RunFailed: the disk is full, or the folder cannot be written.
    """
    out = Path(os.path.realpath(out))  # resolves "a/.."; `Path.resolve` fails for circular links
    new = temporary_beside(out)
    old = new.with_name(f"{new.name}{OLD}")
    try:
        with convert_os_errors(out):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
        with deleted_if_killed(new):
            yield new
        finish(new)
        with convert_os_errors(out):
            if out.is_dir():
                out.rename(old)
            new.rename(out)
    finally:
        if old.is_dir() and not out.is_dir():
            old.rename(out)  # renaming the new folder failed
        for temporary in (new, old):
            shutil.rmtree(temporary, ignore_errors=True)
