"""Folders of generated data: drawn once, completed after an interruption, repaired, never mixed with other files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wsss.data.manifest import ContentHashes
from wsss.data.readers.layout import LayoutConfig, Log, hash_cache
from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import TEMPORARY, convert_os_errors, discard, sweep, write_json
from wsss.io.files.contained import check_regular, check_tree
from wsss.io.files.json_files import read_json_object
from wsss.io.files.locking import file_lock

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Generated:
    """A generated dataset, identified by layout, generator version and config.

    The marker file ``<layout>.json`` is written first, to claim the folder, and last, to mark it as complete;
    ``<layout>.sha256.json`` with the hashes of all files is written just before.

    Args:
        generator: version of the generator, incremented whenever the files of a config change.
    """

    config: LayoutConfig
    generator: int

    @property
    def marker(self) -> str:
        """Name of the file that identifies the dataset."""
        return f"{self.config.layout}.json"

    @property
    def hashes(self) -> str:
        """Name of the file with the SHA-256 of all other files."""
        return f"{self.config.layout}.sha256.json"

    def ensure(self, work: Path, files: Iterable[str], draw: Callable[[Path], None], *, log: Log, count: int) -> Path:
        """Return the dataset's folder below ``work``; missing and damaged files are drawn.

        Args:
            work: writable folder.
            files: relative paths of the complete dataset.
            draw: writes the missing files of the dataset to a folder.
            count: number of images, for the log.
        """
        description = json.dumps(self._content(complete=True), sort_keys=True).encode()
        root = work / f"{self.config.layout}-{hashlib.sha256(description).hexdigest()[:12]}"
        wanted, hashes = frozenset(files), ContentHashes(hash_cache(work))
        if not self._is_complete(root, wanted, hashes):
            check_tree(root)
            check_regular(work / f"{root.name}.lock")
            work.mkdir(parents=True, exist_ok=True)
            with file_lock(work / f"{root.name}.lock"):  # one rank draws, the others wait
                if not self._is_complete(root, wanted, hashes):
                    self._discard_damaged(root, wanted, hashes, log)
                    log(f"Generating {count} synthetic images in {root}")
                    draw(root)
        hashes.save()
        return root

    def _is_complete(self, out: Path, files: frozenset[str], hashes: ContentHashes) -> bool:
        """Return whether ``out`` contains all ``files``, unchanged."""
        if not self._is_generated(out, complete=True):
            return False
        missing = files - {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        return not missing and not self._changed(out, files, hashes)

    def _changed(self, out: Path, files: frozenset[str], hashes: ContentHashes) -> list[str]:
        """Return the changed files; folders of older versions have no hashes to compare."""
        if not (out / self.hashes).exists():
            return [name for name in sorted(files) if (out / name).is_dir()]
        recorded = read_json_object(out / self.hashes) or {}
        return [name for name in sorted(files) if _hash(out / name, hashes) != recorded.get(name)]

    def _discard_damaged(self, out: Path, files: frozenset[str], hashes: ContentHashes, log: Log) -> None:
        """Delete the damaged files of a complete dataset, so that they are generated again."""
        if not out.is_dir() or self._is_generated(out, complete=False):
            return  # new, or an interrupted call
        marked = self._is_generated(out, complete=True)
        damaged = self._changed(out, files, hashes)
        if not marked and not (out / self.hashes).exists():
            damaged = sorted(files)  # without hashes, any file may be damaged
        deleted = [name for name in damaged if (out / name).exists()]
        own = [name for name in (self.marker, self.hashes) if (out / name).is_dir()]
        for name in [*deleted, *own]:
            discard(out / name)
        if not marked and any(out.iterdir()):
            write_json(out / self.marker, self._content(complete=False))
            deleted.append(self.marker)
        if deleted:
            log(f"warning: {out}: damaged files are generated again: {listing(deleted)}")

    @contextmanager
    def writing(self, out: Path, files: Iterable[str]) -> Iterator[None]:
        """Claim ``out``, and mark it as complete when the block has written ``files``.

        Raises:
            InvalidInput: ``out`` contains other files.
            RunFailed: ``out`` is not writable.
        """
        self._claim(out)
        yield
        hashes = ContentHashes(None)
        write_json(out / self.hashes, {name: hashes.of(out / name) for name in sorted(files)})
        write_json(out / self.marker, self._content(complete=True))

    def _claim(self, out: Path) -> None:
        """Create ``out`` with the marker file, and delete temporary files of an interrupted call."""
        with convert_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            stranger = next((path.name for path in out.iterdir() if not path.name.startswith(TEMPORARY)), None)
        marker = read_json_object(out / self.marker)
        ours = self._is_generated(out, complete=False) or self._is_generated(out, complete=True)
        if not ours and (marker is not None or stranger is not None):
            other = f"synthetic images of another config ({self.marker})" if marker is not None else stranger
            raise InvalidInput(
                f"not empty; contains {other}", subject=out, hint="Choose a new folder, or delete this one."
            )
        check_tree(out)
        if marker is None:
            write_json(out / self.marker, self._content(complete=False))
        sweep(out)

    def _content(self, *, complete: bool) -> dict[str, Any]:
        return {"generator": self.generator, "config": self.config.model_dump(), "complete": complete}

    def _is_generated(self, out: Path, *, complete: bool) -> bool:
        return read_json_object(out / self.marker) == self._content(complete=complete)


def drawn(
    items: Sequence[Item], draw: Callable[[Item], Result], advance: Callable[[int], None]
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the result of ``draw``, in order; items are drawn by a thread pool."""
    with ThreadPoolExecutor(max_workers=4) as pool:  # threads mostly wait for the disk
        for item, result in zip(items, pool.map(draw, items), strict=True):
            yield item, result
            advance(1)


def _hash(path: Path, hashes: ContentHashes) -> str | None:
    try:
        return hashes.of(path)
    except InvalidInput:  # missing, a folder, or unreadable
        return None
