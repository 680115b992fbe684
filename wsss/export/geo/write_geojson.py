"""GeoJSON (RFC 7946): polygons in longitude and latitude, one file per image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.export.export_items import Item, Masks, Options, Output, objects, properties_of
from wsss.export.geo.georeference import NONE_HINT, Georeference, georeference_of
from wsss.export.naming import renamed
from wsss.export.outlines import area, simplified
from wsss.export.write_polygons import region_outlines
from wsss.io.files.atomic import write_text
from wsss.io.rasters.pixel_values.stored_pixels import require_rasterio

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 9
"""Decimal places of degrees: 0.1 mm on the ground."""


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``NAME.geojson`` per image, with a ``MultiPolygon`` feature per object.

    The outlines are those of `wsss.export.write_polygons`, as longitude and latitude on WGS 84, outer rings
    counter-clockwise, as the standard requires. The additional member ``georeference`` has the CRS of the image, and
    the transform from pixels of the mask to it.
    """
    require_rasterio("--format geojson", "GeoJSON")

    def work(item: Item) -> int:
        mask = masks.read(item, options, any_size=True)
        where = georeference_of(item, mask.shape)
        if where.crs is None:
            raise InvalidInput("the image has no coordinate reference system", subject=item.image, hint=NONE_HINT)
        corners, features = 0, []
        for index, region in objects(mask, options):
            polygons = [
                [
                    _ring(ring, where, hole=number > 0, subject=item.image)
                    for number, ring in enumerate(simplified(rings, options.tolerance))
                ]
                for rings in region_outlines(region)
            ]
            corners += sum(len(ring) - 1 for rings in polygons for ring in rings)
            properties = properties_of(masks.classes, index, region) | {"image_id": item.id}
            geometry = {"type": "MultiPolygon", "coordinates": polygons}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        document = {
            "type": "FeatureCollection",
            "image_id": item.id,
            "image": item.file_name,
            "georeference": {"crs": where.crs.to_string(), "transform": list(where.transform)},
            "features": features,
        }
        write_text(output.folder / f"{item.name}.geojson", json.dumps(document, ensure_ascii=False) + "\n")
        return corners

    results = list(output.each(work, masks.items))
    output.renamed.update(renamed([item for item, _ in results]))
    return {"corners": sum(count for _, count in results)}


def _ring(ring: NDArray[np.float64], where: Georeference, *, hole: bool, subject: object) -> list[list[float]]:
    """Return a closed ring of degrees: counter-clockwise, or clockwise for a hole."""
    degrees = where.in_degrees(ring, subject=subject)
    if (area(degrees) < 0) != hole:
        degrees = degrees[::-1]
    rounded: list[list[float]] = np.round(degrees, DIGITS).tolist()
    return [*rounded, rounded[0]]
