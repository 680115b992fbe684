"""The stages of a run as recorded on disk, and their dependencies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.files.records import read_stage_record
from wsss.io.files.sealed import read_sealed_json
from wsss.io.files.stage_files import CAMS, MASKS, OFFSETS
from wsss.io.text.instance_ids import read_instance_id

COMPARISON = "compare.json"
BENCHMARK = "benchmark.json"
MANY = 12
"""Above this number of stages, the instances of a matrix are drawn as one node."""


@dataclass(frozen=True)
class StageRecord:
    """One stage: the content of ``stage.json`` and of its folder.

    Args:
        id: the stage's id in the pipeline.
        status: ``done``, ``failed``, ``pending``, ….
        seconds: wall-clock time, ``None`` if unknown.
        needs: ids of its input stages.
        config, metrics, provenance, versions: as in ``stage.json``.
        identity: hash of everything that its result depends on, ``None`` if unknown.
        device: ``cpu`` or ``cuda``, ``None`` if unknown.
        reads: ``split/kind`` of the dataset → digest of the data read.
    """

    id: str
    uses: str
    path: Path
    status: str = "done"
    seconds: float | None = None
    needs: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    identity: str | None = None
    device: str | None = None
    reads: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_cams(self) -> bool:
        """Whether the folder holds class activation maps."""
        return (self.path / CAMS).is_dir()

    @property
    def has_masks(self) -> bool:
        """Whether the folder holds masks."""
        return (self.path / MASKS).is_dir()

    @property
    def has_offsets(self) -> bool:
        """Whether the folder holds offsets of a sampler."""
        return (self.path / OFFSETS).is_dir()

    @property
    def has_comparison(self) -> bool:
        """Whether the folder holds a table of a matrix."""
        return (self.path / COMPARISON).is_file()

    @property
    def has_benchmark(self) -> bool:
        """Whether the folder holds the tables of a benchmark."""
        return (self.path / BENCHMARK).is_file()

    @property
    def entry(self) -> str:
        """Id of the stage in the pipeline file, without the matrix values."""
        return read_instance_id(self.id)[0]

    @property
    def has_model(self) -> bool:
        """Whether the folder holds a network."""
        return (self.path / "model.json").is_file()

    @property
    def is_score(self) -> bool:
        """Whether the stage measured masks against the ground truth."""
        return "miou" in self.metrics and isinstance(self.metrics.get("iou"), Mapping)


def read_record(path: Path, **known: Any) -> StageRecord:
    """Read the folder of a stage; fields missing from ``stage.json`` keep their default.

    Args:
        known: fields that override the file, unless ``None`` or empty.

    Raises:
        InvalidInput: ``stage.json`` exists and is not the record of a stage.
    """
    raw = read_stage_record(path) or {}
    fields: dict[str, Any] = {
        name: raw[name] for name in ("config", "metrics", "provenance", "versions") if isinstance(raw.get(name), dict)
    }
    fields |= {name: str(raw[name]) for name in ("id", "uses", "status", "identity", "device") if raw.get(name)}
    if raw.get("seconds") is not None:
        fields["seconds"] = float(raw["seconds"])
    reads = (raw.get("identity_parts") or {}).get("reads") or {}
    fields["reads"] = {str(key): str(digest) for key, digest in reads.items()}
    fields["needs"] = tuple(dict.fromkeys(_ids(raw.get("inputs"))))
    fields |= {name: value for name, value in known.items() if value}
    fields.setdefault("id", path.name)
    fields.setdefault("uses", fields["id"])
    return StageRecord(path=path, **fields)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one.

    Raises:
        InvalidInput: not a JSON object, or damaged.
    """
    check_recorded(path)
    try:
        value = read_sealed_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"not valid JSON ({error})", subject=path) from error
    if not isinstance(value, dict):
        raise InvalidInput(subject=path, allowed="a JSON object", found=type(value).__name__)
    return value


def in_order(records: Iterable[StageRecord]) -> tuple[StageRecord, ...]:
    """Sort the records topologically: each after its inputs, otherwise in the given order."""
    waiting = {record.id: record for record in records}
    ordered: dict[str, StageRecord] = {}
    while waiting:
        ready = [
            record
            for record in waiting.values()
            if not any(need in waiting for need in record.needs if need != record.id)
        ]
        for record in ready or list(waiting.values()):  # a cycle in damaged records
            ordered[record.id] = waiting.pop(record.id)
            if ready:
                break
    return tuple(ordered.values())


def by_entry(records: Iterable[StageRecord]) -> list[tuple[str, list[StageRecord]]]:
    """Group the records by stage of the pipeline file, in order of first occurrence."""
    entries: dict[str, list[StageRecord]] = {}
    for record in records:
        entries.setdefault(record.entry, []).append(record)
    return list(entries.items())


def fold(records: Sequence[StageRecord]) -> Sequence[StageRecord]:
    """Merge the instances of each stage if there are more than `MANY` records.

    A merged record has the total time, and the status ``done`` or that of the first unfinished instance.
    """
    if len(records) <= MANY:
        return records
    folded = []
    for entry, several in by_entry(records):
        times = [record.seconds for record in several if record.seconds is not None]
        needs = dict.fromkeys(read_instance_id(need)[0] for record in several for need in record.needs)
        folded.append(
            StageRecord(
                id=entry,
                uses=several[0].uses + (f" ×{len(several)}" if len(several) > 1 else ""),
                path=several[0].path,
                status=next((record.status for record in several if record.status != "done"), "done"),
                seconds=sum(times) if times else None,
                needs=tuple(needs),
            )
        )
    return folded


def masks_of(score: StageRecord, records: Sequence[StageRecord]) -> StageRecord | None:
    """Return the stage whose masks a score stage measured, ``None`` for an external folder."""
    by_id = {record.id: record for record in records}
    return next((by_id[need] for need in score.needs if need in by_id and by_id[need].has_masks), None)


def maps_of(score: StageRecord, records: Sequence[StageRecord]) -> StageRecord | None:
    """Return the stage whose maps a sweep measured, if any."""
    by_id = {record.id: record for record in records}
    return next((by_id[need] for need in score.needs if need in by_id and by_id[need].has_cams), None)


def segmenter_of(score: StageRecord, records: Sequence[StageRecord]) -> StageRecord | None:
    """Return the segmentation network of the measured masks (refined or not); ``None`` for masks of CAMs."""
    by_id = {record.id: record for record in records}
    masks = masks_of(score, records)
    seen: set[str] = set()
    while masks is not None and masks.id not in seen:
        seen.add(masks.id)
        parents = [by_id[need] for need in masks.needs if need in by_id]
        if any(parent.has_cams for parent in parents):
            return None
        network = next((parent for parent in parents if parent.has_model), None)
        if network is not None:
            return _trained(network, by_id)
        masks = next((parent for parent in parents if parent.has_masks), None)
    return None


def _trained(network: StageRecord, by_id: Mapping[str, StageRecord]) -> StageRecord:
    """Return the stage that trained a network: ``network`` itself, or the stage whose network it calibrated."""
    if network.uses != "calibrate":
        return network
    inputs = [by_id[need] for need in network.needs if need in by_id and by_id[need].has_model]
    return inputs[0] if inputs else network


def recipes_of(records: Sequence[StageRecord]) -> dict[str, str]:
    """Return, per stage id, a hash of the settings of the stage and all its inputs: equal if only seeds differ.

    An input that is not among the records is known by its id.
    """
    by_id = {record.id: record for record in records}
    recipes: dict[str, str] = {}

    def recipe(id: str, above: frozenset[str]) -> str:
        if id not in recipes:
            if id not in by_id or id in above:  # a cycle in damaged records
                return id
            record = by_id[id]
            inputs = sorted(recipe(need, above | {id}) for need in record.needs)
            # Records written before a setting existed lack it; others contain its default, null.
            config = {key: value for key, value in record.config.items() if value is not None}
            parts = (record.entry, record.uses, json.dumps(config, sort_keys=True, default=str), inputs)
            recipes[id] = hashlib.sha256(repr(parts).encode()).hexdigest()
        return recipes[id]

    for record in records:
        recipe(record.id, frozenset())
    return recipes


def _ids(inputs: Any) -> Iterator[str]:
    """Yield the stage ids below ``inputs``: ``{name: id | [id, …] | null}``."""
    if isinstance(inputs, str):
        yield inputs
    elif isinstance(inputs, Mapping):
        for value in inputs.values():
            yield from _ids(value)
    elif isinstance(inputs, Sequence):
        for value in inputs:
            yield from _ids(value)
