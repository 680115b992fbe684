"""The mask of a sample, `Sample.mask`, as class indices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.classes import Classes, unknown_values
from wsss.data.mask_values import MaskValues, as_key, pixels_of_values, smoothing_hint
from wsss.data.sample import Remark, Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, load_mask, require_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONLY_IGNORED = "masks with ignored pixels (255) and no class; if 255 is the value of a class, name it in mask_values"


def read_sample_mask(sample: Sample, classes: Classes, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a sample's mask as ``(H, W)`` class indices (255 = ignore).

    It is the ground truth or, after `with_masks`, the mask that a stage takes as input.

    Raises:
        InvalidInput: the mask is missing, unreadable, of a size other than ``size``, or has an unknown value.
    """
    return load_sample_mask(sample, classes, size=size)[0]


def load_sample_mask(
    sample: Sample, classes: Classes, *, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], tuple[Remark, ...]]:
    """Read a sample's mask, with remarks on how its values were converted.

    Returns:
        ``(H, W)`` class indices (255 = ignore), and remarks on converted pixels and on values read as another class.

    Raises:
        InvalidInput: see `read_sample_mask`.
    """
    path, encoder = sample.mask, sample.mask_encoder(classes)
    if path is None:
        raise InvalidInput("no ground-truth mask", subject=f"image {sample.id}")
    if sample.drawing is not None:
        mask = sample.drawing.draw()
        require_size(mask, size, sample.mask_name)
        return encoder.encode(mask, where=sample.mask_name), ()
    mask, conversion = load_mask(path, size=size, grey=encoder is not classes)
    try:
        encoded = encoder.encode(mask, where=str(path))
    except InvalidInput as error:
        raise error.with_hint(error.hint or _name_values(classes, mask)) from error
    doubtful = encoder is classes and sample.labels != () and (encoded == IGNORE).any() and not shows_class(encoded)
    unnamed = ((ONLY_IGNORED, path.name),) if doubtful else ()
    return encoded, (*mask_remarks(path, mask, conversion, encoder), *unnamed)


def shows_class(mask: NDArray[np.uint8]) -> bool:
    """Return whether a mask of class indices has a pixel of a foreground class."""
    return bool(((mask != 0) & (mask != IGNORE)).any())


def mask_remarks(
    path: Path, mask: NDArray[np.uint8], conversion: str | None, values: Classes | MaskValues
) -> tuple[Remark, ...]:
    """Return remarks on how the values of a mask were converted.

    Args:
        mask: ``(H, W)`` values on disk.
        conversion: the second result of `wsss.io.rasters.label_masks.load_mask`.
        values: the encoder of the mask.
    """
    remarks = [] if conversion is None else [(f"masks read from {conversion}", path.name)]
    stray = values.stray(mask) if isinstance(values, MaskValues) else {}
    if stray:
        kind = "masks with unknown values, read as background"
        remarks.append((kind, f"{path.name} ({pixels_of_values(stray)})"))
    return tuple(remarks)


def _name_values(classes: Classes, mask: NDArray[np.uint8]) -> str:
    """Return the hint for a mask whose values are not class ids."""
    known = {value: name for name, values in zip(classes.names, classes.values, strict=True) for value in values}
    unknown = unknown_values(mask, np.isin(np.arange(256), [IGNORE, *classes.other, *known]))
    placeholder = classes.foreground[0] if len(classes) == 2 else "CLASS"
    meaning = {0: BACKGROUND, IGNORE: "ignore", **known}
    present = [value for value in sorted({0, *np.unique(mask).tolist()}) if value in meaning or value in unknown]
    key = as_key([(value, meaning.get(value, placeholder)) for value in present[:9]])
    option = f"--data.mask_values '{key.partition(': ')[2]}'"
    return f"{smoothing_hint(unknown)}Name the values: {key} (in data:; as an option {option})."
