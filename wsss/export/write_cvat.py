"""CVAT's format "Segmentation mask 1.1": a zip of colour masks of classes and objects, with a label map."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.export.export_items import Item, Masks, Options, Output, objects
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.export.naming import list_names, renamed
from wsss.io.files.atomic import atomic_open
from wsss.io.rasters.label_masks import IGNORE, voc_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARCHIVE = "segmentation_mask_1.1.zip"
SUBSET = "default"
MAX_OBJECTS = 255
"""Maximum number of objects per image in CVAT's importer (datumaro), whose palette has 256 colours in all."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Constant time stamp of all files in the archive (the earliest in a zip), for reproducible bytes."""


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``segmentation_mask_1.1.zip`` with RGB masks, because CVAT matches colours.

    Raises:
        InvalidInput: a class name is not allowed in the label map, an image has too many objects, or images are to be
            linked, which is impossible in a zip.
    """
    labelmap(masks.classes, ignored=True)  # validates the class names first
    if options.with_images == "link":
        hint = "Use --with-images copy, or omit --with-images."
        raise InvalidInput("a zip cannot contain links", subject="--with-images link", hint=hint)
    if options.components:
        _check_counts(masks, options, output)
    names = list_names(masks.items)
    exported: list[Item] = []
    ignored = 0
    with atomic_open(output.folder / ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        pictures = output.each(lambda item: _pictures(masks, item, options), masks.items)
        for item, (by_class, by_object, has_ignored) in pictures:
            exported.append(item)
            ignored += has_ignored
            _add(archive, f"SegmentationClass/{names[item.id]}.png", by_class)
            _add(archive, f"SegmentationObject/{names[item.id]}.png", by_object)
            if options.with_images is not None and item.image is not None:
                _add(archive, f"JPEGImages/{names[item.id]}{item.suffix}", item.image.read_bytes())
        lines = "".join(f"{names[item.id]}\n" for item in exported)
        _add(archive, f"ImageSets/Segmentation/{SUBSET}.txt", lines.encode())
        _add(archive, LABELMAP, labelmap(masks.classes, ignored=ignored > 0).encode())
    output.renamed.update(renamed(exported, names))
    return {}


def _check_counts(masks: Masks, options: Options, output: Output) -> None:
    """Reject images with too many objects; broken masks are reported by the export itself.

    Raises:
        InvalidInput: lists the images with their numbers of objects.
    """
    counts = output.each_silently(lambda item: sum(1 for _ in objects(masks.read(item, options), options)), masks.items)
    crowded = [(item, count) for item, count in counts if count > MAX_OBJECTS]
    if crowded:
        shown = listing(f"{item.file or item.id} has {count} objects" for item, count in crowded)
        raise InvalidInput(
            f"CVAT imports at most {MAX_OBJECTS} objects per image; {shown}",
            subject="cvat",
            hint="Remove small regions with --min-area N, or omit --components (one object per class).",
        )


def _pictures(masks: Masks, item: Item, options: Options) -> tuple[bytes, bytes, bool]:
    """Return the masks of classes and objects as PNGs, and whether there are ignored pixels."""
    mask = masks.read(item, options)
    numbers = np.zeros(mask.shape, np.int64)
    count = 0
    for _, region in objects(mask, options):
        count += 1
        region.view(numbers)[region.window] = count
    by_class = voc_palette()[masks.classes.decode(mask)]
    return _png(by_class), _png(voc_palette(count + 1)[numbers]), bool((mask == IGNORE).any())


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16  # independent of the system
    info.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".jpg", ".jpeg")) else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
