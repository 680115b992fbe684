"""Make one self-contained HTML page of a template: styles, scripts and pictures inside, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from wsss.io.text.printable import printable
from wsss.metrics.directions import direction, verdict
from wsss.viz.drawing.charts import line_chart
from wsss.viz.drawing.curves import RULES
from wsss.viz.drawing.curves import draw as draw_curves
from wsss.viz.drawing.formatting import duration, number, plain, words
from wsss.viz.report.comparison_table import (
    describe,
    explain,
    explain_differences,
    interval_text,
    mean_text,
    signed_text,
)
from wsss.viz.report.report_scores import is_oracle

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES = ("report.css",)
SCRIPTS = ("report.js", "viewer.js", "topology.js")


def environment() -> Environment:
    """Return Jinja's environment for our templates: all text is escaped, and an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("wsss.viz", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "duration": duration, "plain": plain, "words": words}
    return made


def _shown(value: Any) -> Any:
    """Return text of others without control characters and bidirectional overrides; Jinja escapes the rest."""
    return printable(value) if type(value) is str else value


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page that a template of ``wsss/viz/report/templates`` makes of ``values``."""
    from markupsafe import Markup

    pages = environment()
    pages.globals |= {
        "line_chart": line_chart,
        "is_oracle": is_oracle,
        "sum": sum,
        "draw_curves": draw_curves,
        "describe": describe,
        "direction": direction,
        "verdict": verdict,
        "explain": explain,
        "explain_differences": explain_differences,
        "mean_text": mean_text,
        "interval_text": interval_text,
        "signed_text": signed_text,
    }
    files = resources.files("wsss.viz.report") / "templates"
    style = "".join((files / name).read_text(encoding="utf-8") for name in STYLES)
    script = "".join((files / name).read_text(encoding="utf-8") for name in SCRIPTS)
    # The policy lets this one script run and nothing be fetched, whatever a class or a file may be called.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return pages.get_template(template).render(
        **values, style=Markup(style + RULES), script=Markup(script), script_hash=allowed
    )
