"""Handling of shared options, and access to datasets for the engine."""

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
from wsss.io.text.printable import escape_json

F = TypeVar("F", bound=Callable[..., Any])


def machine_options(command: F) -> F:
    """Add ``--device``, ``--workers`` and ``--json``."""
    return device_option(workers_option(json_option(command)))


def print_json(value: Any) -> None:
    """Print a JSON document to stdout."""
    echo(escape_json(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def set_resume_message(*, started: bool = True) -> None:
    """Set the message of an interrupt: the command that resumes this one.

    Args:
        started: a stage has begun; see `resume_command`.
    """
    command = resume_command(started=started)
    shared_state.set_message(f"Interrupted. Finished work is kept; resume with:\n  {command}")


def resume_command(arguments: Sequence[str] | None = None, *, started: bool = True) -> str:
    """Return the command that resumes an interrupted one, with the same launcher.

    ``--force`` takes the id of a stage in `wsss run`, and is a flag in the commands of single stages.

    Args:
        arguments: by default those of this program.
        started: whether a stage has begun, and thus recorded that ``--force`` discards earlier work. The option is then
            left out, since it would now discard the work of this command.
    """
    from wsss.pipeline.processes.launch import launcher

    arguments = sys.argv[1:] if arguments is None else arguments
    if not started:
        return shlex.join([*launcher(), *arguments])
    words = iter(arguments)
    kept: list[str] = []
    for word in words:
        if word == "--force" and kept[:1] == ["run"]:
            next(words, None)
        elif word != "--force" and not word.startswith("--force="):
            kept.append(word)
    return shlex.join([*launcher(), *kept])


def open_incomplete(
    config: Mapping[str, Any], *, work: Path, log: Callable[[str], None], locate: Callable[..., str]
) -> Any:
    """Open a dataset like `open_data`, even if images are missing."""
    from wsss.data.readers.registry import open_dataset

    return open_dataset(config, work=work, log=log, locate=locate, complete=False)
