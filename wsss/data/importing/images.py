"""The user's images: what lies in their folder, what each will be called, and which one a label file means."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.importing.urls import SCHEME, image_of, is_url
from wsss.data.lists import check_id, without_suffix
from wsss.errors import InvalidInput

LOOSER = ("", "suffix", "case", "number")
"""How a name may differ from a file's, from nothing on."""


@dataclass(frozen=True)
class Found:
    """The images that a name in a label file may mean.

    Args:
        files: paths below the images' folder; several: the name doesn't tell which.
        loosely: how the name differs from the file's (one of `LOOSER`), or ``""``.
        name: as it was compared; entries with one name of one image mean the same.
        distance: how far the name is from the file's path: place in `LOOSER`, number of folders that it leaves out,
            number of folders that it puts before. The smallest tuple names the image most exactly.
        elsewhere: where there are no ``files``: images of this name in folders that contradict it.
    """

    files: tuple[str, ...]
    loosely: str = ""
    name: str = ""
    distance: tuple[int, ...] = ()
    elsewhere: tuple[str, ...] = ()


def list_images(folder: Path) -> tuple[list[str], list[str]]:
    """Return the images below a folder, with those in its subfolders, as sorted paths with ``/`` relative to it.

    Hidden files and folders are passed over, links to folders are not followed.

    Returns:
        The images, and those left out since their names are no valid text.

    Raises:
        InvalidInput: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InvalidInput(f"--images: {folder} is no folder.", mend="Name the folder that holds the images.")
    found: list[str] = []
    unnamed: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_read):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or without_suffix(name) == name:
                continue
            path = (Path(parent) / name).relative_to(folder).as_posix()
            valid = all(not 0xD800 <= ord(character) <= 0xDFFF for character in path)
            (found if valid else unnamed).append(path if valid else repr(path))
    if not found:
        raise InvalidInput(f"--images: there is no image in {folder}.")
    return sorted(found), sorted(unnamed)


def _cannot_read(error: OSError) -> None:
    raise InvalidInput(f"{error.filename}: can't be read ({error.strerror}).") from error


def image_ids(files: Sequence[str]) -> dict[str, str]:
    """Return a unique id for each image, a name that can be part of file names on any system.

    It is the file's name without suffix where that tells all images apart (ignoring case), else the folder is put
    before it (``cat/1.jpg`` → ``cat__1``), else the suffix behind it, else a number. All images get ids of one kind.
    """
    kinds: tuple[Callable[[str], str], ...] = (
        lambda file: without_suffix(file.rpartition("/")[2]),
        lambda file: without_suffix(file).replace("/", "__"),
        lambda file: file.replace("/", "__").replace(".", "_"),
    )
    for kind in kinds:
        ids = {file: _clean(kind(file)) for file in files}
        if len({fold(name) for name in ids.values()}) == len(ids):
            break
    else:
        ids = {file: f"{name}__{number}" for number, (file, name) in enumerate(ids.items(), start=1)}
    for file, name in ids.items():
        check_id(name, file)
    return ids


def _clean(name: str) -> str:
    """Return a name that can be an id, and a line of a list of ids: see `wsss.data.lists`."""
    name = "_".join(re.sub(r"[\x00-\x1f\x7f\\]", "_", name).splitlines()).replace("..", "__").strip()
    if name.startswith("."):
        name = f"_{name[1:]}"
    stem = without_suffix(name)  # of "scan.jpg.png" the id can't be "scan.jpg": its suffix would be taken off
    return (name if stem == name else f"{stem}_{name[len(stem) + 1 :]}") or "_"


def fold(name: str) -> str:
    """Return a name as file systems that ignore case and Unicode's form compare it."""
    return unicodedata.normalize("NFC", name).casefold()


class Finder:
    """Finds the images that label files name.

    A name fits, from the strictest to the loosest: as a path below the folder; without suffix; by the file's name
    alone; without folder and suffix; the same four, ignoring case and the form of Unicode; and a number (``9``) by the
    digits at the end of the name (``COCO_train2014_000000000009``). A name may say more or fewer folders than the file
    lies in, never others: ``dog/1.jpg`` is ``1.jpg`` or ``train/dog/1.jpg``, not ``cat/1.jpg``. Of several files, the
    one that shares most folders with the name is meant.

    Args:
        files: paths below the images' folder.
        root: name of the images' folder itself, which may stand before such a path.
    """

    def __init__(self, files: Sequence[str], *, root: str = "") -> None:
        self._root = fold(root)
        self._tables: list[_Table] = []
        for loosely, form in (("", str), ("case", fold)):
            for kind, suffix in ((str, ""), (without_suffix, "suffix"), (_name, ""), (_stem, "suffix")):
                table: dict[str, list[str]] = defaultdict(list)
                for file in files:
                    table[form(kind(file))].append(file)
                self._tables.append(_Table(kind, form, loosely or suffix, table))
        self._numbers: dict[int, list[str]] = defaultdict(list)
        for file in files:
            digits = re.search(r"[0-9]{1,18}$", _stem(file))
            if digits:
                self._numbers[int(digits[0])].append(file)

    def find(self, name: str) -> Found:
        """Return the images that ``name`` fits best; none where nothing fits."""
        readings = self._readings(name)
        elsewhere: list[str] = []
        for table in self._tables:
            for path in readings:
                fitting = table.files.get(table.form(table.kind(path)), [])
                files = [file for file in fitting if _agree(table.form(path), table.form(file))]
                if files:
                    # an id, which has no suffix, differs in none
                    loosely = "" if table.loosely == "suffix" and without_suffix(path) == path else table.loosely
                    return _found(path, _nearest(path, files), loosely)
                elsewhere = elsewhere or fitting
        if re.fullmatch(r"[0-9]{1,18}", readings[0]):
            return _found(readings[0], self._numbers.get(int(readings[0]), []), "number")
        return Found((), elsewhere=tuple(elsewhere))

    def _readings(self, name: str) -> list[str]:
        """Return a name as paths, and what follows the images' folder in them."""
        readings: list[str] = []
        for path in _spellings(name):
            parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..")]
            starts = [at + 1 for at, part in enumerate(parts[:-1]) if self._root and fold(part) == self._root]
            readings += ["/".join(parts[start:]) for start in (0, *starts)]
        return readings


def _spellings(name: str) -> list[str]:
    """Return a name as a path; of a URL as it stands (nobody has to escape what is no URL), then unescaped."""
    path = re.sub(SCHEME.pattern + "[^/]*/", "", name.replace("\\", "/"))
    if not is_url(name):
        return [path]
    try:
        unescaped = image_of(name)
    except InvalidInput:  # the file's name may look like a URL that is broken
        return [path]
    whole = "/" not in name.partition("?")[2]  # else the last part of the path would be one of the query
    return [path, unescaped] if whole else [unescaped]


@dataclass(frozen=True)
class _Table:
    """Images by one part of their paths (``kind``), written in one ``form``."""

    kind: Callable[[str], str]
    form: Callable[[str], str]
    loosely: str
    files: Mapping[str, list[str]]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return without_suffix(_name(path))


def _folders(path: str) -> list[str]:
    return path.split("/")[:-1]


def _agree(name: str, file: str) -> bool:
    """Whether the folders of one are the last folders of the other."""
    pairs = zip(reversed(_folders(name)), reversed(_folders(file)), strict=False)
    return all(one == other for one, other in pairs)


def _nearest(name: str, files: list[str]) -> list[str]:
    """Return the files, all of which agree with ``name``, that share most folders with it."""
    named = len(_folders(name))
    most = max(min(named, len(_folders(file))) for file in files)
    return [file for file in files if min(named, len(_folders(file))) == most]


def _found(name: str, files: Sequence[str], loosely: str) -> Found:
    difference = [len(_folders(file)) - len(_folders(name)) for file in files[:1]]
    return Found(
        tuple(files),
        loosely,
        name=name if loosely else without_suffix(name),
        distance=(
            LOOSER.index(loosely),
            *(max(0, more) for more in difference),
            *(max(0, -more) for more in difference),
        ),
    )
