"""Extension points: built-in entries, and those that other installed packages add through entry points.

A package extends `wsss` by declaring entry points in its ``pyproject.toml``::

    [project.entry-points."wsss.losses"]
    focal = "focalplugin.config:FocalConfig"

Names come from package metadata; nothing is imported before it is looked up.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from wsss.errors import InvalidInput

T = TypeVar("T")

GROUPS = {
    "wsss.stages": "a `wsss.pipeline.stage.Stage`",
    "wsss.losses": "the config class of a loss",
    "wsss.layouts": "a `wsss.data.readers.layout.Layout`",
    "wsss.backbones": "a function from this name to a `wsss.models.backbones.Architecture`",
    "wsss.seeds": "a `wsss.models.attribution.map_method.MapMethod` class",
}
"""Entry-point group → the object that its entries refer to."""


@dataclass(frozen=True)
class Entry:
    """One extension.

    Args:
        group: one of `GROUPS`.
        name: the name in pipelines and on the command line.
        target: ``"module:attribute"``.
        package: name and version of the package that adds it; empty for `wsss` itself.
        shadowed: another entry with this name takes precedence.
        value: the object, if it was registered directly.
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
            InvalidInput: an entry of another package cannot be imported; the cause is the original exception.
        """
        if self.value is not None:
            return self.value
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:  # code of other packages may raise anything
            if not self.package:
                raise
            raise InvalidInput(
                f"cannot import {self.target} of package {self.package} ({type(error).__name__}: {error})",
                subject=f"{self.group}: {self.name}",
                hint="Update or uninstall that package; `wsss plugins` lists all.",
            ) from error


class Extensions(Mapping[str, Any]):
    """Name → object, imported on lookup: built-in entries first, then those of other packages by name.

    Args:
        group: the entry-point group, one of `GROUPS`.
        built_in: name → ``"module:attribute"``.
    """

    def __init__(self, group: str, built_in: Mapping[str, str]) -> None:
        self.group = group
        self._built_in: dict[str, Any] = dict(built_in)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, including shadowed ones."""
        entries = [self._own(name, target) for name, target in self._built_in.items()]
        names = set(self._built_in)
        for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, _package(point))):
            entries.append(Entry(self.group, point.name, point.value, _package(point), point.name in names))
            names.add(point.name)
        return tuple(entries)

    def _own(self, name: str, target: Any) -> Entry:
        if isinstance(target, str):
            return Entry(self.group, name, target)
        return Entry(self.group, name, repr(target), value=target)

    @cached_property
    def _active(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries if not entry.shadowed}

    def usable(self, base: type[T]) -> list[type[T]]:
        """Return the config classes of all entries; invalid ones are skipped with a warning.

        Args:
            base: required base class. The default of each class's field ``name`` must be the entry's name.
        """
        classes = []
        for entry in self._active.values():
            try:
                classes.append(_checked(entry, base))
            except InvalidInput as error:
                warnings.warn(str(error), stacklevel=2)
        return classes

    def register(self, name: str, target: Any) -> None:
        """Add an entry in this process only, for notebooks and programs that use `wsss` as a library.

        Args:
            name: name in pipelines; an entry of the same name is replaced.
            target: the object, or ``"module:attribute"``.
        """
        self._built_in[name] = target
        self._forget()

    def unregister(self, name: str) -> None:
        """Remove an entry added by `register`."""
        del self._built_in[name]
        self._forget()

    def _forget(self) -> None:
        for cached in ("entries", "_active"):
            self.__dict__.pop(cached, None)

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
        raise InvalidInput("invalid default of the field name", subject=subject, allowed=repr(entry.name), found=name)
    return loaded


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"
