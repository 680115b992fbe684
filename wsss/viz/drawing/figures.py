"""Matplotlib figures whose files depend on their content alone: fixed style and font, no date, SVG or PDF."""

from __future__ import annotations

import base64
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wsss.errors import InvalidInput
from wsss.io.text.printable import printable
from wsss.viz.drawing.formatting import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "pdf")

COLOURS = ("#0072b2", "#c84e00", "#00795a", "#a83f85", "#7d6400", "#4b5563")
"""Distinguishable with any colour vision, with a contrast of at least 4.5 on white; the same as in ``report.css``."""

MIN_WIDTH = 8
"""Minimum width of a figure with a caption, inches."""

INK, MUTED, GRID = "#1a1f26", "#566170", "#d5dae1"

STYLE: Any = {
    "svg.hashsalt": "wsss",
    "svg.fonttype": "none",  # text stays text: a third of the size, and it can be searched
    "pdf.fonttype": 42,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names may contain dollar signs
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 9,
    "ytick.labelcolor": INK,
}

_METADATA: dict[Format, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
_LENGTH = re.compile(r"([\d.]+)(pt|px)?")
_PIXELS = {"pt": 96 / 72}
_TITLE = "{http://www.w3.org/2000/svg}title"


@contextmanager
def house_style() -> Iterator[None]:
    """Use `STYLE` instead of the user's matplotlib settings; figures are drawn and rendered inside."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def render(figure: Figure, title: str, kind: Format = "svg") -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes.

    Args:
        figure: drawn within `house_style`.
        title: the figure in words, for screen readers.
    """
    content = io.BytesIO()
    with house_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names may use any script
        figure.savefig(content, format=kind, metadata=_METADATA[kind])
    # Not in the metadata: matplotlib would write the title twice.
    return content.getvalue().replace(b" <defs>", f" <title>{escape(title)}</title>\n <defs>".encode(), kind == "svg")


def panel_grid(
    title: str,
    caption: str,
    count: int,
    *,
    across: int,
    size: tuple[float, float],
    gap: tuple[float, float],
    left: float,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of panels, a title above and a caption below. All lengths are inches.

    Args:
        caption: explanation, one line.
        count: number of panels, at least one.
        across: maximum number of panels per row.
        size: width and height of a panel without labels.
        gap: width and height between panels, including labels.
        left: width of the labels left of the first panel.
    """
    from matplotlib.figure import Figure

    across = min(across, count)
    down = -(-count // across)
    grid = (across * (size[0] + gap[0]) - gap[0], down * (size[1] + gap[1]) - gap[1])
    top, right, bottom = 0.75, 0.2, 0.6
    width, height = max(MIN_WIDTH, left + grid[0] + right), top + grid[1] + bottom
    figure = Figure(figsize=(width, height))
    figure.suptitle(printable(title), x=0.12 / width, y=1 - 0.12 / height, ha="left", va="top")
    figure.text(0.12 / width, 0.12 / height, printable(caption), fontsize=8, color=MUTED)
    axes = figure.subplots(
        down,
        across,
        squeeze=False,
        gridspec_kw={
            "left": left / width,
            "right": (left + grid[0]) / width,
            "bottom": bottom / height,
            "top": 1 - top / height,
            "wspace": gap[0] / size[0],
            "hspace": gap[1] / size[1],
        },
    ).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, list(axes[:count])


def label_width(names: Iterable[str]) -> float:
    """Return the width of the longest tick label, inches."""
    return 0.2 + 0.075 * max(map(len, names), default=0)


@dataclass(frozen=True)
class EmbeddedPlot:
    """A plot in a page: name, text alternative, size in pixels, and the SVG as a data URI."""

    name: str
    alt: str
    width: int
    height: int
    source: str


def embed_svg(name: str, svg: str) -> EmbeddedPlot:
    """Return an SVG file with a width and a height as a plot in a page.

    Raises:
        InvalidInput: the file was not written by wsss.
    """
    try:
        root = ElementTree.fromstring(svg)
        width, height = (_pixels(root.attrib[key]) for key in ("width", "height"))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise InvalidInput(f"not a plot written by wsss ({type(error).__name__}: {error})", subject=name) from error
    alt = root.attrib.get("aria-label") or root.findtext(_TITLE) or name
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    return EmbeddedPlot(name, alt, width, height, source)


def _pixels(length: str) -> int:
    match = _LENGTH.fullmatch(length)
    if match is None:
        raise ValueError(f"length {length}")
    return round(float(match[1]) * _PIXELS.get(match[2] or "px", 1))
