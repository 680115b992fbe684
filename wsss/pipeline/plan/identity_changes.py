"""Differences between two identities as text, to explain why a stage re-runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wsss.errors import listing
from wsss.pipeline.plan.identity import Parts, ranks_of


def describe_changes(old: Parts, new: Parts) -> list[str]:
    """Return the differences between two identities (``"config changed: iterations 10 → 5"``)."""
    if old.get("stage") != new.get("stage"):
        return [f"stage changed: {old.get('stage')} → {new.get('stage')}"]
    reasons: list[str] = []
    if old.get("version") != new.get("version"):
        reasons.append(f"code of {new.get('stage')} changed: version {old.get('version')} → {new.get('version')}")
    changes = _config_changes(old.get("config"), new.get("config"), "")
    if changes:
        reasons.append(f"config changed: {', '.join(changes)}")
    if old.get("seed") != new.get("seed"):
        reasons.append(f"seed changed: {old.get('seed')} → {new.get('seed')}")
    if ranks_of(old) != ranks_of(new):
        reasons.append(f"number of processes (and thus the effective batch) changed: {ranks_of(old)} → {ranks_of(new)}")
    reasons += _input_changes(old.get("inputs") or {}, new.get("inputs") or {})
    reasons += _read_changes(old.get("reads") or {}, new.get("reads") or {})
    return reasons or ["identity changed"]


def _read_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    reasons = []
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            split, _, kind = key.rpartition("/")
            verb = "now read" if key not in old else "no longer read" if key not in new else "changed"
            reasons.append(f"{kind} of {split} {verb}")
    return reasons


def _input_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    reasons = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            verbs: dict[str, list[str]] = {}
            for id in dict.fromkeys([*after, *before]):
                if before.get(id) != after.get(id):
                    verb = "added" if id not in before else "left out" if id not in after else "changed"
                    verbs.setdefault(verb, []).append(id)
            reasons += [f"input {name}: {listing(ids)} {verb}" for verb, ids in verbs.items()]
        elif before != after:
            verb = "added" if not before else "left out" if not after else "changed"
            reasons.append(f"input {name} {verb}")
        elif (name in old) != (name in new):
            reasons.append(f"input {name} {'declared' if name in new else 'no longer declared'}")
    return reasons


def _config_changes(old: Any, new: Any, path: str) -> list[str]:
    if old == new and type(old) is type(new):
        return []
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return [f"{path} {_short(old)} → {_short(new)}"]
    if "sha256" in {*old, *new}:
        return [f"content of {path}"]
    changes = []
    for key in dict.fromkeys([*new, *old]):
        inner = f"{path}.{key}" if path else str(key)
        if key not in old:
            changes.append(f"{inner} added ({_short(new[key])})")
        elif key not in new:
            changes.append(f"{inner} left out (was {_short(old[key])})")
        else:
            changes += _config_changes(old[key], new[key], inner)
    return changes


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"sha256"}:
        return f"SHA-256 {str(value['sha256'])[:8]}…"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
