"""Options that several commands share, and what the engine needs of them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wsss.cli.echo import echo
from wsss.cli.options.option_table import device_option, json_option, workers_option
from wsss.io.process import shared_state
from wsss.io.process.cores import available_cores
from wsss.io.text.printable import escape_json

F = TypeVar("F", bound=Callable[..., Any])


def machine_options(command: F) -> F:
    """Add ``--device``, ``--workers`` and ``--json``."""
    return device_option(workers_option(json_option(command)))


def worker_count(workers: int | None) -> int:
    """Return the number of processes to use: as asked, else one per core we may run on."""
    if workers is not None:
        return max(1, workers)
    return available_cores()


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    echo(escape_json(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def set_resume_message() -> None:
    """Have the command that resumes this one printed if it is interrupted."""
    shared_state.set_message(f"Interrupted. Finished work is kept; resume with:\n  {resume_command()}")


def resume_command(arguments: Sequence[str] | None = None) -> str:
    """Return the command that resumes an interrupted one: the same without ``--force``, in as many processes.

    The ``--force`` of ``wsss run`` names a stage, that of a single stage is a flag.
    """
    from wsss.pipeline.processes.launch import launcher

    given = list(sys.argv[1:] if arguments is None else arguments)
    names_a_stage = "run" in given[:1]
    kept: list[str] = []
    skip = False
    for word in given:
        if skip:
            skip = False
        elif word == "--force":
            skip = names_a_stage
        elif not word.startswith("--force="):
            kept.append(word)
    return shlex.join([*launcher(), *kept])


def open_incomplete(
    config: Mapping[str, Any], *, work: Path, log: Callable[[str], None], locate: Callable[..., str]
) -> Any:
    """Open a dataset as `open_data` does, also where images of it are missing."""
    from wsss.data.readers.registry import open_dataset

    return open_dataset(config, work=work, log=log, locate=locate, complete=False)
