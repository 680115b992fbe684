"""``cls_labels.npy``: the pickled dict image → 0/1 vector that many weakly-supervised programs keep their labels in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from wsss.data.class_list import VOC_CLASSES
from wsss.data.importers.formats.unpickling import MAX_BYTES, unpickle
from wsss.data.importers.rules.imported_labels import Entry, Labels, collect, stated
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.errors import InvalidInput, listing


def read(path: Path, *, class_names: Sequence[str] | None = None, context: ReadContext | None = None) -> Labels:
    """Read ``{image: array of 0 and 1}`` as ``numpy.save`` has written it, through a restricted unpickler.

    Args:
        path: the file.
        class_names: names of the vector's elements; by default VOC's for vectors of 20.
        context: rules in force.

    Raises:
        InvalidInput: not such a file, anything but arrays in it, or no names for the elements.
    """
    context, content = context or ReadContext(), _content(path)
    entries: list[tuple[str, Any, str]] = []
    for key, value in content.items():
        where = f"{path}: key {len(entries)}" if isinstance(key, int) and abs(key) >= 10**15 else f"{path}: {key!r}"
        if isinstance(key, bool) or not isinstance(key, str | int) or (isinstance(key, int) and not 0 <= key < 10**15):
            raise InvalidInput(f"{where}: expected an image's name or number as key, found {type(key).__name__}.")
        if not isinstance(value, np.ndarray):
            raise InvalidInput(f"{where}: expected an array of 0 and 1, found {type(value).__name__}.")
        if value.dtype.kind not in "biuf":
            raise InvalidInput(f"{where}: an array of {value.dtype}; expected numbers, 0 and 1.")
        entries.append((_name(key), value.reshape(-1), where))
    lengths = {vector.size: where for _, vector, where in entries}
    if len(lengths) > 1:
        (first, at), (second, there) = list(lengths.items())[:2]
        raise InvalidInput(f"{there}: {second} elements, and {first} in the vector of {at}.")
    if not entries:
        raise InvalidInput(f"{path}: the dict is empty.")
    names = _names(path, next(iter(lengths)), class_names, context)
    cells = {text for _, vector, _ in entries for text in map(_cell, np.unique(vector))}
    context.settle_minus_one(cells, str(path))
    read_entries = [_entry(image, vector, where, names, context) for image, vector, where in entries]
    return collect("vectors of 0 and 1 (npy)", read_entries, names, context=context)


def _entry(image: str, vector: Any, where: str, names: Sequence[str], context: ReadContext) -> Entry:
    places = (f"{where}: element {at}" for at in range(len(names)))
    found = [context.presence(_cell(value), place) for value, place in zip(vector, places, strict=True)]
    return stated(image, dict(zip(names, found, strict=True)), where)


def _cell(value: Any) -> str:
    return UNKNOWN_MARK if np.isnan(value) else f"{float(value):g}"


def _content(path: Path) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise InvalidInput(f"{path}: {size:,} bytes; at most {MAX_BYTES:,} are read.")
            try:
                version = np.lib.format.read_magic(file)
                header = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }.get(version)
                if header is None:
                    raise InvalidInput(f"{path}: npy version {version} is not read here.")
                _, _, kind = header(file)
            except (ValueError, SyntaxError, TokenError) as error:  # the header is a Python literal
                raise InvalidInput(f"{path}: no npy file ({error}).") from error
            if not kind.hasobject:
                raise InvalidInput(
                    f"{path}: an array of {kind}; expected a pickled dict image → 0/1 vector, which names the images."
                )
            return unpickle(file, str(path))
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror}).") from error


def _name(key: str | int) -> str:
    """Return an image's name; IRN's file keeps VOC's ``2007_000032`` as the number 2007000032."""
    if isinstance(key, int) and 1_990_000_000 <= key < 2_100_000_000:
        return f"{key // 1_000_000}_{key % 1_000_000:06d}"
    return str(key)


def _names(path: Path, length: int, given: Sequence[str] | None, context: ReadContext) -> tuple[str, ...]:
    if given is not None:
        if len(given) != length:
            raise InvalidInput(f"{path}: vectors of {length} elements; {len(given)} class names are given.")
        return tuple(given)
    if length == len(VOC_CLASSES):
        context.note("vectors of 20 elements, taken for VOC's classes", listing(VOC_CLASSES, limit=3))
        return VOC_CLASSES
    raise InvalidInput(
        f"{path}: vectors of {length} elements, and nothing says which class each stands for.",
        hint="Give their names, one per line and in order, in a file: --classes FILE.",
    )
