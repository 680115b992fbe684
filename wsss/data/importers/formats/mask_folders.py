"""Folders of true masks beside class folders or images, or inside them: they are no classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import plain
from wsss.data.sample_ids import without_suffix

Folders = tuple[str, ...]
"""The folders that an image lies in, from the top."""

TRUTH = frozenset({"groundtruth"})
"""Names of folders of true masks, compared by `plain`; beside splits and wrappers those of `MASKS` are, too."""

MASKS = TRUTH | {"gt", "masks", "mask", "segmentations", "segmentation", "annotations"}

_SURE = TRUTH | {"masks", "segmentations", "segmentation", "annotations", "labels", "segmentationmasks", "gts"}
"""Those that are no class beside class folders, whatever their files are called."""

_LIKELY = frozenset({"mask", "gt", "annotation", "seg", "segs", "groundtruths"})
"""Those that are no class where their files are called like images beside them."""

_ENDS = ("_mask", "-mask", "_gt", "-gt", "_seg", "_label", "_labels", "_segmentation", "_labelids")

KEPT = "folders called like masks, read as classes: their files are not called like the images (rename them if not)"


def mask_folders(files: Sequence[str], context: ReadContext) -> set[Folders]:
    """Return the folders of masks that lie beside images or class folders.

    Args:
        files: paths of all images and masks.
        context: takes a note of folders that may be masks and are read as classes.
    """
    stems = _stems(files)
    found: set[Folders] = set()
    for place in sorted(stems, key=len):
        name = plain(place[-1]) if place else ""
        if name not in _SURE | _LIKELY or any(place[:depth] in found for depth in range(1, len(place))):
            continue
        beside = _beside(place, stems, files)
        if name in _SURE and beside:
            found.add(place)
        elif name in _LIKELY and beside and not _has_counterpart(place, stems):
            if {_of_image(stem) for stem in stems[place]} <= beside:
                found.add(place)
            else:
                context.note(KEPT, "/".join(place))
    return found


def _stems(files: Sequence[str]) -> dict[Folders, set[str]]:
    """Return folder → names without suffix of the files in it and below."""
    stems: dict[Folders, set[str]] = defaultdict(set)
    for file in files:
        *folders, name = file.split("/")
        for depth in range(len(folders) + 1):
            stems[tuple(folders[:depth])].add(without_suffix(name))
    return stems


def _beside(place: Folders, stems: dict[Folders, set[str]], files: Sequence[str]) -> set[str]:
    """Return the names of the files beside a folder, and in the folders beside it that aren't called like masks."""
    parent = place[:-1]
    beside: set[str] = set()
    for other in stems:
        if other[:-1] == parent and len(other) == len(place) and plain(other[-1]) not in _SURE | _LIKELY:
            beside |= stems[other]
    direct = (file.rpartition("/") for file in files)
    return beside | {without_suffix(name) for folder, _, name in direct if folder == "/".join(parent)}


def _has_counterpart(place: Folders, stems: dict[Folders, set[str]]) -> bool:
    """Whether a folder ``no_mask`` lies beside ``mask``: then both are classes."""
    name = plain(place[-1])
    return any(o and o[:-1] == place[:-1] and o != place and name in plain(o[-1]) != name for o in stems)


def _of_image(stem: str) -> str:
    """Return the name of the image that a mask belongs to."""
    end = next((end for end in _ENDS if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(end)]
