"""How the images of a dataset are converted to 8-bit RGB: scaling of deep pixels, page and bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Scaling = Literal["full"] | tuple[float, float]


@dataclass(frozen=True)
class Reading:
    """How images are converted to 8-bit RGB.

    Args:
        scaling: of pixels with more than 8 bits: ``full`` (0 … 2^bits − 1 of the file, 65535 for 16 bits, become
            0 … 255), or the values that become 0 and 255; ``None`` refuses such images. 8-bit images are not scaled.
        page: page of a TIFF, from 1; ``None`` refuses files with several.
        bands: one band (grey) or three (red, green, blue), from 1; ``None`` accepts 1 and 3 bands, with or without
            alpha.
    """

    scaling: Scaling | None = None
    page: int | None = None
    bands: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the settings that are not ``None``; empty for `PLAIN`."""
        values = {"scaling": self.scaling, "page": self.page, "bands": self.bands}
        return {
            name: [_short(number) for number in value] if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reading:
        """Return the settings that `to_json` wrote.

        Raises:
            ValueError: an unknown key or an invalid value.
        """
        if unknown := value.keys() - {"scaling", "page", "bands"}:
            raise ValueError(f"unknown key {min(unknown)!r}")
        scaling, page, bands = value.get("scaling"), value.get("page"), value.get("bands")
        if isinstance(scaling, list):
            scaling = check_range(tuple(map(float, scaling)))
        elif scaling not in (None, "full"):
            raise ValueError(f"scaling: {scaling!r}")
        return cls(scaling, None if page is None else int(page), None if bands is None else check_bands(bands))


def _short(number: float) -> float:
    """Return whole numbers as integers: 4095 instead of 4095.0."""
    return int(number) if number == int(number) else number


PLAIN = Reading()
"""No setting: 8-bit images with one page and at most three bands besides alpha."""


class ImageSource(NamedTuple):
    """An image file, and how it is read: ``read_image(*source)``."""

    path: Path
    reading: Reading = PLAIN


def check_range(limits: tuple[float, ...]) -> tuple[float, float]:
    """Return the values that become 0 and 255.

    Raises:
        ValueError: not two finite numbers in ascending order.
    """
    if len(limits) != 2 or not float("-inf") < limits[0] < limits[1] < float("inf"):
        raise ValueError(f"expected two numbers, low < high, got {list(limits)}")
    return limits[0], limits[1]


def check_bands(bands: list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of the bands.

    Raises:
        ValueError: not one or three numbers from 1.
    """
    if len(bands) not in (1, 3) or any(band < 1 for band in bands):
        raise ValueError(f"expected one or three band numbers, counted from 1, got {list(bands)}")
    return tuple(int(band) for band in bands)
