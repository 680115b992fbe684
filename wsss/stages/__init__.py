"""The stages. One file per stage, each with a `wsss.pipeline.stage.Stage` called ``STAGE``.

`STAGES` finds them by their files: adding a stage is adding one file. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_DECLARES = re.compile(r"^STAGE\b", re.MULTILINE)
_ORDER = (
    "tiles",
    "classify",
    "expand",
    "shrink",
    "cam",
    "colour",
    "average",
    "pseudo",
    "crf",
    "segment",
    "predict",
    "score",
    "sweep",
    "compare",
    "bench",
    "report",
)


class StageRegistry(Mapping[str, Any]):
    """Stage name → `Stage`; a stage is imported when it is looked up.

    Args:
        folder: where the stage files are.
        package: their package.
    """

    def __init__(self, folder: Path, package: str) -> None:
        self._folder, self._package = folder, package
        self._found: tuple[str, ...] | None = None
        self._added: dict[str, Any] = {}

    def add(self, stage: Any) -> None:
        """Add a stage that has no file here (for tests and for other packages)."""
        self._added[stage.name] = stage

    def help_of(self, name: str) -> str:
        """Return a stage's help line without importing it: the text is read from its file."""
        if name in self._added:
            return str(self._added[name].help)
        for node in ast.parse((self._folder / f"{name}.py").read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not _DECLARES.match(ast.unparse(node)):
                continue
            for keyword in node.value.keywords if isinstance(node.value, ast.Call) else []:
                if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
        return ""

    def __getitem__(self, name: str) -> Any:
        if name in self._added:
            return self._added[name]
        if name not in self._names():
            raise KeyError(name)
        return importlib.import_module(f"{self._package}.{name}").STAGE

    def __iter__(self) -> Iterator[str]:
        return iter([*self._names(), *(name for name in self._added if name not in self._names())])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _names(self) -> tuple[str, ...]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> tuple[str, ...]:
        files = (path for path in self._folder.glob("*.py") if _DECLARES.search(path.read_text(encoding="utf-8")))
        names = sorted(path.stem for path in files if not path.stem.startswith("_"))
        return tuple(sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)))


STAGES = StageRegistry(Path(__file__).parent, __name__)
