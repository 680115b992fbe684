"""Names of files and classes that are no plain words, in what commands print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsss.cli.main import main


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_no_name_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "a\x1b]0;title\x07\u202eb"
    odd.mkdir()
    for arguments in (("status", str(odd)), ("data", "check", str(odd)), ("export", str(odd), "--format", "voc")):
        assert call(*arguments) == 2
    found = capsys.readouterr()
    assert "\\x1b]0;title\\x07\\u202eb" in found.err
    assert not {"\x1b", "\x07", "\u202e"} & set(found.err + found.out)


def test_names_that_are_too_long_are_invalid_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "quickstart", "--set", f"data.root={'x' * 300}", "--dry-run") == 2
    assert "Unexpected" not in capsys.readouterr().err


def test_json_stays_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wsss.cli.options import print_json

    print_json({"name": "\x9b\u202e é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "\x9b\u202e é"} and out == '{"name": "\\u009b\\u202e é"}\n'
