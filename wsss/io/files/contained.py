"""Files that stay below their folder: recorded names, links inside run directories, and files that are none.

A run directory may come from someone else. A name in one of its records must not lead out of it, a link in it must not
redirect what is written or deleted, and a pipe in it must not block. The run directory itself may be reached through
links (``runs`` on another disk), and so may a dataset.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RECORD, RUN
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.text.utf8 import is_utf8

DEPTH = 12
"""Folders above a file among which its run directory or its stage's folder is looked for."""

MOST_OF_NAME, MOST_OF_PATH = 255, 4000
"""Bytes of a file's name, and of a path."""

HINT = (
    "Replace the link by a folder or a file of its own. To keep results on another disk, move the whole run directory "
    "there and link to that."
)


def below(root: Path, name: str, *, where: object, hint: str | None = None) -> Path:
    """Return the path of a recorded name below its folder.

    Args:
        root: the folder.
        name: relative, with ``/``.
        where: the record that holds the name, for the error.
        hint: hint of the error.

    Raises:
        InvalidInput: empty, absolute (also of Windows), with a part ``..`` or ``.``, or with a null character.
    """
    problem = name_problem(name)
    if problem:
        raise InvalidInput(f"{where}: the name {name!r} {problem}; expected a file below {root}.", hint=hint)
    return root / name


def name_problem(name: str) -> str:
    """Return why a recorded name can't be a path below a folder (``"leads out of its folder"``); ``""`` if it can."""
    windows = PureWindowsPath(name)
    if not is_utf8(name):
        return "is no valid text"
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
    """Return why no file system has such a path, since it is too long; ``""`` if one may."""
    if any(len(os.fsencode(part)) > MOST_OF_NAME for part in path.split("/")):
        return f"has a part of more than {MOST_OF_NAME} bytes"
    return f"has more than {MOST_OF_PATH} bytes" if len(os.fsencode(path)) > MOST_OF_PATH else ""


def check_place(path: Path) -> None:
    """Refuse a path that a link inside a run directory or a stage's folder takes out of it.

    To be called before anything is written to, or deleted at, ``path``. The last part is not looked at: files are
    replaced by renaming and deleted by unlinking, both of which act on a link and not on what it leads to.

    Raises:
        InvalidInput: names the link.
    """
    root: Path | None = None
    for folder in reversed(Path(os.path.abspath(path)).parents[:DEPTH]):  # noqa: PTH100 - resolve would follow links
        if root is not None:
            check_link(folder, root)
        if any(os.path.lexists(folder / name) for name in (RUN, RECORD)):
            root = folder


def check_tree(folder: Path, root: Path | None = None) -> None:
    """Refuse a folder that is to be written to and holds something that would redirect or block it.

    Args:
        folder: of a stage, or of generated data; it need not exist.
        root: the run directory; by default the one that it is found in, if any.

    Raises:
        InvalidInput: it is a link out of its run directory; or there is a link in it that leads out of it, or a pipe, a
            device or a socket.
    """
    check_place(folder / RECORD)
    if root is not None:
        check_link(folder, root)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a temporary file that another process has renamed meanwhile
                continue
            if stat.S_ISLNK(mode):
                check_link(path, folder)
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise InvalidInput(f"{path}: neither a file nor a folder.", hint="Delete it.")


def check_regular(path: Path) -> None:
    """Refuse to append to anything but a file: no link, pipe or device; a missing one passes.

    Raises:
        InvalidInput: says what it is.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        what = "a link" if stat.S_ISLNK(mode) else "not a file"
        raise InvalidInput(f"{path} is {what}; expected a file.", hint="Delete it: a new one is written.")


def delete_file(path: Path) -> None:
    """Delete a file, or a link itself; a missing one passes.

    Raises:
        InvalidInput: a link inside its run directory takes the path out of it.
        OSError: it can't be deleted.
    """
    check_place(path)
    path.unlink(missing_ok=True)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a file, without waiting for the other end of a pipe.

    Args:
        path: the file; a link to one is followed unless ``flags`` has ``O_NOFOLLOW``.
        flags: as for `os.open`.

    Raises:
        OSError: missing, can't be read, or no file (a folder, a pipe, a device).
        RunFailed: this process has too many files open, which is no fault of this one.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise_if_exhausted(error)
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a file", os.fspath(path))


def open_to_read(path: Path) -> BufferedReader:
    """Open a file for reading bytes; see `open_regular`."""
    return os.fdopen(open_regular(path), "rb")


def read_file(path: Path) -> str:
    """Return the text (UTF-8) of a file; see `open_regular`.

    Raises:
        OSError: see `open_regular`.
        ValueError: not UTF-8.
    """
    with open_to_read(path) as file:
        return file.read().decode("utf-8")


def check_link(link: Path, root: Path) -> None:
    """Refuse a link that leads out of a folder; anything else passes.

    Raises:
        InvalidInput: names the link, and where it leads.
    """
    if not link.is_symlink():
        return
    target, above = os.path.realpath(link), os.path.realpath(root)
    if not Path(target).is_relative_to(above):
        raise InvalidInput(
            f"{link}: this link leads out of {root}, to {target}; nothing is written or deleted through it.", hint=HINT
        )
