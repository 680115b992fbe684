"""Reading of a pickled dict of NumPy arrays without running anything that the file names.

A pickle is a program; it may call any function of any module. Here it may name a few things, none of which is called:
each stands for a recorder of our own that checks what it is given and builds the array from plain bytes. Every other
name ends the context. Not even NumPy's own functions see what the file says before it has been checked.
"""

from __future__ import annotations

import pickle
import re
import struct
import sys
from collections.abc import Callable
from math import prod
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsss.errors import InvalidInput

Values = NDArray[Any]
Order = Literal["<", ">", "="]

MAX_BYTES = 1 << 30
"""``cls_labels.npy`` of COCO's 123,287 images is a tenth of this."""

MAX_ELEMENTS = 1 << 24
"""Of one array."""

MAX_LETTERS = 4096
"""Of one text: no path is longer."""

_TEXT = re.compile(r"U[1-9][0-9]{0,3}", re.ASCII)
_KINDS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_BROKEN = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError, KeyError, ImportError),
    *(OverflowError, MemoryError, RecursionError, struct.error),
)
"""What the standard unpickler raises on a file that is damaged."""


class _Refused(Exception):
    """The file names something that is not allowed."""


class _Stand:
    """Stands for a function or class that the file names. The file can't change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused("a change to a function")


class _Type:
    """Stands for ``numpy.dtype``: a kind and size such as ``f4``; ``O`` (only for the array around the dict) or ``U4``
    (only for one text)."""

    def __init__(self, name: object, *flags: object) -> None:
        text = isinstance(name, str) and _TEXT.fullmatch(name) and int(name[1:]) <= MAX_LETTERS
        if not text and name not in _KINDS and name not in ("O", "O8"):
            raise _Refused(f"an array of type {name!r}")
        self.name = str(name)
        self.order: Order = "="

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subdtype, names, fields, itemsize, alignment, flags): of all that, the order is needed
        orders: dict[object, Order] = {"<": "<", ">": ">", "|": "=", "=": "="}
        if not isinstance(state, tuple) or len(state) < 5 or not isinstance(state[1], str) or state[1] not in orders:
            raise _Refused("an array of unknown byte order")
        if any(part is not None for part in state[2:5]):
            raise _Refused("an array of structures")
        self.order = orders[state[1]]

    @property
    def is_object(self) -> bool:
        return self.name.startswith("O")

    @property
    def is_text(self) -> bool:
        return self.name.startswith("U")

    def read_text(self, data: object) -> str:
        """Return the text that bytes hold, four for each character, filled up with zeros.

        Raises:
            _Refused: it doesn't fit the bytes.
            UnicodeDecodeError: a character is none.
        """
        data = _bytes(data)
        if len(data) != 4 * int(self.name[1:]):
            raise _Refused("a text whose length doesn't fit its bytes")
        big = self.order == ">" or (self.order == "=" and sys.byteorder == "big")
        return data.decode("utf-32-be" if big else "utf-32-le").rstrip("\0")

    def read(self, data: object, shape: object, *, fortran: bool = False) -> Values:
        """Return the array that bytes hold.

        Raises:
            _Refused: the shape is none, is too large, or doesn't fit the bytes.
        """
        if self.is_object:
            raise _Refused("an array of objects inside another")
        if self.is_text:
            raise _Refused("an array of texts")
        data = _bytes(data)
        sides = _shape(shape)
        kind = np.dtype(self.name).newbyteorder(self.order)
        if len(data) != prod(sides) * kind.itemsize:
            raise _Refused("an array whose shape doesn't fit its bytes")
        values: Values = np.frombuffer(data, kind).astype(kind.newbyteorder("="))
        return values.reshape(sides, order="F" if fortran else "C")


class _Array:
    """Stands for an array that is being rebuilt: `value` is an array, or the list of an array of objects."""

    value: Values | list[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Type):
            raise _Refused("an array in an unknown form")
        _, shape, kind, fortran, data = state
        if not kind.is_object:
            self.value = kind.read(data, shape, fortran=bool(fortran))
        elif isinstance(data, list) and prod(_shape(shape)) == len(data):
            self.value = data
        else:
            raise _Refused("an array of objects in an unknown form")

    def numbers(self) -> Values:
        """Return the array.

        Raises:
            _Refused: it is one of objects, or nothing has been put into it.
        """
        if self.value is None or isinstance(self.value, list):
            raise _Refused("an array of something else than numbers")
        return self.value


def _bytes(data: object) -> bytes:
    """Return an array's or a number's bytes.

    Raises:
        _Refused: they are none.
    """
    if isinstance(data, str):  # protocol 2 knows no bytes
        return data.encode("latin-1")
    if not isinstance(data, bytes | bytearray):
        raise _Refused("an array without bytes")
    return bytes(data)


def _shape(shape: object) -> tuple[int, ...]:
    """Return the shape of an array.

    Raises:
        _Refused: it is none, or too large.
    """
    sides = shape if isinstance(shape, tuple) and len(shape) <= 4 else (-1,)
    if not all(isinstance(side, int) and 0 <= side <= MAX_ELEMENTS for side in sides) or prod(sides) > MAX_ELEMENTS:
        raise _Refused(f"an array of shape {shape!r:.60}")
    return sides


def _reconstruct(*arguments: object) -> _Array:
    """Stand for ``numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")``."""
    if not arguments or arguments[0] is not _NDARRAY:
        raise _Refused("something that is no plain array")
    return _Array()


def _from_buffer(data: object, kind: object, shape: object, order: object, *rest: object) -> _Array:
    """Stand for ``numpy.core.numeric._frombuffer``, of pickle protocol 5."""
    if not isinstance(kind, _Type) or order not in ("C", "F"):
        raise _Refused("an array in an unknown form")
    array = _Array()
    array.value = kind.read(data, shape, fortran=order == "F")
    return array


def _scalar(kind: object, data: object) -> int | float | str:
    """Stand for ``numpy.core.multiarray.scalar``: one number or text, as Python's own."""
    if not isinstance(kind, _Type):
        raise _Refused("a number in an unknown form")
    if kind.is_text:
        return kind.read_text(data)
    number: int | float = kind.read(data, ()).item()
    return number


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Stand for ``_codecs.encode``, which is how Python 3 writes bytes in protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("a text in an unknown encoding")
    return text.encode("latin-1")


def _never(*arguments: object) -> object:
    """Stand for ``numpy.ndarray``, which is named as an argument and never called."""
    raise _Refused("an array that is made by a call")


_NDARRAY = _Stand(_never)
_ALLOWED: dict[tuple[str, str], _Stand] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Stand(_Type),
    ("_codecs", "encode"): _Stand(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Stand(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Stand(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Stand(_from_buffer) for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in, for the few names that are allowed."""
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, identity: Any) -> Any:
        """Refuse objects that lie outside the file."""
        raise _Refused("an object outside the file")


def unpickle(file: IO[bytes], where: str) -> dict[Any, Any]:
    """Read one pickled ``dict``, alone or inside an array of one object (as ``numpy.save`` writes it).

    Args:
        file: opened where the pickle begins.
        where: what to call the file in an error.

    Returns:
        A dict whose keys and values are of the types ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``None``,
        `list`, `tuple`, `set`, `dict`, or arrays of numbers (only at the top and as values of the dict itself).

    Raises:
        InvalidInput: the file names anything else, or is damaged.
    """
    try:
        found = _Unpickler(file, encoding="latin-1").load()
        if isinstance(found, _Array):
            found = found.value
            if isinstance(found, list) and len(found) == 1:
                found = found[0]
        if not isinstance(found, dict):
            raise InvalidInput(f"{where}: the pickle holds no dict of image → labels.")
        return {key: value.numbers() if isinstance(value, _Array) else value for key, value in found.items()}
    except _Refused as error:
        raise InvalidInput(
            f"{where}: refused: the pickle holds {error}, and a pickle may run any program while it is read. Allowed "
            "are a dict, texts, numbers and arrays of numbers.",
            hint="If you trust the file, save it as a CSV table image_id,labels instead.",
        ) from error
    except _BROKEN as error:
        raise InvalidInput(f"{where}: damaged, or no pickle ({type(error).__name__}: {error}).") from error
