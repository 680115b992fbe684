"""What is published: the wheel and the sdist, their metadata, and the workflow that uploads them."""

from __future__ import annotations

import email.parser
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built sdist and wheel."""
    folder = tmp_path_factory.mktemp("dist")
    call = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [file] = dist.glob("*.whl")
    return file


def files_below(name: str) -> set[str]:
    """Return the files of a folder of the checkout, without what Python and editors add."""
    files = (path for path in (ROOT / name).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.Parser().parsestr(archive.read(name).decode())


def test_the_wheel_contains_the_package_its_presets_and_pipelines(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        [licence] = [name for name in names if name.endswith("/LICENSE")]
        [scripts] = [name for name in names if name.endswith("/entry_points.txt")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert "wsss = wsss.cli.main:main" in archive.read(scripts).decode()
        for name in ("wsss/predictor.py", "wsss/pipelines/quickstart.yaml"):
            assert archive.read(name) == (ROOT / name.replace("wsss/pipelines", "pipelines")).read_bytes()
    shared = {f"wsss/{name}" for folder in ("configs", "pipelines") for name in files_below(folder)}
    assert {name for name in names if ".dist-info/" not in name} == files_below("wsss") | shared
    assert "wsss/py.typed" in names and "wsss/server/page/page.js" in names


def test_the_metadata_is_that_of_the_project(wheel: Path) -> None:
    about = metadata(wheel)
    assert (about["Name"], about["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert wheel.name == f"wsss-{PROJECT['version']}-py3-none-any.whl"
    assert about["License-Expression"] == "MIT" and about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(about.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    required = {one for one in about.get_all("Requires-Dist", []) if "extra ==" not in one}
    names = {re.split(r"[^\w-]", one)[0].lower() for one in required}
    assert names == {re.split(r"[^\w-]", one)[0].lower() for one in PROJECT["dependencies"]}


def test_the_sdist_is_complete(dist: Path) -> None:
    [file] = dist.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "constraints.txt", "tests/conftest.py"} <= names
    assert files_below("wsss") | files_below("configs") | files_below("pipelines") <= names
    assert not {name for name in names if name.startswith(("runs/", ".ci/", ".git/"))}


@pytest.mark.slow
def test_the_wheel_runs_outside_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, as pip does; `test_dockerfile.py` installs it with pip, and .ci/run runs all of quickstart.

    The dense CRF, whose kernels would be compiled for this folder, is left out.
    """
    packages = tmp_path / "packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    small = ["data.size=32", "data.train=4", "data.val=2", "classify.epochs=1", "expand.enabled=false"]
    small += ["shrink.enabled=false", "crf.enabled=false", "segment.epochs=1", "segment.batch_size=2"]
    small += ["classify.batch_size=2"]
    program = (
        "import sys, wsss; from wsss.cli.main import main; print(wsss.__file__, wsss.__version__, flush=True);"
        "main(['run', 'quickstart', '--workers', '1', *sys.argv[1:]])"
    )
    call = [sys.executable, "-c", program, *(word for one in small for word in ("--set", one))]
    variables = {**os.environ, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == [str(packages / "wsss" / "__init__.py"), PROJECT["version"]]
    assert (tmp_path / "runs" / "quickstart" / "report" / "index.html").is_file()


def test_all_extras_are_in_the_table_of_the_readme() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Extras\n")[2].partition("\n## ")[0]
    first = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert [name for cell in first for name in re.findall(r"`(\w+)`", cell)] == list(PROJECT["optional-dependencies"])


def test_the_workflow_builds_checks_and_publishes() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    commands = "\n".join(step.get("run", "") for step in build["steps"])
    assert "python -m build\n" in commands and "twine check --strict dist/*" in commands
    # Only the job that runs no code of the repository may request the token.
    assert publish["needs"] == "build" and publish["permissions"] == {"id-token": "write"}
    assert "permissions" not in build and workflow["permissions"] == {"contents": "read"}
    assert publish["steps"][-1]["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert not any("run" in step for step in publish["steps"])


@pytest.mark.parametrize(("tag", "code"), [(f"v{PROJECT['version']}", 0), ("v9.9.9", 1), (PROJECT["version"], 1)])
def test_a_tag_has_to_be_the_version(tag: str, code: int) -> None:
    [step] = [
        step for step in yaml.safe_load(WORKFLOW.read_text())["jobs"]["build"]["steps"] if "tag" in step.get("name", "")
    ]
    variables = {**os.environ, "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=ROOT, env=variables, capture_output=True)
    assert done.returncode == code


def test_links_of_the_project_page_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    script = ROOT / ".github" / "absolute_links.py"
    call = [sys.executable, str(script), "README.md", "https://example.org/a/wsss", "v1.2.3"]
    subprocess.run(call, cwd=tmp_path, check=True)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets and all(target.startswith("https://") for target in targets)
    added = "https://example.org/a/wsss"
    assert f"]({added}/raw/v1.2.3/docs/quickstart.png)" in text and f"]({added}/blob/v1.2.3/docs/export.md)" in text
    restored = re.sub(rf"{added}/(raw|blob)/v1\.2\.3/", "", text)
    assert restored == (ROOT / "README.md").read_text(encoding="utf-8")
