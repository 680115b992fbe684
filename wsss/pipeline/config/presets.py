"""Presets: named pieces of config, laid under the keys that stand beside ``preset:``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput, closest, listing
from wsss.pipeline.config import resources
from wsss.pipeline.config.source import Source, TagAt, merge, merge_all, read_yaml

PRESET = "preset"
_NAME = re.compile(r"^[\w.-]+(/[\w.-]+)*$")


def with_presets(
    source: Source,
    *,
    where: str,
    fill: Callable[[Source], Source] = lambda source: source,
    tag_at: TagAt = lambda path: None,
) -> Source:
    """Return a config mapping with its ``preset:`` looked up and laid under its other keys.

    ``preset:`` is a name (``crf/irn`` → ``configs/crf/irn.yaml`` in the working directory, else the shipped one), a
    path that ends in ``.yaml``, a mapping, or a list of those, the later laid on the earlier. A preset may itself
    have a ``preset:``.

    Args:
        source: a mapping, its expressions already replaced.
        where: its key path, for messages.
        fill: replaces the expressions in a preset's text.
        tag_at: see `wsss.pipeline.config.source.merge`.

    Raises:
        InvalidInput: no such preset, a circle of presets, or another type.
    """
    return _Presets(fill, tag_at).expand(source, where, ())


@dataclass(frozen=True)
class _Presets:
    fill: Callable[[Source], Source]
    tag_at: TagAt

    def expand(self, source: Source, where: str, inside: tuple[Path, ...]) -> Source:
        """Lay a mapping on its presets; ``inside`` are the files that are being read."""
        if PRESET not in source.value:
            return source
        wanted, where = source.at((PRESET,)), f"{where}.{PRESET}"
        several = isinstance(wanted.value, list)
        items = [wanted.at((index,)) for index in range(len(wanted.value))] if several else [wanted]
        layers = [self.one(item, where, inside) for item in items]
        return merge(merge_all(layers, self.tag_at), source.without(PRESET), self.tag_at)

    def one(self, item: Source, where: str, inside: tuple[Path, ...]) -> Source:
        """Return what one name, path or mapping stands for."""
        place = ": ".join(part for part in (item.locate(()), where) if part)
        if isinstance(item.value, dict):
            return self.expand(item, where, inside)
        if item.value is None:
            return Source({})
        if not isinstance(item.value, str):
            raise InvalidInput(
                f"{place}: found {item.value!r}; allowed are a preset's name, a path, a mapping or a list."
            )
        path = _find(item.value, place)
        if path in inside:
            circle = " → ".join(str(step) for step in (*inside[inside.index(path) :], path))
            raise InvalidInput(f"{place}: presets in a circle: {circle}.")
        return self.expand(self.fill(read_yaml(path)), where, (*inside, path))


def _find(name: str, place: str) -> Path:
    if resources.is_yaml(name):
        if not Path(name).is_file():
            raise InvalidInput(f"{place}: no preset file {name!r} (relative to the working directory {Path.cwd()}).")
        return Path(name)
    folders = [Path("configs"), resources.shipped("configs")]
    path = resources.find(name, folders) if _NAME.match(name) and ".." not in name else None
    if path is None:
        known = sorted({known for folder in folders for known in resources.names(folder)})
        raise InvalidInput(
            f"{place}: no preset {name!r}; there are {listing(known, limit=60) or 'none'}{closest(name, known)}"
        )
    return path
