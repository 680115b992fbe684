"""The result of an integrity check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wsss.data.checks.inspection import Inspection
from wsss.errors import listing

MAX_LISTED = 100
"""Maximum number of examples per finding; its count is complete."""


@dataclass(frozen=True)
class Finding:
    """All problems or notes of one kind.

    Args:
        kind: description, for example ``"unreadable images"``.
        count: number of occurrences.
        examples: messages that name files or ids, at most `MAX_LISTED`.
    """

    kind: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SplitCounts:
    """Statistics of a split.

    Args:
        images, labelled, masked: numbers of images.
        class_images: class name → number of images with this label.
        class_pixels: name (background, classes, and `wsss.io.rasters.label_masks.ignored_name` for 255) → fraction of
            all mask pixels; ``None`` without masks.
    """

    images: int
    labelled: int
    masked: int
    class_images: dict[str, int]
    class_pixels: dict[str, float] | None


Sizes = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Args:
        sizes: the smallest and the largest (height, width) by area.
        copies: groups of ids whose images have the same bytes; unlike the examples of findings, all of them.
    """

    name: str
    root: str
    classes: tuple[str, ...]
    splits: dict[str, SplitCounts]
    sizes: Sizes | None
    problems: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "name": self.name,
            "root": self.root,
            "ok": not self.problems,
            "classes": list(self.classes),
            "splits": {name: vars(counts) for name, counts in self.splits.items()},
            "sizes": self.sizes and {"smallest": list(self.sizes[0]), "largest": list(self.sizes[1])},
            "problems": [{**vars(finding), "examples": list(finding.examples)} for finding in self.problems],
            "notes": [{**vars(finding), "examples": list(finding.examples)} for finding in self.notes],
            "copies": [list(group) for group in self.copies],
        }


@dataclass
class Collector:
    """Messages by kind, in order of first appearance and without duplicates."""

    messages: dict[str, dict[str, None]] = field(default_factory=dict)

    def listed(self, *, besides: str = "") -> str:
        """Return a line per kind or sentence, for the end of an error; without `hint`, and without one kind."""
        lines = []
        for kind, messages in self.messages.items():
            firsts = [message.partition("\n")[0] for message in messages]
            if kind != besides and firsts[0].endswith("."):
                rest = [f"… and {len(firsts) - 3} more"] if len(firsts) > 3 else []
                lines += [f"\n  {kind}:", *(f"\n    {line}" for line in (*firsts[:3], *rest))]
            elif kind != besides:
                lines.append(f"\n  {kind}: {listing(firsts, limit=3)}")
        return "".join(lines)

    @property
    def hint(self) -> str | None:
        """The most frequent hint of the messages: what follows the first line of one."""
        hints = Counter(message.partition("\n")[2] for messages in self.messages.values() for message in messages)
        return next((hint for hint, _ in hints.most_common() if hint), None)

    def add(self, kind: str, *messages: str) -> None:
        """Add messages of one kind."""
        if messages:
            self.messages.setdefault(kind, {}).update(dict.fromkeys(messages))

    def findings(self) -> tuple[Finding, ...]:
        """Return one finding per kind."""
        return tuple(
            Finding(kind, len(messages), tuple(islice(messages, MAX_LISTED)))
            for kind, messages in self.messages.items()
        )


@dataclass
class Collected:
    """Problems, which make a dataset unusable, notes, which do not, and the groups of equal images."""

    problems: Collector = field(default_factory=Collector)
    notes: Collector = field(default_factory=Collector)
    copies: list[tuple[str, ...]] = field(default_factory=list)

    def add_inspections(self, inspections: Iterable[Inspection]) -> None:
        """Add the problems and notes of inspected samples."""
        for inspection in inspections:
            for kind, message in inspection.problems:
                self.problems.add(kind, message)
            for kind, message in inspection.notes:
                self.notes.add(kind, message)


def extreme_sizes(inspections: Iterable[Inspection]) -> Sizes | None:
    """Return the smallest and the largest image size by area; ``None`` without readable images."""
    sizes = sorted(
        (inspection.size for inspection in inspections if inspection.size), key=lambda size: size[0] * size[1]
    )
    return (sizes[0], sizes[-1]) if sizes else None
