"""Images of a folder that is predicted, converted to 8-bit RGB like the training images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.data.readers.imagefolder import ImageFolder
    from wsss.data.sample import Sample
    from wsss.pipeline.stage import Context


def as_trained(ctx: Context[Any], folder: ImageFolder) -> tuple[Sample, ...]:
    """Return the images of a folder, with the scaling, page and bands of the config, otherwise of the training.

    Raises:
        InvalidInput: the description of the network is invalid.
    """
    from wsss.io.rasters.samples.reading import Reading
    from wsss.models.segmentation_networks.segmenters import load_reading

    trained, config = load_reading(ctx.inputs["segmenter"].path), ctx.config
    reading = Reading(config.scaling or trained.scaling, config.page or trained.page, config.bands or trained.bands)
    return tuple(replace(sample, reading=reading) for sample in folder.samples)
