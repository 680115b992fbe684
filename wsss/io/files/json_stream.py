"""Reading of a large JSON object element by element, with bounded memory and the byte offset of each element."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wsss.errors import InvalidInput, Verbatim, listing, unreadable
from wsss.io.files.contained import open_to_read

CHUNK = 1 << 22
"""Bytes read at a time."""

MAX_ELEMENT = 1 << 26
"""Maximum size in bytes of one element; the largest annotation of COCO has less than 100 kB."""

CUT = 16
"""Errors within this many characters of the end of the text in memory may be due to the cut: ``-Infin``, ``\\ud8``."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NESTING = re.compile(r'["\[\]{}]')
_QUOTED = re.compile(r'["\\]')
_MARK = "\xef\xbb\xbf"


class Element(NamedTuple):
    """An element of a list, or a whole value.

    Args:
        at: offset of its first byte in the file.
        length: number of its bytes.
    """

    value: Any
    at: int
    length: int


def stream_lists(path: Path, keys: Collection[str]) -> Iterator[tuple[str, int, Element]]:
    """Yield the elements of some lists of a JSON object in the order of the file; its other keys are skipped.

    Skipped values, which may have any size, are only searched for their end, not validated.

    Args:
        path: a file (UTF-8) that contains one object.
        keys: keys of the object whose values are lists.

    Yields:
        key, index in its list, element.

    Raises:
        InvalidInput: missing, empty, not JSON, not an object, or an element larger than `MAX_ELEMENT`; a key is
            missing, a duplicate, or not a list.
    """
    try:
        file = open_to_read(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        yield from _lists(_Scanner(file, path), path, keys)


def _lists(scanner: _Scanner, path: Path, keys: Collection[str]) -> Iterator[tuple[str, int, Element]]:
    seen: set[str] = set()
    if not scanner.peek():
        raise InvalidInput("empty file", subject=path, allowed="a JSON object")
    if scanner.peek() != "{":
        raise InvalidInput(subject=path, found=Verbatim("another value"), allowed="a JSON object")
    for key in scanner.members():
        if key not in keys:
            scanner.skip()
            continue
        if key in seen:
            raise InvalidInput(f"duplicate key {key!r}", subject=path)
        seen.add(key)
        if scanner.peek() != "[":
            raise InvalidInput(subject=f"{path}: {key}", found=Verbatim("another value"), allowed="a list")
        for index, element in enumerate(scanner.elements(key)):
            yield key, index, element
    scanner.end()
    missing = [key for key in keys if key not in seen]
    if missing:
        raise InvalidInput(f"missing keys: {listing(missing)}", subject=path, allowed=f"the keys {', '.join(keys)}")


class _Scanner:
    """A position in a JSON file, of which only the text around it is in memory.

    Bytes are read as Latin-1, so that positions are byte offsets; elements that are not ASCII are decoded again.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._text, self._at, self._start, self._ended = "", 0, 0, False
        self._decoder = json.JSONDecoder(parse_constant=_refuse)
        self._more(CHUNK)
        if self._text.startswith(_MARK):
            self._at = len(_MARK)

    def peek(self) -> str:
        """Return the next character that is not white space, without consuming it; empty at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more(CHUNK)

    def members(self) -> Iterator[str]:
        """Consume an object, and yield each key when its value is next."""
        for _ in self._items("{", "}"):
            key = self.value().value
            if not isinstance(key, str):
                raise self._error("expected a key", self._at)
            self._take(":")
            yield key

    def elements(self, key: str) -> Iterator[Element]:
        """Consume a list, and yield its elements; ``key`` names it in errors."""
        for index, _ in enumerate(self._items("[", "]")):
            yield self.value(f"{key}[{index}]")

    def value(self, where: str = "") -> Element:
        """Consume a value; ``where`` names it in errors.

        Raises:
            InvalidInput: it is invalid, or has more than `MAX_ELEMENT` bytes.
        """
        self.peek()
        size = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                if len(self._text) - end > 2 or self._ended:  # otherwise a number may continue: 1 of 1.5, 1e-3
                    break
            except json.JSONDecodeError as error:
                cut = error.pos > len(self._text) - CUT or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    raise self._error(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:  # constants, very long numbers, thousands of levels
                reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise self._error(reason, self._at) from error
            if len(self._text) - self._at > MAX_ELEMENT:
                raise self._too_large(where)
            self._more(size)
            size = min(2 * size, MAX_ELEMENT)
        if end - self._at > MAX_ELEMENT:
            raise self._too_large(where)
        if not self._text.isascii():
            value = self._decoded(self._text[self._at : end], value)
        element = Element(value, self._start + self._at, end - self._at)
        self._at = end
        return element

    def skip(self) -> None:
        """Consume a value without parsing it, unless it is a number or a constant."""
        if self.peek() not in ("[", "{", '"'):
            self.value()
            return
        depth, quoted = 0, False
        while True:
            found = (_QUOTED if quoted else _NESTING).search(self._text, self._at)
            at = found.start() if found else len(self._text)
            if at > len(self._text) - 2 and not self._ended:  # a backslash needs the next character
                self._at = at
                self._more(CHUNK)
                continue
            if found is None:
                raise self._error("the file ends in a value", self._at)
            self._at = at + 1
            if found[0] == "\\":
                self._at += 1
            elif found[0] == '"':
                quoted = not quoted
            else:
                depth += 1 if found[0] in "[{" else -1
            if depth == 0 and not quoted:
                return

    def end(self) -> None:
        """Require the end of the file."""
        if self.peek():
            raise self._error("extra data", self._at)

    def _items(self, first: str, last: str) -> Iterator[None]:
        self._take(first)
        if self.peek() == last:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == last:
                self._at += 1
                return
            self._take(",")

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise self._error(f"expected {character!r}", self._at)
        self._at += 1

    def _more(self, size: int) -> None:
        """Read the next bytes, and drop those before the position."""
        part = self._file.read(size)
        self._ended = not part
        self._start += self._at
        self._text, self._at = self._text[self._at :] + part.decode("latin-1"), 0

    def _decoded(self, text: str, value: Any) -> Any:
        if text.isascii():
            return value
        try:
            return self._decoder.decode(text.encode("latin-1").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise self._error("not UTF-8", self._at) from error

    def _too_large(self, where: str) -> InvalidInput:
        return InvalidInput(
            f"an element of more than {MAX_ELEMENT >> 20} MiB (byte {self._start + self._at:,})",
            subject=f"{self._path}: {where}" if where else self._path,
        )

    def _error(self, reason: str, position: int) -> InvalidInput:
        return InvalidInput(f"not valid JSON ({reason}, byte {self._start + position:,})", subject=self._path)


def _refuse(constant: str) -> float:
    raise ValueError(f"expected a finite number, got {constant}")
