"""Options for images with more than 8 bits, several pages or bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import Reading, Scaling, check_bands, check_range

T = TypeVar("T")


def parsed_reading(scaling: str | None, page: int | None, bands: str | None) -> Reading:
    """Return the settings of ``--scaling``, ``--page`` and ``--bands``.

    Raises:
        InvalidInput: an invalid value.
    """
    return Reading(
        None if scaling is None else _parsed(_scaling, scaling, "--scaling", "full, or LOW,HIGH with LOW < HIGH"),
        page,
        None if bands is None else _parsed(_bands, bands, "--bands", "one or three band numbers from 1, such as 3,2,1"),
    )


def _scaling(text: str) -> Scaling:
    return "full" if text == "full" else check_range(tuple(map(float, text.split(","))))


def _bands(text: str) -> tuple[int, ...]:
    return check_bands([int(number) for number in text.split(",")])


def _parsed(parse: Callable[[str], T], text: str, option: str, allowed: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInput(subject=option, allowed=allowed, found=text) from error
