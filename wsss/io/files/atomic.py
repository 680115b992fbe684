"""Atomic writes: a file is either the old one, or the complete new one, also after a power cut.

A file is written under a temporary name in its own folder, flushed to the disk, and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from wsss.errors import RunFailed
from wsss.io.files.contained import check_place, delete_file, open_to_read
from wsss.io.files.obstacles import obstacle
from wsss.io.process.shared_state import deleted_if_killed
from wsss.io.text.utf8 import unwritable

TEMPORARY = ".wsss-tmp-"
"""Prefix of the temporary names; left-overs of a killed process are swept by `sweep`."""

_NO_PLACE = frozenset(
    # the last ones come from file systems that are none for files (/proc), or that lack what we need
    {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
    | {errno.ENOENT, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; it appears under its name only when the block ends without an error.

    Raises:
        RunFailed: the disk is full, or the folder can't be written to.
        Obstructed: ``path`` is a folder, or something above it is a file.
        InvalidInput: a link inside a run directory takes ``path`` out of it.
    """
    temporary = temporary_beside(path)
    check_place(path)
    try:
        with explain_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with deleted_if_killed(temporary):
                temporary.unlink(missing_ok=True)
                with temporary.open("xb") as file:  # made by us: no link or pipe of this name is written through
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # what is left over is swept later; the first error is the one to tell
            temporary.unlink()
        raise


def temporary_beside(path: Path) -> Path:
    """Return the temporary name of this process for ``path``, hashed where it is long: names end at 255 bytes."""
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
        InvalidInput: the text has half a surrogate pair, as names of files that are not valid UTF-8 do.
    """
    try:
        encoded = content.encode()
    except UnicodeEncodeError as error:
        raise unwritable(path, error) from error
    write_bytes(path, encoded)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinities are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits; `OSError` for a pipe or a device."""
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> int:
    """Delete temporary files that a killed process left below ``folder``; return how many there were."""
    left_over = [path for path in folder.rglob(f"{TEMPORARY}*") if path.is_file()]
    for path in left_over:
        path.unlink(missing_ok=True)
    return len(left_over)


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission or something in the way into an error that names the path and the hint."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(
                f"No space left on device while writing {path}.",
                hint="Free some space and run the same command again: finished work is kept.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise RunFailed(
                f"Can't write {path}: {error.strerror}.",
                hint="Choose a folder that you may write to (--run-dir or --out), or change its permissions.",
            ) from error
        if _concerns(error, path) and (found := obstacle(error, path)) is not None:
            raise found from error
        if error.errno in _NO_PLACE and _concerns(error, path):
            raise RunFailed(f"Can't write {path}: {error.strerror}.", hint="Choose another folder.") from error
        if error.errno in (errno.EIO, errno.ESTALE, errno.ENXIO):
            raise RunFailed(
                f"Can't write {path}: {error.strerror}.",
                hint="Check the disk or the network drive, or choose another folder; then run the same command again.",
            ) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that the rename itself survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about ``path`` or what is beside, above or below it, not about a file read meanwhile."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in (path, *path.parents) or path.parent in named.parents


def discard(path: Path) -> None:
    """Delete a file, or a folder where a file should be; a missing one passes.

    Raises:
        InvalidInput: see `delete_file`.
        RunFailed: it can't be deleted.
    """
    with explain_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            check_place(path)
            shutil.rmtree(path)
        elif path.parent.is_dir():
            delete_file(path)
