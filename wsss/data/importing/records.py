"""Labels in plain JSON: an object ``{image: [names]}`` or ``{image: {name: 0 or 1}}``, or a list of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importing.cells import names_in, separator_of
from wsss.data.importing.jsonfile import kind, read_json
from wsss.data.importing.labels import Entry, Labels, Note, class_name, collect
from wsss.errors import InvalidInput, listing

IMAGE_KEYS = (
    *("image", "file_name", "filename", "file", "image_path", "path", "img", "image_name", "image_id", "name", "id"),
)
LABEL_KEYS = ("labels", "label", "classes", "class", "categories", "category", "tags", "tag", "choices", "choice")
SPLIT_KEYS = ("split", "set", "subset")
LABEL_MEND = "Say which key or column holds the labels: --label-key NAME"
ABSENT_MEND = (
    "Give each record its labels, [] where there are none; if Label Studio wrote the file, which leaves them out where "
    "nothing was chosen: --format label-studio"
)


def read(path: Path, *, label_key: str | None = None, separator: str | None = None) -> Labels:
    """Read ``{"a.jpg": ["cat", "dog"], …}`` or ``[{"image": "a.jpg", "labels": ["cat"]}, …]``.

    Args:
        path: the file.
        label_key: of the labels in a record; by default the first of `LABEL_KEYS` that it has.
        separator: what stands between labels in a text that is not in a list; by default as
            `wsss.data.importing.cells.separator_of` finds.

    Raises:
        InvalidInput: names file and key.
    """
    content = read_json(path)
    if isinstance(content, dict):
        found = [Found(image, value, f"{path}: {image}", f"{path}: {image}") for image, value in content.items()]
        format = "an object of labels (JSON)"
    elif isinstance(content, list):
        found, format = list(_records(content, path, label_key)), "a list of records (JSON)"
    else:
        raise InvalidInput(
            f"{path}: found {kind(content)}; expected an object {{image: [class names]}} or a list of records."
        )
    notes: list[Note] = []
    if separator is None:
        separator = separator_of(one.labels for one in found if isinstance(one.labels, str))
        if separator is not None:
            notes.append((f"texts with {separator!r}, read as several labels", f"{path} (--separator says otherwise)"))
    entries = (Entry(one.image, labels_in(one.labels, one.key, separator), one.where, one.split) for one in found)
    return collect(format, entries, notes=notes)


class Found(NamedTuple):
    """An image and its labels as they stand in the file; ``where`` is the place of both, ``key`` that of the labels."""

    image: str
    labels: Any
    where: str
    key: str
    split: str | None = None


def _records(content: list[Any], path: Path, label_key: str | None) -> Iterator[Found]:
    keys = (label_key,) if label_key else LABEL_KEYS
    some = any(key in record for record in content if isinstance(record, dict) for key in keys)
    mend = ABSENT_MEND if some else LABEL_MEND
    for number, record in enumerate(content):
        where = f"{path}: [{number}]"
        if not isinstance(record, dict):
            raise InvalidInput(f"{where}: found {kind(record)}; expected a record with an image and its labels.")
        image_key = _key(record, IMAGE_KEYS, where, "the image")
        labels_key = _key(record, keys, where, "the labels", mend=mend)
        image = record[image_key]
        if isinstance(image, bool) or not isinstance(image, str | int) or image == "":
            raise InvalidInput(f"{where}.{image_key}: found {kind(image)}; expected a file name or an id.")
        yield Found(str(image), record[labels_key], where, f"{where}.{labels_key}", split_in(record, where))


def split_in(record: Mapping[str, Any], where: str) -> str | None:
    """Return the split that a record names, if it does.

    Raises:
        InvalidInput: it is no text.
    """
    split = next((record[key] for key in SPLIT_KEYS if record.get(key)), None)
    if split is not None and not isinstance(split, str):
        raise InvalidInput(f"{where}.split: found {split!r}; expected the name of a split.")
    return split


def _key(record: dict[str, Any], keys: tuple[str, ...], where: str, what: str, *, mend: str | None = None) -> str:
    found = next((key for key in keys if key in record), None)
    if found is None:
        raise InvalidInput(
            f"{where}: no key names {what}; allowed are {listing(keys, limit=20)}; found {listing(record, limit=20)}.",
            mend=mend,
        )
    return found


def labels_in(value: Any, where: str, separator: str | None = None) -> tuple[str, ...]:
    """Return the class names in a JSON value: a list, a text, ``null``, ``{name: 0 or 1}`` or ``{"choices": …}``.

    Args:
        value: see above.
        where: of the value.
        separator: between the names in a text; ``None``: a text is one name.

    Raises:
        InvalidInput: it is something else.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return tuple(class_name(name, where) for name in names_in(value, separator, where))
    if isinstance(value, list):
        return tuple(class_name(item, f"{where}[{number}]") for number, item in enumerate(value))
    if isinstance(value, dict):
        key = next((key for key in LABEL_KEYS if key in value and not _is_flag(value[key])), None)
        if key is not None:
            return labels_in(value[key], f"{where}.{key}", separator)
        wrong = [name for name, flag in value.items() if not _is_flag(flag)]
        if not wrong:
            return tuple(class_name(name, where) for name, flag in value.items() if flag)
        where = f"{where}.{wrong[0]}"
        raise InvalidInput(f"{where}: found {kind(value[wrong[0]])}; expected 0 or 1 for each class.")
    raise InvalidInput(f"{where}: found {kind(value)}; expected a list of class names.")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1))
