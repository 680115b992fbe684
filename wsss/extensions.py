"""Extension points: built-in entries, and those that other installed packages add through entry points.

A package extends `wsss` by declaring entry points in its ``pyproject.toml``::

    [project.entry-points."wsss.losses"]
    focal = "focalplugin.config:FocalConfig"

Names come from package metadata; nothing is imported before it is looked up.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from wsss.errors import InvalidInput, WsssError

T = TypeVar("T")

GROUPS = {
    "wsss.stages": "a `wsss.pipeline.stage.Stage` of this name",
    "wsss.losses": "the config class of a loss",
    "wsss.layouts": "a `wsss.data.readers.layout.Layout` of this name",
    "wsss.backbones": "a function from this name to a `wsss.models.backbones.Architecture`",
    "wsss.seeds": "a `wsss.models.attribution.map_method.MapMethod` class",
}
"""Entry-point group → the object that its entries refer to."""


class ExtensionWarning(UserWarning):
    """An extension of another package is unusable; the command line prints it as a line."""


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

    @property
    def subject(self) -> str:
        """The subject of its errors: ``wsss.losses: focal``."""
        return f"{self.group}: {self.name}"

    @property
    def own(self) -> bool:
        """Whether it is part of `wsss` itself."""
        return not self.package and self.value is None and self.target.startswith("wsss.")

    def load(self) -> Any:
        """Import the object.

        Raises:
            InvalidInput: an entry of another package cannot be imported; the cause is the original exception.
        """
        if self.value is not None:
            return self.value
        module, _, attribute = self.target.partition(":")
        try:
            return reduce(getattr, attribute.split("."), import_module(module))  # "module:Class.attribute" is valid
        except Exception as error:  # code of other packages may raise anything
            if self.own:
                raise
            package = f" of package {self.package}" if self.package else ""
            raise InvalidInput(
                f"cannot import {self.target}{package} ({type(error).__name__}: {error})",
                subject=self.subject,
                hint="Update or uninstall that package; `wsss plugins` lists all." if package else None,
            ) from error


class Extensions(Mapping[str, Any]):
    """Name → object, imported on lookup: built-in entries first, then those of other packages by name.

    Args:
        group: the entry-point group, one of `GROUPS`.
        built_in: name → ``"module:attribute"``.
        check: raises `InvalidInput` for an imported object that is not what `GROUPS` describes.
    """

    def __init__(
        self, group: str, built_in: Mapping[str, str], check: Callable[[Entry, Any], None] = lambda entry, loaded: None
    ) -> None:
        self.group = group
        self._check = check
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
                classes.append(config_class(entry, base))
            except InvalidInput as error:
                _warn(error)
        return classes

    def load(self, entry: Entry) -> Any:
        """Import and check the object of an entry.

        Raises:
            InvalidInput: it cannot be imported, or is of another type or name.
        """
        loaded = entry.load()
        self._check(entry, loaded)
        return loaded

    def loadable(self) -> Iterator[Any]:
        """Yield the objects of all entries; invalid ones are skipped with a warning."""
        for entry in self._active.values():
            try:
                yield self.load(entry)
            except InvalidInput as error:
                _warn(error)

    def entry(self, name: str) -> Entry:
        """Return the entry that a name refers to; `KeyError` for an unknown name."""
        return self._active[name]

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
        return self.load(self._active[name])

    def __contains__(self, name: object) -> bool:
        return name in self._active

    def __iter__(self) -> Iterator[str]:
        return iter(self._active)

    def __len__(self) -> int:
        return len(self._active)


@contextmanager
def errors_of(entry: Entry) -> Iterator[None]:
    """Name the extension in exceptions of its code, which would look like bugs in `wsss`.

    Raises:
        InvalidInput: the code of another package raised an exception, which is the cause.
    """
    try:
        yield
    except (WsssError, MemoryError):
        raise
    except Exception as error:
        if entry.own:
            raise
        raise InvalidInput(
            f"{type(error).__name__}: {error}",
            subject=f"{entry.subject} of {entry.package}" if entry.package else entry.subject,
            hint="Run again with --debug to see the traceback.",
        ) from error


def config_class(entry: Entry, base: type[T]) -> type[T]:
    """Return the config class of an entry.

    Raises:
        InvalidInput: it cannot be imported, is not a subclass of ``base``, or its field ``name`` has another default.
    """
    subject, loaded = entry.subject, entry.load()
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InvalidInput(subject=subject, allowed=f"a subclass of {base.__name__}", found=loaded)
    name = getattr(loaded, "model_fields", {})["name"].default
    if name != entry.name:
        raise InvalidInput("invalid default of the field name", subject=subject, allowed=repr(entry.name), found=name)
    return loaded


def check_named(entry: Entry, loaded: Any, kind: type) -> None:
    """Require an object of a type whose attribute ``name`` is the name of its entry.

    Raises:
        InvalidInput: it is of another type, or has another name.
    """
    if not isinstance(loaded, kind):
        raise InvalidInput(subject=entry.subject, allowed=f"a {kind.__module__}.{kind.__name__}", found=loaded)
    name = getattr(loaded, "name", None)
    if name != entry.name:
        raise InvalidInput("invalid attribute name", subject=entry.subject, allowed=repr(entry.name), found=name)


def _warn(error: InvalidInput) -> None:
    if multiprocessing.parent_process() is None:  # once, not in each worker
        warnings.warn(" ".join(str(error).split()), ExtensionWarning, stacklevel=3)


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"
