"""What a stage's result depends on, as one hash; and what changed between two such hashes, in words."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import sha256_file
from wsss.pipeline.stage import ALL_SPLITS, Data, Kind, Read, Stage, StageConfig
from wsss.validation import NotInIdentity, affects_identity

Parts = Mapping[str, Any]
"""The identity before hashing: ``stage``, ``version``, ``seed``, ``config``, ``inputs``, ``reads``; ``ranks`` of a
training in several processes."""

RANKS = "ranks"


class Contents:
    """Content hashes of files and folders, each computed once in a process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes, or of a folder's file names and bytes (hidden files left out).

        Raises:
            InvalidInput: there is nothing at ``path``, or it can't be read.
        """
        try:
            if not path.is_dir():
                return self._file(path)
            digest = hashlib.sha256()
            for file in visible_files(path):
                digest.update(json.dumps([file.relative_to(path).as_posix(), self._file(file)]).encode())
            return digest.hexdigest()
        except FileNotFoundError as error:
            raise InvalidInput(f"No such file or folder: {path}") from error
        except OSError as error:
            raise InvalidInput(f"{path} can't be read: {error.strerror or error}.") from error

    def _file(self, path: Path) -> str:
        state = path.stat()
        key = (str(path.resolve()), state.st_size, state.st_mtime_ns)
        if key not in self._known:
            self._known[key] = sha256_file(path)
        return self._known[key]


class Fingerprints:
    """A dataset's fingerprints, each asked for once in a process (they may hash every image)."""

    def __init__(self, data: Data | None) -> None:
        self.data = data
        self._known: dict[tuple[str, Kind], str] = {}

    def of(self, split: str, kind: Kind) -> str:
        """Return the fingerprint of one kind of one split.

        Raises:
            InvalidInput: there is no dataset, or no such split.
        """
        if self.data is None:
            raise InvalidInput(
                f"it reads the {kind} of split {split!r}, but no dataset is given.",
                hint="Name one under data: in the pipeline file, or with --data.layout … --data.root …",
            )
        if (split, kind) not in self._known:
            self._known[split, kind] = self.data.fingerprint(split, kind)
        return self._known[split, kind]

    def of_all(self, reads: Iterable[Read]) -> dict[str, str]:
        """Return ``"SPLIT/KIND"`` → fingerprint, sorted; `ALL_SPLITS` becomes each split that has samples.

        Raises:
            InvalidInput: a split is named and there is no dataset, or no such split.
        """
        found: dict[str, str] = {}
        for read in reads:
            everything = self.data.splits if self.data is not None else {}
            filled = [name for name, samples in everything.items() if samples]
            for split in filled if read.split == ALL_SPLITS else [read.split]:
                found[f"{split}/{read.kind}"] = self.of(split, read.kind)
        return dict(sorted(found.items()))


def identity_parts(
    stage: Stage[Any],
    config: StageConfig,
    seed: int,
    inputs: Mapping[str, Any],
    fingerprints: Fingerprints,
    contents: Contents,
    ranks: int = 1,
) -> dict[str, Any]:
    """Return all that a stage's result depends on, as plain JSON values.

    Args:
        stage, config, seed: what runs.
        inputs: declared input → identity of what it takes, ``None``, or for ``many`` a mapping of id → identity.
        fingerprints, contents: see there. A `Path` in the config counts by its content, not by its name.
        ranks: number of processes that work together. It counts for a stage that trains, and there beyond one.
    """
    return {
        "stage": stage.name,
        "version": stage.version,
        "seed": seed,
        "config": plain(_counting(config), lambda path: {"sha256": contents.of(path)}),
        "inputs": {
            name: inputs.get(name)
            for name, declared in stage.inputs.items()
            if inputs.get(name) is not None or not declared.added_later
        },
        "reads": fingerprints.of_all(stage.reads(config)),
        **({RANKS: ranks} if stage.trains is not None and ranks > 1 else {}),
    }


def ranks_of(parts: Parts) -> int:
    """Return the number of processes in identity parts: 1 where it doesn't count."""
    return int(parts.get(RANKS, 1))


def _counting(value: Any) -> Any:
    """Return a config as ``model_dump`` does, without the fields that don't count."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        return {name: _counting(getattr(value, name)) for name, field in fields if _counts(field, getattr(value, name))}
    if isinstance(value, Mapping):
        return {key: _counting(inner) for key, inner in value.items()}
    return [_counting(inner) for inner in value] if isinstance(value, list | tuple) else value


def _counts(field: FieldInfo, value: Any) -> bool:
    """Tell whether a field with this value is part of the identity: see `NotInIdentity` and `AddedLater`."""
    marks = field.metadata
    if field.exclude or any(isinstance(mark, NotInIdentity) for mark in marks):
        return False
    return affects_identity(field, value)


def identity_of(parts: Parts) -> str:
    """Return the SHA-256 of identity parts as canonical JSON (sorted keys, no spaces): 64 hex digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any, path: Callable[[Path], Any] = str) -> Any:
    """Return a dumped config as JSON values; ``path`` says what stands for a `Path`.

    Infinite and undefined numbers become text, since JSON has none.
    """
    if isinstance(value, PurePath):
        return path(Path(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner, path) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(inner, path) for inner in value), key=repr)
    if isinstance(value, list | tuple):
        return [plain(inner, path) for inner in value]
    if isinstance(value, enum.Enum):
        return plain(value.value, path)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def visible_files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden files and folders."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def explain(old: Parts, new: Parts) -> list[str]:
    """Return what differs between two identities, in words (``"config changed: iterations 10 → 5"``)."""
    reasons: list[str] = []
    if old.get("stage") != new.get("stage"):
        return [f"stage changed: {old.get('stage')} → {new.get('stage')}"]
    if old.get("version") != new.get("version"):
        reasons.append(f"code of {new.get('stage')} changed: version {old.get('version')} → {new.get('version')}")
    changes = list(_changes(old.get("config"), new.get("config"), ""))
    if changes:
        reasons.append(f"config changed: {', '.join(changes)}")
    if old.get("seed") != new.get("seed"):
        reasons.append(f"seed changed: {old.get('seed')} → {new.get('seed')}")
    if ranks_of(old) != ranks_of(new):
        reasons.append(f"number of processes, and so the effective batch, changed: {ranks_of(old)} → {ranks_of(new)}")
    reasons += _input_changes(old.get("inputs") or {}, new.get("inputs") or {})
    before, after = old.get("reads") or {}, new.get("reads") or {}
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            split, _, kind = key.rpartition("/")
            verb = "now read" if key not in before else "no longer read" if key not in after else "changed"
            reasons.append(f"{kind} of {split} {verb}")
    return reasons or ["identity changed"]


def _input_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    reasons = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            verbs: dict[str, list[str]] = {}
            for id in dict.fromkeys([*after, *before]):
                if before.get(id) != after.get(id):
                    verb = "added" if id not in before else "left out" if id not in after else "changed"
                    verbs.setdefault(verb, []).append(id)
            reasons += [f"input {name}: {listing(ids)} {verb}" for verb, ids in verbs.items()]
        else:
            verb = "added" if not before else "left out" if not after else "changed"
            reasons.append(f"input {name} {verb}")
    return reasons


def _changes(old: Any, new: Any, path: str) -> list[str]:
    if old == new and type(old) is type(new):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping) and "sha256" not in {*old, *new}:
        found = []
        for key in dict.fromkeys([*new, *old]):
            inner = f"{path}.{key}" if path else str(key)
            if key not in old:
                found.append(f"{inner} added ({_short(new[key])})")
            elif key not in new:
                found.append(f"{inner} left out (was {_short(old[key])})")
            else:
                found += _changes(old[key], new[key], inner)
        return found
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"content of {path}"]
    return [f"{path} {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"sha256"}:
        return f"a file ({str(value['sha256'])[:8]}…)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
