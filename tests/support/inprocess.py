"""The ``wsss`` command in this process: what it prints and its exit code, without the seconds that a start takes."""

from __future__ import annotations

import contextlib
import io
import subprocess

import pytest

from wsss.cli.main import main


def wsss(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``wsss ARGUMENTS``; return what a process of its own would have left."""
    words = [str(argument) for argument in arguments]
    output, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages), pytest.raises(SystemExit) as end:
        main(words)
    code = end.value.code if isinstance(end.value.code, int) else 0
    return subprocess.CompletedProcess(words, code, output.getvalue(), messages.getvalue())
