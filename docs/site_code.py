"""MkDocs hook: inline code that reads on the site as it does in a checkout.

Narrow columns would otherwise break the option ``--brush`` after its first hyphen, and Python-Markdown shows the
backslash of ``a\\|b``, which tables of Markdown require.
"""

from __future__ import annotations

import re
from typing import Any

INLINE = re.compile(r"(?<!<pre>)(?<!<span></span>)<code>([^<]*)</code>")
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w.-]*")


def on_page_content(html: str, **_: Any) -> str:
    """Return a page whose options do not break across lines, and whose code has no escaped bars."""
    return INLINE.sub(_rewritten, html)


def _rewritten(match: re.Match[str]) -> str:
    text = match[1].replace(r"\|", "|")
    return f"<code>{OPTION.sub(_unbroken, text)}</code>"


def _unbroken(match: re.Match[str]) -> str:
    return f'<span style="white-space: nowrap">{match[0]}</span>'
