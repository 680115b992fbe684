"""Mutated JSON files: a seeded stream of changes, as by a bug, an editor or an attacker."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 2**70, 0.5, -1e300),
    *("", "x", "done", "NaN", "a\0b", "\x1b[2J", "\u202etxt", "\ud800"),
    *("..", ".", "../../victim", "/nowhere/victim", "a/../../victim", "C:\\victim", "..\\victim", "a//b", "x" * 300),
    *([], {}, [None], [1, 2], ["x"], [[]], {"": 1}, {"a": None}, {"../victim": {}}, {"x": {"bytes": 0}}),
)
RAW = (
    *(b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"[" * 5000),
    *(b'{"a": NaN}', b'{"a": 1e999}', b'{"\\ud800": 1}'),
)


def mutations(document: Any, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions of changes with the changed file, endlessly."""
    rng = random.Random(seed)
    text = json.dumps(document).encode()
    while True:
        if rng.random() < 0.05:
            raw = rng.choice((*RAW, text[: rng.randrange(len(text))], text.replace(b"1", b"NaN", 1)))
            yield f"raw {raw[:20]!r}", raw
            continue
        changed = copy.deepcopy(document)
        changes = [_change(changed, rng) for _ in range(rng.choice((1, 1, 1, 2)))]
        yield "; ".join(changes), json.dumps(changed).encode()


def _change(document: Any, rng: random.Random) -> str:
    """Change one value of a document; return a description."""
    holder, key, path = document, None, ""
    while True:  # all levels are equally likely: a long list of files does not get all of the changes
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return f"nothing at {path}"
        key = rng.choice(keys)
        path += f".{key}"
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            break
        holder = inner
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
        return f"{path} deleted"
    value = copy.deepcopy(rng.choice(VALUES))
    if kind == 1 and isinstance(holder, dict):
        name = rng.choice([value for value in VALUES if isinstance(value, str)])
        holder[name] = holder.pop(key)
        return f"{path} renamed to {name!r}"
    holder[key] = value
    return f"{path} = {value!r}"
