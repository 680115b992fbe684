"""Small pictures as ``data:`` addresses, to be embedded in a page.

A photograph is embedded once; masks and heat maps are separate layers that the page lays over it, which keeps the
page small and the opacity adjustable.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.viz.drawing.heatmap import resize_map, to_bytes
from wsss.viz.drawing.overlay import mask_layer
from wsss.viz.drawing.palette import magma

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Detail:
    """How fine thumbnails are.

    Args:
        side: longer side of photographs and masks, pixels; smaller images are not enlarged.
        quality: of the JPEG, 1 … 95.
        heat_side: longer side of heat maps, pixels; the browser smooths them up to the photograph's size.
    """

    side: int
    quality: int
    heat_side: int


DETAILS = (
    Detail(480, 80, 160),
    Detail(360, 78, 128),
    Detail(256, 75, 96),
    Detail(192, 72, 72),
    Detail(144, 68, 56),
)
"""From fine to coarse; a page takes the finest that fits its size limit."""


def fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return ``(height, width)`` shrunk so that the longer side is at most ``side`` pixels."""
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def photo_uri(image: NDArray[np.uint8], detail: Detail) -> str:
    """Return an ``(H, W, 3)`` uint8 RGB image as a JPEG data address."""
    from PIL import Image

    height, width = fit(image.shape[:2], detail.side)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=detail.quality, optimize=True)
    return _uri("image/jpeg", buffer.getvalue())


def mask_uri(mask: NDArray[np.uint8], palette: NDArray[np.uint8], detail: Detail) -> str:
    """Return an ``(H, W)`` mask of class indices as a PNG layer: background transparent, ignored pixels hatched."""
    from PIL import Image

    height, width = fit(mask.shape, detail.side)
    small = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return png_uri(indexed_png(mask_layer(small, palette)))


def heat_uri(values: NDArray[Any], size: tuple[int, int], detail: Detail) -> str:
    """Return an ``(h, w)`` map in [0, 1] as a PNG in magma's colours, in 64 steps, shaped like ``size``."""
    from PIL import Image

    steps = to_bytes(resize_map(values, fit(size, detail.heat_side))) // 4
    picture = Image.fromarray(steps)
    picture.putpalette(magma()[2::4].ravel().tolist())
    return png_uri(_save_png(picture))


def png_uri(content: bytes) -> str:
    """Return a PNG file's bytes as a data address."""
    return _uri("image/png", content)


def indexed_png(layer: NDArray[np.uint8]) -> bytes:
    """Return an ``(H, W, 4)`` RGBA layer as PNG bytes: with a palette where it has at most 256 colours."""
    from PIL import Image

    packed = np.ascontiguousarray(layer).view(np.uint32)[..., 0]
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return _save_png(Image.fromarray(layer))
    table = colours.view(np.uint8).reshape(-1, 4)
    picture = Image.fromarray(places.reshape(packed.shape).astype(np.uint8))
    picture.putpalette(table[:, :3].ravel().tolist())
    return _save_png(picture, transparency=table[:, 3].tobytes())


def _save_png(picture: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True, **options)
    return buffer.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
