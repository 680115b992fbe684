"""Which options of `wsss init` apply to which format: one that doesn't is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.errors import InvalidInput, listing

APPLIES: Mapping[str, tuple[str, ...]] = {
    "--separator": ("csv", "json", "jsonl"),
    "--classes": ("npy",),
    "--label-key": ("csv", "json", "jsonl", "coco", "label-studio"),
    "--image-key": ("csv", "json", "jsonl", "label-studio"),
    "--use-predictions": ("label-studio",),
}
"""Option → formats (names of `wsss.data.importers.importer_registry`). `wsss.data.readers.label_rules` apply to all."""

_REASONS: Mapping[tuple[str, str], str] = {
    ("--separator", "npy"): "its labels are vectors of 0 and 1",
    ("--separator", "coco"): "its labels are the names of categories",
    ("--separator", "label-studio"): "several choices are a list there, not a text",
    ("--separator", "cvat"): "each tag and shape has one label",
    ("--separator", "folders"): "the name of a folder is one class",
    ("--label-key", "npy"): "a vector has no keys",
    ("--label-key", "cvat"): "labels are always the attribute label",
    ("--label-key", "folders"): "the names of folders are the labels",
    ("--image-key", "npy"): "the images are the keys of the dict",
    ("--image-key", "coco"): "images are always the key file_name",
    ("--image-key", "cvat"): "images are always the attribute name",
    ("--image-key", "folders"): "there is no label file",
}


def check_options(format: str, given: Mapping[str, Any]) -> None:
    """Refuse options that don't apply to a format.

    Args:
        format: one of `wsss.data.importers.importer_registry.FORMATS`.
        given: option → its value; ``None`` and ``False``: it isn't given.

    Raises:
        InvalidInput: names option, format, and the formats that the option is for.
    """
    for option, value in given.items():
        if value is None or value is False or format in APPLIES[option]:
            continue
        reason = _REASONS.get((option, format))
        raise InvalidInput(
            f"{option} doesn't apply to the format {format}"
            + (f": {reason}" if reason else "")
            + f". It is for {listing(APPLIES[option], limit=9)}.",
            hint=f"Leave {option} out; if the file is of another format: --format FORMAT",
        )
