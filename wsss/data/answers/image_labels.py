"""Export of answers about whole images as a table of image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.data.answers.answer_rows import Item, check_class, read_content
from wsss.data.answers.votes import Ballot, Votes
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_text
from wsss.io.text.tables import csv_text

COLUMNS = ("image_id", "labels")


def write_labels(path: Path, ballot: Ballot, images: Sequence[str]) -> dict[str, int]:
    """Write ``image_id,labels`` of all images with answers; the labels are separated by ``;``.

    A class is present if more people answered yes than no; ``?name`` marks a class without a majority, whose presence
    readers treat as unknown. If the name of a class contains a space or a comma, cells end with ``;``, so that
    "brick wall" is not read as two classes.

    Args:
        path: the table; an existing table of labels is replaced.
        ballot: answers about whole images.
        images: ids of the images, in the order of the table.

    Returns:
        Numbers of images in the table, of images without answers, and of labels without a majority.

    Raises:
        InvalidInput: there are no answers, the name of a class cannot be written to the table, or the file is not a
            table of labels, for example the table of answers itself.
    """
    _require_labels(path)
    votes = ballot.votes()
    asked = sorted({name for of_item in votes.values() for name in of_item})
    for name in asked:
        check_class(name, path)
    end = ";" if any("," in name or len(name.split()) > 1 for name in asked) else ""
    rows, unknown = [], 0
    for image in images:
        of_item = votes.get(Item(image))
        if of_item is not None:
            decided = {name: of_item.get(name, Votes()).majority() for name in asked}
            unknown += sum(present is None for present in decided.values())
            cells = [
                f"?{name}" if present is None else name for name, present in decided.items() if present is not False
            ]
            rows.append((image, ";".join(cells) + (end if cells else "")))
    if not rows:
        raise InvalidInput("no answers about these images", subject=path)
    write_text(path, csv_text([COLUMNS, *rows]))
    return {"images": len(rows), "without_answers": len(images) - len(rows), "labels_without_majority": unknown}


def _require_labels(path: Path) -> None:
    """Require that a file does not exist, is empty, or begins as a table of labels."""
    if not path.exists():
        return
    header = read_content(path).partition(b"\n")[0].decode(errors="replace").removeprefix("\ufeff").strip()
    if header and header != ",".join(COLUMNS):
        raise InvalidInput(
            "not a table of labels, so it is not overwritten",
            subject=path,
            found=header,
            allowed=f"a new file, or a table {','.join(COLUMNS)}",
        )
