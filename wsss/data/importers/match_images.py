"""Matching of the names in a label file to image files."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wsss.data.image_ids import composed, fold
from wsss.data.importers.rules.urls import SCHEME, image_path, is_url, without_prefix, without_upload_folder
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput
from wsss.io.rasters.image_kinds import OTHER_IMAGES

DIFFERENCES = ("", "suffix", "Unicode form", "case", "number")
"""Differences between a name and a file name, from none to the largest."""


@dataclass(frozen=True)
class Match:
    """The images that match a name in a label file.

    Args:
        files: paths below the images' folder; several: the name is ambiguous.
        difference: one of `DIFFERENCES`.
        name: the name as compared; equal names of one image are certain to mean the same image.
        distance: between the name and the path, smallest for the most exact match: index in `DIFFERENCES`, 1 if an
            upload prefix was removed, number of folders missing in the name, number of extra folders in it.
        elsewhere: without ``files``: images with the name in folders that contradict it.
        unread: without ``files``: matching image files that cannot be read.
        unprefixed: the name matches without its prefix of an upload to Label Studio.
    """

    files: tuple[str, ...]
    difference: str = ""
    name: str = ""
    distance: tuple[int, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    unprefixed: bool = False


@dataclass(frozen=True)
class _Table:
    """Images by one part of their paths (``part``), in one form of Unicode and case (``form``)."""

    part: Callable[[str], str]
    form: Callable[[str], str]
    difference: str
    files: Mapping[str, list[str]]


class Finder:
    """Matches names in label files to images.

    A name matches, from the strictest to the loosest: the path below the folder; the path without suffix; the file
    name; the file name without folder and suffix; the same four ignoring Unicode form, then also ignoring case; and a
    number (``9``) the digits at the end of the file name (``COCO_train2014_000000000009``). A name may have more or
    fewer folders than the path, but not different ones: ``dog/1.jpg`` matches ``1.jpg`` and ``train/dog/1.jpg``, not
    ``cat/1.jpg``. Of several files, those sharing the most folders with the name match. A name is compared unchanged,
    then (if it is a URL) unescaped, then without the prefix that Label Studio adds to uploaded files.

    Args:
        files: paths below the images' folder.
        root: name of the images' folder, which a path may begin with.
        unread: paths of image files that cannot be read.
    """

    def __init__(self, files: Sequence[str], *, root: str = "", unread: Collection[str] = ()) -> None:
        self._root = fold(root)
        self._unread = {_with_read_suffix(path): path for path in unread}
        self._others = Finder(list(self._unread), root=root) if unread else None
        self._tables: list[_Table] = []
        for difference, form in (("", str), ("Unicode form", composed), ("case", fold)):
            for part, suffix in ((str, ""), (without_suffix, "suffix"), (_name, ""), (_stem, "suffix")):
                table: dict[str, list[str]] = defaultdict(list)
                for file in files:
                    table[form(part(file))].append(file)
                self._tables.append(_Table(part, form, difference or suffix, table))
        self._numbers: dict[int, list[str]] = defaultdict(list)
        for file in files:
            digits = re.search(r"[0-9]{1,18}$", _stem(file))
            if digits:
                self._numbers[int(digits[0])].append(file)

    def find(self, name: str) -> Match:
        """Return the images that match ``name`` best; its ``files`` are empty if none do."""
        match = self._find(name)
        if match.files or self._others is None:
            return match
        others = self._others.find(_with_read_suffix(name)).files
        return replace(match, unread=tuple(self._unread[path] for path in others))

    def _find(self, name: str) -> Match:
        paths = self._paths(name)
        unprefixed = [(without_prefix(path), path) for path in paths if without_prefix(path) != path]
        elsewhere: list[str] = []
        for candidates in ([(path, path) for path in paths], unprefixed):
            for table, (path, original) in product(self._tables, candidates):
                equal = table.files.get(table.form(table.part(path)), [])
                files = [file for file in equal if _folders_agree(table.form(path), table.form(file))]
                if files:
                    # an id has no suffix to differ in
                    no_suffix = table.difference == "suffix" and without_suffix(path) == path
                    return _match(path, _nearest(path, files), "" if no_suffix else table.difference, original)
                elsewhere = elsewhere or equal
        return self._find_number(paths[0]) or Match((), elsewhere=tuple(elsewhere))

    def _find_number(self, name: str) -> Match | None:
        """Return the images that a number matches; with a suffix (``9.jpg``), only files whose name is a number."""
        stem = without_suffix(name)
        numbered = self._numbers.get(int(stem), []) if re.fullmatch(r"[0-9]{1,18}", stem) else []
        files = [file for file in numbered if stem == name or _stem(file).isdigit()]
        return _match(name, files, "number", name) if files else None

    def _paths(self, name: str) -> list[str]:
        """Return a name as paths, also relative to the images' folder if that is in them."""
        paths: list[str] = []
        spellings = _spellings(name)
        for path in dict.fromkeys([*spellings, *map(without_upload_folder, spellings)]):
            parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..")]
            starts = [at + 1 for at, part in enumerate(parts[:-1]) if self._root and fold(part) == self._root]
            paths += ["/".join(parts[start:]) for start in (0, *starts)]
        return paths


def _spellings(name: str) -> list[str]:
    """Return a name as a path; of a URL, first unchanged (its writer may not have escaped it), then unescaped."""
    path = re.sub(SCHEME.pattern + "[^/]*/", "", name.replace("\\", "/"))
    if not is_url(name):
        return [path]
    try:
        unescaped = image_path(name)
    except InvalidInput:  # a file name that looks like a broken URL
        return [path]
    in_query = "/" in name.partition("?")[2]  # then the last part of the unchanged path is in the query
    return [unescaped] if in_query else [path, unescaped]


def _with_read_suffix(path: str) -> str:
    """Return a path with ``.png`` in place of the suffix of an image that cannot be read."""
    stem, _, suffix = path.rpartition(".")
    return f"{stem}.png" if f".{suffix.lower()}" in OTHER_IMAGES else path


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return without_suffix(_name(path))


def _folders(path: str) -> list[str]:
    return path.split("/")[:-1]


def _folders_agree(name: str, file: str) -> bool:
    """Return whether the folders of one path are the last folders of the other."""
    pairs = zip(reversed(_folders(name)), reversed(_folders(file)), strict=False)
    return all(one == other for one, other in pairs)


def _nearest(name: str, files: list[str]) -> list[str]:
    """Return the files that share the most folders with ``name``."""
    named = len(_folders(name))
    most = max(min(named, len(_folders(file))) for file in files)
    return [file for file in files if min(named, len(_folders(file))) == most]


def _match(name: str, files: Sequence[str], difference: str, original: str) -> Match:
    """Return a match of ``name``, which is ``original`` with or without the prefix of an upload."""
    missing = len(_folders(files[0])) - len(_folders(name))
    return Match(
        tuple(files),
        difference,
        name=original if difference else without_suffix(original),
        distance=(DIFFERENCES.index(difference), int(original != name), max(0, missing), max(0, -missing)),
        unprefixed=original != name,
    )
