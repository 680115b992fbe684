"""Arrays in ``.npz`` files without pickle, written deterministically."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim, unreadable
from wsss.io.files.atomic import atomic_open
from wsss.io.files.contained import open_to_read
from wsss.io.files.recorded import check_recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 2**-10
"""Spacing of float16 numbers above 1: the rounding error of values in [0, 1]."""

MAX_ARRAYS = 64
MAX_BYTES = 2_000_000_000
MAX_BYTES_LOW_RATIO = 16_000_000_000
MAX_RATIO = 100
"""Limits of an ``.npz``: number of arrays, decompressed bytes, the same for compression ratios up to ``MAX_RATIO``.
Probabilities of 4 GiB, the largest that are written, have a ratio of about 10."""

UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, NotImplementedError, SyntaxError, TokenError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""Exceptions of zipfile and NumPy for a broken file (an array header is a Python literal)."""

PART = 1 << 24
"""Bytes read at a time."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, compress: bool = False) -> None:
    """Write named arrays to ``path`` atomically; object arrays, which need pickle, raise a `ValueError`.

    Args:
        arrays: name → array.
        compress: deflate them, for arrays that are mostly 0. Other maps and probabilities in half precision are stored:
            deflated, they take 7 to 40 times as long to write, and 20 to 30 % less space.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} contains Python objects")
    save = np.savez_compressed if compress else np.savez
    with atomic_open(path) as file:
        save(file, allow_pickle=False, **arrays)


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
        raise unreadable(path, error) from error
    except UNREADABLE as error:
        raise InvalidInput(f"not a readable .npz file ({error})", subject=path) from error


def require_range(values: NDArray[np.floating[Any]], path: Path, name: str, *, hint: str) -> None:
    """Require an array of floats to be finite and in [0, 1], up to rounding to half precision.

    Args:
        values: array with at least one axis; its slices along the first axis are checked one by one, to save memory.

    Raises:
        InvalidInput: names the first invalid value and its index.
    """
    for number, part in enumerate(values):
        valid = (part >= -TOLERANCE) & (part <= 1 + TOLERANCE)  # false for NaN
        if not valid.all():
            index = tuple(np.argwhere(~valid)[0].tolist())
            raise InvalidInput(
                f"{int((~valid).sum())} of {part.size} values of {name}[{number}] are invalid",
                subject=f"{path}: {name}{[number, *index]}",
                allowed="finite values in [0, 1]",
                found=float(part[index]),
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
        raise unreadable(path, error) from error
    except UNREADABLE as error:
        raise InvalidInput(f"not a readable .npy file ({error})", subject=path) from error


def _check_size(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Reject decompression bombs by the sizes in the zip file's directory."""
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    limit = MAX_BYTES if size > MAX_RATIO * packed else MAX_BYTES_LOW_RATIO
    if len(members) > MAX_ARRAYS or size > limit:
        raise InvalidInput(
            subject=path,
            allowed=f"at most {MAX_ARRAYS} arrays and {limit:,} bytes",
            found=Verbatim(f"{len(members)} arrays and {size:,} bytes (compressed {packed:,})"),
            hint="Downscale the image, or cut it into tiles.",
        )


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        array = _read(file, member.file_size)
        file.read()  # zipfile verifies the checksum at the end
    return array


def _read(file: IO[bytes], size: int) -> NDArray[Any]:
    """Return an array after checking that its header claims the bytes that the file has.

    Args:
        file: an open file at its start; zipfile returns at most the size in its directory.

    Raises:
        ValueError: not an array, an object array, or of another size.
    """
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"npy version {version}")
    shape, in_columns, kind = headers[version](file)
    if kind.hasobject:
        raise ValueError("it contains pickled objects")
    claimed, available = math.prod(shape) * kind.itemsize, size - file.tell()
    if claimed != available or any(length < 0 for length in shape):
        raise ValueError(f"expected an array of {claimed} bytes, got {available}")
    array = np.empty(math.prod(shape), kind)
    buffer = array.view(np.uint8) if claimed else np.empty(0, np.uint8)
    for start in range(0, claimed, PART):
        part = file.read(min(PART, claimed - start))
        if len(part) < min(PART, claimed - start):
            raise ValueError("it is truncated")
        buffer[start : start + len(part)] = np.frombuffer(part, np.uint8)
    return array.reshape(shape, order="F" if in_columns else "C")
