"""Settings of overlapping tiles in stages that run a network; does not import torch, like `wsss.models.config`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

TileSide = Annotated[int, Field(ge=64, le=1 << 14)]
"""Side of a tile in pixels."""

Overlap = Annotated[int, Field(ge=32, le=1 << 13)]
"""Pixels shared by neighbouring tiles."""

TILE_HELP = "side of overlapping tiles for larger images, in pixels of the network's input; null: whole images"
OVERLAP_HELP = "pixels shared by neighbouring tiles, at most half of tile; null: 256, or half of a smaller tile"


def check_tiles(tile: int | None, overlap: int | None, scales: tuple[float, ...], max_side: int | None) -> None:
    """Require that tiles are at least twice as large as their overlap, and smaller than the largest possible image.

    Raises:
        ValueError: see `check_overlap` and `check_below_image_size`.
    """
    check_overlap(tile, overlap)
    check_below_image_size(tile, scales, max_side)


def check_overlap(tile: int | None, overlap: int | None) -> None:
    """Require that tiles are at least twice as large as their overlap.

    Raises:
        ValueError: the overlap exceeds half of the tile, or is set without ``tile``.
    """
    if tile is None and overlap is not None:
        raise ValueError("overlap requires tile, the side of the tiles")
    if tile is not None and overlap is not None and overlap > tile // 2:
        raise ValueError(f"overlap: expected at most half of tile ({tile // 2}), got {overlap}")


def check_below_image_size(tile: int | None, scales: tuple[float, ...], max_side: int | None) -> None:
    """Require that tiles are smaller than the largest possible downscaled image.

    Raises:
        ValueError: no image can exceed a tile.
    """
    if tile is not None and max_side is not None and max_side * max(scales) <= tile:
        raise ValueError(
            f"tile: no image exceeds {tile} pixels, because max_side limits it to {max_side} times the largest scale; "
            "set max_side: null, or omit tile"
        )
