"""Class names and the ids that stand for them in masks: VOC's, a file's, or a choice of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from wsss.data.sample import Classes
from wsss.errors import InvalidInput, closest, listing
from wsss.io.rasters.label_masks import BACKGROUND as BACKGROUND
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.text.text_files import read_lines

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The 20 object classes of PASCAL VOC; the first has id 1."""

VOC_IDS: dict[str, int] = {name: number for number, name in enumerate(VOC_CLASSES, start=1)}


def _members(value: Any) -> list[int | str] | None:
    """Return the ids and names that a class gathers as a list, or ``None`` where ``value`` is neither."""
    members = value if isinstance(value, list) else [value]
    fit = [isinstance(m, str) or (isinstance(m, int) and not isinstance(m, bool) and 0 < m < IGNORE) for m in members]
    return members if all(fit) else None


def _choice(value: Any) -> Any:
    """Bring ``data.classes`` into one form, or say what is expected; pydantic would list every member of the union."""
    if isinstance(value, str):  # as a shell passes it on most easily: --data.classes cat,dog
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
"""Names to keep, or new name → ids and names that it gathers, or ``None`` for all classes."""

Other = Literal["background", "ignore"]


@dataclass(frozen=True)
class LabelNames:
    """The classes of a dataset, and what each name in a label file means.

    Args:
        classes: the classes in use.
        index: name → class index (≥ 1), or ``None`` for a class that is left out.
    """

    classes: Classes
    index: Mapping[str, int | None]

    def indices(self, names: list[str], where: str) -> tuple[int, ...]:
        """Return the sorted class indices of ``names``; classes that are left out are dropped.

        Raises:
            InvalidInput: a name is no class; names ``where`` and the closest one.
        """
        found: set[int] = set()
        for name in names:
            if name not in self.index:
                raise InvalidInput(
                    f"{where}: unknown class {name!r}; the classes are {listing(self.index, limit=30)}"
                    f"{closest(name, self.index)}"
                )
            index = self.index[name]
            if index is not None:
                found.add(index)
        return tuple(sorted(found))


def read_class_list(path: Path) -> dict[str, int]:
    """Read a class list: one name per line (the first is id 1), or ``id name`` per line.

    A line ``background`` (or ``0 background``) is allowed and changes nothing; ``#`` starts a comment line.

    Returns:
        Class name → id (1 … 254), in the order of the file.

    Raises:
        InvalidInput: an id or name comes twice, an id is out of range, or there is no class; names file and line.
    """
    lines = [line for line in read_lines(path) if not line.text.startswith("#")]
    numbered = bool(lines) and all(line.text.split()[0].isdigit() and len(line.text.split()) > 1 for line in lines)
    ids: dict[str, int] = {}
    for line in lines:
        if numbered:
            number, name = int(line.text.split(maxsplit=1)[0]), line.text.split(maxsplit=1)[1]
        else:
            number, name = len(ids) + 1, line.text
        if name == BACKGROUND:
            if numbered and number != 0:
                raise InvalidInput(f"{line}: the background is id 0; found {number}.")
            continue
        if name in ids:
            raise InvalidInput(f"{line}: class {name!r} is listed twice.")
        if number in ids.values():
            raise InvalidInput(f"{line}: id {number} is given to two classes.")
        if not 1 <= number < IGNORE:
            raise InvalidInput(f"{line}: class id {number}; allowed are 1 to 254 (0 = background, 255 = ignore).")
        ids[name] = number
    if not ids:
        raise InvalidInput(f"{path}: no class in it; expected one name per line, or 'id name'.")
    return ids


def choose_classes(choice: ClassChoice, base: Mapping[str, int], *, other: Other, where: str) -> LabelNames:
    """Return the classes in use.

    Args:
        choice: a list of names keeps those classes of ``base``, in that order; a mapping gives each new name the
            ids, or the names of classes of ``base``, that it gathers; ``None`` keeps all.
        base: class name → id of all classes that masks and label files of the dataset may name.
        other: what pixels of the classes left out become.
        where: key path of ``choice`` for errors.

    Raises:
        InvalidInput: a name is no class of ``base``, or two classes claim one id.
    """
    groups: dict[str, list[int]] = {}
    if choice is None or isinstance(choice, list):
        for name in base if choice is None else choice:
            if name in groups:
                raise InvalidInput(f"{where}: class {name!r} is listed twice.")
            groups[name] = [_id_of(name, base, where)]
    else:
        for name, members in choice.items():
            groups[name] = [_id_of(member, base, f"{where}.{name}") for member in members]
    if not groups or not all(groups.values()):
        raise InvalidInput(f"{where}: at least one class is needed, and at least one id for each.")
    owner: dict[int, str] = {}
    for name, ids in groups.items():
        if name == BACKGROUND:
            raise InvalidInput(f"{where}: {BACKGROUND!r} is always there, as id 0; list the other classes alone.")
        for number in ids:
            if number in owner:
                raise InvalidInput(f"{where}: id {number} is claimed by {owner[number]!r} and by {name!r}.")
            owner[number] = name
    classes = Classes(
        names=(BACKGROUND, *groups),
        values=((0,), *(tuple(ids) for ids in groups.values())),
        other=frozenset(base.values()) - set(owner),
        other_as=0 if other == "background" else IGNORE,
    )
    position = {name: index for index, name in enumerate(groups, start=1)}
    # A label file may use the names of the dataset, and the new names too.
    index = {name: position[owner[number]] if number in owner else None for name, number in base.items()}
    return LabelNames(classes, {**index, **position})


def _id_of(member: int | str, base: Mapping[str, int], where: str) -> int:
    if isinstance(member, int):
        return member
    if member not in base:
        raise InvalidInput(
            f"{where}: unknown class {member!r}; the classes are {listing(base, limit=30)}{closest(member, base)}"
        )
    return base[member]
