"""Questions and answers of several people about one list of items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wsss.data.answers.answer_log import AnswerLog
from wsss.data.answers.answer_rows import ANSWERS, Answer, Item, check_annotator
from wsss.data.answers.votes import AnswerGroup, Ballot, summarise_votes
from wsss.errors import InvalidInput, Verbatim, counted, listing


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Progress:
    """Number of items that a person has answered or skipped, and of all items."""

    done: int
    total: int


@dataclass(frozen=True)
class LastAnswers:
    """The answers that a person can withdraw.

    Args:
        index: index of the item in the session.
        item: the item.
        time: time of the answers, which distinguishes them from earlier and later ones.
    """

    index: int
    item: Item
    time: str


class AnnotationSession:
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

    def is_answered(self, annotator: str, index: int) -> bool:
        """Return whether a person has answered about all classes of an item, or skipped it."""
        with self._lock:
            return set(self.classes) <= self.ballot.of(annotator).get(self._item(index), {}).keys()

    def answer(self, annotator: str, index: int, answers: Mapping[str, str]) -> None:
        """Save a person's answers about an item; they have been written to disk when this returns.

        Identical answers about the same item are saved once, so that a request can be repeated.

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
            current = self.ballot.of(annotator).get(item, {})
            if {name: current.get(name) for name in self.classes} == dict(answers):
                return
            time = self._now()
            self._save([Answer(item, name, answers[name], annotator, time) for name in self.classes])

    def undo(self, annotator: str, index: int, time: str) -> bool:
        """Withdraw a person's answers about an item, as returned by `last`; a repeated request has no further effect.

        Args:
            annotator: name of the person.
            index: index of the item.
            time: time of the answers. Nothing is withdrawn if there are newer ones about the item.

        Returns:
            Whether they were withdrawn by this call.

        Raises:
            InvalidInput: an invalid index.
            RunFailed: it could not be saved.
        """
        item = self._item(index)
        with self._lock:
            last = next((group for group in self._own(annotator) if group.item == item), None)
            if last is None or last.time != time:
                return False
            now, names = self._now(), [name for name in self.classes if name in last.answers]
            self._save([Answer(item, name, last.answers[name], annotator, now, undone=True) for name in names])
            return True

    def last(self, annotator: str) -> LastAnswers | None:
        """Return a person's last answers about the items and classes of this session."""
        with self._lock:
            last = next(self._own(annotator), None)
            return None if last is None else LastAnswers(self._index[last.item], last.item, last.time)

    def summary(self, limit: int | None = None) -> dict[str, Any]:
        """Return `summarise_votes` of all answers in the table, and the number of items of this session."""
        with self._lock:
            return {"asked": len(self.items), **summarise_votes(self.ballot, limit=limit)}

    def _own(self, annotator: str) -> Iterator[AnswerGroup]:
        """Yield a person's answers about the items and classes of this session, the last first."""
        for group in reversed(self.ballot.history(annotator)):
            if group.item in self._index and not group.answers.keys().isdisjoint(self.classes):
                yield group

    def _item(self, index: int) -> Item:
        if not 0 <= index < len(self.items):
            allowed = f"0 to {len(self.items) - 1}"
            raise InvalidInput("no such item", found=Verbatim(str(index)), allowed=allowed)
        return self.items[index]

    def _pending(self, annotator: str) -> Iterator[int]:
        answers, classes = self.ballot.of(annotator), set(self.classes)
        return (index for index, item in enumerate(self.items) if not classes <= answers.get(item, {}).keys())

    def _save(self, answers: Sequence[Answer]) -> None:
        self._log.append(answers)
        for answer in answers:
            self.ballot.apply(answer)


def _questions_of(size: int) -> str:
    return f"tiles of {counted(size, 'pixel')}" if size else "whole images"


def check_known(
    ballot: Ballot, where: object, *, images: Collection[str], classes: Collection[str], size: int | None
) -> None:
    """Require that all current answers are about known images and classes, and tiles of one size.

    Args:
        ballot: the answers; those that are undone are not checked.
        where: the table, for errors.
        images: ids of the images.
        classes: names of the classes.
        size: side length of the tiles, 0 for whole images; ``None`` for the size of the first answer.

    Raises:
        InvalidInput: one error that names the unknown images, the unknown classes, or the sizes.
    """
    asked = ballot.questions()
    unknown = dict.fromkeys(item.image for item, _ in asked if item.image not in images)
    if unknown:
        raise InvalidInput(
            f"answers about {len(unknown)} unknown images: {listing(unknown)}",
            subject=where,
            hint="Use the dataset and the split that the questions were about. If you have deleted these images, also "
            "delete their lines in the table.",
        )
    names = dict.fromkeys(name for _, name in asked if name not in classes)
    if names:
        raise InvalidInput("unknown class", subject=where, found=next(iter(names)), allowed=classes)
    sizes = sorted({item.size for item, _ in asked})
    if size is None:
        size = sizes[0] if sizes else 0
    if any(other != size for other in sizes):
        raise InvalidInput(
            "answers about tiles of a different size",
            subject=where,
            found=Verbatim(listing(map(_questions_of, sizes))),
            allowed=_questions_of(size),
            hint="Use a separate file for each tile size, and another one for whole images.",
        )
