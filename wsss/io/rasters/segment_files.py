"""Class-agnostic segments of an image, as other programs write them.

The segments of image ``ID`` are one of

- ``ID.json``: the output of SAM's automatic mask generator, a list of records (or ``{"annotations": [records]}``, as in
  SA-1B) whose ``segmentation`` is a run-length encoding of COCO;
- ``ID.png``: segment numbers, 8 or 16 bits; 0 belongs to no segment;
- ``ID/*.png``: one binary mask per segment, as SAM's ``amg.py`` writes them, with a table `TABLE`.

SAM finds no segments in some images, such as those of a plain wall: the list, or the folder except for its table, is
then empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.io.files.json_files import read_json
from wsss.io.files.visible import visible
from wsss.io.rasters.rgb_images import image_errors, open_image
from wsss.io.rasters.rle import coco_counts, from_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Size = tuple[int, int]

MAX_SEGMENTS = 1 << 16
"""Maximum number of segments of an image."""

TABLE = "metadata.csv"
"""Table of the segments in a folder that SAM's ``amg.py`` wrote."""


def segments_path(folder: Path, image_id: str) -> Path:
    """Return the file or folder with the segments of an image.

    Raises:
        InvalidInput: there are none, or several of these names exist.
    """
    names = (f"{image_id}.json", f"{image_id}.png", image_id)
    present = [name for name in names if (folder / name).exists()]
    if len(present) != 1:
        raise InvalidInput(
            subject=folder,
            found=listing(present) if present else "no segments of this image",
            allowed=f"one of {listing(names)}",
            hint="Write the segments of every image with SAM's automatic mask generator, or omit segments to use "
            "superpixels.",
        )
    return folder / present[0]


def read_segments(path: Path, size: Size) -> Sequence[NDArray[np.bool_]]:
    """Return the segments in a file or folder of `segments_path`.

    Args:
        size: height and width of the image.

    Returns:
        Masks ``(H, W)``, decoded on access.

    Raises:
        InvalidInput: the segments cannot be read, differ in size from the image, or are too many.
    """
    if path.is_dir():
        files = visible(path.glob("*.png"))
        least = 0 if (path / TABLE).is_file() else 1  # a folder of other files is a mistake
        return _Decoded(files, lambda file: _binary_mask(file, size), path, least=least)
    return _Decoded(_records(path), lambda record: _rle_mask(record, size, path), path)


def read_segment_numbers(path: Path, size: Size) -> NDArray[np.integer[Any]]:
    """Return the segment numbers ``(H, W)`` in a PNG; for ``InvalidInput`` see `read_segments`."""
    with open_image(path) as image, image_errors(path):
        mode, numbers = image.mode, np.asarray(image)
    if mode not in ("L", "P", "I;16", "I;16B", "I;16L", "I"):
        raise InvalidInput("unsupported image mode", subject=path, found=mode, allowed="8- or 16-bit integers")
    _require_size(numbers.shape, size, path)
    return numbers


class _Decoded(Sequence["NDArray[np.bool_]"]):
    """Encoded segments, decoded on access: together they would take a byte per pixel and segment."""

    def __init__(
        self, encoded: Sequence[Any], decode: Callable[[Any], NDArray[np.bool_]], path: Path, *, least: int = 0
    ) -> None:
        if not least <= len(encoded) <= MAX_SEGMENTS:
            raise InvalidInput(subject=path, found=f"{len(encoded)} segments", allowed=f"{least} to {MAX_SEGMENTS:,}")
        self.encoded, self.decode = encoded, decode

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> NDArray[np.bool_]:  # type: ignore[override]
        return self.decode(self.encoded[index])


def _binary_mask(path: Path, size: Size) -> NDArray[np.bool_]:
    with open_image(path) as image, image_errors(path):
        mask = np.asarray(image.convert("L")) > 0
    _require_size(mask.shape, size, path)
    return mask


def _records(path: Path) -> list[dict[str, Any]]:
    """Return the run-length encodings in the output of SAM."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"not valid JSON ({error})", subject=path) from error
    records = content.get("annotations") if isinstance(content, dict) else content
    encodings = [
        record.get("segmentation") if isinstance(record, dict) else None
        for record in (records if isinstance(records, list) else [None])
    ]
    if not all(isinstance(each, dict) for each in encodings):
        raise InvalidInput(
            "not a list of segments",
            subject=path,
            allowed='[{"segmentation": {"size": [H, W], "counts": …}}, …]',
            hint="Write them with SAM's automatic mask generator and output_mode=coco_rle.",
        )
    return [each for each in encodings if isinstance(each, dict)]


def _rle_mask(record: dict[str, Any], size: Size, path: Path) -> NDArray[np.bool_]:
    stated, counts = record.get("size"), record.get("counts")
    if stated != list(size):
        raise _size_mismatch(path, stated, size)
    try:
        lengths = coco_counts(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
        return from_runs(lengths, size, order="F")
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"invalid run-length encoding ({error})", subject=path) from error


def _require_size(shape: tuple[int, ...], size: Size, path: Path) -> None:
    if shape != size:
        raise _size_mismatch(path, shape, size)


def _size_mismatch(path: Path, found: Any, size: Size) -> InvalidInput:
    return InvalidInput(
        "segments and image differ in size (height, width)",
        subject=path,
        found=found,
        allowed=f"[{size[0]}, {size[1]}]",
        hint="Compute the segments on this image, upright and at full size.",
    )
