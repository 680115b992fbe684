"""Untrusted names cannot control a terminal or act as markup."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput, listing
from wsss.io.text.printable import escape_json, markdown, one_line, printable

ODD = st.text(st.sampled_from("a\x1b[2J\x07\x00\x9b\u202e\u2066\u200f\u2028\ufeff\r\n\tÉ字😀\U000e0041"))


@given(ODD)
def test_invisible_characters_are_escaped(text: str) -> None:
    for shown, kept in ((printable(text), "\n\t"), (one_line(text), "")):
        assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp") and one not in kept]
        assert printable(shown) == shown
    assert json.loads(escape_json(json.dumps([text], ensure_ascii=False))) == [text]
    assert printable(escape_json(json.dumps([text], ensure_ascii=False))).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("train_small", "train_small"),
        ("p < 0.05 & so", "p < 0.05 & so"),
        ("<img src=x>", "&lt;img src=x>"),
        ("a|b\n**c**", "a\\|b\\\\n\\*\\*c\\*\\*"),
        ("[x](javascript:1)", "\\[x\\](javascript:1)"),
        ("_x_ &lt; `c`", "\\_x\\_ &amp;lt; \\`c\\`"),
        ("http://e.org", "http&#58;//e.org"),
    ],
)
def test_markdown(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_errors_and_listings_escape_control_characters() -> None:
    error = InvalidInput("bad \x1b]0;x\x07", hint="rename \u202egnp")
    assert error.message == "bad \\x1b]0;x\\x07." and error.hint == "rename \\u202egnp"
    assert listing(["a\nb", "c"]) == "a\\nb, c"
