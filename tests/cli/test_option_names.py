"""Options have one name, one kind of value and one meaning in all commands; unknown options get a suggestion."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace

import click
import pytest
from cli_page import commands
from inprocess import refused, wsss
from pydantic import BaseModel

from wsss.cli.options.command import value_name
from wsss.cli.options.data_options import read_data_options
from wsss.cli.options.field_options import as_source, field_options, is_free, variable
from wsss.cli.options.option_table import SHARED, VARIANTS
from wsss.errors import InvalidInput
from wsss.pipeline.config.pipeline_files import shipped_pipelines
from wsss.stages import STAGES


def options() -> Iterator[tuple[str, click.Option]]:
    """Yield (command, option) of every command."""
    for path, command in commands():
        for param in command.params:
            if isinstance(param, click.Option):
                yield " ".join(path[1:]), param


BY_NAME: dict[str, list[tuple[str, click.Option]]] = defaultdict(list)
for _command, _option in options():
    for _name in _option.opts:
        BY_NAME[_name].append((_command, _option))


def kind(option: click.Option) -> str:
    """Return the kind of an option's value: ``NAME`` for one of several names."""
    value = value_name(option)
    return value if is_free(value) else "NAME"


def meaning(option: click.Option) -> str:
    """Return the help text without defaults, which differ between commands."""
    return re.sub(r" *\[[^]]*\]", "", option.help or "").rstrip(".")


def test_options_have_a_single_name() -> None:
    assert not {(command, *option.opts) for command, option in options() if len(option.opts) > 1}


def test_options_of_one_name_take_one_kind_of_value() -> None:
    for name, uses in BY_NAME.items():
        kinds = {kind(option) for command, option in uses if (command, name) not in VARIANTS}
        if name in SHARED and SHARED[name].value.count("|"):
            kinds = {SHARED[name].value} if all(kind in SHARED[name].value for kind in kinds) else kinds
        assert len(kinds) == 1, f"{name}: {sorted((command, kind(option)) for command, option in uses)}"
        if name in SHARED:
            assert kinds <= {SHARED[name].value}, name


def test_options_of_one_name_have_one_meaning() -> None:
    for name, uses in BY_NAME.items():
        if len({command for command, _ in uses}) < 2 or name == "--help":
            continue
        texts = {command: meaning(option) for command, option in uses}
        if name not in SHARED:
            assert len(set(texts.values())) == 1, f"{name} belongs into SHARED, since several commands have it: {texts}"
        elif not SHARED[name].own_text:
            assert all(text.startswith(SHARED[name].meaning) for text in texts.values()), f"{name}: {texts}"


def test_table_of_shared_options_is_up_to_date() -> None:
    assert not set(SHARED) - set(BY_NAME)
    for (command, name), value in VARIANTS.items():
        (option,) = [option for one, option in BY_NAME[name] if one == command]
        assert value_name(option) == value


def test_split_takes_one_name_and_splits_a_list() -> None:
    for command, option in options():
        assert "--splits" not in option.opts or not option.multiple
        if "--split" in option.opts:
            assert not option.multiple and value_name(option) == "NAME", command


def test_every_command_has_debug_and_most_have_json() -> None:
    leaves = {" ".join(path[1:]) for path, command in commands() if not isinstance(command, click.Group)}
    assert {command for command, _ in BY_NAME["--debug"]} == leaves
    assert leaves - {command for command, _ in BY_NAME["--json"]} == {"bench tables"}  # has --format json


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["data", "check", ".", "--layout", "folder"], "--data.layout"),
        (["data", "tiles", ".", "o", "--data", "root=x"], "--data.KEY VALUE"),
        (["init", "--images", ".", "--class-names", "x"], "--classes"),
        (["data", "synth", "shapes", "o", "--classes", "2"], "--class-count"),
        (["segment", "--labels", "soft", "--out", "o"], "--targets"),
        (["segment", "--loss", "cldice", "--out", "o"], "--set loss.name=cldice"),
        (["segment", "--loss=cldice", "--out", "o"], "--set loss.name=cldice"),
        (["report", "x", "--images", "2"], "--gallery"),
        (["classify", "--out", "o", "--val", "val"], "--val-split"),
        (["classify", "--out", "o", "--epoch", "2"], "--epochs"),
        (["cam", "--root", "x", "--out", "o"], "--data.root"),
        (["run", "quickstart", "--data.root", "x"], "--set data.root=VALUE"),
        (["run", "quickstart", "--epochs", "2"], "--set classify.epochs=VALUE"),
        (["run", "quickstart", "--out", "x"], "--run-dir"),
        (["run", "quickstart", "--seed", "1"], "--set seed=VALUE"),
        (["run", "quickstart", "--zzzzqq", "1"], "--set STAGE.KEY=VALUE"),
        (["export", "x", "--split", "val"], "--splits"),
        (["export", "x", "--image-folder", "i"], "--images"),
        (["status", "x", "--jsn"], "--json"),
    ],
)
def test_closest_option_is_suggested(arguments: list[str], hint: str) -> None:
    message = refused(*arguments)
    assert "No such option" in message and hint in message


def test_help_of_run_lists_the_bundled_pipelines() -> None:
    text = " ".join(wsss("run", "--help").stdout.split())
    for name, description in shipped_pipelines().items():
        assert f"{name} {description}" in text


def test_unrelated_option_has_no_suggestion() -> None:
    assert "mean" not in refused("status", "x", "--zzzzqq")


@pytest.mark.parametrize("value", ["2012", "yes", "1e3", "a: b", "#7", "photos, old", "null.d"])
def test_folders_are_not_parsed_as_yaml(value: str) -> None:
    assert read_data_options([("data.root", value), ("data.masks", value)]).value == {"root": value, "masks": value}


def test_other_dataset_keys_are_yaml() -> None:
    pairs = [("data.classes", "[cat, dog]"), ("data.masks", "[a, b]"), ("data.size", "96"), ("data.files", "null")]
    expected = {"classes": ["cat", "dog"], "masks": ["a", "b"], "size": 96, "files": None}
    assert read_data_options(pairs).value == expected
    assert read_data_options([("data.root", '"x y"')]).value == {"root": "x y"}


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("*seed=0*", ["*seed=0*"]),  # an alias in YAML
        ("cam,*seed=0*, &b,@c,-d", ["cam", "*seed=0*", "&b", "@c", "-d"]),
        ("a: b,[c],{d},e #f,!g,it's", ["a: b", "[c]", "{d}", "e #f", "!g", "it's"]),
        ("\"a, b\",'c, d',", ["a, b", "c, d"]),
        ("001,null", ["001", "null"]),
        ("", []),
    ],
)
def test_items_of_text_lists_are_taken_literally(value: str, items: list[str]) -> None:
    sources = as_source(STAGES["report"], {variable("columns"): value})
    assert sources["columns"].value == {"columns": items}


@pytest.mark.parametrize("value", [",", "a,,b", " "])
def test_empty_items_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as error:
        as_source(STAGES["report"], {variable("columns"): value})
    assert error.value.subject == f"--gallery-stages {value}"


def test_a_list_is_shown_as_a_list_even_if_another_option_of_its_name_is_none() -> None:
    """The help, and the error about a list given twice, rely on it."""
    (option,) = field_options(SimpleNamespace(config=_Listed, inputs={}))  # type: ignore[arg-type]
    assert option.metavar == "TEXT,…"


class _Listed(BaseModel):
    classes: list[str] = []
