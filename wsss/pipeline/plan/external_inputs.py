"""Folders given to a stage by hand: what they are, and what stands for them in an identity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.plan.identity import Contents
from wsss.pipeline.plan.input_results import result_of
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.run_folder import read_run


def artifact_at(folder: Path, kinds: tuple[str, ...], option: str, reporter: Reporter) -> Artifact:
    """Return a folder given by hand as an input.

    With a ``stage.json`` it carries identity and provenance; without one it is taken for what it holds.

    Args:
        folder: the input.
        kinds: what it may be.
        option: how the user named it, for messages (``--cams``).
        reporter: prints a warning about files that were changed by hand.

    Raises:
        InvalidInput: no folder, an unfinished stage, or the wrong kind.
    """
    if not folder.is_dir():
        hint = f"That is a file; its folder is {folder.parent}." if folder.is_file() else None
        raise InvalidInput(f"{option} {folder}: no such folder.", hint=hint)
    _refuse_run(folder, kinds, option)
    record = stage_folder.read_record(folder)
    if record is None:
        return Artifact(folder)
    if record.get("status") != "done":
        raise InvalidInput(
            f"{option} {folder}: this stage is not finished (status {record.get('status')}).",
            hint="Finish it first, by the command that began it.",
        )
    if record.get("provides") not in (None, *kinds):
        raise InvalidInput(
            f"{option} {folder}: found {record['provides']} (made by {record.get('uses')}); allowed are "
            f"{' or '.join(kinds)}."
        )
    artifacts = record.get("artifacts") or {}
    identity: str | None = record["identity"]
    changes = changes_since(folder, artifacts)
    if changes:
        reporter.log(f"warning: {option} {folder}: {changes}; taken as they are.")
        identity = None
    return Artifact(
        folder,
        id=record.get("id"),
        uses=record.get("uses"),
        identity=identity,
        config=record.get("config") or {},
        metrics=record.get("metrics") or {},
        provenance=record.get("provenance") or {},
        result=result_of(record) if identity else None,
    )


def _refuse_run(folder: Path, kinds: tuple[str, ...], option: str) -> None:
    """Refuse a run directory where one stage is expected; the hint lists its stages that fit."""
    run = read_run(folder)
    if run is None or stage_folder.read_record(folder) is not None:
        return
    stages = [folder / str(stage["id"]) for stage in run.get("stages", [])]
    fitting = [path for path in stages if (stage_folder.read_record(path) or {}).get("provides") in kinds]
    raise InvalidInput(
        f"{option} {folder}: this is a run directory; expected the folder of a stage that provides "
        f"{' or '.join(kinds)}.",
        hint=f"Name one of its stages: {listing(fitting, limit=12)}." if fitting else None,
    )


def changes_since(folder: Path, artifacts: Mapping[str, Any]) -> str:
    """Say which files of a finished stage were changed, by their sizes and times; empty where none was.

    Args:
        folder: of the stage.
        artifacts: as its record has them.
    """
    names = [damage.path for damage in stage_folder.verify(folder, artifacts)]
    if not names and stage_folder.is_unlisted_free(folder, artifacts):
        return ""
    return f"files were changed after the stage finished ({listing(names) or 'some were added'})"


def artifacts_of_run(folder: Path, kinds: tuple[str, ...], option: str, reporter: Reporter) -> list[Artifact] | None:
    """Return all finished stages of a run directory that an input may be, or ``None`` if it is no run directory.

    Raises:
        InvalidInput: none of its stages is finished and fits.
    """
    run = read_run(folder)
    if run is None:
        return None
    found = []
    for stage in run.get("stages", []):
        record = stage_folder.read_record(folder / stage["id"])
        if record is not None and record.get("status") == "done" and record.get("provides") in kinds:
            found.append(artifact_at(folder / stage["id"], kinds, option, reporter))
    if not found:
        raise InvalidInput(f"{option} {folder}: no finished stage of this run provides {' or '.join(kinds)}.")
    return found


def check_distinct(name: str, artifacts: Any) -> None:
    """Refuse two stages of one name in an input: identity and page tell them apart by their names."""
    seen: dict[str, Path] = {}
    for one in artifacts or ():
        if one.id in seen:
            raise InvalidInput(
                f"{name}: two stages are called {one.id!r}: {seen[one.id]} and {one.path}.",
                hint="Leave one of them out; the stages of two runs can't stand side by side.",
            )
        if one.id is not None:
            seen[one.id] = one.path


def artifacts_in(inputs: Mapping[str, Any]) -> list[Artifact]:
    """Return all artifacts of a stage's inputs."""
    found: list[Artifact] = []
    for artifact in inputs.values():
        found += artifact if isinstance(artifact, tuple) else [] if artifact is None else [artifact]
    return found


def ids_of(artifact: Any) -> tuple[str, ...]:
    """Return how the stages of an input are called; a folder from elsewhere by its name."""
    several = artifact if isinstance(artifact, tuple) else (artifact,)
    return tuple(one.id or one.path.name for one in several if one is not None)


def identity_of_input(artifact: Any, contents: Contents) -> Any:
    """Return what stands for an input in an identity: the maker's identity, else a hash of what the folder holds."""
    if artifact is None:
        return None
    if isinstance(artifact, tuple):
        return {one.id or str(index): identity_of_input(one, contents) for index, one in enumerate(artifact)}
    return artifact.identity or f"content:{contents.of(artifact.path)}"
