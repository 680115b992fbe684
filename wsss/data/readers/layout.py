"""What a dataset layout is: its config, how its folder is recognised, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

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
            config: the layout's validated config.
            work: a folder that we may write to: generated data and remembered content hashes.
            log: prints one line for the user.

        Raises:
            InvalidInput: the folder doesn't hold what the layout says; names file and line.
        """


@dataclass(frozen=True)
class Layout(Generic[C]):
    """A layout's declaration; each reader module has one, named ``LAYOUT``.

    Args:
        name: the value of ``data.layout``.
        config: the pydantic model of ``data:``.
        read: see `Reader`.
        read_incomplete: reads the dataset also where images are missing (`Dataset.missing` names them); ``None`` for a
            layout whose `read` does.
        recognise: whether a folder looks like this layout; ``None`` for a layout that is never guessed.
        looks_for: what `recognise` looks for, in words.
    """

    name: str
    config: type[C]
    read: Reader[C]
    read_incomplete: Reader[C] | None = None
    recognise: Callable[[Path], bool] | None = None
    looks_for: str = ""


AnyLayout = Layout[Any]


def hash_cache(work: Path) -> Path:
    """Return the file in ``work`` that remembers content hashes (see `wsss.data.manifest`)."""
    return work / "content-hashes.json"
