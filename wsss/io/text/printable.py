"""Untrusted text (names of files, folders, classes) for terminals, logs and Markdown pages.

An escape sequence in a file name can clear the screen, rename the window or hide text; a bidirectional override can
reverse a name. Such characters are replaced by visible escapes (``\\x1b``).
"""

from __future__ import annotations

import re

# C0 and C1 controls, bidirectional marks and overrides, line separators, invisible joiners and tags, half surrogates.
_INVISIBLE = "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
_LINES = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=www)\.")
_ENTITIES = {"<": "&lt;", "&": "&amp;", ":": "&#58;", ".": "&#46;"}


def printable(text: str) -> str:
    """Escape control characters, except line breaks and tabs."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Escape all control characters, including line breaks and tabs."""
    return _LINES.sub(_escape, text)


def markdown(text: str) -> str:
    """Escape text for a line or table cell of Markdown."""
    return _MARKDOWN.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(text))


def escape_json(document: str) -> str:
    """Escape unsafe characters in a JSON document written with ``ensure_ascii=False``."""
    return _UNSAFE.sub(lambda match: "".join(f"\\u{unit:04x}" for unit in _utf16_units(match[0])), document)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[match[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _utf16_units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[start : start + 2]) for start in range(0, len(encoded), 2)]
