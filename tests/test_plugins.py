"""The package of docs/extending.md: built as a wheel, installed with pip into a virtual environment, and used."""

from __future__ import annotations

import json
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from docpages import Session, blocks, check_marks
from pluginpackage import build_wheel

from wsss.extensions import GROUPS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
PACKAGE = "wsss-example"


def package_files() -> dict[str, str]:
    """Return path → content of the package's files."""
    files = {block.file: block.text for block in blocks(PAGE) if block.file}
    return {path.removeprefix(f"{PACKAGE}/"): text for path, text in files.items() if path.startswith(PACKAGE)}


def metadata() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads(package_files()["pyproject.toml"])["project"]
    return project


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a virtual environment with the package, `wsss` from this checkout, and its dependencies."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    interpreter = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "wsss.pth").write_text("\n".join([str(ROOT), *site.getsitepackages()]))
    project, files = metadata(), package_files()
    del files["pyproject.toml"]
    wheel = build_wheel(tmp_path, str(project["name"]), project["entry-points"], files)  # type: ignore[arg-type]
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    return interpreter


def test_the_page_is_complete() -> None:
    check_marks(PAGE)
    assert set(metadata()["entry-points"]) == set(GROUPS)  # type: ignore[call-overload]


@pytest.mark.slow
def test_the_package_of_the_page(tmp_path: Path, python: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    session = Session(folder, slow=True, python=python, env={"PYTHONPATH": ""})
    for block in blocks(PAGE):
        session.run(block)

    for first in (
        "import wsss_example.gradcam; from wsss.stages.cam import CamConfig; CamConfig(method='gradcam')",
        "import wsss_example.focal_config; from wsss.losses import LOSSES; LOSSES['focal'](gamma=1)",
    ):
        subprocess.run([python, "-W", "error", "-c", first], env=session.env, check=True)  # whichever is imported first
    done = subprocess.run(["wsss", "plugins", "--json"], env=session.env, capture_output=True, check=True)
    assert {(row["name"], row["status"], row["package"]) for row in json.loads(done.stdout)} == {
        (name, "ok", "wsss_example 1.0") for name in ("borders", "focal", "efficientnet_b0", "gradcam", "filenames")
    }
    run = folder / "runs" / "example"
    assert len(list((run / "borders" / "masks").glob("*.png"))) == 8
    assert json.loads((run / "borders" / "stage.json").read_text())["config"]["width"] == 2
    assert json.loads((run / "segment" / "stage.json").read_text())["config"]["loss"] == {"name": "focal", "gamma": 1.0}
    assert (run / "segment" / "model.safetensors").is_file()
