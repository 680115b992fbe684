"""Georeference of a mask: coordinate reference system and transform of its image, for the size of the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.pixel_values.stored_pages import StoredPage, stored_page
from wsss.io.rasters.pixel_values.stored_pixels import require_rasterio
from wsss.io.rasters.rgb_images import image_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wsss.export.export_items import Item

NONE_HINT = "Export the masks of georeferenced images with this format, and others with --format polygons or voc."


HALF_TURN = 180.0
"""Longitude of the antimeridian in degrees."""

ROUNDING = 1e-9
"""Error of longitudes in degrees."""

PIECES = 64
"""Number of parts of an edge between which the longitude must not jump."""


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a mask are on a map.

    Args:
        crs: coordinate reference system (`rasterio.crs.CRS`); ``None`` if the image states none.
        transform: (a, b, c, d, e, f): pixel coordinates (x, y) from the upper left corner of the mask are
            (a·x + b·y + c, d·x + e·y + f) in the units of ``crs``.
    """

    crs: Any
    transform: tuple[float, float, float, float, float, float]

    def on_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixel coordinates ``(N, 2)`` in the units of ``crs``."""
        a, b, c, d, e, f = self.transform
        x, y = points[:, 0], points[:, 1]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def in_degrees(self, points: NDArray[np.float64], *, subject: object) -> NDArray[np.float64]:
        """Return pixel coordinates ``(N, 2)`` as longitude and latitude (WGS 84), the longitude from −180 to 180.

        Args:
            points: corners of a ring.

        Raises:
            InvalidInput: a point is outside the area of the coordinate reference system, or the ring crosses the
                antimeridian, where GeoJSON requires polygons to be cut.
        """
        degrees = self._projected(points, subject)
        wide = np.ptp(degrees[:, 0]) > HALF_TURN
        if wide and (np.abs(np.diff(self._projected(_subdivided(points), subject)[:, 0])) > HALF_TURN).any():
            raise _crosses(subject)
        west = degrees[:, 0].min() + ROUNDING
        degrees[:, 0] -= 2 * HALF_TURN * np.floor((west + HALF_TURN) / (2 * HALF_TURN))
        if degrees[:, 0].max() > HALF_TURN + ROUNDING:  # in a reference system with longitudes from 0 to 360
            raise _crosses(subject)
        return degrees

    def _projected(self, points: NDArray[np.float64], subject: object) -> NDArray[np.float64]:
        """Return pixel coordinates ``(N, 2)`` in degrees, with the longitudes of the reference system."""
        from rasterio.warp import transform

        try:
            degrees = np.array(transform(self.crs, "EPSG:4326", *self.on_map(points).T.tolist())).T
        except MemoryError:
            raise
        except Exception as error:  # GDAL's errors have no public base class
            raise InvalidInput(f"the coordinates cannot be projected ({error})", subject=subject) from error
        if not np.isfinite(degrees).all():
            raise InvalidInput(
                "coordinates outside the area covered by the coordinate reference system", subject=subject
            )
        return degrees


def _subdivided(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a closed ring with further points on its edges, so that a long edge is not mistaken for a jump."""
    share = np.arange(PIECES)[:, None] / PIECES
    ends = np.roll(ring, -1, axis=0)
    points = (ring[:, None] * (1 - share) + ends[:, None] * share).reshape(-1, 2)
    return np.concatenate([points, ring[:1]])


def _crosses(subject: object) -> InvalidInput:
    return InvalidInput("polygons across the antimeridian are not supported", subject=subject)


def georeference_of(item: Item, size: tuple[int, ...]) -> Georeference:
    """Return the georeference of a mask.

    Args:
        item: the mask; its image exists.
        size: (height, width) of the mask; the transform is scaled if the image has another size.

    Raises:
        InvalidInput: the image is not a TIFF, has no transform, is rotated by its EXIF orientation, or
            differs from the mask in proportions; or rasterio is not installed.
    """
    assert item.image is not None
    path = item.image
    with image_errors(path):
        page = stored_page(path, item.reading)
        if page is None or page.png:
            raise InvalidInput("not a GeoTIFF", subject=path, hint=NONE_HINT)
        if page.turn != 1:
            raise InvalidInput("georeferenced images with an EXIF orientation are not supported", subject=path)
        crs, transform = _read(path, page)
    height, width = page.size
    rows, columns = size[0], size[1]
    if abs(rows * width - columns * height) >= max(width, height):  # more than the rounding of a scaled size
        raise InvalidInput(
            "mask and image have different proportions",
            subject=item.mask,
            allowed=f"those of {path}, {width}×{height}",
            found=Verbatim(f"{columns}×{rows}"),
        )
    a, b, c, d, e, f = transform
    across, down = width / columns, height / rows
    return Georeference(crs, (a * across, b * down, c, d * across, e * down, f))


def _read(path: Path, page: StoredPage) -> tuple[Any, tuple[float, ...]]:
    """Return CRS and transform of a page, also from world files (.tfw) and .aux.xml beside the image.

    Raises:
        InvalidInput: the file has no transform.
    """
    rasterio = require_rasterio(path, "a georeference")
    name = f"GTIFF_DIR:{page.frame + 1}:{path.absolute()}" if page.frame else str(path.absolute())
    with rasterio.open(name, driver="GTiff") as data:
        crs, transform = data.crs, data.transform
    if transform == rasterio.Affine.identity():
        raise InvalidInput("the image has no georeference (no affine transform)", subject=path, hint=NONE_HINT)
    return crs, tuple(transform)[:6]
