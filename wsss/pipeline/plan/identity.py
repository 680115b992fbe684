"""Identities: everything that a stage's result depends on, as one hash."""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wsss.errors import InvalidInput
from wsss.io.files.atomic import sha256_file
from wsss.io.files.sealed import json_digest
from wsss.io.files.visible import visible_below
from wsss.pipeline.config.supervision_block import key_of
from wsss.pipeline.stage import ALL_SPLITS, Data, Kind, Read, Stage, StageConfig
from wsss.validation import InIdentityIfSet, NotInIdentity

Parts = Mapping[str, Any]
"""The identity before hashing: ``stage``, ``version``, ``seed``, ``config``, ``inputs``, ``reads``, and ``ranks`` of
training in several processes."""

RANKS = "ranks"


class Contents:
    """Content hashes of files and folders, each computed once per process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes, or of a folder's file names and bytes (without hidden files).

        Raises:
            InvalidInput: ``path`` does not exist or cannot be read.
        """
        try:
            if not path.is_dir():
                return self._file(path)
            digest = hashlib.sha256()
            for file in filter(Path.is_file, visible_below(path, "*")):
                digest.update(json.dumps([file.relative_to(path).as_posix(), self._file(file)]).encode())
            return digest.hexdigest()
        except FileNotFoundError as error:
            raise InvalidInput("no such file or folder", subject=path) from error
        except OSError as error:
            raise InvalidInput(f"cannot be read: {error.strerror or error}", subject=path) from error

    def _file(self, path: Path) -> str:
        state = path.stat()
        key = (str(path.resolve()), state.st_size, state.st_mtime_ns)
        if key not in self._known:
            self._known[key] = sha256_file(path)
        return self._known[key]


class Fingerprints:
    """Fingerprints of a dataset, each computed once per process (they may hash every image)."""

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
                f"a dataset is required: the stage reads the {kind} of split {split!r}",
                hint="Define one under data: in the pipeline file, or with --data.layout … --data.root …",
            )
        if (split, kind) not in self._known:
            self._known[split, kind] = self.data.fingerprint(split, kind)
        return self._known[split, kind]

    def of_all(self, reads: Iterable[Read]) -> dict[str, str]:
        """Return ``"SPLIT/KIND"`` → fingerprint, sorted; `ALL_SPLITS` becomes each split that has samples.

        Raises:
            InvalidInput: see `of`.
        """
        fingerprints: dict[str, str] = {}
        filled = [name for name, samples in self.data.splits.items() if samples] if self.data is not None else []
        for read in reads:
            for split in filled if read.split == ALL_SPLITS else [read.split]:
                fingerprints[f"{split}/{read.kind}"] = self.of(split, read.kind)
        return dict(sorted(fingerprints.items()))


def identity_parts(
    stage: Stage[Any],
    config: StageConfig,
    seed: int,
    inputs: Mapping[str, Any],
    fingerprints: Fingerprints,
    contents: Contents,
    ranks: int = 1,
) -> dict[str, Any]:
    """Return everything that a stage's result depends on, as plain JSON values.

    Args:
        inputs: declared input → identity of the stage that provides it, ``None``, or for ``many`` id → identity.
        contents: hashes of files: a `Path` in the config is identified by its content, not by its name.
        ranks: number of processes that train together; counts for stages that train, if it is more than one.
    """
    return {
        "stage": stage.name,
        "version": stage.version,
        "seed": seed,
        "config": config_parts(config, contents),
        "inputs": {
            name: inputs.get(name)
            for name, declared in stage.inputs.items()
            if inputs.get(name) is not None or not declared.in_identity_if_set
        },
        "reads": fingerprints.of_all(stage.reads(config)),
        **({RANKS: ranks} if stage.trains is not None and ranks > 1 else {}),
    }


def config_parts(config: StageConfig, contents: Contents) -> Any:
    """Return the part of an identity that is the config; files and folders are identified by their content."""
    return plain(_identity_config(config), lambda path: {"sha256": contents.of(path)})


def ranks_of(parts: Parts) -> int:
    """Return the number of processes in identity parts; 1 if it does not count."""
    return int(parts.get(RANKS, 1))


def _identity_config(value: Any) -> Any:
    """Return a config as ``model_dump`` does, without the fields that do not count."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        counting = [name for name, field in fields if affects_identity(field) and not _is_omitted(value, name, field)]
        return {name: _identity_config(getattr(value, name)) for name in counting}
    if isinstance(value, Mapping):
        return {key: _identity_config(inner) for key, inner in value.items()}
    return [_identity_config(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_omitted(config: BaseModel, name: str, field: FieldInfo) -> bool:
    """Return whether a setting is left out of the identity because it has its default value.

    This applies to settings of the ``supervision:`` block, so that identities equal those of pipelines without the
    block, and to settings with `InIdentityIfSet`.
    """
    marked = key_of(field) is not None or any(isinstance(mark, InIdentityIfSet) for mark in field.metadata)
    return marked and getattr(config, name) == field.default


def affects_identity(field: FieldInfo) -> bool:
    """Return whether a field is part of the identity; see `NotInIdentity`."""
    return not field.exclude and not any(isinstance(mark, NotInIdentity) for mark in field.metadata)


def identity_of(parts: Parts) -> str:
    """Return the hash of identity parts."""
    return json_digest(parts)


def plain(value: Any, path: Callable[[Path], Any] = str) -> Any:
    """Return a dumped config as JSON values; infinite numbers and NaN become text.

    Args:
        path: returns the value for a `Path`.
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
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
