"""Config keys for images with more than 8 bits, several pages or more than three bands, shared by several layouts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wsss.data.readers.layout import LayoutConfig
from wsss.io.rasters.pixel_values.reading import Reading, Scaling, check_bands, check_range


def _ascending(value: Scaling | None) -> Scaling | None:
    return check_range(value) if isinstance(value, tuple) else value


def _one_or_three(value: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if value is None else check_bands(value)


ScalingSetting = Annotated[Literal["full"] | tuple[float, float] | None, AfterValidator(_ascending)]
PageSetting = Annotated[int | None, Field(ge=1)]
BandsSetting = Annotated[tuple[int, ...] | None, AfterValidator(_one_or_three)]
"""Types of config keys with the values of `Reading`."""


class ImageReadingConfig(LayoutConfig):
    """Keys of ``data:`` for layouts whose images may need a conversion to 8-bit RGB."""

    scaling: ScalingSetting = Field(
        None,
        description="Scaling of images with more than 8 bits: full (0 … 2^bits − 1 of the file, 65535 for 16 bits, "
        "become 0 … 255), or [LOW, HIGH], which become 0 and 255; absent = such images are errors. "
        "8-bit images are not scaled.",
    )
    page: PageSetting = Field(
        None, description="Page of TIFF files, from 1; absent = files with several pages are errors."
    )
    bands: BandsSetting = Field(
        None,
        description="Bands for red, green and blue, from 1, such as [3, 2, 1], or a single one; absent = images whose "
        "number of bands is not 1 or 3, besides alpha, are errors.",
    )

    @property
    def reading(self) -> Reading:
        """The conversion of the images."""
        return Reading(self.scaling, self.page, self.bands)
