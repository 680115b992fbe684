"""Runs the code blocks of a documentation page in order, in one folder, as its reader would.

The language of a fenced block decides: ``sh`` and ``python`` are run, ``diff`` is applied to the checkout, others
(``yaml`` …) are files, ``text`` is only shown. An HTML comment directly above a block adds marks:

* ``<!-- file: NAME -->``: the block is written to this file. Required for every block that is not run.
* ``<!-- slow -->``: run in slow tests; fast ones plan its pipelines and check that its commands exist.
* ``<!-- planned -->``: too slow for any test; slow tests treat it as fast ones do.
* ``<!-- data -->``: needs real data; without them only commands are checked.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import warm
from shareddata import IS_SHARED

FENCE = re.compile(
    r"^(?:<!-- (?P<marks>[^\n]*) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
MARKS = frozenset({"slow", "planned", "data"})
CHECKOUT_FOLDERS = ("wsss", "configs", "pipelines")


@dataclass(frozen=True)
class Block:
    """A fenced block: its position (``page.md:line``), section, language, text, and marks."""

    place: str
    section: str
    language: str
    text: str
    marks: frozenset[str] = frozenset()
    file: str | None = None


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    content = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(content):
        start = match.start("language")
        words = [word.strip() for word in (match["marks"] or "").split(",") if word.strip()]
        files = [word.removeprefix("file:").strip() for word in words if word.startswith("file:")]
        indent = len(match["indent"])
        yield Block(
            place=f"{page.name}:{content.count(chr(10), 0, start) + 1}",
            section=["", *HEADING.findall(content, 0, start)][-1],
            language=match["language"],
            text="".join(line[indent:] for line in match["text"].splitlines(keepends=True)),
            marks=frozenset(word for word in words if not word.startswith("file:")),
            file=files[0] if files else None,
        )


def check_marks(page: Path) -> None:
    """Require that every block of a page is run, written to a file, or marked as shown only."""
    for block in blocks(page):
        assert block.marks <= MARKS, f"{block.place}: {block.marks - MARKS}"
        covered = block.language in ("sh", "python", "diff", "text") or block.file
        assert covered, f"{block.place}: no test runs a block of {block.language or 'no language'}"


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``wsss`` command in a shell block, without comments and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|\|?|;)\s", line):
            words = shlex.split(part, comments=True)
            if words and words[0] == "wsss":
                end = next((index for index, word in enumerate(words) if word in (">", ">>", "2>")), len(words))
                yield words[1:end]


def look_up(words: list[str], place: str) -> None:
    """Require that a command and its options exist."""
    from wsss.cli.main import cli

    command: click.Command = cli
    path = ["wsss"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None, f"{place}: there is no {' '.join([*path, words[0]])}"
        command, path, words = inner, [*path, words[0]], words[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("--"):
            assert name in known or name.startswith("--data."), f"{place}: {' '.join(path)} has no {name}"


class Session:
    """A folder in which the blocks of a page are run in order.

    Args:
        folder: the working directory; empty, or with the files that the page presupposes.
        slow: also run the slow blocks.
        checkout: a copy of the project that ``diff`` blocks change and that is run; by default the project itself.
        python: another interpreter that has the package, for example of a virtual environment.
        env: further environment variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slow: bool,
        checkout: Path | None = None,
        python: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.slow, self.checkout = folder, slow, checkout
        self.python = python or Path(sys.executable)
        self.own = checkout is None and python is None  # code and environment are those of this process
        self.preloaded = warm.command(str(self.python)) if slow and checkout is None else None
        shim = folder.parent / f"{folder.name}-bin" / "wsss"
        shim.parent.mkdir()
        start = self.preloaded or [str(self.python), "-m", "wsss.cli.main"]
        shim.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
        shim.chmod(0o755)
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1", **(env or {})}
        self.env["PATH"] = os.pathsep.join([str(shim.parent), str(self.python.parent), self.env["PATH"]])
        if checkout is not None:
            self.env["PYTHONPATH"] = str(checkout)

    def run(self, block: Block) -> str:
        """Run, write or apply a block; return its stdout."""
        if block.language == "diff":
            assert self.checkout is not None, f"{block.place}: there is no checkout to change"
            apply_diff(self.checkout, block)
        elif block.file is not None:
            inside = self.checkout is not None and block.file.split("/")[0] in CHECKOUT_FOLDERS
            base = self.checkout if self.checkout is not None and inside else self.folder
            (base / block.file).parent.mkdir(parents=True, exist_ok=True)
            (base / block.file).write_text(block.text, encoding="utf-8")
        elif block.language in ("sh", "python"):
            return self._execute(block)
        return ""

    def _execute(self, block: Block) -> str:
        lacking = "data" in block.marks and not IS_SHARED
        if not lacking and ("slow" not in block.marks or self.slow) and "planned" not in block.marks:
            return self._call(block, block.text)
        if block.language == "python":
            compile(block.text, block.place, "exec")
            return ""
        for words in commands(block.text):
            look_up(words, block.place)
            if words[0] == "run" and not lacking:
                self._call(block, shlex.join(["wsss", *words, "--dry-run"]))
        return ""

    def _call(self, block: Block, text: str) -> str:
        if block.language == "sh" and not self.slow and self.own and _is_plain(text):
            return self._call_here(block, text)  # ten times as fast as a process
        if block.language == "sh":
            call = ["bash", "-euo", "pipefail", "-c", text]
        elif self.preloaded:
            script = self.folder / ".block.py"
            script.write_text(text, encoding="utf-8")
            call = [*self.preloaded, "--script", str(script)]
        else:
            call = [str(self.python), "-c", text]
        done = subprocess.run(call, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _call_here(self, block: Block, text: str) -> str:
        from click.testing import CliRunner

        from wsss.cli.main import cli

        printed = ""
        with contextlib.chdir(self.folder):
            for words in commands(text):
                done = CliRunner().invoke(cli, words)
                failure = f"{block.place}: exit code {done.exit_code}\n{words}\n{done.output}\n{done.exception}"
                assert done.exit_code == 0, failure
                printed += done.stdout
        return printed


def _is_plain(text: str) -> bool:
    """Return whether a shell block contains only ``wsss`` commands."""
    lines = [part for line in text.replace("\\\n", " ").splitlines() for part in line.split("&&")]
    return all(not line.strip() or line.strip().startswith(("wsss ", "#")) for line in lines) and not set(text) & set(
        "|<>$`;"
    )


def apply_diff(checkout: Path, block: Block) -> None:
    """Apply a ``diff`` block to a checkout; its context must occur exactly once in the file."""
    path: Path | None = None
    hunks: list[list[str]] = []
    for line in [*block.text.splitlines(), "--- end"]:
        if line.startswith("--- "):
            if path is not None:
                _apply(path, hunks, block.place)
            hunks = []
        elif line.startswith("+++ "):
            path = checkout / line.removeprefix("+++ ").removeprefix("b/").strip()
        elif line.startswith("@@"):
            hunks.append([])
        else:
            hunks[-1].append(line)


def _apply(path: Path, hunks: list[list[str]], place: str) -> None:
    content = path.read_text(encoding="utf-8")
    for hunk in hunks:
        old = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "+")
        new = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "-")
        assert content.count(old) == 1, f"{place}: {path.name} has {content.count(old)} places like this:\n{old}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")
