"""The hook that rewrites inline code of the documentation site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def rewrite(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "docs")
    from site_code import on_page_content

    return on_page_content


def option(name: str) -> str:
    return f'<span style="white-space: nowrap">{name}</span>'


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("--brush 5", f"{option('--brush')} 5"),
        ("wsss run -n 0 --data.root DIR", f"wsss run {option('-n')} 0 {option('--data.root')} DIR"),
        (r"--ignored keep\|drop", f"{option('--ignored')} keep|drop"),
        ("label-studio", "label-studio"),
        ("1e-4 -- -1", "1e-4 -- -1"),
    ],
)
def test_options_do_not_break_and_bars_are_plain(rewrite: Any, code: str, expected: str) -> None:
    assert rewrite(f"<p><code>{code}</code></p>", page=None) == f"<p><code>{expected}</code></p>"


@pytest.mark.parametrize("before", ["<pre>", "<pre><span></span>"])
def test_blocks_are_unchanged(rewrite: Any, before: str) -> None:
    block = rf"{before}<code>wsss a --b \| c</code></pre>"
    assert rewrite(block) == block
