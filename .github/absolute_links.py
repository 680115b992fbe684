"""Make the relative links of a Markdown file absolute, because a package index shows it without the repository.

python .github/absolute_links.py README.md https://HOST/OWNER/NAME TAG
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def absolute(markdown: str, repository: str, tag: str) -> str:
    """Return the text with links to pages, and pictures, of a tag of the repository."""

    def rewritten(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        return f"{mark}[{text}]({repository}/{'raw' if mark else 'blob'}/{tag}/{target})"

    return LINK.sub(rewritten, markdown)


if __name__ == "__main__":
    page, repository, tag = sys.argv[1:]
    Path(page).write_text(absolute(Path(page).read_text(encoding="utf-8"), repository, tag), encoding="utf-8")
