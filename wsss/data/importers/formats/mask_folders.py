"""Folders of ground-truth masks beside class folders or images, or inside them: they are not classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import plain
from wsss.data.sample_ids import without_suffix

Folders = tuple[str, ...]
"""The folders above an image, from the top."""

TRUTH = frozenset({"groundtruth"})
"""Names of mask folders, compared by `plain`."""

MASKS = TRUTH | {"gt", "masks", "mask", "segmentations", "segmentation", "annotations"}
"""Names of mask folders beside splits and wrappers."""

_CERTAIN = TRUTH | {"masks", "segmentations", "segmentation", "annotations", "labels", "segmentationmasks", "gts"}
"""Names of mask folders beside class folders, whatever the names of their files."""

_LIKELY = frozenset({"mask", "gt", "annotation", "seg", "segs", "groundtruths"})
"""Names of mask folders if their files have the names of images beside them."""

_SUFFIXES = ("_mask", "-mask", "_gt", "-gt", "_seg", "_label", "_labels", "_segmentation", "_labelids")

KEPT = "folders named like masks, read as classes: their files are not named like the images (rename if they are masks)"


def mask_folders(files: Sequence[str], context: ReadContext) -> set[Folders]:
    """Return the mask folders beside images or class folders.

    Args:
        files: paths of all images and masks.
        context: receives a note of folders that may be masks and are read as classes.
    """
    stems = _stems(files)
    masks: set[Folders] = set()
    for folders in sorted(stems, key=len):
        name = plain(folders[-1]) if folders else ""
        if name not in _CERTAIN | _LIKELY or any(folders[:depth] in masks for depth in range(1, len(folders))):
            continue
        beside = _stems_beside(folders, stems, files)
        if name in _CERTAIN and beside:
            masks.add(folders)
        elif name in _LIKELY and beside and not _has_counterpart(folders, stems):
            if {_without_mask_suffix(stem) for stem in stems[folders]} <= beside:
                masks.add(folders)
            else:
                context.note(KEPT, "/".join(folders))
    return masks


def _stems(files: Sequence[str]) -> dict[Folders, set[str]]:
    """Return folder → names, without suffix, of the files in it and below."""
    stems: dict[Folders, set[str]] = defaultdict(set)
    for file in files:
        *folders, name = file.split("/")
        for depth in range(len(folders) + 1):
            stems[tuple(folders[:depth])].add(without_suffix(name))
    return stems


def _stems_beside(folders: Folders, stems: dict[Folders, set[str]], files: Sequence[str]) -> set[str]:
    """Return the names of the files beside a folder, and in its sibling folders that are not named like masks."""
    parent = folders[:-1]
    beside: set[str] = set()
    for other in stems:
        if other[:-1] == parent and len(other) == len(folders) and plain(other[-1]) not in _CERTAIN | _LIKELY:
            beside |= stems[other]
    direct = (file.rpartition("/") for file in files)
    return beside | {without_suffix(name) for folder, _, name in direct if folder == "/".join(parent)}


def _has_counterpart(folders: Folders, stems: dict[Folders, set[str]]) -> bool:
    """Return whether a folder ``no_mask`` lies beside ``mask``: then both are classes."""
    name = plain(folders[-1])
    return any(o and o[:-1] == folders[:-1] and o != folders and name in plain(o[-1]) != name for o in stems)


def _without_mask_suffix(stem: str) -> str:
    """Return the name of the image that a mask belongs to."""
    suffix = next((suffix for suffix in _SUFFIXES if stem.lower().endswith(suffix)), "")
    return stem[: len(stem) - len(suffix)]
