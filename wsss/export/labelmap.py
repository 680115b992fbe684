"""``labelmap.txt``: which colour of a mask means which class, as CVAT writes and reads it."""

from __future__ import annotations

from wsss.data.sample import Classes
from wsss.export.export_items import colours, refuse_characters
from wsss.io.rasters.label_masks import IGNORE, ignored_name

LABELMAP = "labelmap.txt"


def labelmap(classes: Classes, *, ignored: bool) -> str:
    """Return the text: a line ``name:red,green,blue::`` per class.

    Args:
        classes: the names, and the values whose VOC colours stand for them.
        ignored: whether there are ignored pixels, which get a line of their own.

    Raises:
        InvalidInput: a name has a colon or a line break, or begins with ``#``.
    """
    names = [*classes.names, *([ignored_name(classes.names)] if ignored else [])]
    refuse_characters(names, ":", "class")
    refuse_characters([name for name in names if name.startswith("#")], "#", "class")
    values = [*(values[0] for values in classes.values), *([IGNORE] if ignored else [])]
    lines = [f"{name}:{red},{green},{blue}::" for name, (red, green, blue) in zip(names, colours(values), strict=True)]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"
