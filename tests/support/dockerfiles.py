"""Reads a Dockerfile: its stages and their instructions. Heredocs and escapes other than ``\\`` are not supported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Stage:
    """A stage: its name, the image or stage that it starts from, and its instructions in order, such as ``RUN``."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        """Return the arguments of all instructions of one kind."""
        return [text for found, text in self.instructions if found == kind]


def read_stages(content: str) -> dict[str, Stage]:
    """Return the stages by name, with the default values of arguments before the first ``FROM`` in their bases."""
    without_comments = re.sub(r"^\s*#.*\n", "", content, flags=re.MULTILINE)
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", "", without_comments).splitlines():
        kind, _, text = line.strip().partition(" ")
        if kind == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", text.strip()).groups()  # type: ignore[union-attr]
            stages[name] = Stage(name, re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base))
        elif stages and kind:
            list(stages.values())[-1].instructions.append((kind, text.strip()))
        elif kind == "ARG":
            key, _, value = text.partition("=")
            arguments[key] = value
    return stages
