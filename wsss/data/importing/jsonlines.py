"""JSON Lines (``metadata.jsonl`` of Hugging Face's ImageFolder): one record per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.data.importing.jsonfile import parse_json, read_bounded
from wsss.data.importing.labels import Labels
from wsss.data.importing.reading import Reading
from wsss.data.importing.records import read_records


def read(
    path: Path, *, label_key: str | None = None, separator: str | None = None, reading: Reading | None = None
) -> Labels:
    """Read ``{"file_name": "a.jpg", "label": "cat"}``, a record per line; labels may be those of ``objects``, too.

    Args:
        path: the file.
        label_key, separator, reading: as in `wsss.data.importing.records.read`.

    Raises:
        InvalidInput: names file and line.
    """
    lines = enumerate(read_bounded(path).split("\n"), start=1)  # other line breaks may be part of a text
    records: list[tuple[str, Any]] = [
        (f"{path}:{number}", parse_json(line, path, first=number)) for number, line in lines if line.strip()
    ]
    return read_records(path, records, "a record per line (JSON Lines)", label_key, separator, reading or Reading())
