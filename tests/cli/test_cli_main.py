"""Dispatch, help, exit codes and standard streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_page import commands
from inprocess import toy, wsss
from toycli import HERE, environment

from wsss import __version__
from wsss.cli.main import COMMANDS
from wsss.stages import STAGES

HEAVY = ("torch", "torchvision", "cv2", "PIL", "scipy", "albumentations", "numpy", "pydantic", "rich", "skimage")
ALL = {path[1:]: command for path, command in commands()}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    assert (ALL[path].help or "").strip()
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts[0]} has no help"
    done = wsss(*path, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: wsss {' '.join(path)}")
    if isinstance(ALL[path], click.Group):
        assert f"wsss {' '.join(path)} " in done.stdout.split("Options:")[0].split("\n", 2)[2], "no example"
        assert "..." not in done.stdout.split("Commands:")[1], "truncated help"


def test_help_lists_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    output = wsss("--help").stdout
    listed = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.startswith("  ")}
    for name in [*COMMANDS, *STAGES]:
        assert len(listed[name]) >= 2, f"{name} has no line"
    assert "wsss run quickstart" in output and "wsss init" in output


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["data", "check", "--help"], ["init", "--help"], ["topo", "--help"]]
)
def test_help_is_quick_and_imports_nothing_heavy(arguments: list[str]) -> None:
    text = (
        "import sys\n"
        f"sys.argv = ['wsss', *{arguments!r}]\n"
        "from wsss.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "import time\nprint(time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True)
    heavy, seconds = done.stderr.split("\n")[:2]
    assert heavy == "[]" and float(seconds) < 2  # 0.1 s on an idle machine


def test_stage_modules_are_light() -> None:
    text = (
        "import sys\nfrom wsss.stages import STAGES\nlist(STAGES.values())\n"
        "print([name for name in ('torch', 'cv2', 'PIL', 'scipy', 'albumentations', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    assert wsss("--version").stdout == f"wsss, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rn"], 2, "Did you mean 'run'?"),
        (["run"], 2, "Missing argument 'PIPELINE'"),
        (["run", "x.yaml", "--nope"], 2, "No such option"),
        (["run", "no-such.yaml"], 2, "'no-such.yaml'"),
        (["status", "no-such"], 2, "no-such: "),
        (["make"], 2, "Missing option '--out'"),
        (["make", "--out", "o", "--data.root"], 2, "Option '--data.root' requires a value."),
        (["fail", "--out", "o"], 1, "Stage 'o' failed: it did not work.\nTry something else."),
        (["fail", "--out", "o", "--how", "bug"], 1, "Stage 'o' failed: KeyError: 'oops'"),
    ],
)
def test_errors_have_a_message_and_an_exit_code(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = toy(*arguments, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = toy("fail", "--out", "o", "--how", "bug", "--debug", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr and "KeyError: 'oops'" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, where no folder can be created")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "p.yaml", "--run-dir", "/proc/wsss"],
        ["make", "--out", "/proc/wsss"],
        ["data", "synth", "shapes", "/proc/wsss", "--train", "1", "--val", "1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_unwritable_folder_is_reported(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "p.yaml").write_text("name: toy\nstages: {make: {uses: make}}\n")
    done = toy(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and "/proc/wsss" in done.stderr and "bug" not in done.stderr


def process(*arguments: str) -> list[str]:
    return [sys.executable, str(HERE / "toycli.py"), *arguments]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["make", "--out", "m", "--json"], ["status", "m"], ["--help"]])
def test_unwritable_output_is_reported(tmp_path: Path, arguments: list[str]) -> None:
    assert toy("make", "--out", "m", cwd=tmp_path).returncode == 0
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            process(*arguments), cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "error: Cannot write the output: No space left on device.\n"


@pytest.mark.slow
@pytest.mark.parametrize("closed", [[2], [1], [0, 1, 2]], ids=str)
def test_closed_streams_are_ignored(tmp_path: Path, closed: list[int]) -> None:
    text = f"import os, sys\nfor number in {closed}: os.close(number)\nos.execv(sys.executable, sys.argv[1:])\n"
    command = [sys.executable, "-c", text, *process("make", "--out", "m")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m" / "metrics.json").is_file()
    assert done.stderr == "" and (done.stdout == "") is (1 in closed)
