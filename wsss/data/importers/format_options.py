"""The formats that each option of `wsss init` applies to; an option without effect is an error."""

from __future__ import annotations

from collections.abc import Mapping

from wsss.data.importers.rules.read_context import ReadOptions
from wsss.errors import InvalidInput

APPLIES: Mapping[str, tuple[str, ...]] = {
    "--separator": ("csv", "json", "jsonl"),
    "--classes": ("npy",),
    "--label-key": ("csv", "json", "jsonl", "coco", "label-studio"),
    "--image-key": ("csv", "json", "jsonl", "label-studio"),
    "--use-predictions": ("label-studio",),
}
"""Option → formats of `wsss.data.importers.importer_registry`; `wsss.data.readers.label_rules` apply to all of them."""


def check_options(format: str, options: ReadOptions) -> None:
    """Require that every option that is set applies to the format.

    Raises:
        InvalidInput: an option does not apply; names the formats that it applies to.
    """
    for option, formats in APPLIES.items():
        value = getattr(options, option.removeprefix("--").replace("-", "_"))
        if value is None or value is False or format in formats:
            continue
        raise InvalidInput(
            "not applicable to this format",
            subject=option,
            found=format,
            allowed=formats,
            hint=f"Omit {option}, or set the format of the file: --format FORMAT",
        )
