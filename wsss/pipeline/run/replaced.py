"""Reading what finished stages will be replaced from, before any of their files is deleted.

A damaged image is found by whoever decodes it, a damaged artifact by whoever reads it: in the middle of a stage, whose
earlier result has been deleted by then. So both are read beforehand where there is a result to lose.
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
from wsss.pipeline.stage import Data, Kind
from wsss.pipeline.store.stage_folder import read_record

REPAIR = "Repair or replace the file and run the same command again."
NOTHING_LOST = "Earlier results were left as they are."


@dataclass(frozen=True)
class Replaced:
    """A stage whose earlier result will be deleted.

    Args:
        decision: what is to be done with it, and its record.
        parts: its identity now.
        inputs: folders of the finished stages that it takes.
    """

    decision: Decision
    parts: Mapping[str, Any]
    inputs: tuple[Path, ...]

    @property
    def changed_splits(self) -> set[str]:
        """The splits of which it reads something that it didn't read, or read otherwise, for the earlier result."""
        before = ((self.decision.record or {}).get("identity_parts") or {}).get("reads") or {}
        changed = (key for key, content in self.parts["reads"].items() if before.get(key) != content)
        return {key.rpartition("/")[0] for key in changed}


def check_replaced(stages: Iterable[Replaced], data: Data | None, log: Callable[[str], None]) -> None:
    """Read what has changed of the dataset, and all files of finished inputs.

    Args:
        stages: all that are to run.
        data: the dataset.
        log: prints one line for the user.

    Raises:
        InvalidInput: names every file that is damaged; nothing has been deleted.
    """
    losing = [stage for stage in stages if stage.decision.deletes]
    problems: list[InvalidInput] = []
    for split, kind in _changed_reads(losing):
        if kind != "labels":
            log(f"reading the {kind} of {split} before earlier results are deleted")
        problems += _problem(partial(data.read_split, split, kind) if data else lambda: None)
    repair = [REPAIR] if problems else []
    for folder in dict.fromkeys(folder for stage in losing for folder in stage.inputs):
        for name in (read_record(folder) or {}).get("artifacts") or {}:
            problems += _problem(partial(check_recorded, folder / name))
    if problems:
        hints = dict.fromkeys(error.hint for error in problems if error.hint)
        message = "\n".join(error.message for error in problems)
        raise InvalidInput(message, hint="\n".join([*hints, *repair, NOTHING_LOST]))


def _changed_reads(losing: Sequence[Replaced]) -> list[tuple[str, Kind]]:
    """Return split and kind of all that is read of changed splits: masks that didn't change must fit changed images."""
    changed = set[str]().union(*(stage.changed_splits for stage in losing))
    keys = dict.fromkeys(key for stage in losing for key in stage.parts["reads"])
    pairs = (key.rpartition("/") for key in keys)
    return [(split, cast(Kind, kind)) for split, _, kind in pairs if split in changed]


def _problem(read: Callable[[], Any]) -> list[InvalidInput]:
    try:
        read()
    except InvalidInput as error:
        return [error]
    return []
