"""``labelmap.txt`` of CVAT: class names and their colours in masks."""

from __future__ import annotations

from wsss.data.classes import Classes
from wsss.export.export_items import colours, refuse_characters
from wsss.io.rasters.label_masks import IGNORE, ignored_name

LABELMAP = "labelmap.txt"


def labelmap(classes: Classes, *, ignored: bool) -> str:
    """Return the text of a label map, with a line ``name:red,green,blue::`` per class.

    Args:
        classes: classes, coloured by the VOC colours of their values.
        ignored: add a line for ignored pixels.

    Raises:
        InvalidInput: a name has a colon or a line break, or starts with ``#``.
    """
    names = [*classes.names, *([ignored_name(classes.names)] if ignored else [])]
    refuse_characters(names, ":")
    refuse_characters([name for name in names if name.startswith("#")], "#")
    values = [*(values[0] for values in classes.values), *([IGNORE] if ignored else [])]
    lines = [f"{name}:{red},{green},{blue}::" for name, (red, green, blue) in zip(names, colours(values), strict=True)]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"
