"""Extension points: what the package has by itself, and what other installed packages add by entry points.

A package extends `wsss` without a fork by declaring entry points in its ``pyproject.toml``::

    [project.entry-points."wsss.losses"]
    focal = "focalplugin.config:FocalConfig"

Nothing is imported before it is looked up: names come from the packages' metadata.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from wsss.errors import InvalidInput

T = TypeVar("T")

GROUPS = {
    "wsss.stages": "a `wsss.pipeline.stage.Stage`",
    "wsss.losses": "the config class of a loss",
    "wsss.layouts": "a `wsss.data.readers.layout.Layout`",
    "wsss.backbones": "a function of its name that returns a `wsss.models.backbones.Architecture`",
    "wsss.seeds": "the config class of a kind of maps",
}
"""Entry-point group → the object that its entries name."""


@dataclass(frozen=True)
class Entry:
    """One extension.

    Args:
        group: one of `GROUPS`.
        name: the name in pipelines and on the command line.
        target: ``"module:attribute"``.
        package: name and version of the package that adds it; empty for `wsss` itself.
        shadowed: whether another entry of this name takes precedence, so that this one has no effect.
        value: the object itself, if it was registered instead of a target.
    """

    group: str
    name: str
    target: str
    package: str = ""
    shadowed: bool = False
    value: Any = None

    def load(self) -> Any:
        """Import the object.

        Raises:
            InvalidInput: a package's entry can't be imported; the exception of the import is its cause.
        """
        if self.value is not None:
            return self.value
        module, _, attribute = self.target.partition(":")
        if not self.package:
            return getattr(import_module(module), attribute)
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:  # whatever the package's own code raises
            raise InvalidInput(
                f"{self.target} of the package {self.package} can't be imported ({type(error).__name__}: {error})",
                subject=f"{self.group}: {self.name}",
                hint="Update or uninstall that package; `wsss plugins` lists all.",
            ) from error


class Extensions(Mapping[str, Any]):
    """Name → object, imported when it is looked up: the package's own first, then those of other packages by name.

    Args:
        group: the entry-point group, one of `GROUPS`.
        built_in: name → ``"module:attribute"``.
    """

    def __init__(self, group: str, built_in: Mapping[str, str]) -> None:
        self.group = group
        self._built_in: dict[str, Any] = dict(built_in)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, the shadowed ones too."""
        own = [self._own(name, target) for name, target in self._built_in.items()]
        found = sorted(entry_points(group=self.group), key=lambda one: (one.name, _package(one)))
        names = set(self._built_in)
        others = []
        for one in found:
            others.append(Entry(self.group, one.name, one.value, _package(one), one.name in names))
            names.add(one.name)
        return (*own, *others)

    def _own(self, name: str, target: Any) -> Entry:
        if isinstance(target, str):
            return Entry(self.group, name, target)
        return Entry(self.group, name, repr(target), value=target)

    @cached_property
    def _active(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries if not entry.shadowed}

    def usable(self, base: type[T]) -> list[type[T]]:
        """Return the classes of all entries; those of packages that don't fit are left out with a warning.

        Args:
            base: the class that they must derive from. Pydantic tells them apart by their field ``name``.
        """
        found = []
        for entry in self._active.values():
            try:
                found.append(_checked(entry, base))
            except InvalidInput as error:
                warnings.warn(str(error), stacklevel=2)
        return found

    def register(self, name: str, target: Any) -> None:
        """Add an entry in this process alone: for notebooks, and programs that use `wsss` as a library.

        Args:
            name: name in pipelines; an entry of the same name is replaced.
            target: the object, or ``"module:attribute"``.
        """
        self._built_in[name] = target
        self._forget()

    def unregister(self, name: str) -> None:
        """Remove an entry that `register` added."""
        del self._built_in[name]
        self._forget()

    def _forget(self) -> None:
        for cached in ("entries", "_active"):
            self.__dict__.pop(cached, None)

    @property
    def plugins(self) -> tuple[Entry, ...]:
        """The entries that other packages add and that have an effect."""
        return tuple(entry for entry in self._active.values() if entry.package)

    def __getitem__(self, name: str) -> Any:
        return self._active[name].load()

    def __contains__(self, name: object) -> bool:
        return name in self._active

    def __iter__(self) -> Iterator[str]:
        return iter(self._active)

    def __len__(self) -> int:
        return len(self._active)


def _checked(entry: Entry, base: type[T]) -> type[T]:
    subject, loaded = f"{entry.group}: {entry.name}", entry.load()
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InvalidInput(subject=subject, allowed=f"a subclass of {base.__name__}", found=loaded)
    name = getattr(loaded, "model_fields", {})["name"].default
    if name != entry.name:
        raise InvalidInput("the default of name must be the entry's name", subject=subject, found=name)
    return loaded


def _package(entry: Any) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"
