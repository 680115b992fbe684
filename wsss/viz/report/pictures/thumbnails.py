"""Thumbnails as data URIs.

A photograph is embedded once; masks and heat maps are separate layers over it, which keeps the page small and the
opacity adjustable.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.rasters.working_size import working_size
from wsss.viz.drawing.heatmap import resize_map, to_bytes
from wsss.viz.drawing.overlay import mask_layer
from wsss.viz.drawing.palette import magma

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Detail:
    """The resolution of thumbnails.

    Args:
        side: longer side of photographs and masks, pixels; smaller images keep their size.
        quality: JPEG quality, 1–95.
        heat_side: longer side of heat maps, pixels; the browser interpolates them to the size of the photograph.
    """

    side: int
    quality: int
    heat_side: int


DETAILS = (Detail(480, 80, 160), Detail(360, 78, 128), Detail(256, 75, 96), Detail(192, 72, 72), Detail(144, 68, 56))
"""From high to low; a page uses the highest that fits its size limit."""


def photo_uri(image: NDArray[np.uint8], detail: Detail) -> str:
    """Return an ``(H, W, 3)`` uint8 RGB image as a JPEG data URI."""
    from PIL import Image

    height, width = working_size(image.shape[:2], detail.side)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=detail.quality, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


def mask_uri(mask: NDArray[np.uint8], palette: NDArray[np.uint8], detail: Detail) -> str:
    """Return an ``(H, W)`` mask of class indices as a PNG layer: background transparent, ignored pixels hatched."""
    from PIL import Image

    height, width = working_size(mask.shape, detail.side)
    small = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return png_uri(indexed_png(mask_layer(small, palette)))


def heat_uri(values: NDArray[Any], size: tuple[int, int], detail: Detail) -> str:
    """Return an ``(h, w)`` map in [0, 1] as a PNG with the aspect ratio of ``size``, in 64 colours of magma."""
    from PIL import Image

    steps = to_bytes(resize_map(values, working_size(size, detail.heat_side))) // 4
    picture = Image.fromarray(steps)
    picture.putpalette(magma()[2::4].ravel().tolist())
    return png_uri(_save_png(picture))


def png_uri(content: bytes) -> str:
    """Return the content of a PNG file as a data URI."""
    return data_uri("image/png", content)


def indexed_png(layer: NDArray[np.uint8]) -> bytes:
    """Return an ``(H, W, 4)`` RGBA layer as PNG bytes: with a palette if it has at most 256 colours."""
    from PIL import Image

    packed = np.ascontiguousarray(layer).view(np.uint32)[..., 0]
    colours, indices = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return _save_png(Image.fromarray(layer))
    table = colours.view(np.uint8).reshape(-1, 4)
    picture = Image.fromarray(indices.reshape(packed.shape).astype(np.uint8))
    picture.putpalette(table[:, :3].ravel().tolist())
    return _save_png(picture, transparency=table[:, 3].tobytes())


def _save_png(picture: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True, **options)
    return buffer.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """Return a file of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
