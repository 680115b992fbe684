from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from inprocess import wsss
from pluginpackage import write_installed
from toys import MAKE

from wsss.cli.commands.plugins import REGISTRIES, registry
from wsss.errors import InvalidInput
from wsss.extensions import GROUPS, Extensions
from wsss.stages import HELP, STAGES

GROUP = "wsss.stages"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Extensions]:
    """A registry with one entry of its own, beside a package that adds three."""
    points = {GROUP: {"make": "toys:MAKE", "own": "toys:DOUBLE", "broken": "absent_module:STAGE"}}
    write_installed(tmp_path, "toyplugin", points)
    monkeypatch.syspath_prepend(tmp_path)
    yield Extensions(GROUP, {"own": "json:dumps"})
    STAGES._forget()


def test_entries_of_packages_follow_the_built_in_ones(installed: Extensions) -> None:
    assert list(installed) == ["own", "broken", "make"]
    assert len(installed) == 3 and "make" in installed and "absent" not in installed
    assert installed["make"] is MAKE
    assert [(entry.name, entry.package) for entry in installed.plugins] == [
        ("broken", "toyplugin 1.0"),
        ("make", "toyplugin 1.0"),
    ]
    with pytest.raises(KeyError):
        installed["absent"]


def test_a_built_in_name_is_not_replaced(installed: Extensions) -> None:
    assert installed["own"] is json.dumps
    assert [entry.target for entry in installed.entries if entry.shadowed] == ["toys:DOUBLE"]


def test_a_broken_package_is_named(installed: Extensions) -> None:
    with pytest.raises(InvalidInput) as error:
        installed["broken"]
    assert error.value.subject == f"{GROUP}: broken"
    assert "toyplugin 1.0" in error.value.problem and "absent_module" in error.value.problem


def test_nothing_is_imported_by_listing(installed: Extensions) -> None:
    assert "broken" in installed and "absent_module" not in sys.modules


def test_an_entry_may_be_registered_in_this_process(installed: Extensions) -> None:
    installed.register("mine", "toys:DOUBLE")
    assert installed["mine"].name == "double"
    installed.unregister("mine")
    assert "mine" not in installed


def test_the_command_lists_them(installed: Extensions) -> None:
    STAGES._forget()
    listed = wsss("plugins", "--json")
    assert listed.returncode == 1  # one is broken
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["make"] == {
        "group": GROUP,
        "name": "make",
        "status": "ok",
        "package": "toyplugin 1.0",
        "object": "toys:MAKE",
    }
    assert rows["broken"]["status"].startswith("failed: ")
    helped = wsss("--help").stdout
    assert MAKE.help in helped and "see wsss plugins" in helped


@pytest.mark.parametrize("group", REGISTRIES)
def test_all_built_in_entries_can_be_loaded(group: str) -> None:
    assert group in GROUPS and registry(group).group == group
    assert all(value is not None for value in registry(group).values())


def test_our_own_stages_are_complete() -> None:
    for name in HELP:
        stage = STAGES[name]
        assert stage.name == name
        assert stage.version >= 1
        assert STAGES.help_of(name)
        assert set(stage.config.model_fields).isdisjoint({"preset", "with"})
