from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from toycli import HERE, environment, toy

from wsss import __version__
from wsss.cli.main import COMMANDS, cli
from wsss.stages import STAGES

HEAVY = ("torch", "torchvision", "cv2", "PIL", "scipy", "albumentations", "numpy", "pydantic", "rich", "skimage")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert command.help.strip()
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts[0]} has no help"
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {' '.join(path)}")


def test_the_help_lists_every_command_with_a_line() -> None:
    output = CliRunner().invoke(cli, ["--help"], terminal_width=200).output
    listed = {
        line.split()[0]: line.split()[1:] for line in output.splitlines() if line.startswith("  ") and line.split()
    }
    for name in [*COMMANDS, *STAGES]:
        assert len(listed[name]) >= 2, f"{name} has no line"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["data", "check", "--help"],
        ["status", "--help"],
        ["init", "--help"],
        ["topo", "--help"],
    ],
)
def test_help_imports_nothing_heavy_and_is_quick(arguments: list[str]) -> None:
    text = (
        "import sys\n"
        f"sys.argv = ['wsss', *{arguments!r}]\n"
        "from wsss.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert time.monotonic() - begun < 2  # 0.1 s on an idle machine


def test_stage_modules_are_light() -> None:
    text = (
        "import sys\nfrom wsss.stages import STAGES\nlist(STAGES.values())\n"
        "print([name for name in ('torch', 'cv2', 'PIL', 'scipy', 'albumentations', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_static_help_of_a_stage_is_its_own() -> None:
    for name in STAGES:
        assert STAGES.help_of(name) == STAGES[name].help
        assert STAGES[name].name == name


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"wsss, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rn"], 2, "No such command 'rn'. Did you mean 'run'?"),
        (["run"], 2, "Missing argument 'PIPELINE'"),
        (["run", "x.yaml", "--nope"], 2, "No such option"),
        (["run", "no-such.yaml"], 2, "no such pipeline"),
        (["status", "no-such"], 2, "neither no-such nor runs/no-such is a run directory"),
        (["make"], 2, "Missing option '--out'"),
        (["make", "--out", "o", "--data.root"], 2, "Option '--data.root' requires a value."),
        (["fail", "--out", "o"], 1, "Stage 'o' failed: it did not work.\nTry something else."),
        (["fail", "--out", "o", "--how", "bug"], 1, "Stage 'o' failed: KeyError: 'oops'"),
    ],
)
def test_mistakes_end_with_a_message_a_code_and_no_traceback(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = toy(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, a file system that takes no folders")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "p.yaml", "--run-dir", "/proc/wsss"],
        ["make", "--out", "/proc/wsss"],
        ["data", "synth", "shapes", "/proc/wsss", "--train", "1", "--val", "1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_place_that_takes_no_files_is_no_bug(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "p.yaml").write_text("name: toy\nstages: {make: {uses: make}}\n")
    done = toy(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "Can't write /proc/wsss" in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["make", "--out", "m", "--json"], ["status", "m"], ["--help"]])
def test_output_that_cannot_be_written_is_no_bug(tmp_path: Path, arguments: list[str]) -> None:
    assert toy("make", "--out", "m", cwd=tmp_path).returncode == 0
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, str(HERE / "toycli.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: Can't write the output: No space left on device.\n"


@pytest.mark.parametrize("closed", [[2], [1], [0, 1, 2]], ids=str)
def test_closed_streams_end_nothing(tmp_path: Path, closed: list[int]) -> None:
    text = f"import os, sys\nfor number in {closed}: os.close(number)\nos.execv(sys.executable, sys.argv[1:])\n"
    run = [sys.executable, str(HERE / "toycli.py"), "make", "--out", "m"]
    done = subprocess.run(
        [sys.executable, "-c", text, *run], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m" / "metrics.json").is_file()
    assert done.stderr == "" and (done.stdout == "") is (1 in closed)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = toy("fail", "--out", "o", "--how", "bug", "--debug", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "KeyError: 'oops'" in done.stderr


def test_help_leads_to_init_and_to_the_first_run() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    assert "wsss run quickstart" in text
    (line,) = [line for line in text.splitlines() if "Your images:" in line]
    assert "wsss init" in line


@pytest.mark.parametrize("group", [["data"], ["data", "synth"], ["topo"], ["bench"]])
def test_help_of_a_group_shows_examples_and_whole_sentences(group: list[str]) -> None:
    text = CliRunner().invoke(cli, [*group, "--help"]).output
    assert f"wsss {' '.join(group)} " in text.split("Options:")[0].split("\n", 2)[2], "an example to copy"
    assert "..." not in text.split("Commands:")[1]
