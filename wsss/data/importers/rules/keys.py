"""Which key or column of a label file names the image, and which holds the labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.urls import LOCAL, is_image_url
from wsss.data.readers.label_rules import IMAGE_KEYS, LABEL_KEYS, find_key, resembles_label_key
from wsss.errors import InvalidInput, listing

LABEL_HINT = "Set the key or column of the labels: --label-key NAME"
IMAGE_HINT = "Set the key or column of the image: --image-key NAME"

VAGUE = ("name", "id")
"""Those of `IMAGE_KEYS` that often name something else; a key with image file names takes precedence."""


def image_key(
    columns: Mapping[str, Sequence[Any]],
    path: Path,
    context: ReadContext,
    *,
    prefer: Collection[str] = (),
    served: bool = False,
) -> str | None:
    """Return the key of the image: ``--image-key`` or, by default, the best one by name and values.

    Args:
        columns: key → values in all records; ``None`` and ``""`` where a record has none.
        path: path of the file, for error messages.
        context: options; receives a note if the key is a guess.
        prefer: keys that another part of the file refers to.
        served: the image is a URL or a path, never a bare id.

    Returns:
        The key, or ``None`` if no key names an image.

    Raises:
        InvalidInput: no such key, or several candidates.
    """
    if context.options.image_key is not None:
        return require_key(context.options.image_key, columns, path, option="--image-key")
    candidates = [key for key, values in columns.items() if _are_images(values)]
    key = next((key for key in prefer if key in candidates), None) or find_key(candidates, IMAGE_KEYS)
    if key is None and not served:
        key = find_key(columns, [name for name in IMAGE_KEYS if name not in VAGUE])
    if key is None and len(candidates) > 1:
        raise InvalidInput("several keys may name the image", subject=path, found=candidates, hint=IMAGE_HINT)
    if key is None and candidates:
        key = candidates[0]
        context.note("image taken from the only key with image files (--image-key NAME: another)", key)
    elif key is not None and len(candidates) > 1:
        others = listing(other for other in candidates if other != key)
        context.note("image taken from one of several keys (--image-key NAME: another)", f"{key}, not {others}")
    return key or find_key([key for key, values in columns.items() if any(map(_is_filled, values))], IMAGE_KEYS)


def columns_of(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return key → values in all records that have it."""
    columns: dict[str, list[Any]] = {}
    for record in records:
        for key, value in record.items():
            columns.setdefault(key, []).append(value)
    return columns


def require_key(name: str, known: Collection[str], path: Path, *, option: str, what: str = "key") -> str:
    """Return the key that an option names.

    Raises:
        InvalidInput: no such key.
    """
    if name not in known:
        raise InvalidInput(f"unknown {what}", subject=f"{path}: {option}", found=name, allowed=known)
    return name


def label_keys(option: str, known: Collection[str], path: Path, *, what: str = "key") -> tuple[str, ...]:
    """Return the key, or the comma-separated keys, that ``--label-key`` names.

    Raises:
        InvalidInput: no such key.
    """
    names = (option,) if option in known else tuple(name.strip() for name in option.split(","))
    return tuple(require_key(name, known, path, option="--label-key", what=what) for name in names)


def label_key_of(keys: Iterable[str], path: Path, context: ReadContext) -> str | None:
    """Return the key or column of the labels by its name; an unusual name (``ClassId``) is noted.

    Args:
        keys: all but that of the image.
        path: path of the file, for error messages.
        context: receives the note.

    Raises:
        InvalidInput: several candidates.
    """
    names = list(keys)
    usual = find_key(names, LABEL_KEYS)
    if usual is not None:
        return usual
    candidates = [name for name in names if resembles_label_key(name)]
    if len(candidates) > 1:
        raise InvalidInput("several columns may hold the labels", subject=path, found=candidates, hint=LABEL_HINT)
    context.note("labels taken from the column (--label-key NAME: another)", *candidates)
    return candidates[0] if candidates else None


def is_image(value: Any) -> bool:
    """Return whether a value is the path or URL of an image."""
    return isinstance(value, str) and (value.startswith(LOCAL) or is_image_url(value))


def _are_images(values: Sequence[Any]) -> bool:
    filled = [value for value in values if _is_filled(value)]
    return bool(filled) and all(map(is_image, filled))


def _is_filled(value: Any) -> bool:
    return value is not None and value != ""
