"""Export of answers about whole images as a table of image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.data.answers.answer_rows import Item
from wsss.data.answers.votes import Ballot, Votes
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_text
from wsss.io.text.tables import csv_text


def write_labels(path: Path, ballot: Ballot, images: Sequence[str]) -> dict[str, int]:
    """Write ``image_id,labels`` of all images with answers; the labels are joined by ``;``.

    A class is present if more people said yes than no; ``?name`` marks a class without a majority, whose presence
    readers treat as unknown.

    Args:
        path: the table; an existing one is replaced.
        ballot: answers about whole images.
        images: ids of the images, in the order of the table.

    Returns:
        Numbers of images in the table, of images without answers, and of labels without a majority.

    Raises:
        InvalidInput: there are no answers, or the name of a class cannot be written to the table.
    """
    votes = ballot.votes()
    asked = sorted({name for of_item in votes.values() for name in of_item})
    unwritable = [name for name in asked if set(name) & {";", "|"} or name.startswith("?")]
    if unwritable:
        raise InvalidInput("a class name that a label table cannot hold", subject=path, found=unwritable[0])
    rows, unknown = [], 0
    for image in images:
        of_item = votes.get(Item(image))
        if of_item is not None:
            decided = {name: of_item.get(name, Votes()).majority() for name in asked}
            unknown += sum(present is None for present in decided.values())
            cells = [
                f"?{name}" if present is None else name for name, present in decided.items() if present is not False
            ]
            rows.append((image, ";".join(cells)))
    if not rows:
        raise InvalidInput("no answers about these images", subject=path)
    write_text(path, csv_text([("image_id", "labels"), *rows]))
    return {"images": len(rows), "without_answers": len(images) - len(rows), "labels_without_majority": unknown}
