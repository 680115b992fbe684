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
        InvalidInput: the folder is neither of these.
    """
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.verification import verify_folder

    reporter = Reporter()
    with reporter.working(""):
        verification = verify_folder(folder, reporter.track)
    if verification is None:
        raise InvalidInput("neither a run directory nor a stage's folder", subject=folder)
    return verification


def exit_code(verification: Verification) -> int:
    """Return 1 if any file is damaged, otherwise 0."""
    return 1 if verification.damaged else 0


def print_verification(verification: Verification) -> None:
    """Print a line per damaged file, then the hints."""
    for problem in verification.damaged:
        text = problem.what if str(problem.path) in problem.what else f"{problem.path}: {problem.what}"
        echo(text, label="damaged")
    for hint in dict.fromkeys(problem.hint for problem in verification.damaged if problem.hint):
        echo(hint)
    if verification.not_recorded:
        echo(f"not recorded: {', '.join(verification.not_recorded)} (by an older version without hashes)")
    if verification.unfinished:
        echo(f"not finished: {', '.join(verification.unfinished)}")
    damaged: Any = len(verification.damaged) or "none"
    echo(f"Verified {counted(verification.files, 'file')}: {damaged} damaged.")
