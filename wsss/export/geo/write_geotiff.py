"""GeoTIFF: one mask per image, with the georeference of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsss.export.export_items import Item, Masks, Options, Output, colours
from wsss.export.geo.georeference import Georeference, georeference_of
from wsss.export.naming import renamed
from wsss.io.files.atomic import write_bytes
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.pixel_values.stored_pixels import require_rasterio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes

BLOCK = 256
"""Side length of the tiles of a file, in pixels."""


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``NAME.tif`` per image: 8-bit, compressed, with CRS and transform of the image, and VOC's colours.

    The values are those of the classes; 255 marks ignored pixels and is the nodata value. The band has a tag
    ``CLASS_VALUE`` with the name of each class.
    """
    require_rasterio("--format geotiff", "a GeoTIFF")

    def work(item: Item) -> None:
        mask = masks.read(item, options, any_size=True)
        where = georeference_of(item, mask.shape)
        write_bytes(output.folder / f"{item.name}.tif", _encoded(masks.classes.decode(mask), where, masks.classes))

    output.renamed.update(renamed([item for item, _ in output.each(work, masks.items)]))
    return {}


def _encoded(values: NDArray[np.uint8], where: Georeference, classes: Classes) -> bytes:
    rasterio = require_rasterio("--format geotiff", "a GeoTIFF")
    profile = {
        "driver": "GTiff",
        "height": values.shape[0],
        "width": values.shape[1],
        "count": 1,
        "dtype": "uint8",
        "crs": where.crs,
        "transform": rasterio.Affine(*where.transform),
        "nodata": IGNORE,
        "compress": "deflate",
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
    }
    names = {f"CLASS_{value}": name for name, (value, *_) in zip(classes.names, classes.values, strict=True)}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as data:
            data.write_colormap(1, {value: (*colour, 255) for value, colour in enumerate(colours(range(256)))})
            data.update_tags(1, **names)
            data.write(values, 1)
        content: bytes = memory.read()
    return content
