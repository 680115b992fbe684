"""Polygons: one GeoJSON-like file per image, in the image's pixel coordinates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.export.export_items import Item, Masks, Options, Output, objects, properties_of
from wsss.export.naming import renamed
from wsss.export.outlines import outlines, simplified
from wsss.io.files.atomic import write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.io.rasters.rle import Region


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``NAME.geojson`` per image, with a ``MultiPolygon`` feature per object.

    A polygon is a 4-connected region: its outline, then its holes, each closed by its first corner. Coordinates are
    pixels from the upper left corner of the image, x to the right, y down (see `wsss.export.outlines`).
    """

    def work(item: Item) -> int:
        mask = masks.read(item, options)
        corners, features = 0, []
        for index, region in objects(mask, options):
            polygons = [simplified(rings, options.tolerance) for rings in region_outlines(region)]
            corners += sum(len(ring) for rings in polygons for ring in rings)
            properties = properties_of(masks.classes, index, region)
            coordinates = [[_closed(ring) for ring in rings] for rings in polygons]
            geometry = {"type": "MultiPolygon", "coordinates": coordinates}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        document = {
            "type": "FeatureCollection",
            "image_id": item.id,
            "image": item.file_name,
            "width": mask.shape[1],
            "height": mask.shape[0],
            "tolerance": options.tolerance,
            "features": features,
        }
        write_text(output.folder / f"{item.name}.geojson", json.dumps(document, ensure_ascii=False) + "\n")
        return corners

    corners = [count for _, count in output.each(work, masks.items)]
    output.renamed.update(renamed(masks.items))
    return {"corners": sum(corners)}


def region_outlines(region: Region) -> list[list[NDArray[np.int64]]]:
    """Return the outlines of every 4-connected part of a region, in image coordinates."""
    from scipy.ndimage import find_objects, label

    left, top, width, height = region.box
    labels = label(region.window[top - region.top :, left - region.left :][:height, :width])[0]
    polygons = []
    for number, window in enumerate(find_objects(labels), start=1):
        corner = np.array([window[1].start + left, window[0].start + top])
        polygons.append([ring + corner for ring in outlines(labels[window] == number)])
    return polygons


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    """Return a ring for GeoJSON: the first corner repeated at the end, integers without a fraction."""
    corners = [*ring.tolist(), ring[0].tolist()]
    return [[int(value) if value == int(value) else value for value in corner] for corner in corners]
