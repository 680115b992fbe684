"""Arrays as compressed ``.npz`` without pickle; the same arrays give the same bytes."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_bytes
from wsss.io.files.contained import open_to_read
from wsss.io.files.recorded import check_recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 2**-10
"""Distance of neighbouring float16 numbers above 1: values in [0, 1] may be rounded by as much."""


MOST_ARRAYS = 64
MOST_BYTES = 2_000_000_000
MOST_HONEST_BYTES = 16_000_000_000
MOST_RATIO = 100
"""Limits of an ``.npz``: arrays, bytes of all when decompressed, the same where they are hardly compressed, and what
"hardly" is. Probabilities of 21 classes of 80 megapixels have 3.4 GB, and are compressed about tenfold."""

UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, NotImplementedError, SyntaxError, TokenError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What zipfile and NumPy raise for a broken file (a header is a Python literal)."""

PART = 1 << 24
"""Bytes that are read at a time."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to ``path`` atomically. Object arrays are refused (they would need pickle)."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an ``.npz``.

    Raises:
        InvalidInput: missing, truncated, damaged, not an ``.npz``, or holding pickled objects.
    """
    check_recorded(path)
    try:
        with open_to_read(path) as file, zipfile.ZipFile(file) as archive:
            _check_size(path, archive.infolist())
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in archive.infolist()}
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except UNREADABLE as error:
        raise InvalidInput(f"{path}: not a readable .npz file ({error}).") from error


def require_range(values: NDArray[np.floating[Any]], path: Path, name: str, *, hint: str) -> None:
    """Require an array of floats to be finite and in [0, 1], but for what half precision rounds away.

    Args:
        values: the array, of one axis or more; its parts along the first are looked at one by one, to save memory.
        path: its file.
        name: what the array is called.
        hint: hint.

    Raises:
        InvalidInput: names the first value that isn't, and where it is.
    """
    for number, part in enumerate(values):
        fits = (part >= -TOLERANCE) & (part <= 1 + TOLERANCE)  # NaN is neither
        if not fits.all():
            at = tuple(int(place) for place in np.argwhere(~fits)[0])
            raise InvalidInput(
                f"{path}: {name}: expected finite values in [0, 1], got {float(part[at])} at {[number, *at]} "
                f"({int((~fits).sum())} of {part.size} values of {name}[{number}] are invalid).",
                hint=hint,
            )


def read_array(path: Path) -> NDArray[Any]:
    """Read the array of an ``.npy`` file.

    Raises:
        InvalidInput: missing, truncated, damaged, not an ``.npy``, or holding pickled objects.
    """
    check_recorded(path)
    try:
        with open_to_read(path) as file:
            return _read(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except UNREADABLE as error:
        raise InvalidInput(f"{path}: not a NumPy array that can be read ({error}).") from error


def _check_size(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a bomb before anything is decompressed: the sizes are in the zip file's directory."""
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if len(members) > MOST_ARRAYS or size > (MOST_BYTES if size > MOST_RATIO * packed else MOST_HONEST_BYTES):
        raise InvalidInput(
            f"{path}: {len(members)} arrays of {size:,} bytes in {packed:,} compressed ones; at most {MOST_ARRAYS} "
            f"arrays are read, and {MOST_BYTES:,} bytes where they are compressed more than {MOST_RATIO}-fold.",
            hint="Make the image smaller, or cut it into tiles.",
        )


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        array = _read(file, member.file_size)
        file.read()  # to the end, where zipfile compares the checksum
    return array


def _read(file: IO[bytes], size: int) -> NDArray[Any]:
    """Return an array, once it is certain that its header claims no more bytes than the file has.

    Args:
        file: at its beginning; zipfile hands out no more than the size in its directory.
        size: of the file in bytes.

    Raises:
        ValueError: no array, objects in it, or another size.
    """
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"npy version {version}")
    shape, in_columns, kind = headers[version](file)
    if kind.hasobject:
        raise ValueError("it holds pickled objects")
    claimed, there = math.prod(shape) * kind.itemsize, size - file.tell()
    if claimed != there or any(length < 0 for length in shape):
        raise ValueError(f"an array of {claimed} bytes in {there}")
    array = np.empty(math.prod(shape), kind)
    buffer = array.view(np.uint8) if claimed else np.empty(0, np.uint8)
    for start in range(0, claimed, PART):
        part = file.read(min(PART, claimed - start))
        if len(part) < min(PART, claimed - start):
            raise ValueError("it ends too early")
        buffer[start : start + len(part)] = np.frombuffer(part, np.uint8)
    return array.reshape(shape, order="F" if in_columns else "C")
