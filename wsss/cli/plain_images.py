"""A folder of images without any other file as a dataset, whose classes are named by a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput
from wsss.io.files.home_paths import expand_home

if TYPE_CHECKING:
    from wsss.cli.dataset_argument import NamedDataset


def with_plain_images(named: NamedDataset, classes: Sequence[str], *, option: str = "") -> NamedDataset:
    """Return the dataset with all settings that a plain folder of images lacks; other datasets are unchanged.

    Args:
        named: a dataset; a folder is plain if no layout fits, and it directly contains images or ``data.files`` is set.
        option: the option that names the classes, for the error; empty if a table of answers names them.

    Raises:
        InvalidInput: the folder is plain, and classes are neither passed nor set; or no layout fits, there are
            classes, and all images are in subfolders that neither ``data.images`` nor ``data.files`` names.
    """
    from wsss.data.readers.imagefolder import has_images_below
    from wsss.pipeline.config.source import Source, merge

    if not named.is_folder or named.has_layout or not _has_no_layout(expand_home(str(named.config["root"]))):
        return named
    root = str(expand_home(str(named.config["root"])))
    if "files" not in named.config and not _has_images(Path(root)):
        if not classes or "images" in named.config or not has_images_below(Path(root)):
            return named
        hint = "List them in a table image_id,file in this folder (--data.files TABLE), or pass one of the subfolders."
        raise InvalidInput("all images are in subfolders", subject=root, hint=hint)
    if not classes and "classes" not in named.config:
        hint = f"Name what the images show: {option} NAME." if option else "Pass a table of answers: --answers FILE."
        raise InvalidInput("a folder of images without class names", subject=root, hint=hint)
    plain = {"root": root, "layout": "folder", "images": ".", "classes": list(classes), "val_fraction": 0.0}
    stated = {key: value for key, value in named.config.items() if key not in ("root", "layout")}
    return replace(named, source=merge(Source(plain), Source(stated)))


def _has_no_layout(root: Path) -> bool:
    from wsss.data.readers.registry import fitting_layouts

    return root.is_dir() and not fitting_layouts(root)


def _has_images(root: Path) -> bool:
    from wsss.data.readers.find_images import images_by_id

    return bool(images_by_id(root))


def asked_classes(path: Path) -> list[str]:
    """Return the names of the classes with current answers in a table, sorted."""
    from wsss.data.answers.answer_rows import read_complete
    from wsss.data.answers.votes import Ballot

    return sorted({name for _, name in Ballot(read_complete(path), path).questions()})
