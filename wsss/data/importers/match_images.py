"""Which of the user's images a label file means."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wsss.data.image_ids import composed, fold
from wsss.data.importers.rules.urls import SCHEME, image_of, is_url, without_prefix, without_upload_folder
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput
from wsss.io.rasters.image_kinds import OTHER_IMAGES

LOOSER = ("", "suffix", "Unicode form", "case", "number")
"""How a name may differ from a file's, from nothing on."""


@dataclass(frozen=True)
class Found:
    """The images that a name in a label file may mean.

    Args:
        files: paths below the images' folder; several: the name doesn't tell which.
        loosely: how the name differs from the file's (one of `LOOSER`), or ``""``.
        name: as it was compared; entries with one name of one image mean the same.
        distance: how far the name is from the file's path: place in `LOOSER`, whether an upload's prefix was taken off,
            number of folders that the name leaves out, number of folders that it puts before. The smallest tuple names
            the image most exactly.
        elsewhere: where there are no ``files``: images of this name in folders that contradict it.
        unread: where there are no ``files``: image files that the name fits, and that can't be read.
        unprefixed: the name was found without the prefix of an upload to Label Studio.
    """

    files: tuple[str, ...]
    loosely: str = ""
    name: str = ""
    distance: tuple[int, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    unprefixed: bool = False


class Finder:
    """Finds the images that label files name.

    A name fits, from the strictest to the loosest: as a path below the folder; without suffix; by the file's name
    alone; without folder and suffix; the same four, ignoring the form of Unicode, then case, too; and a number (``9``)
    by the digits at the end of the name (``COCO_train2014_000000000009``). A name may say more or fewer folders than
    the file lies in, never others: ``dog/1.jpg`` is ``1.jpg`` or ``train/dog/1.jpg``, not ``cat/1.jpg``. Of several
    files, the one that shares most folders with the name is meant. A name is looked for as it stands, then (of a URL)
    unescaped, then without the prefix that Label Studio puts before uploaded files.

    Args:
        files: paths below the images' folder.
        root: name of the images' folder itself, which may stand before such a path.
        unread: paths of image files that can't be read.
    """

    def __init__(self, files: Sequence[str], *, root: str = "", unread: Collection[str] = ()) -> None:
        self._root = fold(root)
        self._unread = {_as_image(path): path for path in unread}
        self._others = Finder(list(self._unread), root=root) if unread else None
        self._tables: list[_Table] = []
        for loosely, form in (("", str), ("Unicode form", composed), ("case", fold)):
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
        found = self._find(name)
        if found.files or self._others is None:
            return found
        return replace(found, unread=tuple(self._unread[path] for path in self._others.find(_as_image(name)).files))

    def _find(self, name: str) -> Found:
        whole = self._readings(name)
        cut = [(without_prefix(path), path) for path in whole if without_prefix(path) != path]
        elsewhere: list[str] = []
        for readings in ([(path, path) for path in whole], cut):
            for table, (path, original) in product(self._tables, readings):
                fitting = table.files.get(table.form(table.kind(path)), [])
                files = [file for file in fitting if _agree(table.form(path), table.form(file))]
                if files:
                    # an id, which has no suffix, differs in none
                    loosely = "" if table.loosely == "suffix" and without_suffix(path) == path else table.loosely
                    return _found(path, _nearest(path, files), loosely, original)
                elsewhere = elsewhere or fitting
        return self._by_number(whole[0]) or Found((), elsewhere=tuple(elsewhere))

    def _by_number(self, name: str) -> Found | None:
        """Return the images that a number means; one with a suffix (``9.jpg``) means files that are called a number."""
        stem = without_suffix(name)
        numbered = self._numbers.get(int(stem), []) if re.fullmatch(r"[0-9]{1,18}", stem) else []
        files = [file for file in numbered if stem == name or _stem(file).isdigit()]
        return _found(name, files, "number", name) if files else None

    def _readings(self, name: str) -> list[str]:
        """Return a name as paths, and what follows the images' folder in them."""
        readings: list[str] = []
        paths = _spellings(name)
        for path in dict.fromkeys([*paths, *map(without_upload_folder, paths)]):
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


def _as_image(path: str) -> str:
    """Return a path with the suffix of an image that is read in place of one that isn't."""
    stem, _, suffix = path.rpartition(".")
    return f"{stem}.png" if f".{suffix.lower()}" in OTHER_IMAGES else path


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


def _found(name: str, files: Sequence[str], loosely: str, original: str) -> Found:
    """Return what was found by ``name``, which is ``original``, or that without the prefix of an upload."""
    more = len(_folders(files[0])) - len(_folders(name))
    return Found(
        tuple(files),
        loosely,
        name=original if loosely else without_suffix(original),
        distance=(LOOSER.index(loosely), int(original != name), max(0, more), max(0, -more)),
        unprefixed=original != name,
    )
