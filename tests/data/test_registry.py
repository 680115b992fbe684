"""Opening a dataset by its config."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import LAYOUTS, get_layout, open_dataset, parse_config
from wsss.errors import InvalidInput

Open = Callable[..., Dataset]


def test_layouts_are_recognised(voc: Path, folder: Path, open_at: Open) -> None:
    assert parse_config({"root": str(voc)})[0].name == "voc"
    assert parse_config({"root": folder, "layout": "auto"})[0].name == "folder"
    assert open_at(voc).splits == open_at(voc, layout="voc").splits


def error_of(config: dict[str, Any], **options: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        parse_config(config, **options)
    return error.value


def test_unknown_layouts_list_the_required_files(tmp_path: Path) -> None:
    error = error_of({"root": str(tmp_path)})
    assert error.subject == str(tmp_path) and "data/README.md" in str(error.hint)
    assert all(f"{name}: {get_layout(name).looks_for}" in error.problem for name in ("voc", "folder", "topomortar"))


def test_folders_of_init_are_named_by_their_pipeline(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("data: {}\n")
    error = error_of({"root": str(tmp_path)})
    assert (error.subject, error.problem) == (str(tmp_path), "unknown dataset layout")
    assert "--data.labels image_labels.csv" in str(error.hint)


def test_ambiguous_layouts(voc: Path, folder: Path) -> None:
    (folder / "images").rename(voc / "images")
    (folder / "labels.csv").rename(voc / "labels.csv")
    error = error_of({"root": str(voc)})
    assert "voc, folder" in error.problem and "data.layout" in str(error.hint)


@pytest.mark.parametrize(
    ("config", "subject", "found"),
    [
        ({}, "data.root", None),
        ({"root": 3}, "data.root", None),
        ({"root": "absent"}, "data.root: absent", None),
        ({"layout": "vox", "root": "x"}, "data.layout", "vox"),
        ({"layout": 3}, "data.layout", 3),
        ({"layout": "voc"}, "data.root", None),
        ({"layout": "shapes", "sise": 64}, "data.sise", "sise"),
        ({"layout": "shapes", "size": "big"}, "data.size", "big"),
        ({"layout": "shapes", "size": 8}, "data.size", 8),
        ({"layout": "shapes", "root": "x"}, "data.root", "root"),
    ],
)
def test_config_errors_name_the_key(config: dict[str, Any], subject: str, found: object) -> None:
    error = error_of(config)
    assert (error.subject, error.found) == (subject, found)


def test_unknown_layouts_and_keys_are_compared_with_the_known_ones() -> None:
    assert "voc" in (error_of({"layout": "vox", "root": "x"}).allowed or ())
    assert "size" in (error_of({"layout": "shapes", "sise": 64}).allowed or ())


def test_config_errors_name_file_and_line() -> None:
    config = {"layout": "shapes", "sise": 1}
    error = error_of(config, locate=lambda path: "p.yaml:7" if path == ("sise",) else "")
    assert error.subject == "p.yaml:7: data.sise"


def test_every_layout_is_complete() -> None:
    for name in LAYOUTS:
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


def test_opening_a_dataset_imports_no_heavy_packages(voc: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wsss.data.readers.registry import open_dataset\n"
        "import wsss.data.image_transforms.transforms, wsss.cli.commands.data\n"
        "open_dataset({'root': sys.argv[1]}, work=Path(sys.argv[1]) / 'w')\n"
        "print([name for name in ('torch', 'cv2', 'albumentations', 'scipy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(voc)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
