"""Which needed stage goes into which declared input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.config.spec import Entry
from wsss.pipeline.stage import Input, Stage


def bind(
    entry: Entry,
    registry: Mapping[str, Stage[Any]],
    entries: Mapping[str, Entry],
    needed: Mapping[str, str],
    passed: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Return input name → ids of the jobs it takes.

    Each input takes the one needed job whose kind it accepts; an input with ``many`` takes all of them.

    Args:
        entry: the stage whose inputs are bound.
        registry, entries: to name the stages that would do.
        needed: id → kind of the jobs that ``needs`` names.
        passed: id → kind of those that stand in for a disabled stage; they count where no needed one fits, and may be
            of no use.

    Raises:
        InvalidInput: a required input without a job, one with several, or a needed job that no input takes.
    """
    stage = registry[entry.uses]
    problems: list[str] = []
    inputs: dict[str, tuple[str, ...]] = {}
    for name, declared in stage.inputs.items():
        takes = [id for id, kind in needed.items() if kind in declared.kinds]
        spare = [id for id, kind in passed.items() if kind in declared.kinds and id not in takes]
        found = [*takes, *spare] if declared.many else takes or spare
        if len(found) > 1 and not declared.many:
            problems.append(
                f"input {name!r} takes one stage and several fit: {listing(found, limit=20)}; leave one of them."
            )
        elif not found and not declared.optional:
            problems.append(_missing(entry, name, declared, registry, entries))
        inputs[name] = tuple(found)
    used = {id for ids in inputs.values() for id in ids}
    for id, kind in needed.items():
        if id not in used and not any(kind in declared.kinds for declared in stage.inputs.values()):
            accepts = ", ".join(f"{name} ({' or '.join(i.kinds)})" for name, i in stage.inputs.items()) or "none"
            problems.append(
                f"{id!r} provides {kind}, which {entry.uses!r} has no input for; its inputs are: {accepts}."
            )
    if problems:
        raise InvalidInput("\n".join(str(entry.error(problem, ("needs",))) for problem in problems))
    return inputs


def _missing(
    entry: Entry, name: str, declared: Input, registry: Mapping[str, Stage[Any]], entries: Mapping[str, Entry]
) -> str:
    kinds = " or ".join(declared.kinds)
    here = [e.id for e in entries.values() if e.id != entry.id and registry[e.uses].provides in declared.kinds]
    makers = [stage.name for stage in registry.values() if stage.provides in declared.kinds]
    advice = (
        f"add one of the stages {listing(here, limit=20)}"
        if here
        else f"no stage here provides it; those that would are {listing(makers, limit=20) or 'none'}"
    )
    return f"{entry.uses!r} requires {kinds} as input {name!r} and no needed stage provides it; {advice}."
