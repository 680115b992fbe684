"""Containment of file access: recorded names, links and special files inside run directories.

A run directory may come from an untrusted source. Names in its records must not lead out of it, links in it must not
redirect writes or deletions, and reading a pipe in it must not block. The run directory itself and the dataset may be
reached through links (for example ``runs`` on another disk).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath

from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.stage_files import RECORD, RUN
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.utf8 import is_utf8

DEPTH = 12
"""Number of parent folders searched for the run directory or stage folder of a file."""

MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4000

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")
"""Names that are certainly valid; they need no further check, which saves time for hundreds of thousands of names."""

HINT = (
    "Replace the link by a folder or file. To keep results on another disk, move the whole run directory there and "
    "link to it."
)


def below(root: Path, name: str, *, where: object, hint: str | None = None) -> Path:
    """Return the path of a recorded name, which must lie below its folder.

    Args:
        name: relative path with ``/`` as separator.
        where: the record that contains the name, for the error.

    Raises:
        InvalidInput: the name is empty, absolute (also on Windows), too long, or contains ``..``, ``.`` or a null
            character.
    """
    check_below(root, name, where=where, hint=hint)
    return root / name


def check_below(root: Path, name: str, *, where: object, hint: str | None = None) -> None:
    """Require that a recorded name lies below its folder; see `below`."""
    problem = name_problem(name)
    if problem:
        raise InvalidInput(f"the name {name!r} {problem}", subject=where, allowed=f"a path inside {root}", hint=hint)


def name_problem(name: str) -> str:
    """Return why a recorded name is not a valid path below a folder (``"is empty"`` …); ``""`` if it is valid."""
    if len(name) <= MAX_NAME_BYTES and _PLAIN.fullmatch(name):
        return ""
    windows = PureWindowsPath(name)
    if not is_utf8(name):
        return "is not valid UTF-8"
    if not name or "\0" in name:
        return "has a null character" if name else "is empty"
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root:
        return "is an absolute path"
    if ".." in (*PurePosixPath(name).parts, *windows.parts):
        return "leads out of its folder"
    if any(part in ("", ".") for part in name.split("/")):
        return "has an empty part"
    return length_problem(name)


def length_problem(path: str) -> str:
    """Return why a path is too long for any file system; ``""`` if it is not."""
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.split("/")):
        return f"has a part of more than {MAX_NAME_BYTES} bytes"
    return f"has more than {MAX_PATH_BYTES} bytes" if len(os.fsencode(path)) > MAX_PATH_BYTES else ""


def check_contained(path: Path) -> None:
    """Require that no link leads a path out of its run directory or stage folder.

    Call this before writing or deleting ``path``. The last component is not checked: files are replaced by renaming
    and deleted by unlinking, both of which act on the link itself.

    Raises:
        InvalidInput: a link leads out of the run directory; the subject is the link.
    """
    root: Path | None = None
    for folder in reversed(Path(os.path.abspath(path)).parents[:DEPTH]):  # noqa: PTH100 - resolve would follow links
        if root is not None:
            check_link(folder, root)
        if any(os.path.lexists(folder / name) for name in (RUN, RECORD)):
            root = folder


def check_tree(folder: Path, root: Path | None = None) -> None:
    """Require that the contents of an output folder neither redirect nor block writing.

    Args:
        folder: folder of a stage or of generated data; it need not exist.
        root: the run directory; by default the closest one among the parents of ``folder``, if any.

    Raises:
        InvalidInput: the folder is a link that leads out of its run directory, or contains a link that leads out of
            the folder, a pipe, a device or a socket.
    """
    check_contained(folder / RECORD)
    if root is not None:
        check_link(folder, root)
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(directory, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a temporary file renamed by another process
                continue
            if stat.S_ISLNK(mode):
                check_link(path, folder)
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise InvalidInput("neither a file nor a folder", subject=path, hint="Delete it.")


def check_regular(path: Path) -> None:
    """Require that a path is a regular file or does not exist, before appending to it.

    Raises:
        InvalidInput: the path is a link, a folder, a pipe or a device.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        found = Verbatim("a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a special file")
        hint = "Delete it: a new one is written."
        raise InvalidInput(subject=path, allowed="a regular file", found=found, hint=hint)


def delete_file(path: Path) -> None:
    """Delete a file or link, if it exists.

    Raises:
        InvalidInput: a link leads the path out of its run directory.
        OSError: the file cannot be deleted.
    """
    check_contained(path)
    path.unlink(missing_ok=True)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file without blocking on pipes, and return its descriptor.

    Args:
        path: the file; links are followed unless ``flags`` includes ``O_NOFOLLOW``.
        flags: as for `os.open`.

    Raises:
        OSError: the file is missing, unreadable or not a regular file.
        RunFailed: this process has too many open files.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise_if_exhausted(error)
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def open_to_read(path: Path) -> BufferedReader:
    """Open a regular file in binary mode for reading; see `open_regular`."""
    return os.fdopen(open_regular(path), "rb")


def read_file(path: Path) -> str:
    """Return the text (UTF-8) of a regular file; see `open_regular`.

    Raises:
        OSError: see `open_regular`.
        ValueError: the file is not UTF-8.
    """
    with open_to_read(path) as file:
        return file.read().decode("utf-8")


def check_link(link: Path, root: Path) -> None:
    """Require that a path is not a link out of ``root``.

    Raises:
        InvalidInput: ``link`` is a symbolic link to a target outside ``root``.
    """
    if not link.is_symlink():
        return
    target = os.path.realpath(link)
    if not Path(target).is_relative_to(os.path.realpath(root)):
        raise InvalidInput(f"the link points outside {root}, to {target}", subject=link, hint=HINT)
