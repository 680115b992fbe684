"""The interface of a dataset layout: its config, its recognition, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from wsss.errors import InvalidInput
from wsss.validation import Settings

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

Log = Callable[[str], None]


class LayoutConfig(Settings):
    """Base of all layout configs."""

    layout: str


C = TypeVar("C", bound=LayoutConfig)
C_contra = TypeVar("C_contra", bound=LayoutConfig, contravariant=True)


class Reader(Protocol[C_contra]):
    """Reads a dataset of one layout."""

    def __call__(self, config: C_contra, *, work: Path, log: Log) -> Dataset:
        """Return the dataset.

        Args:
            config: the validated config of the layout.
            work: writable folder for generated data and the cache of content hashes.

        Raises:
            InvalidInput: the files do not match the layout; names file and line.
        """


@dataclass(frozen=True)
class Layout(Generic[C]):
    """Declaration of a layout; each reader module has one, named ``LAYOUT``.

    Args:
        name: the value of ``data.layout``.
        config: the pydantic model of ``data:``.
        read: see `Reader`.
        read_incomplete: reader that accepts missing images (`Dataset.missing`); ``None`` if ``read`` does.
        recognise: whether a folder has this layout; ``None`` for a layout that is never detected automatically.
        looks_for: description of the files that ``recognise`` requires.
    """

    name: str
    config: type[C]
    read: Reader[C]
    read_incomplete: Reader[C] | None = None
    recognise: Callable[[Path], bool] | None = None
    looks_for: str = ""


AnyLayout = Layout[Any]


def require_root(root: Path, *, hint: str | None = None) -> Path:
    """Return the folder of a dataset, ``~`` expanded.

    Raises:
        InvalidInput: no such folder.
    """
    root = root.expanduser()
    if not root.is_dir():
        raise InvalidInput("no such folder", subject=f"data.root: {root}", hint=hint)
    return root


def hash_cache(work: Path) -> Path:
    """Return the file in ``work`` that caches content hashes (see `wsss.data.manifest`)."""
    return work / "content-hashes.json"
