"""The records of stages and runs (``stage.json``, ``run.json``): what each key holds.

They may be edited, damaged or made by someone else. Whoever uses one gets the types that are declared here, ids and
names that lead nowhere but below the folder of the record, and empty objects where an older version wrote no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from wsss.errors import InvalidInput
from wsss.io.files.contained import length_problem, name_problem
from wsss.io.files.sealed import read_intact_json, read_sealed_json
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.validation import validate

FORMAT = 1
"""Of ``run.json``."""

MOST_SECONDS = 1e11


def _folder_name(text: str) -> str:
    if text and ("/" in text or name_problem(text)):
        raise ValueError("expected the name of a folder without a path")
    return text


def _folder_below(text: str) -> str:
    if not text or text.startswith("."):
        raise ValueError("expected the name of a folder without a path")
    return _folder_name(text)


def _path_below(text: str) -> str:
    if problem := name_problem(text):
        raise ValueError(f"the path {problem}")
    return text


def _place(text: str) -> str:
    if "\0" in text or (problem := length_problem(text)):
        raise ValueError("the path has a null character" if "\0" in text else f"the path {problem}")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the path names an unknown user ({error})") from error
    return text


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("expected a time with its zone")
    return text


Name = Annotated[str, AfterValidator(_folder_name)]
"""Of a folder that a user chose, or empty for the current folder."""

Id = Annotated[str, AfterValidator(_folder_below)]
"""Of a stage in a run, which is also the name of its folder there."""

Place = Annotated[str, AfterValidator(_place)]
"""Of anything on the machine that wrote the record."""

Below = Annotated[str, AfterValidator(_path_below)]
Time = Annotated[str, AfterValidator(_time)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Some = Annotated[int, Field(ge=1, lt=2**31)]


class _Record(BaseModel):
    """Keys that are not declared may hold anything: later versions add some."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Artifact(_Record):
    """What is recorded of a file."""

    bytes: Count | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    mtime_ns: Annotated[int, Field(gt=-(2**63), lt=2**63)] | None = None


class Machine(_Record):
    """What a stage ran on, see `wsss.pipeline.processes.machine`."""

    ranks: Some | None = None
    workers: Count | None = None
    threads: Some | None = None
    effective_batch: Some | None = None


class Parts(_Record):
    """What a stage's result depends on, see `wsss.pipeline.plan.identity`."""

    config: dict[str, Any] | None = None
    inputs: dict[str, Any] | None = None
    reads: dict[str, Any] | None = None
    ranks: Some = 1


class StageRecord(_Record):
    """``stage.json``."""

    id: Name | None = None
    uses: str | None = None
    provides: str | None = None
    status: Literal["running", "done", "failed", "interrupted", "stale"] | None = None
    identity: str | None = None
    identity_parts: Parts | None = None
    config: dict[str, Any] | None = None
    inputs: dict[str, Any] | None = None
    input_results: dict[str, str | dict[str, str | None] | None] | None = None
    seed: int | None = None
    metrics: dict[str, Any] | None = None
    provenance: dict[str, Any] | None = None
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS)] | None = None
    peak_memory_bytes: Count | None = None
    started: str | None = None
    finished: Time | None = None
    host: str | None = None
    device: str | None = None
    machine: Machine | None = None
    versions: dict[str, Any] | None = None
    artifacts: dict[Below, Artifact] | None = None
    same_as: Id | None = None
    forced: bool | None = None


class Structure(_Record):
    """Scores of topology and surfaces among the metrics of a score."""

    classes: dict[str, dict[str, Any]] | None = None
    mean: dict[str, float | None] | None = None


class ScoreMetrics(_Record):
    """Metrics of the stage ``score``."""

    miou: Fraction | None = None
    precision: Fraction | None = None
    recall: Fraction | None = None
    pixel_accuracy: Fraction | None = None
    iou: dict[str, Fraction | None] | None = None
    images: Count | None = None
    split: str | None = None
    structure: Structure | None = None
    provenance: dict[str, Any] | None = None


class RecallAtPrecision(_Record):
    """The best recall of a sweep at a precision."""

    minimum_precision: Fraction
    recall: Fraction | None = None


class SweepMetrics(ScoreMetrics):
    """Metrics of the stage ``sweep``."""

    best_threshold: float | None = None
    recall_at_precision: RecallAtPrecision | None = None


class Contradiction(_Record):
    """A predicted mask that contradicts the labels of its image."""

    image: str
    contradiction: str | None = None


class PredictMetrics(_Record):
    """Metrics of the stage ``predict``."""

    contradictions: list[Contradiction] | None = None


METRICS: dict[str, type[_Record]] = {"score": ScoreMetrics, "sweep": SweepMetrics, "predict": PredictMetrics}
"""Stage → its metrics, for those whose metrics other stages compute with."""


class StageOfRun(_Record):
    """A stage in ``run.json``."""

    id: Id
    uses: str
    needs: list[Id] | None = None


class Data(_Record):
    """The dataset's config in a pipeline; `wsss.data.readers.registry` reads the rest."""

    root: Place | None = None
    images: Place | None = None


class Pipeline(_Record):
    """The pipeline file of a run; `wsss.pipeline.config.spec` reads the rest."""

    data: Data | None = None


class RunRecord(_Record):
    """``run.json``."""

    name: str
    description: str | None = None
    status: Literal["running", "done", "failed", "interrupted"] | None = None
    seed: int | None = None
    pipeline: Pipeline | None = None
    command: list[str] | None = None
    directory: Place | None = None
    stages: list[StageOfRun] | None = None
    host: str | None = None
    started: str | None = None
    finished: Time | None = None
    report: Below | None = None
    failed: str | None = None
    versions: dict[str, Any] | None = None
    device: str | None = None


_FILLED: dict[type[_Record], dict[str, Any]] = {
    StageRecord: {"config": {}, "metrics": {}, "provenance": {}},
    RunRecord: {"stages": [], "pipeline": {}},
}
"""What stands for a key that is missing or null."""


def read_stage_record(folder: Path) -> dict[str, Any] | None:
    """Return ``stage.json``, or ``None`` where there is none.

    Raises:
        InvalidInput: it is damaged, or was not written by us; names the key.
    """
    hint = f"Delete {folder} and run the same command again: the stage is re-run."
    return _read(folder / RECORD, StageRecord, f"{repair_hint(folder)}{hint}")


def read_run_record(run_dir: Path) -> dict[str, Any] | None:
    """Return ``run.json``, or ``None`` where there is none.

    Raises:
        InvalidInput: it is damaged, was not written by us, or by a version that writes another format.
    """
    path = run_dir / RUN
    hint = f"{repair_hint(run_dir)}Delete {path} and run the pipeline again in {run_dir}: finished stages are kept."
    record = _read(path, RunRecord, hint)
    if record is not None and record.get("format") != FORMAT:
        raise InvalidInput(
            f"{path}: not a record of a run that this version can read.", hint="Choose another --run-dir."
        )
    return record


def _folder_hint(path: Path, otherwise: str) -> str:
    """Return what to do about a folder in place of a record."""
    restored = _restored_by(path.parent)
    return f"Delete it; then {restored}." if restored else otherwise


def repair_hint(folder: Path) -> str:
    """Return how a lost or damaged record is restored, where it has a copy; else an empty string."""
    restored = _restored_by(folder)
    return f"{restored}. Otherwise: " if restored else ""


def _restored_by(folder: Path) -> str:
    """Return which command restores the record of a folder; empty where there is no copy."""
    run = next((one for one in (folder, folder.parent) if (one / COPIES[RUN]).is_file()), folder)
    kept = any((folder / copy).is_file() for copy in COPIES.values())
    return f"wsss status --repair {run} restores it from its copy" if kept else ""


def read_copy(path: Path) -> dict[str, Any]:
    """Return the copy of a record.

    Args:
        path: of the record itself, which may be missing or damaged.

    Raises:
        ValueError: there is no copy, or it isn't what was written; says so.
    """
    copy = path.with_name(COPIES[path.name])
    model = RunRecord if path.name == RUN else StageRecord
    try:
        value = read_intact_json(copy)
        validate(model, value, where="", locate=lambda key: str(copy))
    except FileNotFoundError as error:
        raise ValueError(f"there is no copy of it ({copy.name})") from error
    except OSError as error:
        raise ValueError(f"its copy {copy.name} can't be read ({error.strerror})") from error
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
            raise InvalidInput(f"{path} is a folder; expected a file.", hint=_folder_hint(path, hint)) from error
        # The record may be sound: nothing is to be deleted.
        raise InvalidInput(
            f"{path}: can't be read ({error.strerror}).",
            hint="See that it is a file that you may read, and that its disk or network drive answers.",
        ) from error
    except ValueError as error:
        raise InvalidInput(f"{path}: can't be read ({error}).", hint=hint) from error
    if not isinstance(value, Mapping):
        what = "run" if model is RunRecord else "stage"
        raise InvalidInput(f"{path}: not a record of a {what}: expected a JSON object.", hint=hint)
    if model is RunRecord and value.get("format") != FORMAT:
        return dict(value)
    try:
        validate(model, value, where="", locate=lambda key: str(path))
        if model is StageRecord and value.get("uses") in METRICS:
            validate(METRICS[value["uses"]], value.get("metrics") or {}, where="metrics", locate=lambda key: str(path))
    except InvalidInput as error:
        raise InvalidInput(error.message, hint=hint) from error
    filled = {key: empty for key, empty in _FILLED[model].items() if value.get(key) is None}
    return {**value, **filled}
