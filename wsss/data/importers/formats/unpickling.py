"""Reading a pickled dict of NumPy arrays without running code from the file.

A pickle is a program that may call any function of any module. This unpickler resolves only the names that
``numpy.save`` writes, each to a stand-in that validates its arguments and builds the array from plain bytes; any other
name aborts loading. NumPy's own functions never receive unvalidated data.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable
from math import prod
from typing import IO, Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from wsss.errors import InvalidInput

Values = NDArray[Any]

MAX_BYTES = 1 << 30
"""Maximum file size, ten times that of ``cls_labels.npy`` for COCO's 123,287 images."""

MAX_ELEMENTS = 1 << 24
"""Maximum number of elements of an array."""

MAX_LETTERS = 4096
"""Maximum length of a string; no path is longer."""

_NUMBERS = re.compile("b1|[iu][1248]|f[248]")
_STRING = re.compile("U([1-9][0-9]{0,3})", re.ASCII)
_ORDERS = {"<": "<", ">": ">", "|": "=", "=": "="}
_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError, KeyError, ImportError),
    *(OverflowError, MemoryError, RecursionError, struct.error),
)
"""Exceptions that `pickle.Unpickler` raises for a damaged file."""


class _Refused(Exception):
    """The file contains something that is not allowed."""


class _StandIn:
    """A callable in place of a function or class that the file names; the file cannot modify it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused("a change to a function")


class _Dtype:
    """Stands for ``numpy.dtype``: numbers such as ``f4``, ``O`` (the array around the dict), ``U4`` (one string)."""

    def __init__(self, name: object, *flags: object) -> None:
        string = _STRING.fullmatch(name) if isinstance(name, str) else None
        self.letters = int(string[1]) if string else 0
        numbers = isinstance(name, str) and _NUMBERS.fullmatch(name) is not None
        self.is_object = name in ("O", "O8")
        if not (numbers or self.is_object or 0 < self.letters <= MAX_LETTERS):
            raise _Refused(f"an array of type {name!r}")
        self.name = str(name)
        self.order = "="

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subdtype, names, fields, itemsize, alignment, flags); only the order is needed.
        if not isinstance(state, tuple) or len(state) < 5 or not isinstance(state[1], str) or state[1] not in _ORDERS:
            raise _Refused("an array of unknown byte order")
        if any(part is not None for part in state[2:5]):
            raise _Refused("a structured array")
        self.order = _ORDERS[state[1]]

    def numbers(self, data: object, shape: object, order: Literal["C", "F"] = "C") -> Values:
        if self.is_object or self.letters:
            raise _Refused("an array of objects or strings")
        return _numbers(self.order + self.name, data, _shape(shape)).reshape(_shape(shape), order=order)

    def string(self, data: object) -> str:
        codes = _numbers(self.order + "u4", data, (self.letters,))  # padded with zeros
        return codes.astype("<u4").tobytes().decode("utf-32-le").rstrip("\0")


class _Array:
    """Stands for an array under construction; `value` is an array, or the list of an array of objects."""

    value: Values | list[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Dtype):
            raise _Refused("an array of unknown form")
        _, shape, dtype, fortran, data = state
        if not dtype.is_object:
            self.value = dtype.numbers(data, shape, "F" if fortran else "C")
        elif isinstance(data, list) and prod(_shape(shape)) == len(data):
            self.value = data
        else:
            raise _Refused("an array of objects of unknown form")


def _numbers(dtype: str, data: object, shape: tuple[int, ...]) -> Values:
    """Return a flat array from bytes; protocol 2 stores them as a string."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    kind = np.dtype(dtype)
    if not isinstance(data, bytes | bytearray) or len(data) != prod(shape) * kind.itemsize:
        raise _Refused("an array whose bytes do not match its shape")
    return np.frombuffer(data, kind).astype(kind.newbyteorder("="))


def _shape(shape: object) -> tuple[int, ...]:
    sides = shape if isinstance(shape, tuple) and len(shape) <= 4 else (-1,)
    if not all(isinstance(side, int) and 0 <= side <= MAX_ELEMENTS for side in sides) or prod(sides) > MAX_ELEMENTS:
        raise _Refused(f"an array of shape {shape!r:.60}")
    return sides


def _ndarray(*arguments: object) -> NoReturn:
    """Stand for ``numpy.ndarray``, which occurs only as an argument."""
    raise _Refused("an array created by a call")


_NDARRAY = _StandIn(_ndarray)


def _reconstruct(*arguments: object) -> _Array:
    """Stand for ``numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")``."""
    if not arguments or arguments[0] is not _NDARRAY:
        raise _Refused("a subclass of an array")
    return _Array()


def _from_buffer(data: object, dtype: object, shape: object, order: object, *rest: object) -> _Array:
    """Stand for ``numpy.core.numeric._frombuffer`` (pickle protocol 5)."""
    if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
        raise _Refused("an array of unknown form")
    array = _Array()
    array.value = dtype.numbers(data, shape, "F" if order == "F" else "C")
    return array


def _scalar(dtype: object, data: object) -> int | float | str:
    """Stand for ``numpy.core.multiarray.scalar``: one number or string."""
    if not isinstance(dtype, _Dtype):
        raise _Refused("a number of unknown form")
    if dtype.letters:
        return dtype.string(data)
    number: int | float = dtype.numbers(data, ()).item()
    return number


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Stand for ``_codecs.encode``, with which Python 3 writes bytes in protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("a string in an unknown encoding")
    return text.encode("latin-1")


_ALLOWED: dict[tuple[str, str], _StandIn] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(_Dtype),
    ("_codecs", "encode"): _StandIn(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _StandIn(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _StandIn(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _StandIn(_from_buffer) for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, identity: Any) -> Any:
        raise _Refused("an object outside the file")


def unpickle(file: IO[bytes], where: str) -> dict[Any, Any]:
    """Read one pickled ``dict``, alone or inside an array of one object (as ``numpy.save`` writes it).

    Args:
        file: opened at the beginning of the pickle.
        where: name of the file in errors.

    Returns:
        A dict of ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``None``, `list`, `tuple`, `set`, `dict`; its own
        values may also be arrays of numbers.

    Raises:
        InvalidInput: the file contains anything else, or is damaged.
    """
    try:
        content = _Unpickler(file, encoding="latin-1").load()
        if isinstance(content, _Array):
            content = content.value
            content = content[0] if isinstance(content, list) and len(content) == 1 else content
        if not isinstance(content, dict):
            raise InvalidInput("not a pickled dict of image → labels", subject=where)
        return {key: _array(value) if isinstance(value, _Array) else value for key, value in content.items()}
    except _Refused as error:
        raise InvalidInput(
            "refused: loading a pickle can run arbitrary code",
            subject=where,
            found=[str(error)],
            allowed="a dict of strings, numbers and arrays of numbers",
            hint="If you trust the file, convert it to a CSV table image_id,labels.",
        ) from error
    except _DAMAGED as error:
        raise InvalidInput(f"damaged, or not a pickle ({type(error).__name__}: {error})", subject=where) from error


def _array(array: _Array) -> Values:
    if array.value is None or isinstance(array.value, list):
        raise _Refused("an array of objects")
    return array.value
