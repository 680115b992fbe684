"""Validation of the dataset and inputs of stages to be replaced, before their earlier results are deleted.

Otherwise, a damaged image or artifact would stop a stage midway, after its earlier result was deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Data, Kind
from wsss.pipeline.store.stage_folder import read_record

REPAIR = "Repair or replace the file and run the same command again."
RESULTS_KEPT = "Earlier results were kept."


@dataclass(frozen=True)
class Replaced:
    """A stage whose earlier result may be deleted.

    Args:
        decision: the decision about the stage, with its earlier record.
        parts: parts of its current identity.
        inputs: folders of the finished stages that it takes as inputs.
    """

    decision: Decision
    parts: Mapping[str, Any]
    inputs: tuple[Path, ...]

    @property
    def changed_splits(self) -> set[str]:
        """The splits that the stage reads and that changed since the earlier result."""
        before = ((self.decision.record or {}).get("identity_parts") or {}).get("reads") or {}
        changed = (key for key, content in self.parts["reads"].items() if before.get(key) != content)
        return {key.rpartition("/")[0] for key in changed}


def check_replaced(stages: Iterable[Replaced], data: Data | None, log: Callable[[str], None]) -> None:
    """Read the changed parts of the dataset and all files of finished inputs.

    Args:
        stages: all stages that will run.
        data: the dataset.
        log: logs a line for the user.

    Raises:
        InvalidInput: some files are damaged; lists all of them. Nothing was deleted.
    """
    replaced = [stage for stage in stages if stage.decision.deletes]
    problems: list[InvalidInput] = []
    if data is not None:
        for split, kind in _changed_reads(replaced):
            if kind != "labels":
                log(f"reading the {kind} of {split} before earlier results are deleted")
            problems += _problem(partial(data.read_split, split, kind))
    hints = [REPAIR, RESULTS_KEPT] if problems else [RESULTS_KEPT]
    for folder in dict.fromkeys(folder for stage in replaced for folder in stage.inputs):
        for name in (read_record(folder) or {}).get("artifacts") or {}:
            problems += _problem(partial(check_recorded, folder / name))
    raise_all(problems, hints=hints)


def _changed_reads(replaced: Sequence[Replaced]) -> list[tuple[str, Kind]]:
    """Return split and kind of everything read from changed splits: unchanged masks must still fit changed images."""
    changed = set[str]().union(*(stage.changed_splits for stage in replaced))
    keys = dict.fromkeys(key for stage in replaced for key in stage.parts["reads"])
    pairs = (key.rpartition("/") for key in keys)
    return [(split, cast(Kind, kind)) for split, _, kind in pairs if split in changed]


def _problem(read: Callable[[], Any]) -> list[InvalidInput]:
    try:
        read()
    except InvalidInput as error:
        return [error]
    return []
