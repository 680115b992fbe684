"""Images that could not be processed: collected while the others are finished, reported together at the end."""

from __future__ import annotations

from collections.abc import Sequence

from wsss.errors import InvalidInput, WsssError

MOST_SHOWN = 20
"""Maximum number of failures listed in the error; the log has all of them."""

REPAIR = "Repair or remove the images that failed and run the same command again: finished work is kept."


def failed_together(errors: Sequence[WsssError], total: int, kind: type[WsssError] = InvalidInput) -> WsssError:
    """Return one error for all images that failed.

    Args:
        errors: one per image, at least one; its message names the image.
        total: number of images, those that succeeded included.
        kind: type of the error.
    """
    hints = list(dict.fromkeys(error.mend for error in errors if error.mend))
    if len(errors) == 1:
        return kind(errors[0].message, mend=hints[0] if hints else REPAIR)
    shown = [f"  {error.message}" for error in errors[:MOST_SHOWN]]
    more = [f"  and {len(errors) - MOST_SHOWN} more"] if len(errors) > MOST_SHOWN else []
    return kind(
        "\n".join([f"{len(errors)} of {total} images failed:", *shown, *more]),
        mend="\n".join([*(hints if len(hints) == 1 else ()), REPAIR]),
    )
