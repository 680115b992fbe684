"""User-facing errors.

An error is data: its subject (a file, option, key or stage), the problem, the value found, the values allowed and a
hint. `WsssError.message` renders these fields; tests assert them. The command line prints message and hint without a
traceback and exits with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Self

from wsss.io.text.printable import one_line, printable

MAX_SHOWN = 20
"""Maximum number of failures listed."""

MAX_NAMES = 40
"""Maximum number of allowed names listed."""

LONGEST_VALUE = 80
"""Maximum length of a value in a message; longer ones are truncated."""


class Verbatim(str):
    """A value of ``found`` that is shown without quotes: ``"640×480"``, ``"a folder"``."""


class WsssError(Exception):
    """Base class of all errors that a user can cause or fix.

    Rendered as ``SUBJECT: PROBLEM; expected ALLOWED, got FOUND.`` with the hint on its own line; missing fields are
    omitted. Fields may contain untrusted text such as file and class names.

    Args:
        problem: the problem, in one or more lines; empty if ``found`` and ``allowed`` state it.
        subject: a file (with line number), option, config key or stage.
        allowed: the valid values, as a phrase (``"a number above 0"``) or as names; the closest name is suggested.
        hint: a suggested fix: a command or a change.
        errors: the errors summarised by this one; see `together`.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str = "",
        *,
        subject: object = None,
        found: object = None,
        allowed: str | Iterable[str] | None = None,
        hint: str | None = None,
        errors: Sequence[WsssError] = (),
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.subject = None if subject is None else str(subject)
        self.found = found
        self.allowed = allowed if allowed is None or isinstance(allowed, str) else tuple(allowed)
        self.hint = None if hint is None else printable(hint)
        self.errors = tuple(errors)

    @property
    def message(self) -> str:
        """The rendered error, without its hint."""
        values = [
            "" if self.allowed is None else f"expected {_choices(self.allowed)}",
            "" if self.found is None else f"got {_value(self.found)}",
        ]
        compared = ", ".join(filter(None, values)) + self._suggestion()
        text = "; ".join(filter(None, (self.problem.removesuffix(".") if compared else self.problem, compared)))
        text = text if self.subject is None else f"{self.subject}: {text}"
        return printable(text if text.endswith((".", "?", "!", ":")) else f"{text}.")

    def within(self, outer: object) -> Self:
        """Return a copy whose subject is prefixed by ``outer``, such as the enclosing file or stage."""
        subject = str(outer) if self.subject is None else f"{outer}: {self.subject}"
        return self._with(subject=subject, hint=self.hint)

    def with_hint(self, hint: str | None) -> Self:
        """Return a copy with a different hint."""
        return self._with(subject=self.subject, hint=hint)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:  # keep all fields when pickled
        return (_rebuild, (type(self), self.problem, self.subject, self.found, self.allowed, self.hint, self.errors))

    def _with(self, *, subject: str | None, hint: str | None) -> Self:
        return type(self)(
            self.problem, subject=subject, found=self.found, allowed=self.allowed, hint=hint, errors=self.errors
        )

    def _suggestion(self) -> str:
        if not isinstance(self.found, str) or self.allowed is None or isinstance(self.allowed, str):
            return ""
        return closest(self.found, self.allowed)


class RunFailed(WsssError):
    """A failure on valid input (exit code 1)."""

    exit_code = 1


class Obstructed(RunFailed):
    """An output path is occupied by something else (exit code 2: the user has to remove it)."""

    exit_code = 2


class InvalidInput(WsssError):
    """Invalid usage, config or data (exit code 2)."""

    exit_code = 2


class DamagedFile(InvalidInput):
    """A file of a finished stage was changed or corrupted afterwards.

    Unlike broken input images, such a file is never skipped: the result would look complete without being so.
    """


def _rebuild(
    kind: type[WsssError],
    problem: str,
    subject: str | None,
    found: object,
    allowed: str | Iterable[str] | None,
    hint: str | None,
    errors: Sequence[WsssError],
) -> WsssError:
    return kind(problem, subject=subject, found=found, allowed=allowed, hint=hint, errors=errors)


def _value(found: object) -> str:
    if isinstance(found, PurePath):
        return str(found)
    if isinstance(found, Verbatim):
        text = str(found)
    elif isinstance(found, list | tuple | set | frozenset):
        text = listing(found) or "nothing"
    else:
        text = repr(found)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _choices(allowed: str | Sequence[str]) -> str:
    if isinstance(allowed, str):
        return allowed
    if not allowed:
        return "nothing"
    if len(allowed) > MAX_NAMES:
        return f"one of {listing(allowed, limit=MAX_NAMES)}"
    *first, last = map(one_line, allowed)
    return f"{', '.join(first)} or {last}" if first else last


def together(errors: Sequence[WsssError], total: int, what: str, *, hint: str | None = None) -> InvalidInput:
    """Return one error that summarises the failures of several items.

    Args:
        errors: one per failed item, at least one; its subject names the item.
        total: number of all items.
        what: the items and what happened to them (``"images failed"``).
        hint: appended to the hint that the errors share.
    """
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    if len(errors) == 1:
        error = errors[0]
        return InvalidInput(
            error.problem,
            subject=error.subject,
            found=error.found,
            allowed=error.allowed,
            hint=error.hint or hint,
            errors=errors,
        )
    shown = [f"  {error.message}" for error in errors[:MAX_SHOWN]]
    more = [f"  and {len(errors) - MAX_SHOWN} more"] if len(errors) > MAX_SHOWN else []
    last = [*(hints if len(hints) == 1 else ()), *([hint] if hint else ())]
    problem = "\n".join([f"{len(errors)} of {total} {what}:", *shown, *more])
    return InvalidInput(problem, hint="\n".join(last) or None, errors=errors)


def closest(word: str, allowed: Iterable[str]) -> str:
    """Return ``'; did you mean X?'`` for the closest allowed word, or ``""`` if none is close."""
    match = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 image``, ``2 images``, ``1,234 images``.

    Args:
        plural: by default the noun with an s.
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listing(items: Iterable[object], *, limit: int = 5, total: int | None = None) -> str:
    """Return the first items joined by commas, and the number of the others.

    Args:
        limit: maximum number of items shown.
        total: number of all items, if ``items`` holds only the first of them.
    """
    words = [one_line(str(item)) for item in items]
    rest = (len(words) if total is None else total) - limit
    return ", ".join(words[:limit]) + (f" and {rest} more" if rest > 0 else "")


def unreadable(path: object, error: OSError) -> InvalidInput:
    """Return the error for a file that is missing or cannot be read."""
    missing = isinstance(error, FileNotFoundError)
    return InvalidInput("no such file" if missing else f"cannot be read ({error.strerror or error})", subject=path)
