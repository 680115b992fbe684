"""The run directory: ``run.json``, ``run.log``, the dataset's working folder, one folder per job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.atomic import explain_os_errors
from wsss.io.files.contained import check_regular, check_tree
from wsss.io.files.home import at_home
from wsss.io.files.obstacles import obstructed
from wsss.io.files.records import FORMAT, read_run_record
from wsss.io.files.sealed import write_sealed_json
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.io.text.utf8 import require_utf8

LOG = "run.log"
DATA = "data"


def read_run(run_dir: Path) -> dict[str, Any] | None:
    """Return ``run.json``, or ``None`` where there is none.

    Raises:
        InvalidInput: it is damaged, or was not written by us.
    """
    return read_run_record(run_dir)


def data_of_run(run: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the dataset's config that a run was made with; empty where the record has none.

    A relative root was relative to the folder in which the run was started; it is looked for there, too.

    Args:
        run: what `read_run` returned.
    """
    recorded = dict(((run or {}).get("pipeline") or {}).get("data") or {})
    root = recorded.get("root")
    if isinstance(root, str) and run is not None and not at_home(root).exists():
        started = Path(str(run.get("directory", "."))) / root
        if started.exists():
            recorded["root"] = str(started)
    return recorded


def check_run_dir(run_dir: Path, name: str) -> None:
    """Refuse a folder that holds something else, or the run of another pipeline.

    Raises:
        InvalidInput: says what was found; its log is a link or a pipe, its generated data is redirected by a link, or
            its path is not valid UTF-8.
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
                f"{run_dir} is the run of the pipeline {record.get('name')!r}, not of {name!r}.",
                hint="Choose another --run-dir, or delete the folder.",
            )
        return
    if run_dir.is_dir():
        strange = sorted(path.name for path in run_dir.iterdir() if not _is_ours(path))
        if strange:
            raise InvalidInput(
                f"{run_dir} is not empty and not a run directory (found {strange[0]!r}, no {RUN}).",
                hint="Choose another --run-dir, or empty it yourself.",
            )


def make_run_dir(run_dir: Path) -> None:
    """Make the folder and see that it can be written to.

    Raises:
        RunFailed: it can't.
    """
    with explain_os_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / ".wsss-probe"
        probe.unlink(missing_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
        probe.unlink()


def write_run(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json`` with its checksum, atomically, and its copy before (see `wsss.pipeline.store.repair`)."""
    for name in (COPIES[RUN], RUN):
        write_sealed_json(run_dir / name, {"format": FORMAT, **record})


def _is_ours(path: Path) -> bool:
    """Tell whether a run without a ``run.json`` (killed before, or deleted since it was damaged) may have left it."""
    return path.name.startswith(".wsss-") or path.name in (LOG, DATA) or (path / RECORD).is_file()
