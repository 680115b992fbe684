"""The contents of the images' folder: images, unsupported image files, and everything left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wsss.data.importers.rules.read_context import Note
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.visible import SYSTEM_FOLDERS
from wsss.io.rasters.image_kinds import unsupported_reason
from wsss.io.utf8 import is_utf8

OURS = (("stage.json",), ("run.json",), ("pipeline.yaml", "image_labels.csv"))
"""Files in the folders of a stage, of a run and of `wsss init`, which are not input."""

UNREAD = "image files of unsupported formats, left out"
NO_IMAGES = "files other than images, left out"
SYSTEM = "folders of the operating system or of other programs, left out"
LISTED = "folders that are listed already, left out"
LOOPS = "links to folders that contain the link itself, not followed"
WRITTEN = "folders written by wsss, left out"
HIDDEN = "hidden images, left out"
CARRIAGE_RETURN = "images with a carriage return in the name, left out"
NOT_UTF8 = "with names that are not valid UTF-8, left out"


@dataclass
class Listing:
    """Paths below the images' folder, with ``/``, sorted.

    Args:
        images: files with the suffix of a supported image format.
        unsupported: unsupported image file → the reason, and a fix.
        notes: notes on files that are left out.
    """

    images: list[str] = field(default_factory=list)
    unsupported: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def list_images(folder: Path, *, known: Collection[Path] = ()) -> Listing:
    """List the images below a folder and its subfolders.

    Links to folders outside ``folder`` are followed. Hidden files and folders, those of the system and those that
    `wsss` writes are left out, which is noted.

    Args:
        known: files that are not noted as left out, such as the label file.

    Raises:
        InvalidInput: no such folder, an unreadable one, or no images in it.
    """
    if not folder.is_dir():
        raise InvalidInput("no such folder", subject=f"--images: {folder}", hint="Pass the folder of the images.")
    contents = _Walk(folder, {path.resolve() for path in known}).listing()
    if not contents.images:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in list(contents.unsupported.items())[:3])
        raise InvalidInput(f"no images of a supported format{reasons}", subject=f"--images: {folder}")
    return contents


class _Walk:
    """One walk through a folder; links are followed last, so that a folder is listed under its own name."""

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
        unsupported = dict(sorted(self._listing.unsupported.items()))
        names = {path.name for path in self._known}
        others = [name for name in self._others if Path(name).name not in names or self._real(name) not in self._known]
        notes = [
            *self._listing.notes,
            *((UNREAD, f"{name}: {reason}") for name, reason in unsupported.items()),
            *((NO_IMAGES, text) for text in _by_suffix(others)),
        ]
        return Listing(sorted(self._listing.images), unsupported, notes)

    def _real(self, path: str) -> Path:
        return (self._root / path).resolve()

    def _note(self, kind: str, message: str) -> None:
        self._listing.notes.append((kind, message))

    def _folder(self, folder: str) -> None:
        self._seen[self._real(folder)] = folder
        for entry in _entries(self._root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not is_utf8(entry.name):
                self._not_utf8(entry, path)
            elif entry.is_dir(follow_symlinks=False):
                self._subfolder(path)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                self._links.append(path)
            else:  # a broken link is reported when the image is read
                self._file(path, regular=entry.is_symlink() or entry.is_file())

    def _not_utf8(self, entry: os.DirEntry[str], path: str) -> None:
        if entry.is_dir():
            inside = counted(_count_images(self._root / path), "image")
            self._note(f"folders {NOT_UTF8}", f"{path} ({inside})")
        else:
            self._note(f"files {NOT_UTF8}", path)

    def _subfolder(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name.startswith(".") or name.casefold() in SYSTEM_FOLDERS:
            inside = _count_images(self._root / path)
            if inside or not name.startswith("."):
                self._note(SYSTEM, f"{path} ({counted(inside, 'image')})")
        elif (same := self._seen.get(self._real(path))) is not None:
            self._note(LISTED, f"{path} (the same as {same or 'the whole folder'})")
        elif any(all((self._root / path / ours).is_file() for ours in files) for files in OURS):
            self._note(WRITTEN, path)
        else:
            self._folder(path)

    def _link(self, path: str) -> None:
        target = self._real(path)
        if any(real.is_relative_to(target) for real in ((self._root / path).parent.resolve(), self._real(""))):
            self._note(LOOPS, f"{path} → {target}")
        else:
            self._subfolder(path)

    def _file(self, path: str, *, regular: bool) -> None:
        name = path.rpartition("/")[2]
        reason = unsupported_reason(name)
        is_image = regular and (reason is not None or without_suffix(name) != name)
        if name.startswith("."):
            if is_image:
                self._note(HIDDEN, path)
        elif is_image and "\r" in path:
            self._note(CARRIAGE_RETURN, repr(path))
        elif is_image and reason is not None:
            self._listing.unsupported[path] = reason
        else:
            (self._listing.images if is_image else self._others).append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidInput(f"cannot be read ({error.strerror})", subject=folder) from error


def _count_images(folder: Path) -> int:
    """Return the number of images below a folder, without unreadable subfolders."""
    return sum(without_suffix(name) != name for _, _, names in os.walk(folder) for name in names)


def _by_suffix(files: Collection[str]) -> Iterator[str]:
    """Yield one line per suffix: the number of files, and examples."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[Path(file).suffix.lower()].append(file)
    for suffix, group in sorted(groups.items()):
        yield f"{len(group)} {suffix or 'without a suffix'}: {listing(sorted(group), limit=3)}"
