"""What lies in the images' folder: images, image files that are not read, and everything that is left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wsss.data.importers.rules.reading import Note
from wsss.data.readers.find_images import SYSTEM_FOLDERS as SYSTEM_FOLDERS
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.image_kinds import unread
from wsss.io.text.utf8 import is_utf8

OURS = (("stage.json",), ("run.json",), ("pipeline.yaml", "image_labels.csv"))
"""Files that are in the folders of a stage, of a run and of `wsss init`: what lies there is no input."""

UNREAD = "image files of kinds that are not read, left out"
NO_IMAGES = "files that are no images, left out"


@dataclass
class Listing:
    """Paths below the images' folder, with ``/``, sorted.

    Args:
        images: files with the suffix of an image that can be read.
        unread: image files that can't → why, and what helps.
        notes: what is left out.
    """

    images: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def list_images(folder: Path, *, known: Collection[Path] = ()) -> Listing:
    """List the images below a folder, with those in its subfolders.

    Links to folders are followed where they lead out of ``folder``. Hidden files and folders, those of the system and
    those that `wsss` writes are left out, which is noted.

    Args:
        folder: of the images.
        known: files that need no note, such as the label file.

    Raises:
        InvalidInput: no such folder, it can't be read, or there is no image in it.
    """
    if not folder.is_dir():
        raise InvalidInput(f"--images: {folder} is no folder.", hint="Name the folder that holds the images.")
    found = _Walk(folder, {path.resolve() for path in known}).listing()
    if not found.images:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in list(found.unread.items())[:3])
        raise InvalidInput(
            f"--images: there is no image in {folder}" + (f" that can be read.{reasons}" if reasons else ".")
        )
    return found


class _Walk:
    """One walk through a folder; links come last, so that a folder is listed under its own name."""

    def __init__(self, root: Path, known: Collection[Path]) -> None:
        self._root, self._known = root, known
        self._listing = Listing()
        self._others: list[str] = []
        self._seen: dict[Path, str] = {}
        self._links: list[str] = []

    def listing(self) -> Listing:
        self._folder("")
        while self._links:
            self._link(self._links.pop(0))
        unread = dict(sorted(self._listing.unread.items()))
        names = {path.name for path in self._known}
        others = [name for name in self._others if Path(name).name not in names or self._real(name) not in self._known]
        notes = [
            *self._listing.notes,
            *((UNREAD, f"{name}: {reason}") for name, reason in unread.items()),
            *((NO_IMAGES, text) for text in _by_suffix(others)),
        ]
        return Listing(sorted(self._listing.images), unread, notes)

    def _real(self, path: str) -> Path:
        return (self._root / path).resolve()

    def _note(self, kind: str, message: str) -> None:
        self._listing.notes.append((kind, message))

    def _folder(self, place: str) -> None:
        self._seen[self._real(place)] = place
        for entry in _entries(self._root / place):
            path = f"{place}/{entry.name}" if place else entry.name
            if not is_utf8(entry.name):
                self._unnamed(entry, path)
            elif entry.is_dir(follow_symlinks=False):
                self._subfolder(path)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                self._links.append(path)
            else:  # a link that leads nowhere is named when the image is read
                self._file(path, regular=entry.is_symlink() or entry.is_file())

    def _unnamed(self, entry: os.DirEntry[str], path: str) -> None:
        """Note what can't be named in the pipeline's files."""
        if entry.is_dir():
            inside = counted(_count_images(self._root / path), "image")
            self._note("folders left out, their names are not valid UTF-8", f"{path} ({inside})")
        else:
            self._note("files left out, their names are not valid UTF-8", path)

    def _subfolder(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name.startswith(".") or name.casefold() in SYSTEM_FOLDERS:
            inside = _count_images(self._root / path)
            if inside or not name.startswith("."):
                self._note(
                    "folders of the system or of other programs, left out", f"{path} ({counted(inside, 'image')})"
                )
        elif (twin := self._seen.get(self._real(path))) is not None:
            self._note("folders that are listed already, left out", f"{path} (it is {twin or 'the whole folder'})")
        elif any(all((self._root / path / ours).is_file() for ours in files) for files in OURS):
            self._note("folders that wsss has written, left out", path)
        else:
            self._folder(path)

    def _link(self, path: str) -> None:
        target = self._real(path)
        if any(real.is_relative_to(target) for real in ((self._root / path).parent.resolve(), self._real(""))):
            self._note("links to folders that hold the link itself, not followed", f"{path} → {target}")
        else:
            self._subfolder(path)

    def _file(self, path: str, *, regular: bool) -> None:
        name = path.rpartition("/")[2]
        reason = unread(name)
        is_image = regular and (reason is not None or without_suffix(name) != name)
        if name.startswith("."):
            if is_image:
                self._note("hidden images, left out", path)
        elif is_image and "\r" in path:
            self._note("images left out, their names have a carriage return", repr(path))
        elif is_image and reason is not None:
            self._listing.unread[path] = reason
        else:
            (self._listing.images if is_image else self._others).append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidInput(f"{folder}: can't be read ({error.strerror}).") from error


def _count_images(folder: Path) -> int:
    """Return the number of images below a folder that is left out; what can't be read in it doesn't count."""
    return sum(without_suffix(name) != name for _, _, names in os.walk(folder) for name in names)


def _by_suffix(files: Collection[str]) -> Iterator[str]:
    """Yield one line per suffix: how many files have it, and which."""
    groups: Mapping[str, list[str]] = defaultdict(list)
    for file in files:
        groups[Path(file).suffix.lower()].append(file)
    for suffix, group in sorted(groups.items()):
        yield f"{len(group)} {suffix or 'without a suffix'}: {listing(sorted(group), limit=3)}"
