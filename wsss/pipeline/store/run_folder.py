"""The run directory: ``run.json``, ``run.log``, the dataset's working folder, one folder per job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.atomic import convert_os_errors
from wsss.io.files.contained import check_regular, check_tree
from wsss.io.files.home_paths import expand_home
from wsss.io.files.obstacles import obstructed
from wsss.io.files.records import FORMAT, check_record, read_run_record
from wsss.io.files.sealed import write_sealed_json
from wsss.io.files.stage_files import COPIES, CORRECTIONS, RECORD, RUN
from wsss.io.utf8 import require_utf8

LOG = "run.log"
DATA = "data"


def read_run(run_dir: Path) -> dict[str, Any] | None:
    """Return ``run.json``, or ``None`` if there is none.

    Raises:
        InvalidInput: it is damaged, or not a record of a run.
    """
    return read_run_record(run_dir)


def data_of_run(run: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the config of the dataset that a run used; empty if the record has none.

    A relative root is resolved from the folder in which the run was started, if it exists there: the working directory
    may contain another dataset of the same name.

    Args:
        run: the return value of `read_run`.
    """
    recorded = _recorded_data(run)
    original = _original_root(run)
    return recorded if original is None else {**recorded, "root": str(original)}


def note_of_root(run: Mapping[str, Any] | None) -> str | None:
    """Return a note if the working directory also has a folder of the relative root that `data_of_run` resolves.

    A project that was copied, with its runs and its dataset, may be read with the dataset of the original.
    """
    original = _original_root(run)
    root = Path(str(_recorded_data(run).get("root")))
    here = root.absolute()
    if original is None or not here.exists() or _is_same(original, here):
        return None
    if set(root.parts) <= {".."}:  # "." and ".." exist in every folder
        return None
    return (
        f"note: the dataset of the run is {original}, as in the folder in which the run was started. For {here}, use "
        f"--data.root {shlex.quote(str(here))}."
    )


def _recorded_data(run: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(((run or {}).get("pipeline") or {}).get("data") or {})


def _original_root(run: Mapping[str, Any] | None) -> Path | None:
    """Return a relative root as a path from the folder in which the run was started, if it exists there.

    ``None`` if that is the working directory, or the root is absolute.
    """
    root = _recorded_data(run).get("root")
    directory = Path(str((run or {}).get("directory", ".")))
    if not isinstance(root, str) or expand_home(root).is_absolute() or _is_same(directory, Path.cwd()):
        return None
    original = directory / root
    return original if original.exists() else None


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # of another machine, or deleted
        return False


def check_run_dir(run_dir: Path, name: str) -> None:
    """Reject a folder that holds other files, or the run of another pipeline.

    Raises:
        InvalidInput: it contains other files, its log is a link or a pipe, a link redirects its generated data, or its
            path is not valid UTF-8.
        Obstructed: its generated data is a file.
    """
    require_utf8(run_dir.absolute(), "the run directory")
    check_regular(run_dir / LOG)
    if os.path.lexists(run_dir / DATA) and not (run_dir / DATA).is_dir():
        raise obstructed(run_dir / DATA, "folder")
    check_tree(run_dir / DATA, root=run_dir)
    record = read_run(run_dir)
    if record is not None:
        if record.get("name") != name:
            raise InvalidInput(
                "contains the run of a different pipeline",
                subject=run_dir,
                found=record.get("name"),
                allowed=repr(name),
                hint="Choose another --run-dir, or delete the folder.",
            )
        return
    foreign = sorted(path.name for path in run_dir.iterdir() if not _may_be_run_file(path)) if run_dir.is_dir() else []
    if foreign:
        raise InvalidInput(
            f"not empty and not a run directory (contains {foreign[0]!r}, but no {RUN})",
            subject=run_dir,
            hint="Choose another --run-dir, or empty this folder yourself.",
        )


def make_run_dir(run_dir: Path) -> None:
    """Create the folder if necessary and test that it is writable.

    Raises:
        RunFailed: it is not writable.
    """
    with convert_os_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / ".wsss-probe"
        probe.unlink(missing_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
        probe.unlink()


def write_run(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json`` with its checksum, atomically, after its copy (see `wsss.pipeline.store.repair`).

    Raises:
        InvalidInput: a value that `read_run` would refuse; nothing is written.
    """
    check_record(run_dir / RUN, record)
    for name in (COPIES[RUN], RUN):
        write_sealed_json(run_dir / name, {"format": FORMAT, **record})


def _may_be_run_file(path: Path) -> bool:
    """Return whether a run without a ``run.json`` (killed early, or deleted as damaged) may have written a file."""
    return path.name.startswith(".wsss-") or path.name in (LOG, DATA, CORRECTIONS) or (path / RECORD).is_file()
