"""Checks that an input has a file for every image, before an earlier result is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing

if TYPE_CHECKING:
    from wsss.data.sample import Sample

MAKE_MAPS = "Compute maps for the same splits first (cam, --splits)."
MAKE_MASKS = "Create masks for the same splits first (--splits)."


def require_each(
    folder: Path, samples: Sequence[Sample], path_of: Callable[[Path, str], Path], *, what: str, hint: str
) -> None:
    """Require a file for every image.

    Args:
        folder: folder of the input.
        samples: the images.
        path_of: folder, image id → file.
        what: noun for the files in the message.
        hint: hint for missing files.

    Raises:
        InvalidInput: lists the images without a file.
    """
    missing = [sample.id for sample in samples if not path_of(folder, sample.id).is_file()]
    if missing:
        problem = f"no {what} for {len(missing)} of {len(samples)} images: {listing(missing)}"
        raise InvalidInput(problem, subject=folder, hint=hint)
