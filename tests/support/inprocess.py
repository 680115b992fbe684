"""The ``wsss`` command in this process: its output and exit code, without the seconds that a start takes."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wsss.cli.main import cli, main
from wsss.errors import InvalidInput
from wsss.pipeline.stage import Stage
from wsss.stages import STAGES


def wsss(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``wsss ARGUMENTS``; return the result, like that of a separate process.

    Without ``--workers`` there are no worker processes, each of which takes a second to start.
    """
    words = [str(argument) for argument in arguments]
    output, messages = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(messages),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr("wsss.io.process.cores.bound_cores", lambda: 1)
        with pytest.raises(SystemExit) as end:
            main(words)
    code = end.value.code if isinstance(end.value.code, int) else 0
    return subprocess.CompletedProcess(words, code, output.getvalue(), messages.getvalue())


def succeed(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed."""
    done = wsss(*arguments)
    assert done.returncode == 0, done.stderr
    return done


@contextlib.contextmanager
def small_run(folder: Path, until: str) -> Iterator[None]:
    """Run ``quick.yaml`` up to a stage as ``runs/small`` in a folder, which is the working directory meanwhile."""
    text = (Path(__file__).parent / "quick.yaml").read_text()
    (folder / "small.yaml").write_text(text.replace("name: quick", "name: small"))
    with contextlib.chdir(folder):
        succeed("run", "small.yaml", "--workers", "1", "--until", until)
        yield


def invoke(*arguments: object) -> Result:
    """Run a command; the result has the exception that it raised, with its fields."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def document(*arguments: object) -> Any:
    """Return the JSON document of a command that has to succeed."""
    return json.loads(succeed(*arguments, "--json").stdout)


def refused(*arguments: object, code: int = 2) -> str:
    """Return the message of a command that has to fail without output or a traceback."""
    done = wsss(*arguments)
    assert done.returncode == code and not done.stdout, done
    assert done.stderr and "Traceback" not in done.stderr and "This is a bug" not in done.stderr, done.stderr
    return done.stderr


def error_of(*arguments: object) -> InvalidInput:
    """Return the error of a command that has to be refused; `refused` returns the message that the user reads."""
    error = invoke(*arguments).exception
    assert isinstance(error, InvalidInput), error
    return error


@contextlib.contextmanager
def added_stages(*stages: Stage[Any]) -> Iterator[None]:
    """Register stages inside the block."""
    for stage in stages:
        STAGES.register(stage.name, stage)
    try:
        yield
    finally:
        for stage in stages:
            STAGES.unregister(stage.name)


def toy(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the toy stages and the toy dataset in a folder; `toycli.toy` does so in a separate process."""
    from toys import TOYS, check_toy_data, open_toy_data

    import wsss.data.readers.registry as registry

    with added_stages(*TOYS.values()), contextlib.chdir(cwd), pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "open_dataset", open_toy_data)
        patched.setattr(registry, "parse_config", check_toy_data)
        return wsss(*arguments)
