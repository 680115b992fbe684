"""JSON Lines (``metadata.jsonl`` of Hugging Face's ImageFolder): one record per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.data.importers.json.json_file import parse_json, read_bounded
from wsss.data.importers.json.json_records import read_records
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadContext


def read(path: Path, context: ReadContext) -> Labels:
    """Read ``{"file_name": "a.jpg", "label": "cat"}``, a record per line; the labels may also be in ``objects``.

    Raises:
        InvalidInput: names file and line.
    """
    lines = enumerate(read_bounded(path).split("\n"), start=1)  # other line breaks may be part of a string
    records: list[tuple[str, Any]] = [
        (f"{path}:{number}", parse_json(line, path, first=number)) for number, line in lines if line.strip()
    ]
    return read_records(path, records, "a record per line (JSON Lines)", context)
