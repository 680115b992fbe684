"""Masks without a dataset: their classes (of a network of the run, of a class list, or of the values in the masks), and
the conversion of their images to 8-bit RGB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, load_description

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.mask_values import MaskValues
    from wsss.export.export_items import Item
    from wsss.io.rasters.pixel_values.reading import Reading
    from wsss.pipeline.config.source import Source

READING_KEYS = ("scaling", "page", "bands")
"""Keys of a dataset that state how its images are converted to 8-bit RGB; also accepted for masks without a dataset."""


def classes_of_masks(
    path: Path | None, named: Any, items: Sequence[Item], folder: Path
) -> tuple[Classes, MaskValues | None]:
    """Return the classes of a class list or of named mask values; otherwise one class per value in the masks.

    Args:
        named: the value of ``--data.mask_values``.

    Raises:
        InvalidInput: no value in the masks means a class.
    """
    from wsss.data.class_list import BACKGROUND, choose_classes, read_class_list
    from wsss.data.classes import Classes
    from wsss.data.mask_values import parse_names, resolve
    from wsss.io.rasters.label_masks import IGNORED_NAMES

    listed = None if path is None else read_class_list(path)
    if named is not None:
        names = parse_names(named, where="--data.mask_values")
        own = [name for name in dict.fromkeys(names.values()) if name not in (BACKGROUND, IGNORED_NAMES[0])]
        base = listed or {name: number for number, name in enumerate(own, start=1)}
        labels = choose_classes(None, base, other="background", where=str(path or "--data.mask_values"))
        return labels.classes, resolve(names, labels, where="--data.mask_values")
    values = _values_in(items, folder, listed=path is not None)
    if listed is not None:
        return choose_classes(None, listed, other="background", where=str(path)).classes, None
    classes = (BACKGROUND, *(f"class {value}" for value in values))
    return Classes(classes, ((0,), *((value,) for value in values))), None


def _values_in(items: Sequence[Item], folder: Path, *, listed: bool) -> list[int]:
    """Return the values from 1 to 254 in the masks.

    Raises:
        InvalidInput: there are none, and the masks contain 255 or there is no class list.
    """
    import numpy as np

    from wsss.io.rasters.label_masks import IGNORE, read_mask, value_counts

    present = np.zeros(256, bool)
    for item in items:
        try:
            present |= value_counts(read_mask(item.mask)) > 0
        except InvalidInput:  # reported when it is exported
            continue
    values = [int(value) for value in np.flatnonzero(present) if value not in (0, IGNORE)]
    if not values and present[IGNORE]:
        raise InvalidInput(
            "no classes to export: the masks contain only 0 and 255, and 255 means ignored",
            subject=folder,
            hint="If 255 means a class, name it: --data.mask_values '{0: background, 255: NAME}'",
        )
    if not values and not listed:
        raise InvalidInput(
            "no classes to export: all pixels of the masks are 0",
            subject=folder,
            hint="Name the classes to export empty masks: --classes FILE",
        )
    return values


def classes_of_run(run_dir: Path, run: Mapping[str, Any]) -> tuple[Classes, Path] | None:
    """Return the classes of a network of a run and the file they were read from; ``None`` without a network.

    Raises:
        InvalidInput: the file is broken.
    """
    from wsss.data.classes import Classes

    for stage in reversed(run.get("stages", [])):
        path = run_dir / stage["id"] / DESCRIPTION
        if path.is_file():
            try:
                return Classes.from_json(load_description(path.parent).get("classes") or {}), path
            except ValueError as error:
                raise InvalidInput(f"classes.{error}", subject=path) from error
    return None


def stated_reading(config: Source) -> Reading:
    """Return how images without a dataset are converted to 8-bit RGB, from `READING_KEYS` of ``data:``.

    Raises:
        InvalidInput: an invalid value.
    """
    from wsss.data.readers.image_reading import ImageReadingConfig
    from wsss.validation import validate

    stated = {key: config.value[key] for key in READING_KEYS if key in config.value}
    return validate(ImageReadingConfig, {"layout": "", **stated}, where="data", locate=config.locate).reading
