"""Errors that are shown to people.

Every message names the thing, what was found and what is allowed; ``hint`` names the command or the change that
repairs it. The command line prints both without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from wsss.io.text.printable import one_line, printable


class WsssError(Exception):
    """Base of all errors a user can cause or repair.

    Args:
        message: one or more lines: the thing, what was found, what is allowed.
        hint: the command or the change that repairs it, if there is one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = printable(message)  # which may quote names of files and classes: text of others
        self.hint = None if hint is None else printable(hint)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:  # keeps ``hint`` when an error crosses a process pool
        return (_rebuild, (type(self), self.message, self.hint))


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


def _rebuild(kind: type[WsssError], message: str, hint: str | None) -> WsssError:
    return kind(message, hint=hint)


MOST_SHOWN = 20
"""Maximum number of failures that one error lists."""


def together(errors: Sequence[WsssError], total: int, what: str, *, hint: str | None = None) -> InvalidInput:
    """Return one error for all items that failed.

    Args:
        errors: one per item, at least one; its message names the item.
        total: number of items, those that succeeded included.
        what: what the items are, and what happened to them (``"images failed"``).
        hint: what to do about it, beside the hint that the errors share.
    """
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    if len(errors) == 1:
        return InvalidInput(errors[0].message, hint=hints[0] if hints else hint)
    shown = [f"  {error.message}" for error in errors[:MOST_SHOWN]]
    more = [f"  and {len(errors) - MOST_SHOWN} more"] if len(errors) > MOST_SHOWN else []
    last = [*(hints if len(hints) == 1 else ()), *([hint] if hint else ())]
    return InvalidInput("\n".join([f"{len(errors)} of {total} {what}:", *shown, *more]), hint="\n".join(last) or None)


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
