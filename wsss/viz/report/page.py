"""Rendering of a template to one self-contained HTML page: styles, scripts and pictures inside, nothing fetched."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from wsss.io.text.printable import printable
from wsss.metrics.directions import direction, verdict
from wsss.viz.drawing.charts import line_chart
from wsss.viz.drawing.curves import embedded
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

SCRIPTS = ("report.js", "viewer.js", "topology.js")


@functools.cache
def environment() -> Environment:
    """Return the Jinja environment of the templates: all text is escaped, and an unknown name is an error.

    It keeps the compiled templates, which take longer than a page of a small run.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wsss.viz.report", "templates"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "plain": plain,
        "words": words,
        "breakable": breakable,
    }
    environment.globals |= {
        "line_chart": line_chart,
        "is_oracle": is_oracle,
        "sum": sum,
        "embedded": embedded,
        "describe": describe,
        "direction": direction,
        "verdict": verdict,
        "explain": explain,
        "explain_differences": explain_differences,
        "mean_text": mean_text,
        "interval_text": interval_text,
        "signed_text": signed_text,
    }
    return environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page of a template in ``wsss/viz/report/templates``, filled with ``values``."""
    script = "".join(map(_text, SCRIPTS))
    # The policy of the page allows this one script, whatever the names of classes and files contain.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template(template)
        .render(**values, style=style_sheet(), script=Markup(script), script_hash=allowed)
    )


def style_sheet() -> Any:
    """Return the style sheet of the pages as markup."""
    return Markup(_text("report.css"))


def breakable(text: str) -> Any:
    """Return text as markup that may break within the id of a matrix stage: ``cam``, ``@variant=walk,``, ``seed=1``."""
    return Markup(str(escape(printable(text))).replace("@", "<wbr>@").replace(",", ",<wbr>"))


def _text(name: str) -> str:
    return (resources.files("wsss.viz.report") / "templates" / name).read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    """Return text without control characters and bidirectional overrides; Jinja escapes the rest."""
    return printable(value) if type(value) is str else value
