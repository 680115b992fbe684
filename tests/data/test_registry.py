"""Opening a dataset by its config."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsss.data.readers.registry import get_layout, layout_names, open_dataset, parse_config
from wsss.data.sample import Dataset
from wsss.errors import InvalidInput

Open = Callable[..., Dataset]


def test_layouts_are_recognised(voc: Path, folder: Path, open_at: Open) -> None:
    assert parse_config({"root": str(voc)})[0].name == "voc"
    assert parse_config({"root": folder, "layout": "auto"})[0].name == "folder"
    assert open_at(voc).splits == open_at(voc, layout="voc").splits


def test_an_unknown_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InvalidInput) as found:
        parse_config({"root": str(tmp_path)})
    message = str(found.value)
    for words in (str(tmp_path), "voc: the folders JPEGImages and", "folder: the folder images with", "data/README.md"):
        assert words in message


def test_a_folder_of_two_layouts_asks(voc: Path, folder: Path) -> None:
    (folder / "images").rename(voc / "images")
    (folder / "labels.csv").rename(voc / "labels.csv")
    with pytest.raises(InvalidInput, match=r"fits several layouts: voc, folder.\nSay which one with data.layout"):
        parse_config({"root": str(voc)})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "data.root: this key is required and missing"),
        ({"root": 3}, "data.root"),
        ({"root": "absent"}, "data.root: absent is no folder"),
        ({"layout": "vox", "root": "x"}, "data.layout: unknown layout 'vox'"),
        ({"layout": "vox", "root": "x"}, "did you mean 'voc'?"),
        ({"layout": 3}, "data.layout: expected a name, found 3"),
        ({"layout": "voc"}, "data.root: required key is missing"),
        ({"layout": "shapes", "sise": 64}, "data.sise: unknown key"),
        ({"layout": "shapes", "sise": 64}, "did you mean 'size'?"),
        ({"layout": "shapes", "size": "big"}, "data.size"),
        ({"layout": "shapes", "size": 8}, "data.size"),
        ({"layout": "shapes", "root": "x"}, "data.root: unknown key"),
    ],
)
def test_bad_configs_are_named_with_their_key(config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as found:
        parse_config(config)
    assert words in str(found.value)


def test_errors_say_where_a_key_stands() -> None:
    with pytest.raises(InvalidInput, match=r"^p\.yaml:7: data\.sise: unknown key"):
        parse_config({"layout": "shapes", "sise": 1}, locate=lambda path: "p.yaml:7" if path == ("sise",) else "")


def test_every_layout_is_complete() -> None:
    for name in layout_names():
        layout = get_layout(name)
        assert layout.name == name == layout.config.model_fields["layout"].default
        assert bool(layout.looks_for) == (layout.recognise is not None)
        for key, field in layout.config.model_fields.items():
            assert key == "layout" or field.description, f"{name}.{key} has no description"


def test_home_and_relative_roots(voc: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(voc.parent)
    assert open_dataset({"root": "voc"}, work=tmp_path / "w").name == "voc"
    monkeypatch.setenv("HOME", str(voc.parent))
    assert open_dataset({"root": "~/voc"}, work=tmp_path / "w").name == "voc"


def test_heavy_packages_are_not_imported_to_read_a_dataset(voc: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wsss.data.readers.registry import open_dataset\n"
        "import wsss.data.transforms, wsss.cli.commands.data\n"
        "open_dataset({'root': sys.argv[1]}, work=Path(sys.argv[1]) / 'w')\n"
        "print([name for name in ('torch', 'cv2', 'albumentations', 'scipy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(voc)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
