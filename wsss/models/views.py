"""Scales, mirror images and tiles of a prediction outside of a pipeline; without torch, like `wsss.models.config`."""

from __future__ import annotations

from pydantic import Field, model_validator

from wsss.models.config import Scale
from wsss.models.tile_settings import Overlap, TileSide, check_below_image_size, check_overlap
from wsss.validation import Settings


class Views(Settings):
    """Scales and mirror images over which predictions are averaged, and the tiles of large images."""

    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: int | None = Field(default=None, ge=16, description="maximum longer side in pixels")
    tile: TileSide | None = Field(default=None, description="side of the tiles of larger images")
    overlap: Overlap | None = Field(default=None, description="pixels shared by neighbouring tiles")

    @model_validator(mode="after")
    def _tiles_exceed_their_overlap(self) -> Views:
        check_overlap(self.tile, self.overlap)
        return self


class ViewsOfOneCall(Views):
    """Views whose ``tile`` and ``max_side`` were set together: tiles that no image exceeds are a mistake."""

    @model_validator(mode="after")
    def _images_exceed_their_tiles(self) -> ViewsOfOneCall:
        check_below_image_size(self.tile, self.scales, self.max_side)
        return self
