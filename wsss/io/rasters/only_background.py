"""The warning about masks of 0 and 255, from losses and metrics."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


class OnlyBackground(UserWarning):
    """All labelled pixels of a target are background and others are 255: 255 may have been meant as a class."""


def warn_only_background(subject: str, who: str) -> None:
    """Warn at the line of the caller outside this package and torch.

    Args:
        subject: name of the argument.
        who: end of a sentence, what ignores 255 (``"every loss ignores"``).
    """
    warnings.warn(
        f"{subject}: all labelled pixels are background (0), and the others are 255, which {who}. If 255 is a class "
        "of these masks, replace it by the index of the class.",
        OnlyBackground,
        stacklevel=_caller(),
    )


def _caller() -> int:
    """Return the ``stacklevel``, counted in the calling function, of the first frame outside this package and torch."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_internal(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    return level


def _is_internal(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(_PACKAGE) or (path.parts[-4:-1] == ("torch", "nn", "modules"))
