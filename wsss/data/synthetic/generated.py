"""Folders of generated data: drawn once, completed after an interruption, repaired, never mixed with anything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.data.manifest import ContentHashes
from wsss.data.readers.layout import LayoutConfig, Log, hash_cache
from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import TEMPORARY, discard, explain_os_errors, sweep, write_json
from wsss.io.files.contained import check_regular, check_tree
from wsss.io.files.locking import file_lock
from wsss.io.text.json_files import read_json


@dataclass(frozen=True)
class Generated:
    """A generated dataset, told apart from others by its layout, its generator's version and its config.

    A file ``<layout>.json`` is written to its folder first, to claim it, and last, to say that it is complete; just
    before, ``<layout>.sha256.json`` with the hashes of all files.

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

    @property
    def hashes(self) -> str:
        """Name of the file that has the SHA-256 of every other one."""
        return f"{self.config.layout}.sha256.json"

    def ensure(self, work: Path, files: Iterable[str], draw: Callable[[Path], None], *, log: Log, count: int) -> Path:
        """Return the dataset's folder below ``work``, drawn if it isn't there yet, and damaged files drawn again.

        Args:
            work: a folder that we may write to.
            files: relative paths that a complete dataset has.
            draw: writes the dataset to a folder; draws what is missing there.
            log: prints one line for the user.
            count: number of images, for the log.
        """
        description = json.dumps(self._content(complete=True), sort_keys=True).encode()
        root = work / f"{self.config.layout}-{hashlib.sha256(description).hexdigest()[:12]}"
        wanted, hashes = frozenset(files), ContentHashes(hash_cache(work))
        if not self.is_complete(root, wanted, hashes):
            check_tree(root)
            check_regular(work / f"{root.name}.lock")
            work.mkdir(parents=True, exist_ok=True)
            with file_lock(work / f"{root.name}.lock"):  # all ranks of a run start at once: one draws, the others wait
                if not self.is_complete(root, wanted, hashes):
                    self._discard_damaged(root, wanted, hashes, log)
                    log(f"Drawing {count} synthetic images into {root}")
                    draw(root)
        hashes.save()
        return root

    def is_complete(self, out: Path, files: Iterable[str], hashes: ContentHashes | None = None) -> bool:
        """Whether ``out`` holds the whole dataset, with all of ``files``, none of them changed since it was drawn.

        Args:
            out: the folder.
            files: relative paths that a complete dataset has.
            hashes: remembers the hashes of files that were read before.
        """
        wanted = frozenset(files)
        if not self._is_ours(out, complete=True) or self._missing(out, wanted):
            return False
        return not self._changed(out, wanted, hashes or ContentHashes(None))

    def _missing(self, out: Path, files: frozenset[str]) -> frozenset[str]:
        return files - {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}

    def _changed(self, out: Path, files: frozenset[str], hashes: ContentHashes) -> list[str]:
        """Return the files that aren't what was drawn; a folder of an older version has no hashes to compare with."""
        if not (out / self.hashes).exists():
            return [name for name in sorted(files) if (out / name).is_dir()]
        recorded = _read(out / self.hashes) or {}
        return [name for name in sorted(files) if _hash(out / name, hashes) != recorded.get(name)]

    def _discard_damaged(self, out: Path, files: frozenset[str], hashes: ContentHashes, log: Log) -> None:
        """Delete what is damaged in a folder that was drawn before, so that it is drawn again."""
        if not out.is_dir() or self._is_ours(out, complete=False):
            return  # not begun, or interrupted while it was drawn
        marked = self._is_ours(out, complete=True)
        damaged = self._changed(out, files, hashes)
        if not marked and not (out / self.hashes).exists():
            damaged = sorted(files)  # nothing tells which of them are whole
        found = [name for name in damaged if (out / name).exists()]
        own = [name for name in (self.marker, self.hashes) if (out / name).is_dir()]
        for name in [*found, *own]:
            discard(out / name)
        if not marked and any(out.iterdir()):
            write_json(out / self.marker, self._content(complete=False))
            found.append(self.marker)
        if found:
            log(f"warning: {out}: damaged since it was drawn, and drawn again: {listing(found)}")

    def claim(self, out: Path) -> None:
        """Make ``out`` ours before the first picture is in it, and clear what an interrupted call was writing.

        Raises:
            InvalidInput: ``out`` holds something else.
            RunFailed: ``out`` can't be written to.
        """
        with explain_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            stranger = next((path.name for path in out.iterdir() if not path.name.startswith(TEMPORARY)), None)
        found = _read(out / self.marker)
        ours = self._is_ours(out, complete=False) or self._is_ours(out, complete=True)
        if not ours and (found is not None or stranger is not None):
            other = f"synthetic images of another config ({self.marker})"
            what = other if found is not None else f"files ({stranger})"
            raise InvalidInput(
                f"{out}: the folder already holds {what}.", hint="Choose a new folder, or delete this one."
            )
        check_tree(out)
        if found is None:
            write_json(out / self.marker, self._content(complete=False))
        sweep(out)

    def finish(self, out: Path, files: Iterable[str]) -> None:
        """Say that ``out`` is complete, and record the hashes of its files."""
        hashes = ContentHashes(None)
        write_json(out / self.hashes, {name: hashes.of(out / name) for name in sorted(files)})
        write_json(out / self.marker, self._content(complete=True))

    def _content(self, *, complete: bool) -> dict[str, Any]:
        return {"generator": self.generator, "config": self.config.model_dump(), "complete": complete}

    def _is_ours(self, out: Path, *, complete: bool) -> bool:
        return _read(out / self.marker) == self._content(complete=complete)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; ``None`` where there is none, or it is damaged."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _hash(path: Path, hashes: ContentHashes) -> str | None:
    try:
        return hashes.of(path)
    except InvalidInput:  # missing, a folder, or not to be read
        return None
