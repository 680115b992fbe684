"""Byte order of compressed big-endian TIFFs, as ImageJ and Bio-Formats write them, in Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
"""Pillow's raw modes of signed and floating-point big-endian values → those of values in the order of the processor."""


def in_native_order(image: Image) -> None:
    """Let Pillow read the values of a compressed TIFF as libtiff returns them.

    libtiff converts values to the order of the processor. Pillow takes this into account for unsigned 16-bit values
    only, and swaps the bytes of others once more.

    Args:
        image: an open TIFF at the frame to read, whose pixels have not been loaded.
    """
    image.tile = [_in_native_order(tile) for tile in image.tile]  # type: ignore[attr-defined]


def _in_native_order(tile: Any) -> Any:
    """Return a part of a file: decoder, box, offset, and arguments of the decoder, which begin with the raw mode."""
    decoder, _, _, arguments = tile
    if decoder != "libtiff" or arguments[0] not in _NATIVE:
        return tile
    native = (_NATIVE[arguments[0]], *arguments[1:])
    return tile._replace(args=native) if hasattr(tile, "_replace") else (*tile[:3], native)  # a tuple before Pillow 11
