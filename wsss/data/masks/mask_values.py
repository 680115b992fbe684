"""What the values of a dataset's own mask files mean, where they are not the ids of its classes.

Many masks are 0 for the background and 255 for the only class; elsewhere 255 means "ignore". So that both can be read,
a dataset says what its values mean: ``mask_values: {0: background, 128: ignore, 255: road}``.
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

from wsss.errors import InvalidInput, closest, counted, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, ignored_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.class_list import LabelNames

FEWEST_SMOOTHED = 5
"""Fewest unknown values in one mask that are taken for smoothed edges."""

PLAIN = re.compile(r"[\w][\w .-]*")
"""Names without a sign that means something inside YAML's braces."""


@dataclass(frozen=True)
class MaskValues:
    """The values of a dataset's own masks.

    Args:
        classes: per class index (0 is the background) the values that mean it.
        ignored: the values that mean "ignore"; 255 is not among them unless it is named here.
        rest: class index of all other values in masks that show a class, ``None`` where they are errors.
        named: value → name as a config gives them, for messages; empty for a layout's own values.
        key: path of that config.
    """

    classes: tuple[tuple[int, ...], ...]
    ignored: tuple[int, ...] = ()
    rest: int | None = None
    named: tuple[tuple[int, str], ...] = ()
    key: str = "data.mask_values"

    @property
    def identity(self) -> object:
        """What stands for the values in a fingerprint; `rest` only decides which masks can be read."""
        return (self.classes, self.ignored) if self.ignored else self.classes

    def encode(self, mask: NDArray[np.uint8], *, where: str, ids: Collection[int] = ()) -> NDArray[np.uint8]:
        """Map a mask's values to class indices; the `stray` ones to `rest`.

        Args:
            mask: ``(H, W)`` uint8, values as on disk.
            where: what to call the mask in an error.
            ids: values that are never `stray`: masks that we write have them for classes.

        Returns:
            ``(H, W)`` uint8, values 0 … K or 255.

        Raises:
            InvalidInput: a value isn't named, and isn't `stray`.
        """
        table, legal = self._tables()
        wrong = unknown_values(mask, legal)
        if wrong and (not self.stray(mask) or not wrong.keys().isdisjoint(ids)):
            raise self._unnamed(wrong, legal, where)
        if self.rest is not None:
            table[~legal] = self.rest
        return table[mask]

    def stray(self, mask: NDArray[np.uint8]) -> dict[int, int]:
        """Return the values that count as `rest`, each with its number of pixels.

        There are none without a `rest`, and none in a mask that shows no class by a value that is named: such a mask is
        numbered in another way.
        """
        if self.rest is None:
            return {}
        table, legal = self._tables()
        shown = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        known = table[shown][legal[shown]]
        return unknown_values(mask, legal) if ((known != 0) & (known != IGNORE)).any() else {}

    def _unnamed(self, wrong: Mapping[int, int], legal: NDArray[np.bool_], where: str) -> InvalidInput:
        if not self.named:
            allowed = listing(np.flatnonzero(legal).tolist(), limit=30)
            return InvalidInput(f"{where}: mask value {listing(wrong)} stands for no class; allowed are {allowed}.")
        shown = pixels_of_values(wrong)
        pairs = sorted([*self.named, *((value, "…") for value in wrong)])
        return InvalidInput(
            f"{where}: {shown}, which {self.key} does not name; it names "
            f"{listing([f'{value} ({name})' for value, name in self.named], limit=30)}.",
            hint=smoothing_hint(wrong)
            + f"Name it: {as_key(pairs, self.key.rpartition('.')[2])}, where … is a class, background or ignore.",
        )

    def _tables(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        table, legal = np.full(256, IGNORE, np.uint8), np.zeros(256, np.bool_)
        legal[list(self.ignored)] = True
        for index, values in enumerate(self.classes):
            table[list(values)], legal[list(values)] = index, True
        return table, legal


def smoothing_hint(unknown: Mapping[int, int]) -> str:
    """Return the hint for unknown values that a mask's edges have once it was smoothed; empty for other values.

    Args:
        unknown: value → number of its pixels. Values of classes cover regions; smoothing gives many values at edges.
    """
    if len(unknown) < FEWEST_SMOOTHED:
        return ""
    return (
        f"{len(unknown)} different values: was the mask resized or drawn with smoothing, or saved as JPEG? Resize the "
        "original with nearest neighbour, and save it as PNG. If each value is a class instead: "
    )


def unknown_values(mask: NDArray[np.uint8], legal: NDArray[np.bool_]) -> dict[int, int]:
    """Return the values of a mask that aren't ``legal`` ``(256,)``, each with its number of pixels."""
    counts = np.bincount(mask.ravel(), minlength=256)
    return {int(value): int(counts[value]) for value in np.flatnonzero((counts > 0) & ~legal)}


def pixels_of_values(counts: Mapping[int, int]) -> str:
    """Return ``6 pixels of value 8, 1 pixel of value 30``."""
    return listing([f"{counted(count, 'pixel')} of value {value}" for value, count in counts.items()])


def as_key(named: Iterable[tuple[int, str]], key: str = "mask_values") -> str:
    """Return ``mask_values: {0: background, 255: road}``, ready to paste."""
    return f"{key}: {{{', '.join(f'{value}: {_quoted(name)}' for value, name in named)}}}"


def _quoted(name: str) -> str:
    """Return a name as YAML takes it inside braces; ``no`` and ``1`` aren't names there unless they are quoted."""
    plain = name == "…" or (PLAIN.fullmatch(name) and yaml.safe_load(name) == name)
    return name if plain else json.dumps(name, ensure_ascii=False)


def resolve(names: Mapping[int, str], labels: LabelNames, *, where: str) -> MaskValues:
    """Return what the values mean among the classes in use.

    Args:
        names: value → class of the dataset (one in use, or one that is gathered or left out), background or ignore.
        labels: the classes in use, and the names of the others.
        where: key path of ``names`` for errors.

    Raises:
        InvalidInput: a name is unknown, or no value means a class.
    """
    ignore = ignored_name(labels.index)
    indices: dict[int, int] = {}
    for value, name in names.items():
        if name not in (BACKGROUND, ignore, *labels.index):
            allowed = [BACKGROUND, ignore, *labels.index]
            raise InvalidInput(
                f"{where}.{value}: unknown class {name!r}; allowed are {listing(allowed, limit=30)}"
                f"{closest(name, allowed)}"
            )
        index = IGNORE if name == ignore else 0 if name == BACKGROUND else labels.index[name]
        indices[value] = labels.classes.other_as if index is None else index
    if not set(indices.values()) - {0, IGNORE}:
        raise InvalidInput(
            f"{where}: no value means a class; found {as_key(names.items())}.",
            hint=f"Name the value of a class: {listing(labels.classes.foreground)}.",
        )
    classes = tuple(
        tuple(value for value, index in sorted(indices.items()) if index == wanted)
        for wanted in range(len(labels.classes))
    )
    ignored = tuple(value for value, index in sorted(indices.items()) if index == IGNORE)
    return MaskValues(classes, ignored, named=tuple(sorted(names.items())), key=where)


def parse_names(value: Any, *, where: str) -> dict[int, str]:
    """Return mask value → name of what an option gives, such as ``{0: background, 255: road}``.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        names: dict[int, str] | None = _names(value)
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}.") from error
    if names is None:
        raise InvalidInput(f"{where}: expected a mapping of mask values to names, got nothing.")
    return names


def _names(value: Any) -> Any:
    """Bring ``mask_values`` into one form, or tell what is expected; JSON records have digits for its values."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise ValueError("expected a mapping of mask values to names, for example {0: background, 255: road}")
    found: dict[int, str] = {}
    for key, name in value.items():
        number = int(key) if isinstance(key, str) and key.strip().isdecimal() else key
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 255:
            raise ValueError(f"expected whole numbers from 0 to 255 for mask values; found {key!r}")
        if not isinstance(name, str):
            raise ValueError(f"value {number} has the name {name!r}; expected a class name, background or ignore")
        if number in found:
            raise ValueError(f"value {number} is named twice, {found[number]!r} and {name.strip()!r}")
        found[number] = name.strip()
    return found


MaskNames = Annotated[dict[int, str] | None, BeforeValidator(_names)]
"""Mask value → class name, ``background`` or ``ignore``; ``None``: values are class ids and 255 is ignored."""
