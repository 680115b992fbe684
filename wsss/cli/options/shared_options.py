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

    Args:
        arguments: the arguments of this program, by default.
        started: a stage has begun, and records what ``--force`` discards: the option is left out, or it would discard
            the work of this command. It takes a stage for ``wsss run``, and is a flag for a single stage.
    """
    from wsss.pipeline.processes.launch import launcher

    given = sys.argv[1:] if arguments is None else arguments
    if not started:
        return shlex.join([*launcher(), *given])
    words = iter(given)
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
