from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.pipeline.config.interpolate import interpolate, references
from wsss.pipeline.config.source import Source, parse_yaml

SCOPE = {
    "matrix": {"loss": "dice", "variant": {"key": 3, "deep": {"x": [1]}}},
    "data": {"root": "/d"},
    "env": {"HOME_": "h"},
    "seed": 7,
}


def test_a_variable_that_is_not_utf8_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"env.X \}\} is r\\udcff: not valid UTF-8"):
        interpolate(Source("a/${{ env.X }}"), {"env": {"X": "r\udcff"}})


def fill(value: Any) -> Any:
    return interpolate(Source(value), SCOPE).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ matrix.loss }}", "dice"),
        ("${{matrix.variant.key}}", 3),
        ("  ${{ matrix.variant }} ", {"key": 3, "deep": {"x": [1]}}),
        ("loss/${{ matrix.loss }}-${{ seed }}", "loss/dice-7"),
        ("${{ data.root }}/masks", "/d/masks"),
        ("${{ env.HOME_ }}", "h"),
        ("$ {{ seed }}", "$ {{ seed }}"),
        ("plain", "plain"),
    ],
)
def test_expressions(text: str, expected: Any) -> None:
    assert fill(text) == expected
    assert fill({"a": [text]}) == {"a": [expected]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${{ matrix.los }}", "there is no 'los' here; matrix has loss, variant; did you mean 'loss'?"),
        ("${{ matrx.loss }}", "there is no 'matrx' here; an expression has matrix, data, env, seed; did you mean"),
        ("${{ env.NOT_SET }}", "the environment variable NOT_SET is not set"),
        ("${{ seed.x }}", "seed has no keys (it is 7)"),
        ("${{ 1 + 1 }}", "an expression is a name such as"),
        ("${{ seed", "an expression is not closed"),
        ("${{ seed }} ${{ seed", "an expression is not closed"),
        ("a ${{ matrix.variant }}", "can't stand inside a text"),
    ],
)
def test_wrong_expressions_name_place_and_key(text: str, message: str) -> None:
    source = parse_yaml("with:\n  key: PLACEHOLDER\n", "p.yaml")
    source = Source({"with": {"key": text}}, source.places)
    with pytest.raises(InvalidInput) as caught:
        interpolate(source, SCOPE, "stages.x")
    assert caught.value.message.startswith("p.yaml:2: stages.x.with.key: ")
    assert message in caught.value.message


def test_references_are_found_anywhere() -> None:
    value = {"a": ["${{ matrix.loss }}", {"b": "x ${{ matrix.seed.y }} ${{ data.z }}"}], "c": 1}
    assert references(value, "matrix") == {"loss", "seed"}
    assert references(value, "data") == {"z"}
    assert references("matrix.loss", "matrix") == set()


@given(st.text(st.characters(exclude_characters="$"), max_size=20))
def test_text_without_expressions_stays(text: str) -> None:
    assert fill(text) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_replaced_text_is_not_read_again(before: str, value: str) -> None:
    scope = {"seed": "${{ matrix.loss }}"}
    if "${{" not in before:
        assert interpolate(Source(before + "|${{ seed }}"), scope).value == before + "|${{ matrix.loss }}"
