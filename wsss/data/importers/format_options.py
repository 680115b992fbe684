"""Which options of `wsss init` apply to which format; an option without effect is refused."""

from __future__ import annotations

from collections.abc import Mapping

from wsss.data.importers.rules.read_context import How
from wsss.errors import InvalidInput

APPLIES: Mapping[str, tuple[str, ...]] = {
    "--separator": ("csv", "json", "jsonl"),
    "--classes": ("npy",),
    "--label-key": ("csv", "json", "jsonl", "coco", "label-studio"),
    "--image-key": ("csv", "json", "jsonl", "label-studio"),
    "--use-predictions": ("label-studio",),
}
"""Option → formats of `wsss.data.importers.importer_registry`. `wsss.data.readers.label_rules` apply to all formats."""

_REASONS: Mapping[tuple[str, str], str] = {
    ("--separator", "npy"): "labels are vectors of 0 and 1",
    ("--separator", "coco"): "labels are the names of categories",
    ("--separator", "label-studio"): "several choices are a list, not a string",
    ("--separator", "cvat"): "each tag and shape has one label",
    ("--separator", "folders"): "the name of a folder is one class",
    ("--label-key", "npy"): "a vector has no keys",
    ("--label-key", "cvat"): "labels are always in the attribute label",
    ("--label-key", "folders"): "the names of folders are the labels",
    ("--image-key", "npy"): "the keys of the dict are the images",
    ("--image-key", "coco"): "images are always in the key file_name",
    ("--image-key", "cvat"): "images are always in the attribute name",
    ("--image-key", "folders"): "there is no label file",
}


def check_options(format: str, how: How) -> None:
    """Require that the options that are set apply to a format.

    Raises:
        InvalidInput: names the option, and the formats that it applies to.
    """
    for option, formats in APPLIES.items():
        value = getattr(how, option.removeprefix("--").replace("-", "_"))
        if value is None or value is False or format in formats:
            continue
        reason = _REASONS.get((option, format))
        raise InvalidInput(
            f"does not apply to this format{f': {reason}' if reason else ''}",
            subject=option,
            found=format,
            allowed=formats,
            hint=f"Leave {option} out; if the file has another format: --format FORMAT",
        )
