"""MkDocs hook: pages of the site that live elsewhere in the repository, and links between all of them.

The files read well in a checkout and on the site: links are written for a checkout, and rewritten here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "data/README.md": "data.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""File in the repository → page of the site."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of `PAGES`, and the pictures beside them."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relink(text, posixpath.dirname(source))))
    for picture in (ROOT / "data").glob("*.png"):
        files.append(File.generated(config, f"data/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page that is a file in ``docs``."""
    return markdown if page.file.src_uri in PAGES.values() else _relink(markdown, "docs")


def _relink(markdown: str, folder: str) -> str:
    """Rewrite links relative to ``folder`` of the repository into links of the site.

    A link to a page or a picture of the site is kept; one to any other file of the repository becomes its name.
    """

    def rewritten(match: re.Match[str]) -> str:
        mark, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        place = posixpath.normpath(posixpath.join(folder, target))
        if place in PAGES:
            return f"{mark}[{text}]({PAGES[place]}{anchor})"
        if place.startswith("docs/"):
            return f"{mark}[{text}]({place.removeprefix('docs/')}{anchor})"
        return f"{mark}[{text}]({place})" if mark else text

    return LINK.sub(rewritten, markdown)
