"""The Dockerfile: rules that a linter does not know, and its commands outside Docker. No image is built."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

import pytest
from dockerfiles import Stage, read_stages
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
STAGES = read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def with_parents(stage: Stage) -> Iterator[Stage]:
    """Yield a stage and those that it starts from."""
    yield stage
    if stage.base in STAGES:
        yield from with_parents(STAGES[stage.base])


def copied(stage: Stage) -> list[str]:
    """Return what a stage copies from the checkout."""
    words = [shlex.split(text) for text in stage.of("COPY") if not text.startswith("--from=")]
    return [name for line in words for name in line[:-1]]


def test_bases_are_pinned_and_fit_the_constraints() -> None:
    bases = {stage.base for stage in STAGES.values()} - set(STAGES)
    [base] = bases
    found = re.fullmatch(r"python:(\d+\.\d+)\.(\d+)-slim-\w+", base)
    assert found, "an official image with a full version, so that a build can be repeated"
    assert f"Python {found[1]}, Linux" in CONSTRAINTS.partition("\n")[0]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{found[1]}.{found[2]}")


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_runs_the_command_as_a_user_without_privileges(target: str) -> None:
    assert list(STAGES)[-1] == "cpu"  # the default of docker build
    chain = [*with_parents(STAGES[target])]
    assert [stage.name for stage in chain] == [target, "runtime"]
    [entry] = [text for stage in chain for text in stage.of("ENTRYPOINT")]
    assert json.loads(entry) == ["wsss"] and set(PROJECT["scripts"]) == {"wsss"}
    [user] = [text for stage in chain for text in stage.of("USER")]
    assert user.isdigit() and int(user) > 0
    assert "sudo" not in " ".join(text for stage in chain for text in stage.of("RUN"))
    assert ("NVIDIA_VISIBLE_DEVICES=all" in " ".join(STAGES[target].of("ENV"))) == (target == "cuda")


def test_a_compiler_is_only_in_the_stage_that_is_left_behind() -> None:
    with_apt = {stage.name: text for stage in STAGES.values() for text in stage.of("RUN") if "apt-get" in text}
    assert [stage for stage, text in with_apt.items() if "g++" in text] == ["packages"]
    assert re.search(r"pydensecrf\* \]\]; then", with_apt["packages"])
    for text in with_apt.values():
        assert "--no-install-recommends" in text and "rm -rf /var/lib/apt/lists" in text
    for text in (text for stage in STAGES.values() for text in stage.of("RUN") if "pip " in text):
        assert text.count("--no-cache-dir") == len(re.findall(r"pip (?:install|wheel)", text))


def test_an_image_has_the_libraries_of_rasterio() -> None:
    """Wheels contain their libraries (libNAME-HASH.so), except those of most systems; slim images lack one of these."""
    folder = Path(str(distribution("rasterio").locate_file("rasterio.libs")))
    if not folder.is_dir() or shutil.which("readelf") is None:
        pytest.skip("requires rasterio from a wheel for Linux, and readelf")
    [gdal] = folder.glob("libgdal*")
    needed = subprocess.run(["readelf", "-d", gdal], capture_output=True, check=True, text=True).stdout
    everywhere = {"libc", "libm", "libdl", "libpthread", "libgcc_s", "libstdc++", "libz"}
    [command] = [text for text in STAGES["runtime"].of("RUN") if "apt-get" in text]
    assert re.search(r"geo\* \]\]; then", command)
    assert set(re.findall(r"\[(lib[\w+]+)\.so", needed)) - everywhere == {"libexpat"} and " libexpat1 " in command


def test_nothing_is_sent_to_the_builder_that_is_not_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    sent = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    assert patterns[0] == "*"
    names = [name for stage in STAGES.values() for name in copied(stage)]
    assert sorted(names) == sorted(sent) and all((ROOT / name).exists() for name in names)
    assert any(fnmatch("wsss/io/__pycache__", line) for line in patterns if line not in ("*", *sent))


def test_all_packages_of_an_image_have_one_version() -> None:
    """Those that the package and its extras require here are in the constraints, directly or not."""
    pinned = {canonicalize_name(line.partition("==")[0]) for line in CONSTRAINTS.splitlines() if "==" in line}
    extras = set(PROJECT["optional-dependencies"]) - {"docs", "test"}
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in PROJECT["optional-dependencies"][extra])]
    waiting, seen = [Requirement(one) for one in wanted], set()
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in seen or name == PROJECT["name"]:
            continue
        seen.add(name)
        every = map(Requirement, distribution(name).requires or ())
        waiting += [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    of_cuda = {name for name in seen if name.startswith(("nvidia-", "cuda-")) or name == "triton"}  # pinned by torch
    assert seen - pinned - of_cuda <= {"setuptools"}


@pytest.mark.slow
def test_torch_is_installed_from_an_index_that_has_nothing_else(tmp_path: Path) -> None:
    """Torch's index has some of torch's dependencies, but rarely in the versions of the constraints."""
    [command] = [text for text in STAGES["packages"].of("RUN") if "--index-url" in text]
    pinned = dict(line.split("==") for line in CONSTRAINTS.splitlines() if "==" in line)
    versions = {name: f"{pinned[name]}+cpu" for name in ("torch", "torchvision")}
    for name, version in versions.items():
        folder, about = tmp_path / "index" / name, f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        wheel = f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(folder / wheel, "w") as archive:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: numpy\n"
            archive.writestr(f"{about}/METADATA", metadata)
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", "")
        (folder / "index.html").write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')
    command = command.replace(
        "/opt/wsss/bin/pip install", f"{sys.executable} -m pip install --target {tmp_path / 'site'}"
    )
    command = command.replace("/dist/constraints.txt", str(ROOT / "constraints.txt"))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    variables |= {"PIP_CONFIG_FILE": os.devnull, "TORCH_INDEX": (tmp_path / "index").as_uri()}
    done = subprocess.run(["bash", "-e", "-c", command], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    installed = {path.name for path in (tmp_path / "site").iterdir()}
    assert installed == {f"{name}-{version}.dist-info" for name, version in versions.items()}


@pytest.mark.slow
def test_the_commands_build_a_wheel_and_install_a_package_that_runs(tmp_path: Path) -> None:
    """Commands are run as they are, with other folders, and pip without an index and without dependencies."""
    folders = {"/src": tmp_path / "src", "/dist": tmp_path / "dist", "/opt/wsss": tmp_path / "wsss"}
    for folder in (folders["/src"], folders["/dist"]):
        folder.mkdir()
    for name in copied(STAGES["wheel"]):
        if (ROOT / name).is_dir():  # other test processes rename compiled modules, which .dockerignore excludes
            shutil.copytree(ROOT / name, folders["/src"] / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folders["/src"] / name)
    shutil.copy(ROOT / "constraints.txt", folders["/dist"])
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_COMPILE": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    variables = kept | offline | {"EXTRAS": "[timm]", "TORCH_INDEX": ""}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"

    def execute(command: str) -> str:
        for inside, outside in folders.items():
            command = re.sub(rf"(?<![\w.]){inside}(?=[/\s\"]|$)", str(outside), command)
        shell = ["bash", "-e", "-o", "pipefail", "-c", command]
        done = subprocess.run(shell, cwd=folders["/src"], env=variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    for stage in ("wheel", "packages"):
        for command in STAGES[stage].of("RUN"):
            execute(command)
    [wheel] = folders["/dist"].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {"wsss/predictor.py", "wsss/pipelines/quickstart.yaml"} <= set(archive.namelist())
    [packages] = (folders["/opt/wsss"] / "lib").glob("*/site-packages")
    others = [path for path in map(Path, sys.path) if path.name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    [entry] = STAGES["runtime"].of("ENTRYPOINT")
    assert execute(f"/opt/wsss/bin/{json.loads(entry)[0]} --version").split()[-1] == PROJECT["version"]
    assert execute("/opt/wsss/bin/python -I -c 'import wsss; print(wsss.__file__)'").startswith(str(packages))
