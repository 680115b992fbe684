"""``cls_labels.npy``: the pickled dict image → 0/1 vector used by many weakly-supervised programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from wsss.data.class_list import VOC_CLASSES, is_background, read_class_list
from wsss.data.importers.formats.unpickling import MAX_BYTES, unpickle
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, explicit_entry
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.errors import InvalidInput, listing
from wsss.io.text.text_files import read_lines

_MAX_KEY = 10**15
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read(path: Path, context: ReadContext) -> Labels:
    """Read ``{image: array of 0 and 1}``, as written by ``numpy.save``, with a restricted unpickler.

    The class list names the vector's elements; without one, vectors of 20 have VOC's classes.

    Raises:
        InvalidInput: not a file of label vectors, vectors of different lengths, or no names for the elements.
    """
    vectors = [_vector(path, number, key, value) for number, (key, value) in enumerate(_content(path).items())]
    if not vectors:
        raise InvalidInput("the dict is empty", subject=path)
    lengths = {vector.size: where for _, vector, where in vectors}
    if len(lengths) > 1:
        (first, first_at), (second, second_at) = list(lengths.items())[:2]
        raise InvalidInput(
            "vectors of different lengths", subject=second_at, found=second, allowed=f"{first}, as for {first_at}"
        )
    names = _class_names(path, next(iter(lengths)), context)
    cells = {cell for _, vector, _ in vectors for cell in map(_cell, np.unique(vector))}
    context.resolve_minus_one(cells, str(path))
    entries = [_entry(image, vector, where, names, context) for image, vector, where in vectors]
    return collect("vectors of 0 and 1 (npy)", entries, context, classes=names)


def _vector(path: Path, number: int, key: Any, value: Any) -> tuple[str, Any, str]:
    """Return the image, its vector ``(K,)``, and the location."""
    long = isinstance(key, int) and abs(key) >= _MAX_KEY  # too long for Python to print
    where = f"{path}: key {number}" if long else f"{path}: {key!r}"
    if isinstance(key, bool) or not isinstance(key, str | int) or (isinstance(key, int) and not 0 <= key < _MAX_KEY):
        raise InvalidInput(subject=where, found=[type(key).__name__], allowed="the name or number of an image as key")
    if not isinstance(value, np.ndarray):
        raise InvalidInput(subject=where, found=[type(value).__name__], allowed="an array of 0 and 1")
    if value.dtype.kind not in "biuf":
        raise InvalidInput(subject=where, found=[f"an array of {value.dtype}"], allowed="an array of 0 and 1")
    return _image(key), value.reshape(-1), where


def _entry(image: str, vector: Any, where: str, names: Sequence[str], context: ReadContext) -> Entry:
    presence = {
        name: context.presence(_cell(value), f"{where}: element {at}")
        for at, (name, value) in enumerate(zip(names, vector, strict=True))
    }
    return explicit_entry(image, presence, where)


def _cell(value: Any) -> str:
    return UNKNOWN_MARK if np.isnan(value) else f"{float(value):g}"


def _content(path: Path) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise InvalidInput("file too large", subject=path, found=size, allowed=f"at most {MAX_BYTES:,} bytes")
            try:
                version = np.lib.format.read_magic(file)
                if version not in _HEADERS:
                    raise InvalidInput(
                        "unsupported npy version", subject=path, found=".".join(map(str, version)), allowed="1.0 or 2.0"
                    )
                _, _, dtype = _HEADERS[version](file)
            except (ValueError, SyntaxError, TokenError) as error:  # the header is a Python literal
                raise InvalidInput(f"not an npy file ({error})", subject=path) from error
            if not dtype.hasobject:
                raise InvalidInput(
                    subject=path, found=[f"an array of {dtype}"], allowed="a pickled dict image → 0/1 vector"
                )
            return unpickle(file, str(path))
    except FileNotFoundError as error:
        raise InvalidInput("no such file", subject=path) from error
    except OSError as error:
        raise InvalidInput(f"cannot be read ({error.strerror})", subject=path) from error


def _image(key: str | int) -> str:
    """Return the name of an image; IRN's file stores VOC's ``2007_000032`` as the number 2007000032."""
    if isinstance(key, int) and 1_990_000_000 <= key < 2_100_000_000:
        return f"{key // 1_000_000}_{key % 1_000_000:06d}"
    return str(key)


def _class_names(path: Path, length: int, context: ReadContext) -> tuple[str, ...]:
    if context.options.classes is not None:
        names = _element_names(context.options.classes, context)
        if len(names) != length:
            raise InvalidInput(
                "wrong number of class names", subject=path, found=len(names), allowed=f"{length}, one per element"
            )
        return names
    if length == len(VOC_CLASSES):
        context.note("vectors of 20 elements, read as VOC's classes", listing(VOC_CLASSES, limit=3))
        return VOC_CLASSES
    raise InvalidInput(
        f"vectors of {length} elements need class names",
        subject=path,
        hint="List the names in a file, one per line, in the order of the elements: --classes FILE.",
    )


def _element_names(path: Path, context: ReadContext) -> tuple[str, ...]:
    """Return the names of a class list in the order of the vector's elements: the first has class id 1."""
    ids = read_class_list(path)
    names = sorted(ids, key=ids.__getitem__)
    if sorted(ids.values()) != list(range(1, len(ids) + 1)):
        raise InvalidInput(
            "the class ids do not match the elements of a vector",
            subject=f"--classes: {path}",
            found=sorted(ids.values()),
            allowed=f"1 to {len(ids)}",
            hint="Number the classes from 1 in the order of the elements, or omit the ids.",
        )
    if names != list(ids):
        context.note("classes ordered by id: the first element of a vector is class 1", f"{path}")
    if any(is_background(line.text.split()[-1]) for line in read_lines(path) if not line.text.startswith("#")):
        context.note("background in the class list, left out: it is not an element of the vectors", f"{path}")
    return tuple(names)
