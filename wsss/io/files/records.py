"""Reading of stage and run records (``stage.json``, ``run.json``), validated against `wsss.io.files.record_schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.record_schema import METRICS, Record, RunRecord, StageRecord
from wsss.io.files.sealed import read_intact_json, read_sealed_json
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.validation import validate

FORMAT = 1
"""Format version of ``run.json``."""

_DEFAULTS: dict[type[Record], dict[str, Any]] = {
    StageRecord: {"config": {}, "metrics": {}, "provenance": {}},
    RunRecord: {"stages": [], "pipeline": {}},
}
"""Values for missing or null keys, which older versions did not write."""


def read_stage_record(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``stage.json``, or ``None`` if the file does not exist.

    Raises:
        InvalidInput: the record is damaged, or was not written by wsss.
    """
    hint = f"Delete {folder} and run the same command again: the stage is re-run."
    return _read(folder / RECORD, StageRecord, f"{repair_hint(folder)}{hint}")


def read_run_record(run_dir: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json``, or ``None`` if the file does not exist.

    Raises:
        InvalidInput: the record is damaged, was not written by wsss, or has another format version.
    """
    path = run_dir / RUN
    hint = f"{repair_hint(run_dir)}Delete {path} and run the pipeline again in {run_dir}: finished stages are kept."
    record = _read(path, RunRecord, hint)
    if record is not None and record.get("format") != FORMAT:
        raise InvalidInput(
            "not a run record that this version can read", subject=path, hint="Choose another --run-dir."
        )
    return record


def check_record(path: Path, record: Mapping[str, Any]) -> None:
    """Refuse to write a record that could not be read again.

    Args:
        path: path of the record, ``run.json`` or ``stage.json``.

    Raises:
        InvalidInput: a value that the schema does not allow.
        ValueError: a number that is not finite.
    """
    _validate(
        json.loads(json.dumps(dict(record), allow_nan=False)), RunRecord if path.name == RUN else StageRecord, path
    )


def repair_hint(folder: Path) -> str:
    """Return how to restore a lost or damaged record from its copy; ``""`` without a copy."""
    command = _repair_command(folder)
    return f"{command}. Otherwise: " if command else ""


def _repair_command(folder: Path) -> str:
    run = next((path for path in (folder, folder.parent) if (path / COPIES[RUN]).is_file()), folder)
    has_copy = any((folder / copy).is_file() for copy in COPIES.values())
    return f"wsss status --repair {run} restores it from its copy" if has_copy else ""


def read_copy(path: Path) -> dict[str, Any]:
    """Return the backup copy of a record.

    Args:
        path: path of the record itself, which may be missing or damaged.

    Raises:
        ValueError: the copy is missing, unreadable or damaged.
    """
    copy = path.with_name(COPIES[path.name])
    model = RunRecord if path.name == RUN else StageRecord
    try:
        value = read_intact_json(copy)
        validate(model, value, where="", locate=lambda key: str(copy))
    except FileNotFoundError as error:
        raise ValueError(f"there is no copy of it ({copy.name})") from error
    except OSError as error:
        raise ValueError(f"its copy {copy.name} cannot be read ({error.strerror})") from error
    except (ValueError, InvalidInput) as error:
        raise ValueError(f"its copy {copy.name} is damaged, too ({error})") from error
    return value


def _read(path: Path, model: type[StageRecord | RunRecord], hint: str) -> dict[str, Any] | None:
    try:
        value = read_sealed_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if path.is_dir():
            command = _repair_command(path.parent)
            hint = f"Delete it; then {command}." if command else hint
            raise InvalidInput(subject=path, allowed="a file", found=Verbatim("a folder"), hint=hint) from error
        # The record may be intact, so do not suggest deleting it.
        raise InvalidInput(
            f"cannot be read ({error.strerror})",
            subject=path,
            hint="Check its permissions, and the disk or network drive.",
        ) from error
    except ValueError as error:
        raise InvalidInput(f"cannot be read ({error})", subject=path, hint=hint) from error
    if not isinstance(value, Mapping):
        kind = "run" if model is RunRecord else "stage"
        raise InvalidInput(f"not a record of a {kind}", subject=path, allowed="a JSON object", hint=hint)
    if model is RunRecord and value.get("format") != FORMAT:
        return dict(value)
    try:
        _validate(value, model, path)
    except InvalidInput as error:
        raise error.with_hint(hint) from error
    return {**value, **{key: default for key, default in _DEFAULTS[model].items() if value.get(key) is None}}


def _validate(record: Mapping[str, Any], model: type[StageRecord | RunRecord], path: Path) -> None:
    validate(model, record, where="", locate=lambda key: str(path))
    if model is StageRecord and record.get("uses") in METRICS:
        metrics = record.get("metrics") or {}
        validate(METRICS[record["uses"]], metrics, where="metrics", locate=lambda key: str(path))
