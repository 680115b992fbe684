"""All error messages of the package, read from its source: ``python tests/support/messages.py [--write]``.

``tests/messages.txt`` holds them, so that their wording is reviewed, and pinned, in one place; tests of behaviour
assert the fields of errors. Values that are only known when an error is raised are shown as ``{expression}``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "tests" / "messages.txt"
FIELDS = ("subject", "problem", "found", "allowed", "hint")
ERRORS = frozenset({"InvalidInput", "RunFailed", "DamagedFile", "Obstructed", "NotFinite", "together"})


def catalogue() -> str:
    """Return all messages, grouped by file, in the order of the source."""
    parts = []
    for path in sorted((ROOT / "wsss").rglob("*.py")):
        messages = list(_messages(ast.parse(path.read_text(encoding="utf-8"))))
        if messages:
            parts.append("\n\n".join([f"## {path.relative_to(ROOT).as_posix()}", *messages]))
    return "\n\n".join(parts) + "\n"


def _messages(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in ERRORS:
            fields = _fields(node)
            yield "\n".join(f"{field}: {fields[field]}" for field in FIELDS if field in fields)


def _fields(call: ast.Call) -> dict[str, str]:
    positional = call.args[2] if _name(call.func) == "together" else next(iter(call.args), None)
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    given |= {"problem": positional} if positional is not None else {}
    return {name: _text(value) for name, value in given.items()}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(value: ast.expr) -> str:
    """Return the text of a literal as it is read; what has to be computed is shown in braces."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(_text(part) for part in value.values)
    if isinstance(value, ast.FormattedValue):
        return "{" + ast.unparse(value.value) + "}"
    return "{" + ast.unparse(value) + "}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        CATALOGUE.write_text(catalogue(), encoding="utf-8")
    else:
        sys.stdout.write(catalogue())
