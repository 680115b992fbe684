"""Matching of the names in a label file to image files."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wsss.data.image_ids import composed, fold
from wsss.data.importers.rules.urls import (
    SCHEME,
    image_path,
    is_url,
    uploaded_names,
    without_prefix,
    without_upload_folder,
)
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput
from wsss.io.rasters.image_kinds import OTHER_IMAGES

DIFFERENCES = ("", "suffix", "Unicode form", "case", "number")
"""Differences between a name and a file name, in ascending order; ``""`` for none."""


@dataclass(frozen=True)
class Match:
    """The images that match a name in a label file.

    Args:
        files: matching paths, relative to the folder of images; more than one if the name is ambiguous.
        difference: one of `DIFFERENCES`.
        name: the compared form of the name; equal forms certainly mean the same image.
        distance: distance between name and path, smaller for a more exact match: index in `DIFFERENCES`, 1 if an upload
            prefix was removed, number of folders missing from the name, number of extra folders in the name.
        elsewhere: if ``files`` is empty: images of this name in folders that contradict it.
        unread: if ``files`` is empty: matching image files that cannot be read.
        unprefixed: whether the name matches only without the prefix that Label Studio adds to uploads.
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
    """Images indexed by a part of their path (``part``) in a normalised form (``form``: Unicode, case)."""

    part: Callable[[str], str]
    form: Callable[[str], str]
    difference: str
    files: Mapping[str, list[str]]


class Finder:
    """Matches names in label files to images.

    A name is compared, from the strictest to the loosest rule, with the path in the folder; the path without suffix;
    the file name; the file name without suffix; the same four ignoring Unicode form, then also ignoring case. A number
    (``9``) is finally compared with the digits at the end of the file name (``COCO_train2014_000000000009``). A name
    may have more or fewer folders than the path, but no different ones: ``dog/1.jpg`` matches ``1.jpg`` and
    ``train/dog/1.jpg``, but not ``cat/1.jpg``. If several files match, only those that share the most folders with the
    name are kept. A name is compared unchanged, then (if it is a URL) unescaped, then without the prefix that Label
    Studio adds to uploaded files, and finally with the names under which Label Studio would store the files.

    Args:
        files: paths relative to the folder of images.
        root: name of the folder of images, with which names may begin.
        unread: paths of image files that cannot be read.
    """

    def __init__(self, files: Sequence[str], *, root: str = "", unread: Collection[str] = ()) -> None:
        self._root = fold(root)
        self._unread = {_with_read_suffix(path): path for path in unread}
        self._unread_finder = Finder(list(self._unread), root=root) if unread else None
        self._tables: list[_Table] = []
        for difference, form in (("", str), ("Unicode form", composed), ("case", fold)):
            for part, suffix in ((str, ""), (without_suffix, "suffix"), (_name, ""), (_stem, "suffix")):
                table: dict[str, list[str]] = defaultdict(list)
                for file in files:
                    table[form(part(file))].append(file)
                self._tables.append(_Table(part, form, difference or suffix, table))
        self._uploads: dict[str, list[str]] = defaultdict(list)
        self._numbers: dict[int, list[str]] = defaultdict(list)
        for file in files:
            for upload in uploaded_names(_name(file)):
                self._uploads[upload].append(file)
            digits = re.search(r"[0-9]{1,18}$", _stem(file))
            if digits:
                self._numbers[int(digits[0])].append(file)

    def find(self, name: str) -> Match:
        """Return the images that match ``name`` best; ``files`` is empty if none does."""
        match = self._find(name)
        if match.files or self._unread_finder is None:
            return match
        unread = self._unread_finder.find(_with_read_suffix(name)).files
        return replace(match, unread=tuple(self._unread[path] for path in unread))

    def _find(self, name: str) -> Match:
        paths = self._paths(name)
        unprefixed = [(without_prefix(path), path) for path in paths if without_prefix(path) != path]
        elsewhere: list[str] = []
        for candidates in ([(path, path) for path in paths], unprefixed):
            for table, (path, original) in product(self._tables, candidates):
                equal = table.files.get(table.form(table.part(path)), [])
                files = [file for file in equal if _folders_agree(table.form(path), table.form(file))]
                if files:
                    # a name without suffix cannot differ in it
                    no_suffix = table.difference == "suffix" and without_suffix(path) == path
                    return _match(path, _nearest(path, files), "" if no_suffix else table.difference, original)
                elsewhere = elsewhere or equal
        for path, original in unprefixed:
            stored = self._uploads.get(composed(_name(path)), [])
            if files := [file for file in stored if _folders_agree(path, file)]:
                return _match(path, _nearest(path, files), "", original)
        return self._find_number(paths[0]) or Match((), elsewhere=tuple(elsewhere))

    def _find_number(self, name: str) -> Match | None:
        """Return the images that a number matches; with a suffix (``9.jpg``), only images with numeric file names."""
        stem = without_suffix(name)
        numbered = self._numbers.get(int(stem), []) if re.fullmatch(r"[0-9]{1,18}", stem) else []
        files = [file for file in numbered if stem == name or _stem(file).isdigit()]
        return _match(name, files, "number", name) if files else None

    def _paths(self, name: str) -> list[str]:
        """Return the paths that a name may mean, including paths relative to the folder of images if it names it."""
        paths: list[str] = []
        spellings = _spellings(name)
        for path in dict.fromkeys([*spellings, *map(without_upload_folder, spellings)]):
            parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..")]
            starts = [index + 1 for index, part in enumerate(parts[:-1]) if self._root and fold(part) == self._root]
            paths += ["/".join(parts[start:]) for start in (0, *starts)]
        return paths


def _spellings(name: str) -> list[str]:
    """Return a name as a path; for a URL, first unchanged (the writer may not have escaped it), then unescaped."""
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
    return all(first == second for first, second in pairs)


def _nearest(name: str, files: list[str]) -> list[str]:
    """Return the files that share the most folders with ``name``."""
    depth = len(_folders(name))
    shared = {file: min(depth, len(_folders(file))) for file in files}
    most_shared = max(shared.values())
    return [file for file, count in shared.items() if count == most_shared]


def _match(name: str, files: Sequence[str], difference: str, original: str) -> Match:
    """Return the match of ``name``, which is ``original`` with or without its upload prefix."""
    missing = len(_folders(files[0])) - len(_folders(name))
    return Match(
        tuple(files),
        difference,
        name=original if difference else without_suffix(original),
        distance=(DIFFERENCES.index(difference), int(original != name), max(0, missing), max(0, -missing)),
        unprefixed=original != name,
    )
