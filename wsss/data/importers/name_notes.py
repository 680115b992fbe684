"""Notes on names: of images whose ids differ from their file names, of similar files, and of similar classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from wsss.data.checks.check_report import Collector
from wsss.data.image_ids import fold, is_cut, renamed
from wsss.data.sample_ids import without_suffix
from wsss.errors import counted

SHORTENED = "images with long names, shortened in the names of their masks"
RENAMED = "images whose ids and masks have names that differ from their files (see files.csv)"
SIMILAR_FILES = "images whose names differ only in case or suffix"
SIMILAR_CLASSES = "classes whose names differ only in case"
COMBINED_CLASSES = "classes whose names consist of names of other classes"
SEPARATE = "(if they are several labels: --separator SEP)"

SIGNS = ("+", "/", "&", ",", ":", ".", "-", "_", " and ", " ")
"""Possible separators of labels within a class name."""


def note_names(ids: Mapping[str, str], notes: Collector) -> None:
    """Note ids that differ from file names, and similar file names."""
    notes.add(SHORTENED, *(f"{file} → {name}" for file, name in ids.items() if is_cut(file, name)))
    others = {file: name for file, name in renamed(ids).items() if not is_cut(file, name)}
    if others:
        example = next(f"{file} → {name}" for file, name in others.items())
        notes.add(RENAMED, f"{counted(len(others), 'image')}, such as {example}")
    groups: dict[str, list[str]] = defaultdict(list)
    for file in ids:
        groups[fold(without_suffix(file))].append(file)
    notes.add(SIMILAR_FILES, *(" and ".join(group) for group in groups.values() if len(group) > 1))


def note_classes(names: Sequence[str], notes: Collector, *, separable: bool) -> None:
    """Note names of classes that may be a single class, and those that may be several labels.

    Args:
        separable: suggest ``--separator``.
    """
    folded: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folded[fold(name)].append(name)
    notes.add(SIMILAR_CLASSES, *(" and ".join(map(repr, same)) for same in folded.values() if len(same) > 1))
    for name in names:
        parts = (name.split(sign) for sign in SIGNS if sign in name)
        if any(all(fold(part.strip()) in folded for part in several) for several in parts):
            notes.add(f"{COMBINED_CLASSES} {SEPARATE}" if separable else COMBINED_CLASSES, repr(name))
