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


def test_a_variable_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        interpolate(Source("a/${{ env.X }}"), {"env": {"X": "r\udcff"}})
    assert "${{ env.X }}" in str(error.value.subject)


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
    ("text", "found", "allowed"),
    [
        ("${{ matrix.los }}", "los", ("loss", "variant")),
        ("${{ matrx.loss }}", "matrx", ("matrix", "data", "env", "seed")),
        ("${{ env.NOT_SET }}", None, None),
        ("${{ seed.x }}", 7, "a mapping"),
        ("${{ 1 + 1 }}", "1 + 1", "a name such as matrix.AXIS, data.KEY, env.NAME or seed"),
        ("${{ seed", "${{ seed", "${{ … }}"),
        ("${{ seed }} ${{ seed", "${{ seed }} ${{ seed", "${{ … }}"),
        ("a ${{ matrix.variant }}", SCOPE["matrix"]["variant"], "a scalar"),  # type: ignore[index]
    ],
)
def test_invalid_expressions_name_place_and_key(text: str, found: Any, allowed: Any) -> None:
    source = parse_yaml("with:\n  key: PLACEHOLDER\n", "p.yaml").with_value({"with": {"key": text}})
    with pytest.raises(InvalidInput) as error:
        interpolate(source, SCOPE, "stages.x")
    assert (error.value.subject or "").startswith("p.yaml:2: stages.x.with.key")
    assert (error.value.found, error.value.allowed) == (found, allowed)


def test_references_in_nested_values() -> None:
    value = {"a": ["${{ matrix.loss }}", {"b": "x ${{ matrix.seed.y }} ${{ data.z }}"}], "c": 1}
    assert references(value, "matrix") == {"loss", "seed"}
    assert references(value, "data") == {"z"}
    assert references("matrix.loss", "matrix") == set()


@given(st.text(st.characters(exclude_characters="$"), max_size=20))
def test_text_without_expressions_stays(text: str) -> None:
    assert fill(text) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_inserted_text_is_not_interpolated_again(before: str, value: str) -> None:
    scope = {"seed": "${{ matrix.loss }}"}
    if "${{" not in before:
        assert interpolate(Source(before + "|${{ seed }}"), scope).value == before + "|${{ matrix.loss }}"
