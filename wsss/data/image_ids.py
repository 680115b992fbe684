"""What each image will be called: a name that can be part of file names on any system."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from wsss.data.sample_ids import MOST_BYTES, check_id, cut, without_suffix

SEPARATOR = "__"
"""Stands for the slash in the id of an image in a sub-folder: ids are file names."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\]')
"""Characters that some system's file names can't have."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any suffix."""


def image_ids(files: Sequence[str], *, folders: bool = False) -> dict[str, str]:
    """Return a unique id for each image, a name that can be part of file names on any system.

    It is the file's name without suffix; where images in different folders have one name (ignoring case), all images
    have their folders before it (``cat/1.jpg`` → ``cat__1``). Images whose names are still alike, and these alone,
    have the suffix behind it (``a.jpg`` and ``a.png`` → ``a_jpg`` and ``a_png``), or a hash of the whole path where
    that is alike, too: an id doesn't depend on images of other names. Names of more than `MOST_BYTES` bytes are cut,
    and get a hash of the whole path.

    Args:
        files: paths below the images' folder, with ``/``.
        folders: always put the folder before the name, so that an id stays the same when images are added to others.
    """
    first = _with_folder if folders or _folders_differ(files) else _name
    kinds: tuple[Callable[[str], str], ...] = (first, _with_suffix, _with_hash)
    kind_of = dict.fromkeys(files, 0)
    while True:
        ids = {file: _short(_clean(kinds[kind](file)), file) for file, kind in kind_of.items()}
        alike = [file for group in _alike(ids) for file in group if kind_of[file] < len(kinds) - 1]
        if not alike:
            break
        kind_of.update({file: kind_of[file] + 1 for file in alike})
    for file, name in ids.items():
        check_id(name, file)
    return ids


def _alike(ids: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of files whose ids a file system may take for one name."""
    groups: dict[str, list[str]] = {}
    for file, name in ids.items():
        groups.setdefault(fold(name), []).append(file)
    return [group for group in groups.values() if len(group) > 1]


def _folders_differ(files: Sequence[str]) -> bool:
    """Whether images of one name lie in different folders."""
    groups = _alike({file: _clean(_name(file)) for file in files})
    return any(len({fold(file.rpartition("/")[0]) for file in group}) > 1 for group in groups)


def _name(file: str) -> str:
    return without_suffix(file.rpartition("/")[2])


def _with_suffix(file: str) -> str:
    return file.replace("/", SEPARATOR).replace(".", "_")


def _with_hash(file: str) -> str:
    return f"{_with_suffix(file)}{SEPARATOR}{_hash(file)}"


def image_id(file: str) -> str:
    """Return the id that an image has by its path alone, with its folder and without its suffix."""
    return _short(_clean(_with_folder(file)), file)


def renamed(ids: Mapping[str, str]) -> dict[str, str]:
    """Return those of `image_ids` whose id is neither the file's name nor its path, without suffix."""
    names = {file: (_with_folder(file), _with_folder(file.rpartition("/")[2])) for file in ids}
    return {file: name for file, name in ids.items() if name not in names[file]}


def _with_folder(file: str) -> str:
    return without_suffix(file).replace("/", SEPARATOR)


def _clean(name: str) -> str:
    """Return a name that can be an id, and a line of a list of ids: see `wsss.data.readers.label_tables`."""
    name = "_".join(_FORBIDDEN.sub("_", name).splitlines()).replace("..", "__").strip()
    if name.startswith("."):
        name = f"_{name[1:]}"
    if name.endswith("."):
        name = f"{name[:-1]}_"
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    stem = without_suffix(name)  # of "scan.jpg.png" the id can't be "scan.jpg": its suffix would be taken off
    return (name if stem == name else f"{stem}_{name[len(stem) + 1 :]}") or "_"


def _short(name: str, file: str) -> str:
    """Return a name; where that is too long, its beginning with a hash of the file's path."""
    if len(name.encode()) <= MOST_BYTES:
        return name
    tail = _tail(file)
    return cut(name, MOST_BYTES - len(tail)).rstrip() + tail


def is_cut(file: str, name: str) -> bool:
    """Whether the id of a file is the beginning of a longer name."""
    return "~" in name and name.endswith(_tail(file))


def _tail(file: str) -> str:
    return f"~{_hash(file)}"


def _hash(file: str) -> str:
    return hashlib.sha256(file.encode()).hexdigest()[:8]


def fold(name: str) -> str:
    """Return a name as file systems that ignore case and Unicode's form compare it."""
    return composed(name).casefold()


def composed(name: str) -> str:
    """Return a name with letters and their accents in one (NFC), as most systems but macOS write it."""
    return unicodedata.normalize("NFC", name)
