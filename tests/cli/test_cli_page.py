"""``docs/cli.md`` is the output of ``docs/cli_page.py``."""

from __future__ import annotations

import re
from pathlib import Path

import cli_page
import click
import pytest

from wsss.cli.main import COMMANDS, cli
from wsss.stages import STAGES


def test_page_is_up_to_date() -> None:
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.reference(), (
        f"docs/cli.md is out of date; run: {cli_page.WRITE}"
    )


def test_page_contains_every_command_and_option() -> None:
    page = cli_page.reference()
    sections = dict(re.findall(r"^#+ (wsss [\w -]+)\n(.*?)(?=^#+ wsss |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    by_name = {" ".join(path): command for path, command in cli_page.commands()}
    assert set(sections) == set(by_name) and len(by_name) >= len([*COMMANDS, *STAGES])
    for name, command in by_name.items():
        rows = [line for line in sections[name].splitlines() if line.startswith("| `")]
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        assert len(rows) == len([option for option in options if not option.hidden]), name
        for option in options:
            assert any(f"`{option.opts[0]}" in row for row in rows), f"{name} {option.opts[0]}"
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                assert parameter.human_readable_name.upper() in sections[name].split("```")[1].upper()


def test_new_option_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cli_page.reference()
    command = cli.get_command(click.Context(cli), "status")
    assert command is not None
    option = click.Option(
        ["--loudly"], default=3, show_default=True, type=click.IntRange(1, 9), help="As *loud* as <x>."
    )
    monkeypatch.setattr(command, "params", [*command.params, option])
    added = set(cli_page.reference().splitlines()) - set(before.splitlines())
    assert added == {r"| `--loudly INT` | As \*loud\* as &lt;x>. [1 to 9; default: 3] |"}


def test_main_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_page, "PAGE", tmp_path / "cli.md")
    cli_page.main()
    assert "written" in capsys.readouterr().err
    assert (tmp_path / "cli.md").read_text(encoding="utf-8") == cli_page.reference()
    cli_page.main()
    assert "already up to date" in capsys.readouterr().err
