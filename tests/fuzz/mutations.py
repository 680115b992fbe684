"""Odd versions of JSON files: a seeded stream of changes that a bug, an editor or an attacker could make."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        3,
        2**70,
        0.5,
        -1e300,
        "",
        "x",
        "done",
        "NaN",
        "a\0b",
        "\x1b[2J",
        "\u202etxt",
        "\ud800",
    ),
    *("..", ".", "../../victim", "/nowhere/victim", "a/../../victim", "C:\\victim", "..\\victim", "a//b", "x" * 300),
    *([], {}, [None], [1, 2], ["x"], [[]], {"": 1}, {"a": None}, {"../victim": {}}, {"x": {"bytes": 0}}),
)
RAW = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"x"',
    b"\xff\xfe",
    b"[" * 5000,
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"\\ud800": 1}',
)


def mutations(document: Any, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield what was changed and the changed file, without end."""
    generator = random.Random(seed)
    text = json.dumps(document).encode()
    while True:
        if generator.random() < 0.05:
            raw = generator.choice((*RAW, text[: generator.randrange(len(text))], text.replace(b"1", b"NaN", 1)))
            yield f"raw {raw[:20]!r}", raw
            continue
        changed = copy.deepcopy(document)
        told = [_change(changed, generator) for _ in range(generator.choice((1, 1, 1, 2)))]
        yield "; ".join(told), json.dumps(changed).encode()


def _change(document: Any, generator: random.Random) -> str:
    """Change one place of a document; return which, and how."""
    holder, key, path = document, None, ""
    while True:  # every level is as likely to be hit, so that a long list of files doesn't get all of the changes
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return f"nothing at {path}"
        key = generator.choice(keys)
        path += f".{key}"
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or generator.random() < 0.3:
            break
        holder = inner
    kind = generator.randrange(8)
    if kind == 0:
        del holder[key]
        return f"{path} deleted"
    value = copy.deepcopy(generator.choice(VALUES))
    if kind == 1 and isinstance(holder, dict):
        name = generator.choice([value for value in VALUES if isinstance(value, str)])
        holder[name] = holder.pop(key)
        return f"{path} renamed to {name!r}"
    holder[key] = value
    return f"{path} = {value!r}"
