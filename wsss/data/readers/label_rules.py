"""Common rules for image-level labels: usual keys and columns, and words that are not classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from wsss.errors import InvalidInput

IMAGE_KEYS = (
    *("image", "image_id", "img", "file", "file_name", "filepath", "path", "image_path", "image_file"),
    *("image_name", "image_index", "img_path", "img_id", "img_name", "picture", "photo", "name", "id"),
)
"""Keys and columns of the image, the most likely first; compared by `plain`."""

ONE_LABEL = ("label", "class", "category", "tag", "target", "choice", "label_name", "class_name", "category_name")
ALL_LABELS = ("labels", "classes", "categories", "tags", "targets", "choices")
LABEL_KEYS = tuple(key for pair in zip(ALL_LABELS, ONE_LABEL, strict=False) for key in pair) + ONE_LABEL[6:]
SPLIT_KEYS = ("split", "set", "subset", "dataset_split", "fold_name")
VALIDATION_FLAGS = ("is_valid", "is_val", "is_validation")
"""Boolean columns as written by fastai: true is the split val, false is train."""

BOX_KEYS = ("x_min", "y_min", "x_max", "y_max", "x1", "y1", "bbox", "bbox_x", "encoded_pixels", "segmentation")
"""Columns of a table with a row per object."""

CONFIDENCE_KEYS = ("confidence", "score", "probability", "prob", "conf")
PRESENT_KEYS = (
    *("present", "is_present", "presence", "exists", "value", "answer", "state", "status", "polarity"),
    *("positive", "is_positive", "has_label", "applies", "contains", "visible", "is_visible"),
)
"""Columns for the presence of the class in the same row."""

ABSENT_KEYS = ("negated", "is_negated", "negation", "absent", "is_absent", "absence")
"""Columns for the absence of the class in the same row."""

PRESENT_WORDS = frozenset({"present", "pos", "positive", "+"})
ABSENT_WORDS = frozenset({"absent", "neg", "negative", "not present", "-"})
"""Values of such columns, besides `YES` and `NO`."""

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
"""Columns that describe an image, a box or an annotation; 0 and 1 in them are not labels."""

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
"""Words for unlabelled images, compared by `plain`; they may also be class names."""

YES = frozenset({"1", "1.0", "true", "yes", "y", "x", "t"})
NO = frozenset({"0", "0.0", "false", "no", "n", "f"})

LETTERS = frozenset({"y", "x", "t", "n", "f"})
"""Members of `YES` and `NO` that are class names in a column called label or labels."""

YES_AND_NO_LETTERS = frozenset({"y", "n"})
"""Members of `LETTERS` that mean yes and no in a column with exactly these two values."""

_DECIMAL_COMMA = re.compile(r"\s*-?[0-9]+,[0-9]+\s*")

EMPTY = "empty"
"""The name of an empty cell in ``--unknown``."""

UNKNOWN_MARK = "?"
"""Prefix of a class name in a label table: the class may or may not be in the image."""


class Word(Enum):
    """Kinds of labels that are not class names."""

    BACKGROUND = "background"
    NEGATIVE = "negative"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rules:
    """Rules for labels that are not class names.

    Args:
        negative: labels of images without a class; ``None``: the usual words (ok, good, normal, none, negative,
            healthy …), unless next to a class; ``()``: every word is a class, including "unknown".
        unknown: labels and cells of unlabelled images, besides ``?``; `EMPTY` is an empty cell.
        soft: thresholds ``(low, high)`` for labels between 0 and 1: present from ``high``, absent up to ``low``,
            unknown in between; ``None``: such labels are invalid.
    """

    negative: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    soft: tuple[float, float] | None = None

    def word(self, label: str) -> Word | None:
        """Return the kind of a label; ``None`` for a class name."""
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
        """Whether an empty cell means unlabelled."""
        return EMPTY in self.unknown or "" in self.unknown

    def present(self, value: float) -> bool | None:
        """Return whether a label between 0 and 1 means that the class is present; ``None``: unknown.

        Raises:
            ValueError: the value is neither 0 nor 1, and there are no ``soft`` thresholds.
        """
        if value in (0, 1):
            return value == 1
        if self.soft is None:
            raise ValueError(f"{value} is neither 0 nor 1")
        low, high = self.soft
        return True if value >= high else False if value <= low else None


def parse_soft(text: str) -> tuple[float, float]:
    """Parse ``"0.5"`` or ``"0.3,0.7"`` into `Rules.soft`.

    Raises:
        InvalidInput: not one number, or two ascending ones, in (0, 1].
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or not 0 < numbers[0] <= numbers[-1] <= 1:
        raise InvalidInput(
            subject="--soft-threshold",
            allowed="one number (0.5), or a lower and an upper one (0.3,0.7), in (0, 1]",
            found=text,
        )
    return (numbers[0] if len(numbers) == 2 else math.nextafter(numbers[0], 0)), numbers[-1]


def number_in(text: str) -> float | None:
    """Parse a number with a decimal point or a decimal comma (``0,8``); ``None`` for other text."""
    try:
        return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        return None


def no_and_yes(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the two lower-case names for no and yes; ``None`` unless these are the only names.

    Args:
        names: all labels of a file except those of unlabelled images.
    """
    known = {name.strip().casefold() for name in names}
    no, yes = known & NO, known & YES
    if len(known) != 2 or not no or not yes or (known & LETTERS and known != YES_AND_NO_LETTERS):
        return None
    return no.pop(), yes.pop()


def names_a_class(label: str) -> bool:
    """Return whether a label is read as the name of a class in any table without further rules.

    Other labels mean no class, an unlabelled image, or the presence of another class (yes and no, numbers up to 1).
    """
    number = number_in(label)
    presence = label.strip().casefold() in (YES | NO) - LETTERS or (number is not None and 0 <= number <= 1)
    return Rules().word(label) is None and not presence


def may_be_unknown(label: str) -> bool:
    """Return whether a label is a word such as "unknown" or "todo", which may also be a class name."""
    return plain(label) in _UNCLEAR


def resembles_label_key(name: str) -> bool:
    """Return whether the name of a key or column resembles ``Finding Labels``, ``class_id`` or ``ClassId``."""
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    ends = words[-2:-1] if words[-1:] in (["id"], ["name"]) else words[-1:]
    return bool(ends) and ends[0] in (*ALL_LABELS, *ONE_LABEL) and words[0] != "is"


def plain(name: str) -> str:
    """Normalise a key or word for comparison: lower case, without spaces, hyphens, underscores, colons and dots."""
    return re.sub(r"[\s_.:-]+", "", name.casefold())


def find_key(keys: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the key in ``keys`` that comes first in ``wanted``, compared by `plain`; ``None`` without a match."""
    by_plain: dict[str, str] = {}
    for key in keys:
        by_plain.setdefault(plain(key), key)
    return next((by_plain[plain(key)] for key in wanted if plain(key) in by_plain), None)


def is_one_of(key: str, wanted: Iterable[str]) -> bool:
    """Return whether a key is in ``wanted``, compared by `plain`."""
    return plain(key) in {plain(word) for word in wanted}
