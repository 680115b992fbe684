"""Atomic writes: a file holds either its old or its complete new content, even after a power failure.

A file is written under a temporary name in its own folder, flushed to the disk, and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from wsss.errors import RunFailed
from wsss.io.files.contained import check_contained, delete_file, open_to_read
from wsss.io.files.obstacles import obstacle
from wsss.io.process.shared_state import deleted_if_killed
from wsss.io.utf8 import unwritable

TEMPORARY = ".wsss-tmp-"
"""Prefix of temporary names; `sweep` deletes those left by killed processes."""

_UNSUITABLE = frozenset(
    # the second line: pseudo file systems (/proc), and file systems without the required operations
    {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
    | {errno.ENOENT, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; the file is replaced only if the block succeeds.

    Raises:
        RunFailed: the disk is full, or the folder is not writable.
        Obstructed: ``path`` is a folder, or one of its parents is a file.
        InvalidInput: a link inside a run directory leads out of it.
    """
    temporary = temporary_beside(path)
    check_contained(path)
    try:
        with convert_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with deleted_if_killed(temporary):
                temporary.unlink(missing_ok=True)
                with temporary.open("xb") as file:  # exclusive: never writes through a link or pipe
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # `sweep` deletes leftovers; raise the first error
            temporary.unlink()
        raise


def temporary_beside(path: Path) -> Path:
    """Return this process's temporary name for ``path``; long names are hashed to stay below 255 bytes."""
    name = path.name
    if len(os.fsencode(name)) > 200:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{name}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_open(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text to ``path`` atomically.

    Raises:
        InvalidInput: the text contains half a surrogate pair, from a file name that is not valid UTF-8.
    """
    try:
        encoded = content.encode()
    except UnicodeEncodeError as error:
        raise unwritable(path, error) from error
    write_bytes(path, encoded)


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write UTF-8 text piece by piece, atomically, so that only one piece is in memory at a time.

    Args:
        pieces: parts of the text; an error that their iterator raises leaves the file unchanged.

    Raises:
        InvalidInput: see `write_text`.
    """
    with atomic_open(path) as file:
        for piece in pieces:
            try:
                file.write(piece.encode())
            except UnicodeEncodeError as error:
                raise unwritable(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; non-finite numbers raise a `ValueError`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits; pipes and devices raise an `OSError`."""
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> int:
    """Delete temporary files of killed processes below ``folder``, and return their number."""
    leftovers = [path for path in folder.rglob(f"{TEMPORARY}*") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def convert_os_errors(path: Path) -> Iterator[None]:
    """Convert system errors on writing (full disk, no permission, obstructed path) to errors with a hint."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(
                "no space left on device",
                subject=path,
                hint="Free some space and run the same command again: finished work is kept.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _unwritable(
                path, error, "Choose a writable folder (--run-dir or --out), or change its permissions."
            ) from error
        if _concerns(error, path) and (obstructed := obstacle(error, path)) is not None:
            raise obstructed from error
        if error.errno in _UNSUITABLE and _concerns(error, path):
            raise _unwritable(path, error, "Choose another folder.") from error
        if error.errno in (errno.EIO, errno.ESTALE, errno.ENXIO):
            raise _unwritable(
                path,
                error,
                "Check the disk or the network drive, or choose another folder; then run the same command again.",
            ) from error
        raise


def _unwritable(path: Path, error: OSError, hint: str) -> RunFailed:
    return RunFailed(f"cannot be written ({error.strerror})", subject=path, hint=hint)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _concerns(error: OSError, path: Path) -> bool:
    """Return whether an error is about ``path``, its siblings or parents, not about a file read meanwhile."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in (path, *path.parents) or path.parent in named.parents


def discard(path: Path) -> None:
    """Delete a file, or a folder in place of a file, if it exists.

    Raises:
        InvalidInput: see `delete_file`.
        RunFailed: it cannot be deleted.
    """
    with convert_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            check_contained(path)
            shutil.rmtree(path)
        elif path.parent.is_dir():
            delete_file(path)
