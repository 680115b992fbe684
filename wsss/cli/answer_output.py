"""Output of answers: their summary, and their export as image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.cli.echo import echo
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, counted

if TYPE_CHECKING:
    from wsss.data.answers.votes import Ballot
    from wsss.data.dataset import Dataset


def print_answers(
    dataset: Dataset, path: Path, split: str, names: Sequence[str], export: Path | None, as_json: bool
) -> None:
    """Print the summary of a table, or export it as image-level labels; with names, only of these classes."""
    from wsss.data.answers.annotation_session import check_known
    from wsss.data.answers.answer_rows import read_answers
    from wsss.data.answers.image_labels import write_labels
    from wsss.data.answers.votes import Ballot, summarise_votes

    answers = read_answers(path)
    ballot = Ballot(answers, path)
    images = [sample.id for sample in dataset.split(split)]
    size = None if export is None else 0
    check_known(ballot, path, images=set(images), classes=dataset.classes.foreground, size=size)
    if names:
        _require_answers(ballot, path, names)
        ballot = Ballot([answer for answer in answers if answer.name in names], path)
    if export is not None:
        written = write_labels(export, ballot, images)
        shown = {"out": str(export), **written}
        text = ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in written.items())
        print_json(shown) if as_json else echo(f"{export}: {text}")
        return
    found = summarise_votes(ballot)
    print_json(found) if as_json else _print_summary(found)


def _require_answers(ballot: Ballot, path: Path, names: Sequence[str]) -> None:
    """Reject classes without answers, which are probably misspelled: in a plain folder, any name is a class.

    Raises:
        InvalidInput: no answer is about one of them.
    """
    answered = sorted({name for _, name in ballot.questions()})
    unknown = next((name for name in names if name not in answered), None)
    if unknown is not None:
        problem = f"no answers in {path} about this class"
        raise InvalidInput(problem, subject="--about", found=unknown, allowed=answered or None)


def _print_summary(found: dict[str, Any]) -> None:
    from wsss.cli.stage_table import print_stages

    columns = ["class", "yes", "no", "ties", "skipped", "disagreements"]
    rows = [[name, *(str(counts[key]) for key in columns[1:])] for name, counts in found["classes"].items()]
    print_stages(columns, rows, status=-1)
    people = ", ".join(f"{name} {count}" for name, count in found["annotators"].items())
    echo(f"{counted(found['items'], 'tile or image', 'tiles or images')}; answered by {people or 'nobody'}")
    for item in found["disagreements"]:
        echo(f"{item['item']}, {item['class']}: yes {', '.join(item['yes'])}; no {', '.join(item['no'])}")
