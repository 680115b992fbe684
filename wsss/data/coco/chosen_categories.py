"""The categories of COCO files as classes: their numbers in masks, and the choice of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from wsss.data.class_list import BACKGROUND, ClassChoice, LabelNames, Other, choose_classes, require_values_in_use
from wsss.data.coco.annotation_index import AnnotationIndex
from wsss.errors import InvalidInput, listing

NUMBERS = "Numbers are values in masks: positions in the order of the category ids, from 1, not the ids. Prefer names."
"""What numbers in ``data.classes`` are."""


def choose_categories(
    choice: ClassChoice,
    files: Mapping[str, Path],
    indices: Mapping[str, AnnotationIndex],
    *,
    other: Other,
    log: Callable[[str], None],
) -> LabelNames:
    """Return the classes in use, and log what numbers mean: COCO's own ids (1 to 90) differ from those in masks.

    Args:
        choice, other: as for `choose_classes`.
        files: split → COCO file.
        indices: split → its index.

    Raises:
        InvalidInput: a category that would be a class is named ``background``; see `_numbers`, `choose_classes` and
            `require_values_in_use`.
    """
    numbers = _numbers(files, indices)
    if BACKGROUND in numbers and choice is None:
        hint = (
            "Select the other categories with data.classes, or remove the category and its annotations from the file."
        )
        subject = f"{next(iter(files.values()))}: categories"
        raise InvalidInput(
            f"a category is named {BACKGROUND!r}, which is reserved for pixels without objects",
            subject=subject,
            hint=hint,
        )
    require_values_in_use(choice, numbers, NUMBERS)
    chosen = choose_classes(choice, numbers, other=other, where="data.classes")
    groups = choice if isinstance(choice, dict) else {}
    names = {number: name for name, number in numbers.items()}
    used = [f"{new}: {one} = {names[one]}" for new, ones in groups.items() for one in ones if isinstance(one, int)]
    if used:
        log(f"data.classes: numbers are values in masks, not category ids ({listing(used)}).")
    return chosen


def _numbers(files: Mapping[str, Path], indices: Mapping[str, AnnotationIndex]) -> dict[str, int]:
    """Return class name → number (from 1), in the order of the category ids.

    Raises:
        InvalidInput: the files of two splits have different categories.
    """
    first = next(iter(indices))
    for split, index in indices.items():
        if index.categories != indices[first].categories:
            differing = {*index.categories.items()} ^ {*indices[first].categories.items()}
            raise InvalidInput(
                f"the categories differ from those in {files[first]}: {listing(sorted({n for _, n in differing}))}",
                subject=files[split],
                hint="Choose splits with the same categories in data.splits.",
            )
    return {name: number for number, name in enumerate(indices[first].categories.values(), start=1)}
