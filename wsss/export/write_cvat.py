"""CVAT's format "Segmentation mask 1.1": one zip of colour masks of classes and of objects, and their label map."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.export.export_items import Item, Masks, Options, Workshop, objects
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.export.naming import list_names, renamed
from wsss.io.files.atomic import atomic_open
from wsss.io.rasters.label_masks import IGNORE, voc_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARCHIVE = "segmentation_mask_1.1.zip"
SUBSET = "default"
MOST_OBJECTS = 255
"""Objects of an image that CVAT's importer (datumaro) knows colours for: its table has 256, one of them for none."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp of every file in the archive, the oldest a zip can hold: the same masks give the same bytes."""


def export(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``segmentation_mask_1.1.zip``; the masks are RGB, since CVAT goes by colours.

    Raises:
        InvalidInput: a class name can't stand in the label map; an image has more objects than CVAT takes; images are
            to be linked to, which a zip can't.
    """
    labelmap(masks.classes, ignored=True)  # what it refuses should not be found last
    if options.with_images == "link":
        raise InvalidInput(
            "--with-images link: a zip holds no links.", hint="Use --with-images copy, or leave --with-images out."
        )
    if options.components:
        _check_counts(masks, options, shop)
    names = list_names(masks.items)
    exported: list[Item] = []
    ignored = 0
    with atomic_open(shop.folder / ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        for item, (by_class, by_object, unsure) in shop.each(lambda item: _pictures(masks, item, options), masks.items):
            exported.append(item)
            ignored += unsure
            _add(archive, f"SegmentationClass/{names[item.id]}.png", by_class)
            _add(archive, f"SegmentationObject/{names[item.id]}.png", by_object)
            if options.with_images is not None and item.image is not None:
                _add(archive, f"JPEGImages/{names[item.id]}{item.suffix}", item.image.read_bytes())
        lines = "".join(f"{names[item.id]}\n" for item in exported)
        _add(archive, f"ImageSets/Segmentation/{SUBSET}.txt", lines.encode())
        _add(archive, LABELMAP, labelmap(masks.classes, ignored=ignored > 0).encode())
    shop.renamed.update(renamed(exported, names))
    return {}


def _check_counts(masks: Masks, options: Options, shop: Workshop) -> None:
    """Refuse images with more objects than CVAT's reader has colours for; broken masks are left to the export itself.

    Raises:
        InvalidInput: names them and their numbers of objects.
    """
    quiet = shop.each_quietly(lambda item: sum(1 for _ in objects(masks.read(item, options), options)), masks.items)
    crowded = [(item, count) for item, count in quiet if count > MOST_OBJECTS]
    if crowded:
        shown = listing(f"{item.file or item.id} has {count} objects" for item, count in crowded)
        raise InvalidInput(
            f"cvat: at most {MOST_OBJECTS} objects per image can be imported; {shown}.",
            hint="Drop small regions with --min-area N, or leave --components out (one object per class).",
        )


def object_colours(count: int) -> NDArray[np.uint8]:
    """Return a colour for each of ``count`` objects and, first, black for none: ``(count + 1, 3)``, all different."""
    return voc_palette(count + 1)


def _pictures(masks: Masks, item: Item, options: Options) -> tuple[bytes, bytes, bool]:
    """Return the masks of classes and of objects as PNGs, and whether there are ignored pixels."""
    mask = masks.read(item, options)
    numbers = np.zeros(mask.shape, np.int64)
    count = 0
    for _, region in objects(mask, options):
        count += 1
        numbers[region] = count
    by_class = voc_palette()[masks.classes.decode(mask)]
    return _png(by_class), _png(object_colours(count)[numbers]), bool((mask == IGNORE).any())


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
    info.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".jpg", ".jpeg")) else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
