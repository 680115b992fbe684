"""Ids of images: unique names that are valid in file names on any system."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from wsss.data.sample_ids import MAX_ID_BYTES, check_id, cut, without_suffix

SEPARATOR = "__"
"""Replaces the slash in the id of an image in a subfolder."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\]')
"""Characters that are invalid in file names on some system."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Device names reserved by Windows, with any suffix."""


def image_ids(files: Sequence[str], *, folders: bool = False) -> dict[str, str]:
    """Return a unique id for each image, valid in file names on any system.

    The id is the file name without suffix. If images in different folders share a name (ignoring case), all ids start
    with the folder (``cat/1.jpg`` → ``cat__1``). Remaining duplicates, and only those, end with the suffix (``a.jpg``
    and ``a.png`` → ``a_jpg`` and ``a_png``), or with a hash of the path if that is ambiguous too, so an id does not
    depend on images of other names. Names longer than `MAX_ID_BYTES` bytes are cut and end with a hash of the path.

    Args:
        files: paths below the image folder, with ``/``.
        folders: always include the folder, so that ids do not change when images are added.
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
    """Return the groups of files whose ids are equal on some file system."""
    groups: dict[str, list[str]] = {}
    for file, name in ids.items():
        groups.setdefault(fold(name), []).append(file)
    return [group for group in groups.values() if len(group) > 1]


def _folders_differ(files: Sequence[str]) -> bool:
    """Return whether images in different folders share a name."""
    groups = _alike({file: _clean(_name(file)) for file in files})
    return any(len({fold(file.rpartition("/")[0]) for file in group}) > 1 for group in groups)


def _name(file: str) -> str:
    return without_suffix(file.rpartition("/")[2])


def _with_suffix(file: str) -> str:
    return file.replace("/", SEPARATOR).replace(".", "_")


def _with_hash(file: str) -> str:
    return f"{_with_suffix(file)}{SEPARATOR}{_hash(file)}"


def image_id(file: str) -> str:
    """Return the id of an image from its path alone, with folder and without suffix."""
    return _short(_clean(_with_folder(file)), file)


def renamed(ids: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of `image_ids` whose id is neither the file name nor the path, without suffix."""
    names = {file: (_with_folder(file), _with_folder(file.rpartition("/")[2])) for file in ids}
    return {file: name for file, name in ids.items() if name not in names[file]}


def _with_folder(file: str) -> str:
    return without_suffix(file).replace("/", SEPARATOR)


def _clean(name: str) -> str:
    """Return a name that is a valid id and a single line of a list of ids."""
    name = "_".join(_FORBIDDEN.sub("_", name).splitlines()).replace("..", "__").strip()
    if name.startswith("."):
        name = f"_{name[1:]}"
    if name.endswith("."):
        name = f"{name[:-1]}_"
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    stem = without_suffix(name)  # not "scan.jpg" for "scan.jpg.png": readers would remove that suffix too
    return (name if stem == name else f"{stem}_{name[len(stem) + 1 :]}") or "_"


def _short(name: str, file: str) -> str:
    """Cut a name that is too long, and append a hash of the file path."""
    if len(name.encode()) <= MAX_ID_BYTES:
        return name
    tail = _tail(file)
    return cut(name, MAX_ID_BYTES - len(tail)).rstrip() + tail


def is_cut(file: str, name: str) -> bool:
    """Return whether the id of a file is a cut name."""
    return "~" in name and name.endswith(_tail(file))


def _tail(file: str) -> str:
    return f"~{_hash(file)}"


def _hash(file: str) -> str:
    return hashlib.sha256(file.encode()).hexdigest()[:8]


def fold(name: str) -> str:
    """Return a name for comparison as on file systems that ignore case and Unicode normalisation."""
    return composed(name).casefold()


def composed(name: str) -> str:
    """Return a name in Unicode normal form NFC; macOS decomposes accented letters."""
    return unicodedata.normalize("NFC", name)
