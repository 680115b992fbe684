"""A folder of images without any other file as a dataset, whose classes are named by a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.io.files.home import at_home

if TYPE_CHECKING:
    from wsss.cli.dataset_argument import NamedDataset


def with_plain_images(named: NamedDataset, classes: Sequence[str]) -> NamedDataset:
    """Return the dataset with all settings that a plain folder of images lacks; other datasets are unchanged.

    Args:
        named: a dataset; a folder is plain if no layout fits, and it directly contains images.
        classes: names of the classes; with none, the folder is not opened as a dataset.
    """
    from wsss.data.readers.find_images import images_by_id
    from wsss.data.readers.registry import fitting_layouts
    from wsss.pipeline.config.source import Source, merge

    if not classes or not named.is_folder or named.has_layout:
        return named
    root = at_home(str(named.config["root"]))
    if fitting_layouts(root) or not images_by_id(root):
        return named
    plain = {"root": str(root), "layout": "folder", "images": ".", "classes": list(classes), "val_fraction": 0.0}
    given = {key: value for key, value in named.config.items() if key not in ("root", "layout")}
    return replace(named, source=merge(Source(plain), Source(given)))


def asked_classes(path: Path) -> list[str]:
    """Return the names of the classes in a table of answers, sorted."""
    from wsss.data.answers.answer_rows import read_answers

    return sorted({answer.name for answer in read_answers(path)})
