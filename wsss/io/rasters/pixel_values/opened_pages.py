"""Pages of images that a user opened with Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.rasters.pixel_values.stored_pages import frame_is_page

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def at_page(image: Image, page: int | None) -> Iterator[None]:
    """Show a page of an open image; afterwards it is at the same frame as before.

    Args:
        image: an open image; only a TIFF has pages.
        page: number of the page, from 1; ``None``: the current frame.

    Raises:
        InvalidInput: a TIFF without this page; at a frame other than the first one and this page; or an image with
            several frames that is not a TIFF.
    """
    here = image.tell()
    if page is None or (image.format != "TIFF" and getattr(image, "n_frames", 1) == 1):
        yield
        return
    if image.format != "TIFF":
        found = Verbatim(counted(getattr(image, "n_frames", 1), "frame"))
        raise InvalidInput(
            f"data.page ({page}) applies only to TIFF files",
            subject="image",
            allowed="a single frame",
            found=found,
            hint="Pass image.copy() to use the current frame.",
        )
    frames = _frames_of_pages(image)
    if page > len(frames):
        image.seek(here)
        raise InvalidInput("no such page", subject="image", allowed=f"data.page from 1 to {len(frames)}", found=page)
    if here not in (0, frames[page - 1]):
        image.seek(here)
        raise InvalidInput(
            f"the image is at frame {here}, but the network reads page {page}",
            subject="image",
            hint=f"Call image.seek({frames[page - 1]}), or pass image.copy() to use the current frame.",
        )
    image.seek(frames[page - 1])
    try:
        yield
    finally:
        image.seek(here)


def _frames_of_pages(image: Image) -> list[int]:
    """Return the frames that are pages, not overviews or masks; the image is then at the last frame."""
    pages = []
    for frame in range(getattr(image, "n_frames", 1)):
        image.seek(frame)
        if frame_is_page(image):
            pages.append(frame)
    return pages
