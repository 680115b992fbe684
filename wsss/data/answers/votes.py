"""Current answers of each person, and majority votes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsss.data.answers.answer_rows import NO, SKIP, YES, Answer, Item
from wsss.errors import InvalidInput


@dataclass
class AnswerGroup:
    """A person's answers about one item, saved together: class → answer."""

    item: Item
    time: str
    answers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Votes:
    """The people who answered yes, answered no, or skipped the question about a class in an item."""

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    @property
    def disagree(self) -> bool:
        """Whether some people answered yes and others no."""
        return bool(self.yes and self.no)

    def majority(self) -> bool | None:
        """Return the majority answer; ``None`` for a tie or without answers."""
        return None if len(self.yes) == len(self.no) else len(self.yes) > len(self.no)


class Ballot:
    """The current answers in a table, after all corrections.

    A later answer of the same person about the same item and class replaces an earlier one; undoing it restores the
    earlier one.

    Args:
        answers: rows of the table, in order.

    Raises:
        InvalidInput: a row undoes an answer that does not exist.
    """

    def __init__(self, answers: Iterable[Answer] = (), where: object = "answers") -> None:
        self._where = where
        self._history: dict[str, list[AnswerGroup]] = defaultdict(list)
        self._current: dict[str, dict[Item, dict[str, str]]] = defaultdict(dict)
        for answer in answers:
            self.apply(answer)

    def apply(self, answer: Answer) -> None:
        """Apply the next row.

        Raises:
            InvalidInput: see the class.
        """
        if answer.undone:
            self._undo(answer)
            return
        history = self._history[answer.annotator]
        if not history or (history[-1].item, history[-1].time) != (answer.item, answer.time):
            history.append(AnswerGroup(answer.item, answer.time))
        history[-1].answers[answer.name] = answer.answer
        self._current[answer.annotator].setdefault(answer.item, {})[answer.name] = answer.answer

    def _undo(self, answer: Answer) -> None:
        history = self._history.get(answer.annotator, [])
        last = next((g for g in reversed(history) if g.item == answer.item and answer.name in g.answers), None)
        if last is None or last.answers[answer.name] != answer.answer:
            raise InvalidInput(
                f"undoes an answer that does not exist: {answer.annotator}, {answer.item.id}, {answer.name}",
                subject=self._where,
                hint="Delete this line of the table if you have deleted the line that it undoes.",
            )
        del last.answers[answer.name]
        if not last.answers:
            history[:] = [group for group in history if group is not last]
        remaining: dict[str, str] = {}
        for group in history:
            if group.item == answer.item:
                remaining |= group.answers
        current = self._current[answer.annotator]
        current[answer.item] = remaining
        if not remaining:
            del current[answer.item]

    def history(self, annotator: str) -> Sequence[AnswerGroup]:
        """Return a person's answers that are not undone, in order."""
        return self._history.get(annotator, [])

    def questions(self) -> list[tuple[Item, str]]:
        """Return the items and classes about which there are current answers, each pair once."""
        items = (pair for by_item in self._current.values() for pair in by_item.items())
        return list(dict.fromkeys((item, name) for item, answers in items for name in answers))

    def of(self, annotator: str) -> Mapping[Item, Mapping[str, str]]:
        """Return a person's current answers: item → class → answer."""
        return self._current.get(annotator, {})

    def annotators(self) -> list[str]:
        """Return the names of all people with current answers, sorted."""
        return sorted(name for name, current in self._current.items() if current)

    def votes(self) -> dict[Item, dict[str, Votes]]:
        """Return the votes: item → class → people."""
        people: dict[Item, dict[str, dict[str, list[str]]]] = {}
        for name in self.annotators():
            for item, answers in self._current[name].items():
                for of_class, answer in answers.items():
                    people.setdefault(item, {}).setdefault(of_class, defaultdict(list))[answer].append(name)
        return {
            item: {
                of_class: Votes(tuple(names[YES]), tuple(names[NO]), tuple(names[SKIP]))
                for of_class, names in classes.items()
            }
            for item, classes in people.items()
        }


def summarise_votes(ballot: Ballot, *, limit: int | None = None) -> dict[str, Any]:
    """Return counts per class and person, and the items on which people disagree, as JSON values.

    Args:
        limit: maximum number of disagreements listed.
    """
    votes = ballot.votes()
    classes: dict[str, dict[str, int]] = {}
    disagreements = []
    for item, of_item in sorted(votes.items()):
        for name, vote in sorted(of_item.items()):
            counts = classes.setdefault(name, dict.fromkeys(("yes", "no", "ties", "skipped", "disagreements"), 0))
            decided = vote.majority()
            tied = "ties" if vote.disagree else "skipped"
            counts[tied if decided is None else YES if decided else NO] += 1
            counts["disagreements"] += vote.disagree
            if vote.disagree:
                disagreements.append({"item": item.id, "class": name, "yes": list(vote.yes), "no": list(vote.no)})
    return {
        "items": len(votes),
        "classes": dict(sorted(classes.items())),
        "annotators": {name: len(ballot.of(name)) for name in ballot.annotators()},
        "disagreements": disagreements[:limit],
    }
