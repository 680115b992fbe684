"""External inputs: folders named by options of single-stage commands, and their contribution to an identity."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, Verbatim, listing
from wsss.pipeline.plan.identity import Contents
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.outdated import note_left_out, records_of_run
from wsss.pipeline.store.run_folder import read_run


def artifact_at(folder: Path, kinds: tuple[str, ...], option: str, log: Callable[[str], None]) -> Artifact:
    """Return a folder as an input of a stage.

    With a ``stage.json`` it has identity and provenance; any other folder is identified by its content.

    Args:
        kinds: accepted kinds of artifact.
        option: option that names the folder, for messages (``--cams``); empty for an argument.
        log: prints a warning about files that changed after the stage finished.

    Raises:
        InvalidInput: no folder, an unfinished stage, or the wrong kind.
    """
    subject = f"{option} {folder}".strip()
    if not folder.is_dir():
        hint = f"That is a file; its folder is {folder.parent}{os.sep}" if folder.is_file() else None
        raise InvalidInput("no such folder", subject=subject, hint=hint)
    _refuse_run(folder, kinds, subject)
    record = stage_folder.read_record(folder)
    if record is None:
        return Artifact(folder)
    if record.get("status") != "done":
        hint = "Finish it first, with the command that started it."
        raise InvalidInput(f"the stage is not finished (status {record.get('status')})", subject=subject, hint=hint)
    if record.get("provides") not in (None, *kinds):
        problem = f"the stage ({record.get('uses')}) provides a different kind"
        raise InvalidInput(problem, subject=subject, found=record["provides"], allowed=kinds)
    changes = changes_since(folder, record.get("artifacts") or {})
    if changes:
        log(f"warning: {subject}: {changes}; they are used as they are.")
    return Artifact(
        folder,
        id=record.get("id"),
        uses=record.get("uses"),
        identity=None if changes else record["identity"],
        config=record.get("config") or {},
        metrics=record.get("metrics") or {},
        provenance=record.get("provenance") or {},
        result=None if changes else stage_folder.result_of(record),
    )


def _refuse_run(folder: Path, kinds: tuple[str, ...], subject: str) -> None:
    """Reject a run directory if one stage is expected; the hint lists its stages that fit."""
    run = read_run(folder)
    if run is None or stage_folder.read_record(folder) is not None:
        return
    stages = [folder / str(stage["id"]) for stage in run.get("stages", [])]
    fitting = [path for path in stages if (stage_folder.read_record(path) or {}).get("provides") in kinds]
    raise InvalidInput(
        subject=subject,
        found=Verbatim("a run directory"),
        allowed=f"the folder of a stage that provides {' or '.join(kinds)}",
        hint=f"Pass one of its stages: {listing(fitting, limit=12)}." if fitting else None,
    )


def changes_since(folder: Path, artifacts: Mapping[str, Any]) -> str:
    """Describe which files of a finished stage have changed, by their sizes and times; empty if none has.

    Args:
        artifacts: the artifacts in its record.
    """
    names = [damage.path for damage in stage_folder.verify(folder, artifacts)]
    if not names and not stage_folder.has_unlisted_files(folder, artifacts):
        return ""
    return f"files changed after the stage finished ({listing(names) or 'some were added'})"


def artifacts_of_run(
    folder: Path, kinds: tuple[str, ...], option: str, log: Callable[[str], None]
) -> list[Artifact] | None:
    """Return all finished stages of a run directory that an input accepts, or ``None`` for any other folder.

    Outdated results are left out, which is logged.

    Args:
        option: the option, for messages; empty for an argument.

    Raises:
        InvalidInput: no finished stage fits.
    """
    run = read_run(folder)
    if run is None:
        return None
    everything = records_of_run(folder, run)
    records = {id: one for id, one in everything.items() if one.get("provides") in kinds}
    fitting = [folder / id for id, record in records.items() if record.get("status") == "done"]
    note_left_out(folder, records, log)
    if not fitting:
        finished = [record.get("status") == "done" for record in everything.values()]
        provided = f"no finished stage of this run provides {' or '.join(kinds)}"
        hint = "Run the pipeline first (wsss run); wsss status shows its progress."
        raise InvalidInput(
            provided if any(finished) else "no stage of this run has finished",
            subject=f"{option} {folder}".strip(),
            hint=None if finished and all(finished) else hint,
        )
    return [artifact_at(path, kinds, option, log) for path in fitting]


def check_distinct(name: str, artifacts: Any) -> None:
    """Reject two stages of one name in an input: identities and reports distinguish them by name."""
    seen: dict[str, Path] = {}
    for artifact in artifacts or ():
        if artifact.id in seen:
            raise InvalidInput(
                f"two stages have the id {artifact.id!r}: {seen[artifact.id]} and {artifact.path}",
                subject=name,
                hint="Omit one of them: stages of two runs cannot be combined in one input.",
            )
        if artifact.id is not None:
            seen[artifact.id] = artifact.path


def artifacts_in(inputs: Mapping[str, Any]) -> list[Artifact]:
    """Return all artifacts of a stage's inputs."""
    return [artifact for value in inputs.values() for artifact in _several(value)]


def ids_of(artifact: Any) -> tuple[str, ...]:
    """Return the ids of the stages of an input; an external folder has its name."""
    return tuple(item.id or item.path.name for item in _several(artifact))


def identity_of_input(artifact: Any, contents: Contents) -> Any:
    """Return the identity of the stage that made an input, or a hash of the content of an external folder."""
    if artifact is None:
        return None
    if isinstance(artifact, tuple):
        return {item.id or str(index): identity_of_input(item, contents) for index, item in enumerate(artifact)}
    return artifact.identity or f"content:{contents.of(artifact.path)}"


def _several(value: Any) -> tuple[Artifact, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)
