"""Class names and their mask values.

In memory, masks contain class indices: 0 is the background, 1 … K are the foreground classes, 255 (`IGNORE`) is
ignored. Files keep the dataset's own ids (VOC's, for example), in ground truth and in results, so that other tools can
compare the two. Datasets whose ground truth has values that are not class ids (TopoMortar's 0 and 255) describe them in
`wsss.data.mask_values.MaskValues`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.label_masks import IGNORE, value_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("names", "values", "other", "other_as")


@dataclass(frozen=True)
class Classes:
    """Class names, and their mask values on disk.

    Args:
        names: ``names[0]`` is the background.
        values: mask values of each class; the first is the value written.
        other: valid mask values of the dataset's other classes, which this subset leaves out.
        other_as: class index of their pixels: 0 (background) or 255 (ignore).
    """

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    other: frozenset[int] = frozenset()
    other_as: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the classes 1 … K."""
        return self.names[1:]

    def index(self, name: str) -> int:
        """Return the index (≥ 1) of a foreground class.

        Raises:
            InvalidInput: unknown class.
        """
        if name not in self.foreground:
            raise InvalidInput("unknown class", found=name, allowed=self.foreground)
        return self.names.index(name)

    def encode(self, mask: NDArray[np.uint8], *, where: str) -> NDArray[np.uint8]:
        """Map mask values on disk to class indices.

        Args:
            mask: ``(H, W)`` uint8, values as on disk.
            where: subject of the error, usually the file.

        Returns:
            ``(H, W)`` uint8, values 0 … K or 255.

        Raises:
            InvalidInput: an unknown value.
        """
        table, valid = lookup_tables(self.values, {IGNORE: IGNORE, **dict.fromkeys(self.other, self.other_as)})
        require_known(mask, valid, where=where, ignore=not any(IGNORE in values for values in self.values))
        return table[mask]

    def decode(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map class indices (0 … K, 255) to the values written on disk; the inverse of `encode`."""
        table = np.full(256, IGNORE, np.uint8)
        for index, values in enumerate(self.values):
            table[index] = values[0]
        return table[mask]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object for `from_json`; stored in every ``model.json``."""
        return {
            "names": list(self.names),
            "values": [list(values) for values in self.values],
            "other": sorted(self.other),
            "other_as": self.other_as,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Classes:
        """Validate and load the output of `to_json`.

        Raises:
            ValueError: a missing key, a wrong type, a duplicate name or mask value, or different numbers of names and
                values. The message starts with the key.
        """
        missing = [key for key in KEYS if not isinstance(value, Mapping) or key not in value]
        if missing:
            raise ValueError(f"{missing[0]}: required key is missing")
        names = _names(value["names"])
        values, other = _values_of_classes(value["values"], names), _values(value["other"], "other")
        every = [number for numbers in (*values, other) for number in numbers]
        repeated = sorted({number for number in every if every.count(number) > 1})
        if repeated:
            raise ValueError(f"values: mask value {listing(repeated)} stands for several classes")
        if value["other_as"] not in (0, IGNORE) or isinstance(value["other_as"], bool):
            raise ValueError(f"other_as: expected 0 or {IGNORE}, got {value['other_as']!r}")
        return cls(names, values, frozenset(other), int(value["other_as"]))


def renumber(classes: Classes) -> str:
    """Return the hint for masks in which 255 means a class: ``renumber it: cat 1, dog 2``."""
    return renumber_as(dict(zip(classes.foreground, (values[0] for values in classes.values[1:]), strict=True)))


def renumber_as(values: Mapping[str, int]) -> str:
    """Return the hint of `renumber` for masks with their own values.

    Args:
        values: class name → mask value.
    """
    return f"renumber it: {listing((f'{name} {value}' for name, value in values.items()), limit=10)}"


def lookup_tables(
    values: Sequence[Sequence[int]], further: Mapping[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a table mask value → class index, ``(256,)`` uint8, and the valid values, ``(256,)`` bool.

    Args:
        further: mask value → class index of valid values that belong to no class; ``values`` takes precedence.
    """
    table, valid = np.full(256, IGNORE, np.uint8), np.zeros(256, np.bool_)
    pairs = {**further, **{value: index for index, members in enumerate(values) for value in members}}
    for value, index in pairs.items():
        table[value], valid[value] = index, True
    return table, valid


def unknown_values(mask: NDArray[np.uint8], valid: NDArray[np.bool_]) -> dict[int, int]:
    """Return the mask values that are not ``valid`` ``(256,)``, each with its number of pixels."""
    counts = value_counts(mask)
    return {int(value): int(counts[value]) for value in np.flatnonzero((counts > 0) & ~valid)}


def require_known(mask: NDArray[np.uint8], valid: NDArray[np.bool_], *, where: str, ignore: bool = False) -> None:
    """Require that every value of a mask is ``valid`` ``(256,)``.

    Args:
        mask: ``(H, W)`` uint8.
        ignore: explain in the error that 255 means ignore.

    Raises:
        InvalidInput: an unknown value.
    """
    unknown = unknown_values(mask, valid)
    if unknown:
        raise InvalidInput(
            "unknown mask values",
            subject=where,
            found=list(unknown),
            allowed=listing(np.flatnonzero(valid).tolist(), limit=30) + (" (255 = ignore)" if ignore else ""),
        )


def _names(stored: Any) -> tuple[str, ...]:
    if not isinstance(stored, list) or not all(isinstance(name, str) and name for name in stored):
        raise ValueError(f"names: expected a list of names, got {stored!r}")
    if not 2 <= len(stored) <= IGNORE:
        raise ValueError(f"names: expected the background and 1 to {IGNORE - 1} classes, got {len(stored)} names")
    repeated = sorted({name for name in stored if stored.count(name) > 1})
    if repeated:
        raise ValueError(f"names: expected each name once, got {listing(map(repr, repeated))} several times")
    return tuple(stored)


def _values_of_classes(stored: Any, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    if not isinstance(stored, list) or len(stored) != len(names):
        found = len(stored) if isinstance(stored, list) else repr(stored)
        raise ValueError(f"values: expected {len(names)} lists, one for each name, got {found}")
    values = tuple(_values(numbers, f"values.{position}") for position, numbers in enumerate(stored))
    empty = [name for name, numbers in zip(names, values, strict=True) if not numbers]
    if empty:
        raise ValueError(f"values: no mask value for {listing(map(repr, empty))}")
    return values


def _values(stored: Any, key: str) -> tuple[int, ...]:
    integers = isinstance(stored, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in stored)
    if not integers or not all(0 <= value <= 255 for value in stored):
        raise ValueError(f"{key}: expected a list of mask values from 0 to 255, got {stored!r}")
    return tuple(stored)
