"""Schema of stage and run records (``stage.json``, ``run.json``): the type of each key.

Records may be edited, damaged or come from an untrusted source. The schema restricts ids and names to paths below the
folder of the record.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from wsss.io.files.contained import length_problem, name_problem

MAX_SECONDS = 1e11


def _folder_name(text: str) -> str:
    if text and ("/" in text or name_problem(text)):
        raise ValueError("expected a folder name without a path")
    return text


def _folder_below(text: str) -> str:
    if not text or text.startswith("."):
        raise ValueError("expected a folder name without a path")
    return _folder_name(text)


def _path_below(text: str) -> str:
    if problem := name_problem(text):
        raise ValueError(f"the path {problem}")
    return text


def _local_path(text: str) -> str:
    if "\0" in text or (problem := length_problem(text)):
        raise ValueError("the path has a null character" if "\0" in text else f"the path {problem}")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the path names an unknown user ({error})") from error
    return text


def _local_paths(value: Any) -> Any:
    """Check the paths in a value whose type depends on the layout: a path, or a mapping or list of paths."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    for part in parts:
        if isinstance(part, str):
            _local_path(part)
    return value


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("expected a time with a time zone")
    return text


Name = Annotated[str, AfterValidator(_folder_name)]
"""Name of a folder chosen by the user; empty for the current folder."""

Id = Annotated[str, AfterValidator(_folder_below)]
"""Id of a stage in a run, also the name of its folder."""

LocalPath = Annotated[str, AfterValidator(_local_path)]
"""Path on the machine that wrote the record."""

LocalPaths = Annotated[Any, AfterValidator(_local_paths)]
"""A path, or whatever else a dataset's layout takes: COCO has a folder of images per split."""

Below = Annotated[str, AfterValidator(_path_below)]
Time = Annotated[str, AfterValidator(_time)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveCount = Annotated[int, Field(ge=1, lt=2**31)]


class Record(BaseModel):
    """Undeclared keys may have any value: later versions add keys."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Artifact(Record):
    """The record of a file."""

    bytes: Count | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    mtime_ns: Annotated[int, Field(gt=-(2**63), lt=2**63)] | None = None


class Machine(Record):
    """The machine of a stage, see `wsss.pipeline.run.machine`."""

    ranks: PositiveCount | None = None
    workers: Count | None = None
    threads: PositiveCount | None = None
    effective_batch: PositiveCount | None = None
    precision: str | None = None
    mixed_threads: list[PositiveCount] | None = None
    mixed_precision: list[str] | None = None


class Parts(Record):
    """The identity of a stage, see `wsss.pipeline.plan.identity`."""

    config: dict[str, Any] | None = None
    inputs: dict[str, Any] | None = None
    reads: dict[str, Any] | None = None
    ranks: PositiveCount = 1


class StageRecord(Record):
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
    seconds: Annotated[float, Field(ge=0, le=MAX_SECONDS)] | None = None
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


class Structure(Record):
    """Topology and surface scores."""

    classes: dict[str, dict[str, Any]] | None = None
    mean: dict[str, float | None] | None = None


class ScoreMetrics(Record):
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


class RecallAtPrecision(Record):
    """Best recall of a sweep at a minimum precision."""

    minimum_precision: Fraction
    recall: Fraction | None = None


class SweepMetrics(ScoreMetrics):
    """Metrics of the stage ``sweep``."""

    best_threshold: float | None = None
    recall_at_precision: RecallAtPrecision | None = None


class Contradiction(Record):
    """A predicted mask that contradicts the labels of its image."""

    image: str
    contradiction: str | None = None


class PredictMetrics(Record):
    """Metrics of the stage ``predict``."""

    contradictions: list[Contradiction] | None = None


METRICS: dict[str, type[Record]] = {"score": ScoreMetrics, "sweep": SweepMetrics, "predict": PredictMetrics}
"""Stage → schema of its metrics, for stages whose metrics are inputs of others."""


class StageOfRun(Record):
    """A stage in ``run.json``."""

    id: Id
    uses: str
    needs: list[Id] | None = None


class Data(Record):
    """The dataset's config; `wsss.data.readers.registry` validates the other keys."""

    root: LocalPath | None = None
    images: LocalPaths = None
    annotations: LocalPaths = None


class Pipeline(Record):
    """The pipeline file of a run; `wsss.pipeline.config.spec` validates the other keys."""

    data: Data | None = None


class RunRecord(Record):
    """``run.json``."""

    name: str
    description: str | None = None
    status: Literal["running", "done", "failed", "interrupted"] | None = None
    seed: int | None = None
    pipeline: Pipeline | None = None
    command: list[str] | None = None
    directory: LocalPath | None = None
    stages: list[StageOfRun] | None = None
    host: str | None = None
    started: str | None = None
    finished: Time | None = None
    report: Below | None = None
    failed: str | None = None
    outdated: dict[Id, str] | None = None
    versions: dict[str, Any] | None = None
    device: str | None = None
