"""Several entries of one image: joined into one."""

from __future__ import annotations

from dataclasses import replace

from wsss.data.importers.rules.imported_labels import Entry
from wsss.data.importers.rules.read_context import ReadContext
from wsss.errors import InvalidInput

CONTRADICTION = "contradictory labels for an image; its classes are kept"


def require_one_split(first: Entry, second: Entry, image: str) -> None:
    """Require two entries of an image to name the same split.

    Raises:
        InvalidInput: they differ; names both locations.
    """
    if first.split != second.split:
        raise InvalidInput(
            f"image {image} is in two splits",
            subject=second.where,
            found=second.split or "no split",
            allowed=f"{first.split or 'no split'}, as at {first.where}",
        )


def join_entries(first: Entry, second: Entry, context: ReadContext, *, image: str | None = None) -> Entry:
    """Return one entry with the labels of both; differences are noted.

    Args:
        first, second: entries whose labels are classes.
        context: receives the note.
        image: name of the image in messages; by default that of ``second``.

    Raises:
        InvalidInput: the entries name different splits.
    """
    name = image or repr(second.image)
    require_one_split(first, second, name)
    if first.labels is None or second.labels is None:
        known = second if first.labels is None else first
        return replace(first, labels=known.labels, unknown=known.unknown, explicit=known.explicit)
    if set(first.labels) != set(second.labels):
        contradiction = not first.labels or not second.labels or (first.explicit and second.explicit)
        kind = CONTRADICTION if contradiction else "images in several rows with different labels; all are kept"
        rows = (f"{entry.where}: {', '.join(entry.labels or ()) or 'no class'}" for entry in (first, second))
        context.note(kind, f"{name}: {' and '.join(rows)}")
    labels = tuple(dict.fromkeys([*first.labels, *second.labels]))
    unknown = tuple(name for name in first.unknown if name in second.unknown and name not in labels)
    return replace(first, labels=labels, unknown=unknown, explicit=first.explicit and second.explicit)
