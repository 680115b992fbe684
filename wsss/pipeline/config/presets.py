"""Presets: named parts of a config, overridden by the keys next to ``preset:``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.pipeline.config import resources
from wsss.pipeline.config.source import Source, TagAt, merge, read_yaml

PRESET = "preset"
_NAME = re.compile(r"^[\w.-]+(/[\w.-]+)*$")


def with_presets(
    source: Source,
    *,
    where: str,
    fill: Callable[[Source], Source] = lambda source: source,
    tag_at: TagAt = lambda path: None,
) -> Source:
    """Merge a config mapping into the presets that its ``preset:`` names.

    ``preset:`` is a name (``crf/irn``: ``configs/crf/irn.yaml`` in the working directory, or the shipped file), a
    path that ends in ``.yaml``, a mapping, or a list of these; later ones override earlier ones. A preset may
    itself have a ``preset:``.

    Args:
        source: a mapping with its expressions replaced.
        where: its key path, for messages.
        fill: replaces the expressions in a preset.
        tag_at: see `wsss.pipeline.config.source.merge`.

    Raises:
        InvalidInput: an unknown preset, a cycle of presets, or a wrong type.
    """
    return _Presets(fill, tag_at).expand(source, where, ())


@dataclass(frozen=True)
class _Presets:
    fill: Callable[[Source], Source]
    tag_at: TagAt

    def expand(self, source: Source, where: str, parents: tuple[Path, ...]) -> Source:
        """Merge a mapping into its presets; ``parents`` are the preset files that lead to it."""
        if PRESET not in source.value:
            return source
        preset, where = source.at((PRESET,)), f"{where}.{PRESET}"
        several = isinstance(preset.value, list)
        items = [preset.at((index,)) for index in range(len(preset.value))] if several else [preset]
        layers = [self.load(item, where, parents) for item in items]
        return reduce(partial(merge, tag_at=self.tag_at), [*layers, source.without(PRESET)], Source({}))

    def load(self, item: Source, where: str, parents: tuple[Path, ...]) -> Source:
        """Return the mapping for one name, path or mapping."""
        subject = item.subject(where=where)
        if isinstance(item.value, dict):
            return self.expand(item, where, parents)
        if item.value is None:
            return Source({})
        if not isinstance(item.value, str):
            allowed = "the name of a preset, a path, a mapping or a list"
            raise InvalidInput(subject=subject, found=item.value, allowed=allowed)
        path = _find(item.value, subject)
        if path in parents:
            cycle = " → ".join(str(step) for step in (*parents[parents.index(path) :], path))
            raise InvalidInput(f"presets form a cycle: {cycle}", subject=subject)
        return self.expand(self.fill(read_yaml(path)), where, (*parents, path))


def _find(name: str, subject: str) -> Path:
    if resources.is_yaml(name):
        if not Path(name).is_file():
            raise InvalidInput(f"no such file {name!r} (relative to {Path.cwd()})", subject=subject)
        return Path(name)
    folders = [Path("configs"), resources.shipped("configs")]
    path = resources.find(name, folders) if _NAME.match(name) and ".." not in name else None
    if path is None:
        known = sorted({known for folder in folders for known in resources.names(folder)})
        raise InvalidInput("unknown preset", subject=subject, found=name, allowed=known)
    return path
