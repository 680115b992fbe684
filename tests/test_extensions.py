from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from inprocess import wsss
from pluginpackage import write_installed
from toys import MAKE

from wsss.cli.commands.plugins import REGISTRIES, registry
from wsss.cli.main import extension_warnings
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.readers.layout import Layout, LayoutConfig
from wsss.data.readers.registry import LAYOUTS, fitting_layouts, open_dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.extensions import GROUPS, Extensions
from wsss.losses import build
from wsss.losses.catalogue import LOSSES
from wsss.losses.config import LossSettings
from wsss.losses.plugin_losses import check_loss
from wsss.models.architectures import ARCHITECTURES
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


def test_attributes_of_attributes_can_be_loaded() -> None:
    assert Extensions(GROUP, {"join": "os:path.join"})["join"] is os.path.join


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


def test_a_taken_name_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_installed(tmp_path, "toyplugin", {"wsss.losses": {"cldice": "toys:MAKE"}})
    monkeypatch.syspath_prepend(tmp_path)
    LOSSES._forget()
    done = wsss("plugins")
    assert done.returncode == 0
    assert "warning: wsss.losses: cldice of toyplugin 1.0 is ignored" in done.stderr
    monkeypatch.undo()
    LOSSES._forget()


LOSS_MODULE = """
from typing import ClassVar, Literal
from wsss.losses.config import LossSettings

class Missing(LossSettings):
    loss: ClassVar[str] = "lossplugin_absent:Loss"
    name: Literal["missing"] = "missing"

class Unset(LossSettings):
    name: Literal["unset"] = "unset"

class Other(LossSettings):
    loss: ClassVar[str] = "json:JSONDecoder"
    name: Literal["other"] = "other"

class Misnamed(LossSettings):
    name: Literal["x"] = "x"
"""


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Extensions]:
    """The losses, with those of a package that cannot be used."""
    (tmp_path / "lossplugin.py").write_text(LOSS_MODULE)
    names = ("Missing", "Unset", "Other", "Misnamed")
    write_installed(tmp_path, "lossplugin", {"wsss.losses": {name.lower(): f"lossplugin:{name}" for name in names}})
    monkeypatch.syspath_prepend(tmp_path)
    LOSSES._forget()
    yield LOSSES
    monkeypatch.undo()
    LOSSES._forget()


def test_plugins_command_checks_the_class_of_a_loss(losses: Extensions) -> None:
    done = wsss("plugins", "--json")
    status = {row["name"]: row["status"] for row in json.loads(done.stdout)}
    assert done.returncode == 1 and set(status) == {"missing", "unset", "other", "misnamed"}
    assert all(text.startswith("failed: ") for text in status.values())
    assert "lossplugin 1.0" in status["missing"] and "module:Class" in status["unset"]


@pytest.mark.parametrize("name", ["missing", "unset", "other", "misnamed"])
def test_unusable_losses_are_refused_before_a_pipeline_starts(losses: Extensions, name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_loss(name)
    assert str(error.value.subject).startswith(f"wsss.losses: {name}")


@pytest.mark.parametrize("name", ["missing", "unset"])
def test_unusable_losses_cannot_be_built(losses: Extensions, name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        build(name)
    assert str(error.value.subject).startswith(f"wsss.losses: {name}")


def test_warnings_are_printed_as_a_line_once(losses: Extensions, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with extension_warnings():
            losses.usable(LossSettings)
            losses.usable(LossSettings)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: wsss.losses: misnamed: ")


PLUGIN = """
from wsss.data.readers.folder import LAYOUT
from wsss.stages.colour import STAGE as COLOUR

def run(ctx):
    pass

NUMBER = 3
"""
INVALID = {
    "wsss.stages": {"function": "run", "mycolour": "COLOUR", "layout": "LAYOUT"},
    "wsss.layouts": {"function": "run", "myfolder": "LAYOUT", "stage": "COLOUR"},
    "wsss.backbones": {"number": "NUMBER"},
}


@pytest.fixture
def invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package whose objects can be imported, but are of another type or name than their entries."""

    def forget() -> None:
        for group in INVALID:
            registry(group)._forget()

    (tmp_path / "typeplugin.py").write_text(PLUGIN)
    points = {group: {name: f"typeplugin:{value}" for name, value in of.items()} for group, of in INVALID.items()}
    write_installed(tmp_path, "typeplugin", points)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def test_plugins_command_checks_type_and_name(invalid: Path) -> None:
    done = wsss("plugins", "--json")
    status = {(row["group"], row["name"]): row["status"] for row in json.loads(done.stdout)}
    assert done.returncode == 1 and status.keys() == {(group, name) for group, of in INVALID.items() for name in of}
    assert all(text.startswith("failed: ") for text in status.values())
    assert "expected" in status["wsss.stages", "function"] and "'colour'" in status["wsss.stages", "mycolour"]


def test_invalid_extensions_do_not_break_other_commands(invalid: Path) -> None:
    done = wsss("--help")
    assert done.returncode == 0 and done.stdout.count("wsss plugins") == len(INVALID["wsss.stages"])
    with pytest.warns(UserWarning, match=r"wsss\.layouts: "):
        assert fitting_layouts(invalid) == []
    done = wsss("run", "quickstart", "--channel", "b")
    assert done.returncode == 2 and "(stages with channel: colour)" in done.stderr


@pytest.mark.parametrize("group", INVALID)
def test_extensions_of_another_type_or_name_cannot_be_looked_up(invalid: Path, group: str) -> None:
    for name in INVALID[group]:
        with pytest.raises(InvalidInput) as error:
            registry(group)[name]
        assert error.value.subject == f"{group}: {name}"


def test_a_pipeline_with_a_stage_of_another_name_is_refused(invalid: Path) -> None:
    """Its identity would be that of the built-in stage, whose result would be copied."""
    (invalid / "p.yaml").write_text("name: p\nstages:\n  mine: {uses: mycolour, with: {splits: [train]}}\n")
    done = wsss("run", invalid / "p.yaml", "--run-dir", invalid / "p", "--dry-run")
    assert done.returncode == 2 and "wsss.stages: mycolour" in done.stderr


def test_a_backbone_function_must_return_an_architecture(invalid: Path) -> None:
    from wsss.models.backbones import build_architecture

    ARCHITECTURES.register("other", lambda name: name)
    try:
        with pytest.raises(InvalidInput) as error:
            build_architecture("other")
        assert error.value.found == "other"
    finally:
        ARCHITECTURES.unregister("other")


class OwnConfig(LayoutConfig):
    layout: Literal["own"] = "own"


def sample(name: str, *labels: Any, image: str = "a.png") -> Sample:
    return Sample(name, Path(image), labels=labels)


@pytest.mark.parametrize(
    ("splits", "subject", "found"),
    [
        ({"train": [sample("a", 1, 2), sample("b")], "val": [sample("a", 2)]}, None, None),
        ({"train": [sample("a", 0)]}, "split train: a", [0]),  # would be the last class
        ({"train": [sample("a", 3)]}, "split train: a", [3]),
        ({"train": [sample("a", 2, 1)]}, "split train: a", [2, 1]),
        ({"train": [sample("a", "cat")]}, "split train: a", ["cat"]),
        ({"train": [sample("a"), sample("a")]}, "split train", "a"),
        ({"train": [sample("a")], "val": [sample("a", image="b.png")]}, "split val", "a"),
        ({"train": [sample("x/a")]}, "split train", None),
    ],
)
def test_datasets_of_other_packages_are_validated(
    tmp_path: Path, splits: dict[str, list[Sample]], subject: str | None, found: Any
) -> None:
    classes = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))
    dataset = Dataset("own", tmp_path, classes, {name: tuple(samples) for name, samples in splits.items()})
    LAYOUTS.register("own", Layout(name="own", config=OwnConfig, read=lambda config, work, log: dataset))
    try:
        if subject is None:
            assert open_dataset({"layout": "own"}, work=tmp_path) is dataset
            return
        with pytest.raises(InvalidInput) as error:
            open_dataset({"layout": "own"}, work=tmp_path)
    finally:
        LAYOUTS.unregister("own")
    assert (error.value.subject, error.value.found) == (f"wsss.layouts: own: {subject}", found)


def test_a_layout_must_return_a_dataset(tmp_path: Path) -> None:
    nothing: Any = None
    LAYOUTS.register("own", Layout(name="own", config=OwnConfig, read=lambda config, work, log: nothing))
    try:
        with pytest.raises(InvalidInput) as error:
            open_dataset({"layout": "own"}, work=tmp_path)
    finally:
        LAYOUTS.unregister("own")
    assert error.value.subject == "wsss.layouts: own: return value"


def test_an_error_in_the_code_of_a_layout_names_its_package(invalid: Path) -> None:
    """It is not a bug in wsss; and a faulty `recognise` must not stop commands on other datasets without a hint."""
    code = (
        "from wsss.data.readers.layout import Layout, LayoutConfig\n"
        "def fail(*arguments, **keywords):\n"
        "    return {}['label']\n"
        "def other(config):\n"
        "    pass\n"
        "LAYOUT = Layout(name='faulty', config=LayoutConfig, read=fail, recognise=fail, looks_for='a file')\n"
        "SIGNATURE = Layout(name='signature', config=LayoutConfig, read=other)\n"
    )
    (invalid / "faultyplugin.py").write_text(code)
    points = {"wsss.layouts": {"faulty": "faultyplugin:LAYOUT", "signature": "faultyplugin:SIGNATURE"}}
    write_installed(invalid, "faultyplugin", points)
    LAYOUTS._forget()
    for name, cause in (("faulty", KeyError), ("signature", TypeError)):
        with pytest.raises(InvalidInput) as error:
            open_dataset({"layout": name}, work=invalid)
        assert error.value.subject == f"wsss.layouts: {name} of faultyplugin 1.0"
        assert error.value.problem.startswith(f"{cause.__name__}: ") and isinstance(error.value.__cause__, cause)
    with pytest.warns(UserWarning), pytest.raises(InvalidInput) as error:  # warns of the fixture's layouts
        fitting_layouts(invalid)
    assert error.value.subject == "wsss.layouts: faulty of faultyplugin 1.0"
