"""Images of a folder that is predicted, converted to 8-bit RGB like the training images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wsss.errors import counted, listing

if TYPE_CHECKING:
    from wsss.data.readers.imagefolder import ImageFolder
    from wsss.data.sample import Sample
    from wsss.pipeline.stage import Context


def as_trained(ctx: Context[Any], folder: ImageFolder) -> tuple[Sample, ...]:
    """Return the images of a folder, with the scaling, page and bands of the config or else of the training images.

    Raises:
        InvalidInput: the description of the network is invalid.
    """
    from wsss.io.rasters.pixel_values.reading import Reading
    from wsss.models.segmentation_networks.segmenters import load_reading

    trained, config = load_reading(ctx.inputs["segmenter"].path), ctx.config
    reading = Reading(config.scaling or trained.scaling, config.page or trained.page, config.bands or trained.bands)
    return tuple(replace(sample, reading=reading) for sample in folder.samples)


def folder_notes(config: Any, folder: ImageFolder) -> list[str]:
    """Return what users should know about the files of a folder: skipped ones, and masks with other names.

    Args:
        config: config of `predict`, with ``images`` and ``recursive``.
        folder: the images found there.
    """
    from wsss.data.readers.imagefolder import skip_notes

    notes = skip_notes(config.images, recursive=config.recursive)
    if folder.renamed:
        renamed = listing((f"{file!r} → {id}" for id, file in folder.renamed.items()), limit=3)
        count = counted(len(folder.renamed), "mask")
        notes.append(f"{count} with names that differ from the image's (images.json lists all): {renamed}.")
    if folder.undecodable:
        notes.append(f"images skipped because their names are not valid UTF-8: {listing(folder.undecodable)}.")
    if folder.unreadable:
        notes.append(f"unreadable folders skipped: {listing(folder.unreadable)}.")
    return notes
