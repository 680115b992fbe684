"""Arrays as compressed ``.npz`` without pickle; the same arrays give the same bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.atomic import write_bytes
from wsss.io.recorded import check_recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 2**-10
"""Distance of neighbouring float16 numbers above 1: values in [0, 1] may be rounded by as much."""


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
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy"): _member(archive, name) for name in archive.namelist()}
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path}: not a readable .npz file ({error}).") from error


def require_range(values: NDArray[np.floating[Any]], path: Path, name: str, *, mend: str) -> None:
    """Require an array of floats to be finite and in [0, 1], but for what half precision rounds away.

    Args:
        values: the array, of one axis or more; its parts along the first are looked at one by one, to save memory.
        path: its file.
        name: what the array is called.
        mend: hint.

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
                mend=mend,
            )


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        member.read()  # to the end, where zipfile compares the checksum
    return array
