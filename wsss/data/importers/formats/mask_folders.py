"""Detection of folders of ground-truth masks that are next to class folders or images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import plain
from wsss.data.sample_ids import without_suffix

Folders = tuple[str, ...]
"""Names of the folders above an image, outermost first."""

TRUTH = frozenset({"groundtruth"})
"""Names that only mask folders have, in the form returned by `plain`."""

MASKS = TRUTH | {"gt", "masks", "mask", "segmentations", "segmentation", "annotations"}
"""Names of mask folders next to splits and wrapper folders."""

_CERTAIN = TRUTH | {"masks", "segmentations", "segmentation", "annotations", "labels", "segmentationmasks", "gts"}
"""Names of mask folders next to class folders, whatever the names of their files."""

_LIKELY = frozenset({"mask", "gt", "annotation", "seg", "segs", "groundtruths"})
"""Names of mask folders if the files in them are named like images next to them."""

_SUFFIXES = ("_mask", "-mask", "_gt", "-gt", "_seg", "_label", "_labels", "_segmentation", "_labelids")

KEPT = "folders named like masks, read as classes: their files are not named like the images (rename if they are masks)"


def mask_folders(files: Sequence[str], context: ReadContext) -> set[Folders]:
    """Return the mask folders next to images or class folders.

    Args:
        files: paths of all images and masks.
        context: receives notes on folders that may contain masks but are read as classes.
    """
    stems = _stems(files)
    masks: set[Folders] = set()
    for folders in sorted(stems, key=len):
        name = plain(folders[-1]) if folders else ""
        if name not in _CERTAIN | _LIKELY or any(folders[:depth] in masks for depth in range(1, len(folders))):
            continue
        images = _neighbouring_stems(folders, stems, files)
        if name in _CERTAIN and images:
            masks.add(folders)
        elif name in _LIKELY and images and not _has_counterpart(folders, stems):
            if {_without_mask_suffix(stem) for stem in stems[folders]} <= images:
                masks.add(folders)
            else:
                context.note(KEPT, "/".join(folders))
    return masks


def _stems(files: Sequence[str]) -> dict[Folders, set[str]]:
    """Return folder → names (without suffix) of the files in it and in its subfolders."""
    stems: dict[Folders, set[str]] = defaultdict(set)
    for file in files:
        *folders, name = file.split("/")
        for depth in range(len(folders) + 1):
            stems[tuple(folders[:depth])].add(without_suffix(name))
    return stems


def _neighbouring_stems(folders: Folders, stems: dict[Folders, set[str]], files: Sequence[str]) -> set[str]:
    """Return the names of the files next to a folder, and in its sibling folders that are not named like masks."""
    parent = folders[:-1]
    neighbours: set[str] = set()
    for other in stems:
        if other[:-1] == parent and len(other) == len(folders) and plain(other[-1]) not in _CERTAIN | _LIKELY:
            neighbours |= stems[other]
    paths = (file.rpartition("/") for file in files)
    return neighbours | {without_suffix(name) for folder, _, name in paths if folder == "/".join(parent)}


def _has_counterpart(folders: Folders, stems: dict[Folders, set[str]]) -> bool:
    """Return whether a sibling's name contains the folder's name (``mask`` and ``no_mask``): both are classes then."""
    name = plain(folders[-1])
    siblings = [other for other in stems if other and other[:-1] == folders[:-1]]
    return any(name in plain(other[-1]) and plain(other[-1]) != name for other in siblings)


def _without_mask_suffix(stem: str) -> str:
    """Return the name of the image to which a mask belongs."""
    suffix = next((suffix for suffix in _SUFFIXES if stem.lower().endswith(suffix)), "")
    return stem[: len(stem) - len(suffix)]
