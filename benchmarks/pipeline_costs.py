"""What the stages cost, as rows of a table; see `pipeline`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline_peers import PEERS
from pipeline_versions import Usage

COLUMNS = (
    "stage",
    "before",
    "after",
    "before / after",
    "floor",
    "after / floor",
    "peer",
    "peer / after",
    "wall before / after",
    "start-up",
    "equal files",
)
ABSENT = "–"


@dataclass
class Costs:
    """Usage of one stage by one contestant, per round.

    Args:
        images: number of images of the small subset, and the difference to the large one.
    """

    images: tuple[int, int]
    few: list[Usage] = field(default_factory=list)
    many: list[Usage] = field(default_factory=list)

    def per_image(self, kind: str = "cpu") -> list[float]:
        """Return seconds per image, the slope between few and many images, of every round."""
        pairs = zip(self.few, self.many, strict=True)
        return [(getattr(many, kind) - getattr(few, kind)) / self.images[1] for few, many in pairs]

    def start_up(self) -> float:
        """Return the median CPU seconds at zero images."""
        pairs = zip(self.few, self.per_image(), strict=True)
        return statistics.median(few.cpu - self.images[0] * slope for few, slope in pairs)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """Return the median of the rounds' ratios, with minimum and maximum; not if a slope is lost in noise."""
    if min(*numerators, *denominators) <= 0:
        return "noise"
    ratios = [one / other for one, other in zip(numerators, denominators, strict=True)]
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(ratios):.2f}{spread}"


def row(stage: str, costs: dict[str, Costs], files: dict[str, list[str]] | None) -> tuple[str, ...]:
    """Return the cells of a stage.

    Args:
        stage: its name.
        costs: by contestant: ``after``, ``floor``, and, if they exist, ``before`` and ``peer``.
        files: comparison of the results before and after.
    """
    slopes = {name: cost.per_image() for name, cost in costs.items()}
    seconds = {name: f"{statistics.median(slope):.4f}" for name, slope in slopes.items()}
    starts = [f"{costs[name].start_up():.1f}" for name in ("before", "after") if name in costs]
    peer = f"{PEERS[stage][0]}: {seconds.get('peer', 'not installed')}" if stage in PEERS else ABSENT

    def compared(first: str, second: str, kind: str = "cpu") -> str:
        if first not in costs or second not in costs:
            return ABSENT
        return ratio(costs[first].per_image(kind), costs[second].per_image(kind))

    return (
        stage,
        seconds.get("before", ABSENT),
        seconds["after"],
        compared("before", "after"),
        seconds["floor"],
        compared("after", "floor"),
        peer,
        compared("peer", "after"),
        compared("before", "after", "wall"),
        " → ".join(starts),
        f"{len(files['equal'])} of {sum(map(len, files.values()))}" if files else ABSENT,
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
