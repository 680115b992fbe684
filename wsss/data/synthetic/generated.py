"""Folders of generated data: drawn once, completed after an interruption, never mixed with anything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.data.layout import LayoutConfig, Log
from wsss.errors import InvalidInput
from wsss.io.atomic import TEMPORARY, explain_os_errors, sweep, write_json
from wsss.io.contained import check_regular, check_tree
from wsss.io.jsonfiles import read_json


@dataclass(frozen=True)
class Generated:
    """A generated dataset, told apart from others by its layout, its generator's version and its config.

    A file ``<layout>.json`` is written to its folder first, to claim it, and last, to say that it is complete.

    Args:
        config: what is drawn.
        generator: raise it whenever the same config gives other files; the folder is named by it too.
    """

    config: LayoutConfig
    generator: int

    @property
    def marker(self) -> str:
        """Name of the file that says whose folder it is."""
        return f"{self.config.layout}.json"

    def ensure(self, work: Path, files: Iterable[str], draw: Callable[[Path], None], *, log: Log, count: int) -> Path:
        """Return the dataset's folder below ``work``, drawn if it isn't there yet.

        Args:
            work: a folder that we may write to.
            files: relative paths that a complete dataset has.
            draw: writes the dataset to a folder.
            log: prints one line for the user.
            count: number of images, for the log.
        """
        description = json.dumps(self._content(complete=True), sort_keys=True).encode()
        root = work / f"{self.config.layout}-{hashlib.sha256(description).hexdigest()[:12]}"
        wanted = frozenset(files)
        if not self.is_complete(root, wanted):
            from filelock import FileLock

            check_tree(root)
            check_regular(work / f"{root.name}.lock")
            work.mkdir(parents=True, exist_ok=True)
            with FileLock(work / f"{root.name}.lock"):  # all ranks of a run start at once: one draws, the others wait
                if not self.is_complete(root, wanted):
                    log(f"Drawing {count} synthetic images into {root}")
                    draw(root)
        return root

    def is_complete(self, out: Path, files: Iterable[str]) -> bool:
        """Whether ``out`` holds the whole dataset, with all of ``files``."""
        if self._found(out) != self._content(complete=True):
            return False
        present = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        return present >= set(files)

    def claim(self, out: Path) -> None:
        """Make ``out`` ours before the first picture is in it, and clear what an interrupted call was writing.

        Raises:
            InvalidInput: ``out`` holds something else.
            RunFailed: ``out`` can't be written to.
        """
        with explain_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            stranger = next((path.name for path in out.iterdir() if not path.name.startswith(TEMPORARY)), None)
        found = self._found(out)
        ours = found in (self._content(complete=False), self._content(complete=True))
        if not ours and (found is not None or stranger is not None):
            other = f"synthetic images of another config ({self.marker})"
            what = other if found is not None else f"files ({stranger})"
            raise InvalidInput(
                f"{out}: the folder already holds {what}.", mend="Choose a new folder, or delete this one."
            )
        check_tree(out)
        if found is None:
            write_json(out / self.marker, self._content(complete=False))
        sweep(out)

    def finish(self, out: Path) -> None:
        """Say that ``out`` is complete."""
        write_json(out / self.marker, self._content(complete=True))

    def _content(self, *, complete: bool) -> dict[str, Any]:
        return {"generator": self.generator, "config": self.config.model_dump(), "complete": complete}

    def _found(self, out: Path) -> Any:
        try:
            return read_json(out / self.marker)
        except (OSError, ValueError):
            return None
