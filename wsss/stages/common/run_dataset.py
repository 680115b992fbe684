"""The dataset of a run, for commands that work on finished runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RUN
from wsss.pipeline.config.source import Source, merge
from wsss.pipeline.store.run_folder import DATA, data_of_run, note_of_root, read_run

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset


def dataset_config(run: Mapping[str, Any] | None, data: Source, record: Path) -> Source:
    """Return the dataset config of a run, overridden by options.

    Args:
        run: the record of the run, if there is one.
        data: the ``--data.KEY VALUE`` options; another layout replaces the whole config.
        record: path of the record, for messages.
    """
    recorded = data_of_run(run)
    location = f"the run's data: (see {record}; override it with --data.KEY VALUE)"
    base = Source(recorded, {(): location})
    if "layout" in data.value and data.value["layout"] != recorded.get("layout"):
        base = Source({})
    return merge(base, data)


def log_root(run: Mapping[str, Any] | None, data: Source, log: Callable[[str], None]) -> None:
    """Log the `note_of_root` of a run, unless options set the root or another layout; see `dataset_config`."""
    note = note_of_root(run)
    if note is not None and "root" not in data.value and "root" in dataset_config(run, data, Path()).value:
        log(note)


def open_run_dataset(run_dir: Path | None, data: Source, *, work: Path, log: Callable[[str], None]) -> Dataset:
    """Open the dataset of a run, or the one that options describe.

    Args:
        run_dir: the run directory, if there is one.
        data: the ``--data.KEY VALUE`` options.
        work: folder for generated data without a run.

    Raises:
        InvalidInput: there is no dataset, or it cannot be opened.
    """
    from wsss.data.readers.registry import open_dataset

    run = None if run_dir is None else read_run(run_dir)
    config = dataset_config(run, data, (run_dir or Path()) / RUN)
    if not config.value:
        hint = "Pass the run (--run RUN), or the folder of the dataset (--data.root DIR)."
        raise InvalidInput("unknown dataset", subject=run_dir, hint=hint)
    log_root(run, data, log)
    generated = work if run_dir is None else run_dir / DATA
    return open_dataset(config.value, work=generated, log=log, locate=config.locate, complete=False)
