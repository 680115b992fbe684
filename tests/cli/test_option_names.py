"""An option has one name, one kind of value and one meaning over all commands, and an unknown one is explained."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wsss.cli.command import value_name
from wsss.cli.main import cli
from wsss.cli.options.data_options import read_data_options
from wsss.cli.options.field_options import is_free
from wsss.cli.options.option_table import SHARED, VARIANTS
from wsss.cli.reference import commands

Use = tuple[str, click.Option]


def options() -> Iterator[Use]:
    """Yield (command, option) of every command."""
    for path, command in commands():
        for param in command.params:
            if isinstance(param, click.Option):
                yield " ".join(path[1:]), param


def by_name() -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = defaultdict(list)
    for command, option in options():
        for name in option.opts:
            found[name].append((command, option))
    return found


def kind(option: click.Option) -> str:
    """Return the kind of value that an option takes: one of several names is ``NAME``, whatever the names are."""
    value = value_name(option)
    return value if is_free(value) else "NAME"


def meaning(option: click.Option) -> str:
    """Return the help text without what differs from command to command: defaults."""
    return re.sub(r" *\[[^]]*\]", "", option.help or "").rstrip(".")


def test_no_option_has_two_names() -> None:
    twice = {(command, *option.opts) for command, option in options() if len(option.opts) > 1}
    assert not twice


def test_one_name_takes_one_kind_of_value() -> None:
    for name, uses in by_name().items():
        kinds = {kind(option) for command, option in uses if (command, name) not in VARIANTS}
        if name in SHARED and SHARED[name].value.count("|"):
            kinds = {SHARED[name].value} if all(one in SHARED[name].value for one in kinds) else kinds
        assert len(kinds) == 1, f"{name}: {sorted((command, kind(option)) for command, option in uses)}"
        if name in SHARED:
            assert kinds <= {SHARED[name].value}, name


def test_one_name_has_one_meaning() -> None:
    for name, uses in by_name().items():
        if len({command for command, _ in uses}) < 2 or name == "--help":
            continue
        texts = {command: meaning(option) for command, option in uses}
        if name not in SHARED:
            assert len(set(texts.values())) == 1, f"{name} is no shared option, but several commands have it: {texts}"
        elif not SHARED[name].own_text:
            assert all(text.startswith(SHARED[name].meaning) for text in texts.values()), f"{name}: {texts}"


def test_the_table_lists_no_option_that_nothing_has() -> None:
    assert not set(SHARED) - set(by_name())
    for (command, name), value in VARIANTS.items():
        (option,) = [option for one, option in by_name()[name] if one == command]
        assert value_name(option) == value


def test_split_is_one_and_splits_are_several() -> None:
    for command, option in options():
        assert "--splits" not in option.opts or not option.multiple
        if "--split" in option.opts:
            assert not option.multiple and value_name(option) == "NAME", command


def test_every_command_has_debug_and_most_have_json() -> None:
    found = by_name()
    leaves = {" ".join(path[1:]) for path, command in commands() if not isinstance(command, click.Group)}
    assert {command for command, _ in found["--debug"]} == leaves
    assert leaves - {command for command, _ in found["--json"]} == {"bench tables"}  # which has --format json


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["data", "check", ".", "--layout", "folder"], "--data.layout"),
        (["data", "tiles", ".", "o", "--data", "root=x"], "--data.KEY VALUE"),
        (["init", "--images", ".", "--class-names", "x"], "--classes"),
        (["data", "synth", "shapes", "o", "--classes", "2"], "--class-count"),
        (["segment", "--labels", "soft", "--out", "o"], "--targets"),
        (["report", "x", "--images", "2"], "--gallery"),
        (["classify", "--out", "o", "--val", "val"], "--val-split"),
        (["classify", "--out", "o", "--epoch", "2"], "--epochs"),
        (["cam", "--root", "x", "--out", "o"], "--data.root"),
        (["run", "quickstart", "--data.root", "x"], "--set data.root=VALUE"),
        (["run", "quickstart", "--epochs", "2"], "--set STAGE.KEY=VALUE"),
        (["status", "x", "--jsn"], "--json"),
    ],
)
def test_an_unknown_option_suggests_the_right_one(arguments: list[str], hint: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "No such option" in done.output and hint in done.output


def test_an_unknown_option_like_no_other_suggests_nothing() -> None:
    done = CliRunner().invoke(cli, ["status", "x", "--zzzzqq"])
    assert done.exit_code == 2 and "did you mean" not in done.output


@pytest.mark.parametrize("value", ["2012", "yes", "1e3", "a: b", "#7", "photos, old", "null.d"])
def test_folders_are_text_whatever_yaml_makes_of_them(value: str) -> None:
    assert read_data_options([("data.root", value), ("data.masks", value)]).value == {"root": value, "masks": value}


def test_other_keys_of_the_dataset_are_yaml() -> None:
    pairs = [("data.classes", "[cat, dog]"), ("data.masks", "[a, b]"), ("data.size", "96"), ("data.files", "null")]
    expected = {"classes": ["cat", "dog"], "masks": ["a", "b"], "size": 96, "files": None}
    assert read_data_options(pairs).value == expected
    assert read_data_options([("data.root", '"x y"')]).value == {"root": "x y"}


def test_a_dataset_whose_folder_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(cli, ["data", "synth", "shapes", "2012", "--train", "2", "--val", "2", "--size", "32"])
    assert made.exit_code == 0
    done = CliRunner().invoke(cli, ["colour", "--data.root", "2012", "--data.classes", "[ring]", "--out", "maps"])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "maps" / "cams").glob("*.npz"))) == 2
