"""Binding: which needed stage provides which declared input."""

from __future__ import annotations

from collections.abc import Mapping

from wsss.errors import InvalidInput, listing
from wsss.pipeline.config.spec import Entry
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Input, Registry


def bind(
    entry: Entry,
    registry: Registry,
    entries: Mapping[str, Entry],
    needed: Mapping[str, str],
    substitutes: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Return input name → ids of its jobs.

    Each input takes the one needed job of a kind that it accepts; an input with ``many`` takes all of them.

    Args:
        entry: the stage whose inputs are bound.
        registry, entries: to suggest other stages.
        needed: id → kind of the jobs that ``needs`` names.
        substitutes: id → kind of the jobs that replace a disabled stage; used where no needed job fits, and may remain
            unused.

    Raises:
        InvalidInput: a required input without a job or with several, or a needed job that no input accepts.
    """
    stage = registry[entry.uses]
    problems: list[InvalidInput] = []
    inputs: dict[str, tuple[str, ...]] = {}
    for name, declared in stage.inputs.items():
        direct = [id for id, kind in needed.items() if kind in declared.kinds]
        other = [id for id, kind in substitutes.items() if kind in declared.kinds and id not in direct]
        ids = [*direct, *other] if declared.many else direct or other
        if len(ids) > 1 and not declared.many:
            problems.append(entry.error(f"input {name!r}", ("needs",), allowed="one stage", found=ids))
        elif not ids and not declared.optional:
            problems.append(_missing(entry, name, declared, registry, entries))
        inputs[name] = tuple(ids)
    accepted = {kind for declared in stage.inputs.values() for kind in declared.kinds}
    for id, kind in needed.items():
        if kind not in accepted:
            kinds = ", ".join(f"{name} ({' or '.join(i.kinds)})" for name, i in stage.inputs.items()) or "none"
            problem = f"{entry.uses!r} has no input for {id!r}, which provides {kind}; its inputs are: {kinds}"
            problems.append(entry.error(problem, ("needs",)))
    raise_all(problems)
    return inputs


def _missing(
    entry: Entry, name: str, declared: Input, registry: Registry, entries: Mapping[str, Entry]
) -> InvalidInput:
    kinds = " or ".join(declared.kinds)
    here = [e.id for e in entries.values() if e.id != entry.id and registry[e.uses].provides in declared.kinds]
    providers = [stage.name for stage in registry.values() if stage.provides in declared.kinds]
    advice = (
        f"add one of the stages {listing(here, limit=20)}"
        if here
        else f"add a stage that provides it: {listing(providers, limit=20) or 'none does'}"
    )
    return entry.error(f"{entry.uses!r} requires {kinds} as input {name!r}; {advice}", ("needs",))
