"""Polygons in the files of ``wsss export --format polygons``, one GeoJSON-like file per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, Shape
from wsss.data.corrections.formats.json_values import all_of, pairs, size_in, text
from wsss.data.importers.json.json_file import objects, read_json
from wsss.errors import InvalidInput


def read_files(paths: Sequence[Path]) -> Iterator[AnnotatedImage]:
    """Yield the image described by each file.

    Raises:
        InvalidInput: the file has another format; names file and key.
    """
    for path in paths:
        content = read_json(path)
        if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
            raise InvalidInput("not a FeatureCollection", subject=path)
        if "georeference" in content:
            raise InvalidInput(
                "the coordinates are longitudes and latitudes, not pixels",
                subject=path,
                hint="Export the masks with --format polygons, then edit and import those files.",
            )
        features = objects(content.get("features"), f"{path}: features")
        shapes = [_shape(feature, f"{path}: features[{index}]") for index, feature in enumerate(features)]
        id = content.get("image_id")
        size = size_in(content, str(path), height="height", width="width")
        name = content.get("image") or id or path.stem
        known = id if isinstance(id, str) else None
        # An export has a file for every image: one without features shows only background.
        yield AnnotatedImage(text(name, f"{path}: image"), str(path), shapes, size, known, complete=True)


def _shape(feature: dict[str, Any], where: str) -> Shape:
    properties, geometry = ((feature.get(key) or {}) for key in ("properties", "geometry"))
    if not isinstance(properties, dict) or not isinstance(geometry, dict) or geometry.get("type") not in KINDS:
        raise InvalidInput("unknown geometry", subject=where, allowed=KINDS)
    at, coordinates = f"{where}.geometry.coordinates", geometry.get("coordinates")
    listed = [coordinates] if geometry["type"] == "Polygon" else coordinates
    polygons = all_of(listed, at, lambda rings, inner: all_of(rings, inner, pairs))
    name = text(properties.get("class"), f"{where}.properties.class")
    return Shape(name, "area", where, lambda size, brush: outline_drawing.union(polygons, size))


KINDS = ("Polygon", "MultiPolygon")
