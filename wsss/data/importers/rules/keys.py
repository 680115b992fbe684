"""Which key, column or control of a label file names the image, and which of them the labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.urls import LOCAL, ends_like_an_image
from wsss.data.readers.label_rules import IMAGE_KEYS, LABEL_KEYS, find_key, sounds_like_labels
from wsss.errors import InvalidInput, closest, listing

LABEL_MEND = "Say which key or column holds the labels: --label-key NAME"
IMAGE_MEND = "Say which key or column names the image: --image-key NAME"

VAGUE = ("name", "id")
"""Those of `IMAGE_KEYS` that may as well be about something else; a value that ends like an image counts for more."""


def image_key(
    values: Mapping[str, Sequence[Any]],
    path: Path,
    context: ReadContext,
    *,
    prefer: Collection[str] = (),
    served: bool = False,
) -> str | None:
    """Return the key of the image: the one of ``--image-key``, else by name and by what its values look like.

    Args:
        values: key → its values in all records; ``None`` and ``""`` where a record has none.
        path: of the file.
        context: has ``image_key``, and takes a note of a guess.
        prefer: keys that something else in the file refers to.
        served: the image is a URL or path, never a bare id.

    Returns:
        The key, or ``None`` where nothing names an image.

    Raises:
        InvalidInput: there is no key of that name, or several may be it.
    """
    if context.image_key is not None:
        return require_key(context.image_key, values, path, option="--image-key")
    like = [key for key, found in values.items() if _images(found)]
    usual = [key for key in IMAGE_KEYS if key not in VAGUE]
    found = next((key for key in prefer if key in like), None) or find_key(like, IMAGE_KEYS)
    if found is None and not served:
        found = find_key(values, usual)
    if found is None and len(like) > 1:
        raise InvalidInput(f"{path}: several keys may name the image: {listing(like)}.", hint=IMAGE_MEND)
    if found is None and like:
        found = like[0]
        context.note("image read from the only key that holds images (--image-key NAME reads another)", found)
    elif found is not None and len(like) > 1:
        others = listing(key for key in like if key != found)
        context.note("image read from one of several keys (--image-key NAME reads another)", f"{found}, not {others}")
    return found or find_key([key for key, column in values.items() if any(map(_filled, column))], IMAGE_KEYS)


def columns_of(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return key → its values in all records that have it."""
    columns: dict[str, list[Any]] = {}
    for record in records:
        for key, value in record.items():
            columns.setdefault(key, []).append(value)
    return columns


def require_key(name: str, known: Collection[str], path: Path, *, option: str, what: str = "key") -> str:
    """Return the key that an option names.

    Raises:
        InvalidInput: there is none; names the closest one.
    """
    if name not in known:
        raise InvalidInput(
            f"{path}: {option} {name}: there is no such {what}; found {listing(known, limit=20)}{closest(name, known)}"
        )
    return name


def label_keys(option: str, known: Collection[str], path: Path, *, what: str = "key") -> tuple[str, ...]:
    """Return the key, or the keys separated by commas, that ``--label-key`` names.

    Raises:
        InvalidInput: there is no such key.
    """
    names = (option,) if option in known else tuple(name.strip() for name in option.split(","))
    return tuple(require_key(name, known, path, option="--label-key", what=what) for name in names)


def label_key_of(keys: Iterable[str], path: Path, context: ReadContext) -> str | None:
    """Return the key or column of the labels by its name; one that only sounds like it (``ClassId``) is noted.

    Args:
        keys: all but that of the image.
        path: of the file.
        context: takes the note.

    Raises:
        InvalidInput: several may be it.
    """
    names = list(keys)
    found = find_key(names, LABEL_KEYS)
    if found is not None:
        return found
    like = [name for name in names if sounds_like_labels(name)]
    if len(like) > 1:
        raise InvalidInput(f"{path}:1: several columns may hold the labels: {listing(like)}.", hint=LABEL_MEND)
    context.note("labels read from the column (--label-key says otherwise)", *like)
    return like[0] if like else None


def looks_like_an_image(value: Any) -> bool:
    """Whether a value is the path or URL of an image."""
    return isinstance(value, str) and (value.startswith(LOCAL) or ends_like_an_image(value))


def _images(values: Sequence[Any]) -> bool:
    filled = [value for value in values if _filled(value)]
    return bool(filled) and all(map(looks_like_an_image, filled))


def _filled(value: Any) -> bool:
    return value is not None and value != ""
