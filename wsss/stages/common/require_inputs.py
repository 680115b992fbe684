"""Whether an input holds a file for each image: looked at before anything of an earlier run is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing

if TYPE_CHECKING:
    from wsss.data.sample import Sample


def require_each(
    folder: Path, samples: Sequence[Sample], path_of: Callable[[Path, str], Path], *, what: str, hint: str
) -> None:
    """Refuse a folder that lacks the files of some images.

    Args:
        folder: of the input.
        samples: the images.
        path_of: folder, image id → the file.
        what: to call a file in the message.
        hint: what to do about it.

    Raises:
        InvalidInput: names the images without one.
    """
    missing = [sample.id for sample in samples if not path_of(folder, sample.id).is_file()]
    if missing:
        raise InvalidInput(
            f"{folder}: no {what} of {len(missing)} of the {len(samples)} images: {listing(missing)}.", hint=hint
        )


MAKE_MAPS = "Make maps of the same splits first (cam, --splits)."
MAKE_MASKS = "Make masks of the same splits first (--splits)."
