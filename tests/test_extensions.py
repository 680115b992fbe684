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
from wsss.models.attribution.map_method import MapMethod
from wsss.stages import HELP, STAGES

GROUP = "wsss.stages"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Extensions]:
    """A registry with one built-in entry, and an installed package that adds three."""
    points = {GROUP: {"make": "toys:MAKE", "own": "toys:DOUBLE", "broken": "absent_module:STAGE"}}
    write_installed(tmp_path, "toyplugin", points)
    monkeypatch.syspath_prepend(tmp_path)
    yield Extensions(GROUP, {"own": "json:dumps"})
    STAGES._forget()


def test_built_in_entries_come_first(installed: Extensions) -> None:
    assert list(installed) == ["own", "broken", "make"]
    assert len(installed) == 3 and "make" in installed and "absent" not in installed
    assert installed["make"] is MAKE
    packages = [(entry.name, entry.package) for entry in installed.entries]
    assert packages == [("own", ""), *((name, "toyplugin 1.0") for name in ("broken", "make", "own"))]
    with pytest.raises(KeyError):
        installed["absent"]


def test_built_in_entries_take_precedence(installed: Extensions) -> None:
    assert installed["own"] is json.dumps
    assert [entry.target for entry in installed.entries if entry.shadowed] == ["toys:DOUBLE"]


def test_entries_that_cannot_be_imported(installed: Extensions) -> None:
    with pytest.raises(InvalidInput) as error:
        installed["broken"]
    assert error.value.subject == f"{GROUP}: broken"
    assert "toyplugin 1.0" in error.value.problem and "absent_module" in error.value.problem


def test_listing_imports_nothing(installed: Extensions) -> None:
    assert "broken" in installed and "absent_module" not in sys.modules


def test_register_and_unregister(installed: Extensions) -> None:
    installed.register("mine", "toys:DOUBLE")
    assert installed["mine"].name == "double"
    installed.unregister("mine")
    assert "mine" not in installed


def test_plugins_command(installed: Extensions) -> None:
    STAGES._forget()
    done = wsss("plugins", "--json")
    assert done.returncode == 1  # an entry cannot be imported
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["make"] == {
        "group": GROUP,
        "name": "make",
        "status": "ok",
        "package": "toyplugin 1.0",
        "object": "toys:MAKE",
    }
    assert rows["broken"]["status"].startswith("failed: ")
    text = wsss("--help").stdout
    assert MAKE.help in text and "wsss plugins" in text


@pytest.mark.parametrize("target", ["toys:MAKE", "wsss.models.attribution.config:PlainCam"])
def test_unusable_config_classes(target: str) -> None:
    """An entry must be a subclass of the base, and its default name that of the entry."""
    seeds = Extensions("wsss.seeds", {"mine": target})
    with pytest.warns(UserWarning, match=r"wsss\.seeds: mine"):
        assert seeds.usable(MapMethod) == []


@pytest.mark.parametrize("group", REGISTRIES)
def test_all_built_in_entries_can_be_loaded(group: str) -> None:
    assert group in GROUPS and registry(group).group == group
    assert all(value is not None for value in registry(group).values())


def test_built_in_stages_are_complete() -> None:
    for name in HELP:
        stage = STAGES[name]
        assert stage.name == name
        assert stage.version >= 1
        assert STAGES.help_of(name)
        assert set(stage.config.model_fields).isdisjoint({"preset", "with"})
