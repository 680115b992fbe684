"""Meaning of ground-truth mask values that are not class ids: ``{0: background, 128: ignore, 255: road}``.

Many masks have 0 for the background and 255 for the only class, while 255 otherwise means ignore. The config key
``mask_values`` names each value of such masks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import yaml
from pydantic import BeforeValidator

from wsss.data.class_list import LabelNames
from wsss.data.classes import lookup_tables, require_known, unknown_values
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, ignored_name, value_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_SMOOTHED = 5
"""Minimum number of unknown values in one mask that suggests smoothed edges."""

PLAIN = re.compile(r"[\w][\w .-]*")
"""Names without characters that are special inside YAML braces."""


@dataclass(frozen=True)
class MaskValues:
    """Values of a dataset's ground-truth masks.

    Args:
        classes: values of each class index; index 0 is the background.
        ignored: values that mean ignore; 255 only if it is listed.
        rest: class index of all other values in masks that show a class; ``None`` makes such values an error.
        named: value → name as in the config, for messages; empty where a layout defines the values.
        key: path of the config key, for messages.
    """

    classes: tuple[tuple[int, ...], ...]
    ignored: tuple[int, ...] = ()
    rest: int | None = None
    named: tuple[tuple[int, str], ...] = ()
    key: str = "data.mask_values"

    @property
    def identity(self) -> object:
        """The part that enters a fingerprint; `rest` only decides which masks are valid."""
        return (self.classes, self.ignored) if self.ignored else self.classes

    def encode(self, mask: NDArray[np.uint8], *, where: str, ids: Collection[int] = ()) -> NDArray[np.uint8]:
        """Map mask values to class indices; `stray` values become `rest`.

        Args:
            mask: ``(H, W)`` uint8, values as on disk.
            where: subject of the error, usually the file.
            ids: values that are never `stray`: the class ids in masks written by wsss.

        Returns:
            ``(H, W)`` uint8, values 0 … K or 255.

        Raises:
            InvalidInput: a value is neither named nor `stray`.
        """
        table, valid = self._tables()
        unknown = unknown_values(mask, valid)
        if unknown and (not self.stray(mask) or not unknown.keys().isdisjoint(ids)):
            if self.named:
                raise self._unnamed(unknown, where)
            require_known(mask, valid, where=where)
        if self.rest is not None:
            table[~valid] = self.rest
        return table[mask]

    def stray(self, mask: NDArray[np.uint8]) -> dict[int, int]:
        """Return the values that count as `rest`, each with its number of pixels.

        The result is empty without `rest`, and for masks without a named class value, which use another numbering.
        """
        if self.rest is None:
            return {}
        table, valid = self._tables()
        present = np.flatnonzero(value_counts(mask))
        known = table[present][valid[present]]
        return unknown_values(mask, valid) if ((known != 0) & (known != IGNORE)).any() else {}

    def _unnamed(self, unknown: Mapping[int, int], where: str) -> InvalidInput:
        pairs = sorted([*self.named, *((value, "…") for value in unknown)])
        return InvalidInput(
            f"values missing from {self.key}: {pixels_of_values(unknown)}",
            subject=where,
            allowed=listing([f"{value} ({name})" for value, name in self.named], limit=30),
            hint=f"{smoothing_hint(unknown)}Name each value: {as_key(pairs, self.key.rpartition('.')[2])}, "
            "where … is a class, background or ignore.",
        )

    def _tables(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return lookup_tables(self.classes, dict.fromkeys(self.ignored, IGNORE))


def smoothing_hint(unknown: Mapping[int, int]) -> str:
    """Return a hint if unknown values suggest a mask with smoothed edges, otherwise an empty string.

    Args:
        unknown: value → number of its pixels.
    """
    if len(unknown) < FEWEST_SMOOTHED:
        return ""
    return (
        f"{len(unknown)} different values: was the mask resized or drawn with smoothing, or saved as JPEG? Resize the "
        "original with nearest neighbour, and save it as PNG. If each value is a class instead: "
    )


def pixels_of_values(counts: Mapping[int, int]) -> str:
    """Return ``6 pixels of value 8, 1 pixel of value 30``."""
    return listing([f"{counted(count, 'pixel')} of value {value}" for value, count in counts.items()])


def as_key(named: Iterable[tuple[int, str]], key: str = "mask_values") -> str:
    """Return ``mask_values: {0: background, 255: road}``, valid YAML."""
    return f"{key}: {{{', '.join(f'{value}: {_quoted(name)}' for value, name in named)}}}"


def _quoted(name: str) -> str:
    """Quote a name if YAML would read it as something else (``no``, ``1``, ``a, b``)."""
    plain = name == "…" or (PLAIN.fullmatch(name) and yaml.safe_load(name) == name)
    return name if plain else json.dumps(name, ensure_ascii=False)


def resolve(names: Mapping[int, str], labels: LabelNames, *, where: str) -> MaskValues:
    """Return the values of each class in use.

    Args:
        names: value → class name of the dataset (selected, merged or left out), background or ignore.
        labels: the classes in use, and the other class names of the dataset.
        where: key path of ``names`` for errors.

    Raises:
        InvalidInput: an unknown name, or no value for any class.
    """
    ignore = ignored_name(labels.index)
    allowed = [BACKGROUND, ignore, *labels.index]
    indices: dict[int, int] = {}
    for value, name in sorted(names.items()):
        if name not in allowed:
            raise InvalidInput("unknown class", subject=f"{where}.{value}", found=name, allowed=allowed)
        index = IGNORE if name == ignore else 0 if name == BACKGROUND else labels.index[name]
        indices[value] = labels.classes.other_as if index is None else index
    if not set(indices.values()) - {0, IGNORE}:
        raise InvalidInput(
            f"no mask value is assigned to a class in {as_key(names.items())}",
            subject=where,
            hint=f"Name the value of a class: {listing(labels.classes.foreground)}.",
        )

    def values_of(wanted: int) -> tuple[int, ...]:
        return tuple(value for value, index in indices.items() if index == wanted)

    classes = tuple(values_of(index) for index in range(len(labels.classes)))
    return MaskValues(classes, values_of(IGNORE), named=tuple(sorted(names.items())), key=where)


def parse_names(value: Any, *, where: str) -> dict[int, str]:
    """Validate the value of an option, such as ``{0: background, 255: road}``; not ``None``.

    Raises:
        InvalidInput: not a mapping of mask values to names.
    """
    try:
        names: dict[int, str] = _names(value)
    except ValueError as error:
        raise InvalidInput(str(error), subject=where) from error
    return names


def _names(value: Any) -> Any:
    """Normalise ``mask_values``; JSON records have strings of digits for its keys."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise ValueError("expected a mapping of mask values to names, for example {0: background, 255: road}")
    names: dict[int, str] = {}
    for key, name in value.items():
        number = int(key) if isinstance(key, str) and key.strip().isdecimal() else key
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 255:
            raise ValueError(f"expected mask values from 0 to 255, got {key!r}")
        if not isinstance(name, str):
            raise ValueError(f"value {number}: expected a class name, background or ignore, got {name!r}")
        if number in names:
            raise ValueError(f"value {number} has two names, {names[number]!r} and {name.strip()!r}")
        names[number] = name.strip()
    return names


MaskNames = Annotated[dict[int, str] | None, BeforeValidator(_names)]
"""Mask value → class name, ``background`` or ``ignore``; ``None``: values are class ids and 255 is ignored."""
