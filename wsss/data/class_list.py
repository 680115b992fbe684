"""Class names and their ids in masks: those of PASCAL VOC, of a file, or a selection of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import BACKGROUND as BACKGROUND
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.text.text_files import Line, read_lines

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The 20 object classes of PASCAL VOC; the first has id 1."""

VOC_IDS: dict[str, int] = {name: number for number, name in enumerate(VOC_CLASSES, start=1)}


def _members(value: Any) -> list[int | str] | None:
    """Return the ids and names that form a class as a list; ``None`` if ``value`` is neither."""
    members = value if isinstance(value, list) else [value]
    valid = [isinstance(m, str) or (isinstance(m, int) and not isinstance(m, bool) and 0 < m < IGNORE) for m in members]
    return members if all(valid) else None


def _choice(value: Any) -> Any:
    """Normalise ``data.classes``; the errors of a pydantic union would list every member."""
    if isinstance(value, str):  # from the command line: --data.classes cat,dog
        return [name.strip() for name in value.split(",")]
    if value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        return value
    if isinstance(value, dict):
        wrong = [name for name, members in value.items() if not isinstance(name, str) or _members(members) is None]
        if not wrong:
            return {name: _members(members) for name, members in value.items()}
        raise ValueError(f"class {wrong[0]!r}: expected a class id from 1 to 254, a class name, or a list of these")
    raise ValueError("expected a list of class names (or cat,dog), or a mapping of names to ids")


ClassChoice = Annotated[list[str] | dict[str, list[int | str]] | None, BeforeValidator(_choice)]
"""Names to keep, or new name → ids and names it merges; ``None`` keeps all classes."""

Other = Literal["background", "ignore"]


@dataclass(frozen=True)
class LabelNames:
    """The classes in use, and the names that label files may have.

    Args:
        index: name → class index (≥ 1); ``None`` for a class that is left out.
    """

    classes: Classes
    index: Mapping[str, int | None]

    def indices(self, names: Iterable[str], where: str) -> tuple[int, ...]:
        """Return the sorted class indices of ``names``, without classes that are left out.

        Raises:
            InvalidInput: an unknown class; its subject is ``where``.
        """
        present: set[int] = set()
        for name in names:
            if name not in self.index:
                raise InvalidInput("unknown class", subject=where, found=name, allowed=self.index)
            index = self.index[name]
            if index is not None:
                present.add(index)
        return tuple(sorted(present))


IGNORED = "__ignore__"
"""First line of labelme's class lists, before ``_background_``: pixels without a class."""

_BEFORE_NAME = re.compile(r"[0-9]+\s*[,;:=]\s*\S")
_HEADERS = (
    (re.compile(r"[^\W\d][\w ]*[,;:=\t]"), re.compile(r"[0-9]+\s*[,;:=\t]\s*\S")),
    (re.compile(r"\w*(?:id|index|value|number)\s+\w", re.IGNORECASE), re.compile(r"[0-9]+\s+\S")),
)
"""First lines that may be headers, and the lines after them."""

_ZERO = re.compile(r"0(?:\s*[,;:=]\s*|\s+)(.+)")


def read_class_list(path: Path) -> dict[str, int]:
    """Read a class list: one name per line (the first has id 1), or ``id name`` per line.

    A line ``background`` (or ``Background``, or labelme's ``_background_``) or ``0 background`` is optional; ``#``
    starts a comment line.

    Returns:
        Class name → id (1 … 254), in the order of the file.

    Raises:
        InvalidInput: a duplicate id or name, an id out of range, ids in another form, or no class; names file and line.
    """
    lines = [line for line in read_lines(path) if not line.text.startswith("#") and line.text != IGNORED]
    numbered = bool(lines) and all(line.text.split()[0].isdigit() and len(line.text.split()) > 1 for line in lines)
    _refuse_ids(lines, numbered=numbered)
    ids: dict[str, int] = {}
    for line in lines:
        number, name = _entry(line) if numbered else (len(ids) + 1, line.text)
        if is_background(name):
            if numbered and number != 0:
                raise InvalidInput(f"invalid id of {BACKGROUND}", subject=line, found=number, allowed="0")
            continue
        if name in ids:
            raise InvalidInput(f"duplicate class {name!r}", subject=line)
        if number in ids.values():
            raise InvalidInput(f"duplicate class id {number}", subject=line)
        if not 1 <= number < IGNORE:
            raise InvalidInput(
                "class id out of range",
                subject=line,
                found=number,
                allowed="1 to 254 (0 = background, 255 = ignore)",
                hint="Masks are 8-bit images: merge classes, or remove some from the file.",
            )
        ids[name] = number
    if not ids:
        raise InvalidInput("no classes", subject=path, allowed="one name per line, or 'id name'")
    return ids


def is_background(name: str) -> bool:
    """Return whether a name in a class list is that of the background."""
    return name.casefold().strip("_") == BACKGROUND


def _refuse_ids(lines: Sequence[Line], *, numbered: bool) -> None:
    """Refuse ids that would be read as parts of names.

    Raises:
        InvalidInput: ``1,cat`` or ``1: cat`` in all lines, ids after a header such as ``id,name`` or ``id name``, or
            ``0 background`` beside names.
    """
    has_header = len(lines) > 1 and any(
        header.match(lines[0].text) and all(row.match(line.text) for line in lines[1:]) for header, row in _HEADERS
    )
    if has_header or (lines and all(_BEFORE_NAME.match(line.text) for line in lines)):
        first = lines[1 if has_header else 0]
        raise InvalidInput(
            subject=first,
            found=first.text,
            allowed="'id name', separated by a space, or a name",
            hint=f"Delete the header, too: {lines[0].text}" if has_header else None,
        )
    for line in () if numbered else lines:
        zero = _ZERO.fullmatch(line.text)
        if zero is not None and is_background(zero[1]):
            raise InvalidInput(
                "a line with an id, although other lines have none",
                subject=line,
                found=line.text,
                allowed="'id name' in all lines, or a name in all lines",
            )


def _entry(line: Line) -> tuple[int, str]:
    number, name = line.text.split(maxsplit=1)
    return int(number), name


def choose_classes(choice: ClassChoice, base: Mapping[str, int], *, other: Other, where: str) -> LabelNames:
    """Return the classes in use.

    Args:
        choice: a list keeps those classes of ``base``, in that order; a mapping gives each new name the ids, or the
            names of classes of ``base``, that it merges; ``None`` keeps all.
        base: class name → id of all classes of the dataset.
        other: how pixels of the other classes are read.

    Raises:
        InvalidInput: an unknown class, or an id in two classes.
    """
    groups = _groups(choice, base, where)
    if not groups or not all(groups.values()):
        raise InvalidInput(subject=where, allowed="at least one class, and at least one id for each")
    if BACKGROUND in groups:
        raise InvalidInput(
            f"{BACKGROUND!r} always has id 0", subject=where, allowed="foreground classes only", found=BACKGROUND
        )
    owner: dict[int, str] = {}
    for name, ids in groups.items():
        for number in ids:
            if number in owner:
                raise InvalidInput(f"id {number} belongs to both {owner[number]!r} and {name!r}", subject=where)
            owner[number] = name
    classes = Classes(
        names=(BACKGROUND, *groups),
        values=((0,), *(tuple(ids) for ids in groups.values())),
        other=frozenset(base.values()) - set(owner),
        other_as=0 if other == "background" else IGNORE,
    )
    position = {name: index for index, name in enumerate(groups, start=1)}
    # Label files may use the dataset's names as well as the new ones.
    index = {name: position[owner[number]] if number in owner else None for name, number in base.items()}
    return LabelNames(classes, {**index, **position})


def require_values_in_use(choice: ClassChoice, base: Mapping[str, int], hint: str) -> None:
    """Require that numbers in a choice of classes are mask values, for datasets whose classes also have other ids.

    Args:
        choice: as for `choose_classes`.
        base: class name → number, as in masks.
        hint: explains the numbers.

    Raises:
        InvalidInput: a number is not the mask value of any class; or a class with a name of ``base`` is given the mask
            values of other classes only, for example because a number is an id and not a mask value.
    """
    names = {number: name for name, number in base.items()}
    for new, members in choice.items() if isinstance(choice, dict) else ():
        numbers = [member for member in members if isinstance(member, int)]
        for number in numbers:
            if number not in names:
                allowed = f"values in masks, {min(names)} to {max(names)}"
                raise InvalidInput(
                    "no class has this mask value",
                    subject=f"data.classes.{new}",
                    found=number,
                    allowed=allowed,
                    hint=hint,
                )
        if numbers and new in base and not {new, base[new]} & {*members}:
            meant = f"{base[new]} for {new!r}"
            raise InvalidInput(
                f"{numbers[0]} is the mask value of {names[numbers[0]]!r}",
                subject=f"data.classes.{new}",
                found=numbers[0],
                allowed=meant,
                hint=hint,
            )


def _groups(choice: ClassChoice, base: Mapping[str, int], where: str) -> dict[str, list[int]]:
    """Return class in use → ids of ``base`` that it merges."""
    if isinstance(choice, dict):
        return {
            name: [_id_of(member, base, f"{where}.{name}") for member in members] for name, members in choice.items()
        }
    groups: dict[str, list[int]] = {}
    for name in base if choice is None else choice:
        if name in groups:
            raise InvalidInput(f"duplicate class {name!r}", subject=where)
        groups[name] = [_id_of(name, base, where)]
    return groups


def _id_of(member: int | str, base: Mapping[str, int], where: str) -> int:
    if isinstance(member, int):
        return member
    if member not in base:
        raise InvalidInput("unknown class", subject=where, found=member, allowed=base)
    return base[member]
