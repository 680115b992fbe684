"""Verification of the files of a run, for ``wsss status --verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.cli.echo import echo
from wsss.errors import InvalidInput, counted

if TYPE_CHECKING:
    from wsss.pipeline.store.verification import Verification


def verify(folder: Path) -> Verification:
    """Verify all recorded files of a run or stage.

    Raises:
        InvalidInput: the folder is neither.
    """
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.verification import verify_folder

    reporter = Reporter()
    reporter.start("", None)
    try:
        found = verify_folder(folder, reporter.track)
    finally:
        reporter.stop()
    if found is None:
        raise InvalidInput("neither a run directory nor a stage's folder", subject=folder)
    return found


def exit_code(found: Verification) -> int:
    """Return 1 if any file is damaged, otherwise 0."""
    return 1 if found.damaged else 0


def print_verification(found: Verification) -> None:
    """Print a line per damaged file, then the hints."""
    for one in found.damaged:
        text = one.what if str(one.path) in one.what else f"{one.path}: {one.what}"
        echo(text, label="damaged")
    for hint in dict.fromkeys(one.hint for one in found.damaged if one.hint):
        echo(hint)
    if found.not_recorded:
        echo(f"not recorded: {', '.join(found.not_recorded)} (by an older version without hashes)")
    if found.unfinished:
        echo(f"not finished: {', '.join(found.unfinished)}")
    damaged: Any = len(found.damaged) or "none"
    echo(f"Verified {counted(found.files, 'file')}: {damaged} damaged.")
