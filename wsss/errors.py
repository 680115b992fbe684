"""Errors that are shown to people.

An error is data: the subject (a file, an option, a key, a stage), the problem, what was found, what is allowed, and a
hint that fixes it. `WsssError.message` renders them, the same way for all; tests assert the fields. The command line
prints the message and the hint without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Self

from wsss.io.text.printable import one_line, printable

MOST_SHOWN = 20
"""Maximum number of failures that one error lists."""

MOST_NAMES = 40
"""Maximum number of allowed names that one error lists."""

LONGEST_VALUE = 80
"""Longer values are cut in messages."""


class WsssError(Exception):
    """Base of all errors a user can cause or fix.

    Rendered as ``SUBJECT: PROBLEM; expected ALLOWED, got FOUND.`` and the hint on a line of its own; the parts that
    are not given are left out. Text of others (names of files, classes) may stand in any part.

    Args:
        problem: the problem, one or more lines; may be empty where found and allowed say it all.
        subject: what has the problem: a file (with line), an option, a config key, a stage.
        found: the value found.
        allowed: the valid values: a phrase (``"a number above 0"``), or names; the closest one is suggested.
        hint: the command or the change that fixes it.
        errors: the errors that this one sums up; see `together`.
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
        """The error as text, without its hint."""
        values = [
            "" if self.allowed is None else f"expected {_choices(self.allowed)}",
            "" if self.found is None else f"got {_value(self.found)}",
        ]
        compared = ", ".join(filter(None, values)) + self._suggestion()
        text = "; ".join(filter(None, (self.problem.removesuffix(".") if compared else self.problem, compared)))
        text = text if self.subject is None else f"{self.subject}: {text}"
        return printable(text if text.endswith((".", "?", "!", ":")) else f"{text}.")

    def within(self, outer: object, *, hint: str | None = None) -> Self:
        """Return the same error with a place before its subject: the stage or the file in which it was found.

        Args:
            outer: the place.
            hint: a hint, where the error has none.
        """
        subject = str(outer) if self.subject is None else f"{outer}: {self.subject}"
        return self._with(subject=subject, hint=self.hint or hint)

    def with_hint(self, hint: str | None) -> Self:
        """Return the same error with another hint."""
        return self._with(subject=self.subject, hint=hint)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:  # keeps the fields when an error crosses a process pool
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
    """Something went wrong while working on valid input (exit code 1)."""

    exit_code = 1


class Obstructed(RunFailed):
    """Something else is where a file or a folder is to be written (exit code 2: it is the user's to delete)."""

    exit_code = 2


class InvalidInput(WsssError):
    """Wrong usage, a wrong config or broken data (exit code 2)."""

    exit_code = 2


class DamagedFile(InvalidInput):
    """A file of a finished stage isn't what the stage wrote: its bytes have changed since.

    Where a broken photograph may be left out, this may not: what is made of the rest would be taken for whole.
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
    text = listing(found) if isinstance(found, list | tuple | set | frozenset) else repr(found)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _choices(allowed: str | Sequence[str]) -> str:
    if isinstance(allowed, str):
        return allowed
    if not allowed:
        return "nothing"
    if len(allowed) > MOST_NAMES:
        return f"one of {listing(allowed, limit=MOST_NAMES)}"
    *first, last = map(one_line, allowed)
    return f"{', '.join(first)} or {last}" if first else last


def together(errors: Sequence[WsssError], total: int, what: str, *, hint: str | None = None) -> InvalidInput:
    """Return one error for all items that failed; its field ``errors`` holds theirs.

    Args:
        errors: one per item, at least one; its subject names the item.
        total: number of items, those that succeeded included.
        what: the items, and what happened to them (``"images failed"``).
        hint: a hint, beside the one that the errors share.
    """
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    if len(errors) == 1:
        one = errors[0]
        return InvalidInput(
            one.problem,
            subject=one.subject,
            found=one.found,
            allowed=one.allowed,
            hint=hints[0] if hints else hint,
            errors=errors,
        )
    shown = [f"  {error.message}" for error in errors[:MOST_SHOWN]]
    more = [f"  and {len(errors) - MOST_SHOWN} more"] if len(errors) > MOST_SHOWN else []
    last = [*(hints if len(hints) == 1 else ()), *([hint] if hint else ())]
    problem = "\n".join([f"{len(errors)} of {total} {what}:", *shown, *more])
    return InvalidInput(problem, hint="\n".join(last) or None, errors=errors)


def closest(found: str, allowed: Iterable[str]) -> str:
    """Return ``'; did you mean X?'`` for the closest allowed word, or an empty string when none is close."""
    match = difflib.get_close_matches(found, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 image``, ``2 images``, ``1,234 images``.

    Args:
        count: the number.
        one: the noun.
        many: its plural, where it is more than an added s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listing(items: Iterable[object], *, limit: int = 5, total: int | None = None) -> str:
    """Return the first ``limit`` items joined by commas, and a count of the rest.

    Args:
        items: what to list.
        limit: items shown, at most.
        total: number of items, where ``items`` are only the first of them.
    """
    words = [one_line(str(item)) for item in items]
    rest = (len(words) if total is None else total) - limit
    return ", ".join(words[:limit]) + (f" and {rest} more" if rest > 0 else "")
