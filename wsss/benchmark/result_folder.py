"""The layout of a results folder: ``framework/labels/size/loss/seed.csv``, the same as in the authors' repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput, listing
from wsss.io.files.visible import visible_among

LAYOUT = "FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv"
_SEED = re.compile(r"\D*?(\d+)")  # 1.csv, seed1.csv, seed_01.csv


@dataclass(frozen=True)
class ResultFile:
    """A result file: its path, the four folders above it, and the seed in its name."""

    path: Path
    framework: str
    labels: str
    size: str
    loss: str
    seed: int


def _result_file(path: Path, root: Path) -> ResultFile:
    framework, labels, size, loss, _ = path.relative_to(root).parts
    match = _SEED.fullmatch(path.stem)
    assert match is not None
    return ResultFile(path, framework, labels, size, loss, int(match[1]))


def find_results(root: Path) -> tuple[list[ResultFile], list[str]]:
    """Return the result files below ``root``, sorted by folder and seed, and a note on each kind of ignored file.

    Raises:
        InvalidInput: ``root`` is not a folder or holds no result file, or a seed occurs twice (``1`` and ``01``).
    """
    require_folder(root)
    inside = _files(root, root.glob("*/*/*/*/*.csv"))  # unlike rglob, glob follows links to folders
    elsewhere = [path for path in _files(root, root.rglob("*.csv")) if path not in inside]
    unnamed = [path for path in inside if _SEED.fullmatch(path.stem) is None]
    results = [_result_file(path, root) for path in inside if path not in unnamed]
    if not results:
        raise InvalidInput(
            "no results",
            subject=root,
            allowed=f"files {LAYOUT}, where SEED is an integer, or a word that ends in one",
            found=_relative(root, [*elsewhere, *unnamed]) or None,
            hint="Pass the folder that contains the framework folders (results/ in TopoMortar's repository).",
        )
    _require_unique_seeds(results)
    notes = []
    if elsewhere:
        notes.append(f"ignored, not at {LAYOUT}: {listing(_relative(root, elsewhere))}")
    if unnamed:
        notes.append(f"ignored, file name without a seed: {listing(_relative(root, unnamed))}")
    return sorted(
        results, key=lambda result: (result.framework, result.labels, result.size, result.loss, result.seed)
    ), notes


def require_folder(root: Path) -> None:
    """Raise `InvalidInput` unless ``root`` is a folder."""
    if not root.is_dir():
        raise InvalidInput("no such folder", subject=root, hint=f"Pass the folder that contains {LAYOUT}.")


def _files(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the files among the paths, sorted, without hidden ones."""
    return [path for path in visible_among(root, paths) if path.is_file()]


def _relative(root: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _require_unique_seeds(results: Sequence[ResultFile]) -> None:
    seen: dict[tuple[Path, int], Path] = {}
    for result in results:
        first = seen.setdefault((result.path.parent, result.seed), result.path)
        if first != result.path:
            raise InvalidInput(f"duplicate seed {result.seed}, also in {first.name}", subject=result.path)
