"""Questions and answers of several people about one list of items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from wsss.data.answers.answer_log import AnswerLog
from wsss.data.answers.answer_rows import ANSWERS, Answer, Item, check_annotator
from wsss.data.answers.votes import Ballot, summarise_votes
from wsss.errors import InvalidInput, Verbatim, listing


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Progress:
    """Number of items that a person has answered or skipped, and of all items."""

    done: int
    total: int


class Interview:
    """A list of items, and the answers about them; safe to use from several threads.

    Args:
        items: the items in the order in which they are asked.
        classes: names of the classes that are asked about.
        log: the table of answers.
        now: returns the time as ISO 8601.

    Raises:
        InvalidInput: a row of the table undoes an answer that does not exist.
    """

    def __init__(
        self, items: Sequence[Item], classes: Sequence[str], log: AnswerLog, *, now: Callable[[], str] = _now
    ) -> None:
        self.items, self.classes = tuple(items), tuple(classes)
        self.ballot = Ballot(log.answers, log.path)
        self._log, self._now, self._lock = log, now, threading.Lock()
        self._index = {item: index for index, item in enumerate(self.items)}

    def upcoming(self, annotator: str, count: int) -> list[int]:
        """Return the indices of the next items that a person has not answered about all classes.

        Args:
            annotator: name of the person.
            count: maximum number of items.
        """
        with self._lock:
            pending = self._pending(annotator)
            return [index for index, _ in zip(pending, range(count), strict=False)]

    def progress(self, annotator: str) -> Progress:
        """Return how many items a person has answered or skipped."""
        with self._lock:
            return Progress(len(self.items) - sum(1 for _ in self._pending(annotator)), len(self.items))

    def answer(self, annotator: str, index: int, answers: Mapping[str, str]) -> None:
        """Save a person's answers about an item; they are on the disk when this returns.

        Equal answers about the same item are saved once, so that a request can be repeated.

        Args:
            annotator: name of the person.
            index: index of the item.
            answers: class → ``"yes"``, ``"no"`` or ``"skip"``, for all classes.

        Raises:
            InvalidInput: an invalid name, index, class or answer.
            RunFailed: the answers could not be saved.
        """
        check_annotator(annotator)
        item = self._item(index)
        if set(answers) != set(self.classes):
            raise InvalidInput(subject="classes", found=sorted(answers), allowed=f"all of {listing(self.classes)}")
        for name, answer in answers.items():
            if answer not in ANSWERS:
                raise InvalidInput("unknown answer", subject=name, found=answer, allowed=ANSWERS)
        with self._lock:
            if self.ballot.of(annotator).get(item) == dict(answers):
                return
            time = self._now()
            self._save([Answer(item, name, answers[name], annotator, time) for name in self.classes])

    def undo(self, annotator: str) -> Item | None:
        """Withdraw a person's last answers, and return their item; ``None`` if there are none.

        Raises:
            RunFailed: it could not be saved.
        """
        with self._lock:
            last = self.ballot.last(annotator)
            if last is None:
                return None
            given = [Answer(last.item, name, answer, annotator, "") for name, answer in last.answers.items()]
            time = self._now()
            self._save([replace(answer, time=time, undone=True) for answer in given])
            return last.item

    def last(self, annotator: str) -> Item | None:
        """Return the item that `undo` would withdraw a person's answers about."""
        with self._lock:
            last = self.ballot.last(annotator)
            return None if last is None else last.item

    def summary(self, limit: int | None = None) -> dict[str, Any]:
        """Return `summarise_votes` of all answers in the table, and the number of items of this interview."""
        with self._lock:
            return {"asked": len(self.items), **summarise_votes(self.ballot, limit=limit)}

    def index_of(self, item: Item) -> int | None:
        """Return the index of an item; ``None`` if it is not in the list."""
        return self._index.get(item)

    def _item(self, index: int) -> Item:
        if not 0 <= index < len(self.items):
            allowed = f"0 to {len(self.items) - 1}"
            raise InvalidInput("no such item", found=Verbatim(str(index)), allowed=allowed)
        return self.items[index]

    def _pending(self, annotator: str) -> Iterator[int]:
        given, classes = self.ballot.of(annotator), set(self.classes)
        return (index for index, item in enumerate(self.items) if not classes <= given.get(item, {}).keys())

    def _save(self, answers: Sequence[Answer]) -> None:
        self._log.append(answers)
        for answer in answers:
            self.ballot.apply(answer)


def check_known(
    answers: Sequence[Answer], where: object, *, images: Collection[str], classes: Collection[str], size: int | None
) -> None:
    """Require that answers are about known images and classes, and tiles of one size.

    Args:
        answers: rows of a table.
        where: the table, for errors.
        images: ids of the images.
        classes: names of the classes.
        size: side length of the tiles, 0 for whole images; ``None`` for the size of the first answer.

    Raises:
        InvalidInput: one error that names the unknown images, the unknown classes, or the sizes.
    """
    unknown = dict.fromkeys(answer.item.image for answer in answers if answer.item.image not in images)
    if unknown:
        raise InvalidInput(
            f"answers about {len(unknown)} unknown images: {listing(unknown)}",
            subject=where,
            hint="Use the dataset and the split that the questions were about.",
        )
    names = dict.fromkeys(answer.name for answer in answers if answer.name not in classes)
    if names:
        raise InvalidInput("unknown class", subject=where, found=next(iter(names)), allowed=classes)
    sizes = sorted({answer.item.size for answer in answers})
    if size is None:
        size = sizes[0] if sizes else 0
    if any(one != size for one in sizes):
        raise InvalidInput(
            "answers about tiles of another size",
            subject=where,
            found=[one or "whole image" for one in sizes],
            allowed=f"tiles of {size} pixels" if size else "whole images",
            hint="Keep answers about tiles of each size, and about whole images, in a file of their own.",
        )
