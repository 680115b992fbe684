"""Which options of `wsss init` apply to which format; an option without effect is refused."""

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
"""Option → formats of `wsss.data.importers.importer_registry`. `wsss.data.readers.label_rules` apply to all formats."""


def check_options(format: str, how: ReadOptions) -> None:
    """Require that the options that are set apply to a format.

    Raises:
        InvalidInput: names the option, and the formats that it applies to.
    """
    for option, formats in APPLIES.items():
        value = getattr(how, option.removeprefix("--").replace("-", "_"))
        if value is None or value is False or format in formats:
            continue
        raise InvalidInput(
            "does not apply to this format",
            subject=option,
            found=format,
            allowed=formats,
            hint=f"Leave {option} out; if the file has another format: --format FORMAT",
        )
