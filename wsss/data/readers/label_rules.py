"""Rules that every reader of image-level labels shares: usual keys and columns, and words that are not classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from wsss.errors import InvalidInput

IMAGE_KEYS = (
    *("image", "image_id", "img", "file", "file_name", "filepath", "path", "image_path", "image_file"),
    *("image_name", "image_index", "img_path", "img_id", "img_name", "picture", "photo", "name", "id"),
)
"""Keys and columns that name the image, the likeliest first; compared by `plain`."""

ONE_LABEL = ("label", "class", "category", "tag", "target", "choice", "label_name", "class_name", "category_name")
ALL_LABELS = ("labels", "classes", "categories", "tags", "targets", "choices")
LABEL_KEYS = tuple(key for pair in zip(ALL_LABELS, ONE_LABEL, strict=False) for key in pair) + ONE_LABEL[6:]
SPLIT_KEYS = ("split", "set", "subset", "dataset_split", "fold_name")
VALIDATION_FLAGS = ("is_valid", "is_val", "is_validation")
"""Columns of true and false, as fastai writes them: true is the split val, false is train."""

BOX_KEYS = ("x_min", "y_min", "x_max", "y_max", "x1", "y1", "bbox", "bbox_x", "encoded_pixels", "segmentation")
"""Columns of a table that has a row per object."""

CONFIDENCE_KEYS = ("confidence", "score", "probability", "prob", "conf")
PRESENT_KEYS = (
    *("present", "is_present", "presence", "exists", "value", "answer", "state", "status", "polarity"),
    *("positive", "is_positive", "has_label", "applies", "contains", "visible", "is_visible"),
)
"""Columns that say whether the class that stands beside them is present."""

ABSENT_KEYS = ("negated", "is_negated", "negation", "absent", "is_absent", "absence")
"""Columns that say whether the class that stands beside them is absent."""

PRESENT_WORDS = frozenset({"present", "pos", "positive", "+"})
ABSENT_WORDS = frozenset({"absent", "neg", "negative", "not present", "-"})
"""Besides `YES` and `NO`, what stands in such columns."""

ATTRIBUTE_KEYS = (
    *CONFIDENCE_KEYS,
    *("source", "url", "license", "width", "height", "depth", "area", "index", "row", "annotator", "comment", "notes"),
    *("is_occluded", "is_truncated", "is_group_of", "is_depiction", "is_inside", "is_crowd", "is_verified"),
    *("occluded", "truncated", "difficult", "crowd", "verified", "checked", "reviewed", "pose", "group_of"),
    *("is_labelled", "is_labeled", "labelled", "labeled", "annotated", "is_annotated", "is_checked", "is_reviewed"),
    *("bbox", "box", "segmentation", "polygon", "rle", "encoded_pixels", "x", "y", "w", "h"),
    *("x_min", "x_max", "y_min", "y_max", "x1", "x2", "y1", "y2", "bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    *("click_x", "click_y", "unnamed_0", "region_id", "annotation_id", "object_id", "box_id"),
)
"""Columns that describe an image, a box or an annotation: 0 and 1 in them are no classes."""

_BACKGROUND = frozenset({"background", "backgroundgoogle"})
_NEGATIVE = frozenset(
    {"ok", "good", "normal", "none", "negative", "healthy", "nofinding", "nofindings", "nodefect", "defectfree"}
)
_MISSING = frozenset({"", "nan", "n/a", "na", "#n/a", "<na>", "null", "nil"})
_UNKNOWN = frozenset({"?", "-1", "unlabelled", "unlabeled"})
_UNCLEAR = frozenset(
    {"unknown", "unclear", "unsure", "uncertain", "undecided", "todo", "tbd", "void", "ignore", "ignored", "notsure"}
    | {"notlabelled", "notlabeled", "unannotated", "notannotated", "unclassified", "dontknow"}
)
"""Words that leave open what an image shows, compared by `plain`; they may be classes, too."""

YES = frozenset({"1", "1.0", "true", "yes", "y", "x", "t"})
NO = frozenset({"0", "0.0", "false", "no", "n", "f"})

LETTERS = frozenset({"y", "x", "t", "n", "f"})
"""Those of `YES` and `NO` that are names of classes in a column that is called label or labels."""

YES_AND_NO_LETTERS = frozenset({"y", "n"})
"""Those of `LETTERS` that mean yes and no where a column has both and nothing else."""

_DECIMAL_COMMA = re.compile(r"\s*-?[0-9]+,[0-9]+\s*")

EMPTY = "empty"
"""What ``--unknown`` calls a cell without content."""

UNKNOWN_MARK = "?"
"""Before a class name in a label table: whether the image shows this class is not known."""


class Word(Enum):
    """What a label in a file is, besides the name of a class."""

    BACKGROUND = "background"
    NEGATIVE = "negative"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rules:
    """How labels are read where the usual rules don't fit.

    Args:
        negative: labels of images that show no class; ``None``: the usual words (ok, good, normal, none, negative,
            healthy …), unless one stands beside a class; ``()``: every word is a class, "unknown" and the like, too.
        unknown: labels and cells that leave open whether a class is there, besides ``?``; `EMPTY` stands for a cell
            without content.
        soft: ``(low, high)`` for labels between 0 and 1: from ``high`` on a class is present, up to ``low`` it is
            absent, and unknown in between; ``None``: such labels are refused.
    """

    negative: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    soft: tuple[float, float] | None = None

    def word(self, label: str) -> Word | None:
        """Return what a label is; ``None`` for the name of a class."""
        text = label.strip().casefold()
        if text in (word.casefold() for word in self.unknown if word != EMPTY):
            return Word.UNKNOWN
        if text in (word.casefold() for word in self.negative or ()):
            return Word.NEGATIVE
        if text in _MISSING:
            return Word.MISSING
        if text in _UNKNOWN:
            return Word.UNKNOWN
        if self.negative != () and may_be_unknown(label):
            return Word.UNKNOWN
        if plain(label) in _BACKGROUND:
            return Word.BACKGROUND
        return Word.NEGATIVE if self.negative is None and plain(label) in _NEGATIVE else None

    @property
    def empty_is_unknown(self) -> bool:
        """Whether a cell without content leaves open which classes the image shows."""
        return EMPTY in self.unknown or "" in self.unknown

    def present(self, value: float) -> bool | None:
        """Return whether a label between 0 and 1 means that the class is there; ``None``: unknown.

        Raises:
            ValueError: there is no ``soft``, and the value is neither 0 nor 1.
        """
        if value in (0, 1):
            return value == 1
        if self.soft is None:
            raise ValueError(f"{value} is neither 0 nor 1")
        low, high = self.soft
        return True if value >= high else False if value <= low else None


def parse_soft(text: str) -> tuple[float, float]:
    """Return low and high of ``"0.5"`` or ``"0.3,0.7"``.

    Raises:
        InvalidInput: not one or two numbers in ascending order, above 0 and up to 1.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or not 0 < numbers[0] <= numbers[-1] <= 1:
        raise InvalidInput(
            f"--soft-threshold {text}: expected one number (0.5), or a lower and an upper one (0.3,0.7), in (0, 1]."
        )
    return (numbers[0] if len(numbers) == 2 else _below(numbers[0])), numbers[-1]


def _below(value: float) -> float:
    import math

    return math.nextafter(value, 0)


def number_in(text: str) -> float | None:
    """Return the number that a text is, with a decimal point or a decimal comma (``0,8``); ``None`` if it is none."""
    try:
        return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        return None


def no_and_yes(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the two names in lower case that mean no and yes; ``None`` where there are others, or one of them alone.

    Args:
        names: all labels of a file, but for those that mean "unknown".
    """
    known = {name.strip().casefold() for name in names}
    no, yes = known & NO, known & YES
    if len(known) != 2 or not no or not yes or (known & LETTERS and known != YES_AND_NO_LETTERS):
        return None
    return no.pop(), yes.pop()


def may_be_unknown(label: str) -> bool:
    """Whether a label is a word such as "unknown" or "todo", which a list of classes may hold, too."""
    return plain(label) in _UNCLEAR


def sounds_like_labels(name: str) -> bool:
    """Whether a key or column is called like ``Finding Labels``, ``class_id`` or ``ClassId``."""
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    ends = words[-2:-1] if words[-1:] in (["id"], ["name"]) else words[-1:]
    return bool(ends) and ends[0] in (*ALL_LABELS, *ONE_LABEL) and words[0] != "is"


def plain(name: str) -> str:
    """Return a key or a word as it is compared: lower case, without spaces, hyphens, underscores and dots."""
    return re.sub(r"[\s_.:-]+", "", name.casefold())


def find_key(found: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the key of ``found`` that comes first in ``wanted``, compared by `plain`; ``None`` if there is none."""
    by_plain: dict[str, str] = {}
    for key in found:
        by_plain.setdefault(plain(key), key)
    return next((by_plain[plain(key)] for key in wanted if plain(key) in by_plain), None)


def is_one_of(key: str, wanted: Iterable[str]) -> bool:
    """Whether a key is one of ``wanted``, compared by `plain`."""
    return plain(key) in {plain(one) for one in wanted}
