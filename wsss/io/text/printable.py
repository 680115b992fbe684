"""Text of others (names of files, folders, classes) for a terminal, a log or a Markdown page.

A terminal obeys what is printed: an escape sequence in a file name can clear the screen, rename the window or hide what
follows, and a bidirectional override shows a name backwards. Such characters are shown as their escapes (``\\x1b``).
"""

from __future__ import annotations

import re

# C0 and C1 controls, bidirectional marks and overrides, separators of lines, invisible joiners and tags, half pairs.
_INVISIBLE = "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
_LINES = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=www)\.")
_ENTITIES = {"<": "&lt;", "&": "&amp;", ":": "&#58;", ".": "&#46;"}


def printable(text: str) -> str:
    """Return text that only shows itself, with line breaks and tabs; other controls become escapes."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return text that only shows itself, in one line: line breaks and tabs become escapes, too."""
    return _LINES.sub(_escape, text)


def markdown(text: str) -> str:
    """Return text for a cell or a line of Markdown that shows itself: no HTML, link, emphasis, code or new column."""
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), one_line(text))


def escape_json(document: str) -> str:
    """Return a JSON document (made with ``ensure_ascii=False``) whose strings hold no unsafe character as such."""
    return _UNSAFE.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _units(found[0])), document)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[found[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[place : place + 2]) for place in range(0, len(encoded), 2)]
