"""Several errors raised as one, so that a user can correct all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsss.errors import InvalidInput


def raise_all(problems: Sequence[InvalidInput], *, hints: Iterable[str] = (), limit: int | None = None) -> None:
    """Raise one error for all problems, one line each without repetitions; return if there are none.

    Args:
        problems: the errors; a single one is raised unchanged, except for its hint.
        hints: hints in addition to theirs.
        limit: maximum number of problems listed.

    Raises:
        InvalidInput: its field ``errors`` holds the problems.
    """
    if not problems:
        return
    hint = "\n".join(dict.fromkeys([*(problem.hint for problem in problems if problem.hint), *hints])) or None
    lines = list(dict.fromkeys(problem.message for problem in problems))
    if len(lines) == 1:
        raise problems[0].with_hint(hint)
    shown = lines[:limit]
    more = [f"and {len(lines) - len(shown)} more"] if len(shown) < len(lines) else []
    raise InvalidInput("\n".join([*shown, *more]), hint=hint, errors=problems)
