from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.text.yaml_text import yaml_text
from wsss.pipeline.config.source import Source, merge, parse_yaml, read_yaml

TEXT = """\
name: a
stages:
  crf:
    with:
      iterations: 5
      scales: [1, 2]
"""

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("abc", max_size=3)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
)
mappings = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [path, *(p for key, inner in value.items() for p in paths(inner, (*path, key)))]
    if isinstance(value, list):
        return [path, *(p for index, inner in enumerate(value) for p in paths(inner, (*path, index)))]
    return [path]


def placed(value: object, name: str) -> Source:
    return Source(value, dict.fromkeys(paths(value), name))


def test_every_key_has_a_line() -> None:
    source = parse_yaml(TEXT, "p.yaml")
    assert source.locate(("name",)) == "p.yaml:1"
    assert source.locate(("stages", "crf", "with", "iterations")) == "p.yaml:5"
    assert source.locate(("stages", "crf", "with", "scales", 1)) == "p.yaml:6"
    assert source.locate(("stages", "crf", "with", "no such key")) == "p.yaml:4"  # the nearest parent
    assert source.at(("stages", "crf")).locate(("with", "iterations")) == "p.yaml:5"
    assert source.at(("stages", "crf")).under(("x",)).locate(("x", "with", "iterations")) == "p.yaml:5"


@given(values)
def test_reading_agrees_with_safe_load(value: object) -> None:
    text = yaml.safe_dump(value)
    assert parse_yaml(text, "x").value == yaml.safe_load(text)


def test_numbers_dates_and_booleans() -> None:
    source = parse_yaml("{a: 1e-4, b: 1.5E+3, c: 2024-01-01, d: 1e3x, e: -2e2, on: no, f: True}", "x")
    assert source.value == {"a": 1e-4, "b": 1500.0, "c": "2024-01-01", "d": "1e3x", "e": -200.0, "on": "no", "f": True}


@pytest.mark.parametrize("text", ["010", "08", "-007", "1:30", "1:30.5", "00", "0_1", "12:30:45"])
def test_octal_and_sexagesimal_numbers_are_text(text: str) -> None:
    """PyYAML reads ``010`` as 8, ``08`` as text and ``1:30`` as 90."""
    assert parse_yaml(text, "x").value == text
    assert parse_yaml(f"{{a: [{text}], '{text}': b}}", "x").value == {"a": [text], text: "b"}


def test_other_numbers_are_numbers() -> None:
    text = "[0, -0, 10, +3, 1_000, 0x1F, 0b11, 1.5, 01.5, -.5, 1., .5e3, 1e3, -2E-1, .inf, -.inf]"
    numbers = [0, 0, 10, 3, 1000, 31, 3, 1.5, 1.5, -0.5, 1.0, 500.0, 1000.0, -0.2, float("inf"), -float("inf")]
    value = parse_yaml(text, "x").value
    assert value == numbers and [type(one) for one in value] == [type(one) for one in numbers]
    words = ["-.", ".", "+", "e5", "1e", "0o17", "1.2.3", "_1", "1-2"]
    assert parse_yaml(f"[{', '.join(words)}]", "x").value == words


def test_scalars_as_text() -> None:
    value = parse_yaml("[1, 001, true, null, ~, 1e3, 'a, b', \"c\"]", "x", as_text=True).value
    assert value == ["1", "001", "true", "null", "~", "1e3", "a, b", "c"]


@given(st.recursive(scalars | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
@pytest.mark.slow
def test_any_value_is_read_back(value: object) -> None:
    if "\\u0000" not in json.dumps(value):  # cannot be written to files
        assert parse_yaml(f"key: {yaml_text(value)}", "x").value == {"key": value}


@pytest.mark.parametrize(
    "text", ["\U0001f600", "é\x7f", "a\x85b", "\u2028", "\ufeff", "\\U0001f600", "\xa0", '"', "\\ud83d", "\t\n"]
)
def test_characters_that_yaml_restricts_are_read_back(text: str) -> None:
    assert parse_yaml(yaml_text({text: [text]}), "x").value == {text: [text]}


def test_merge_keys_of_yaml_may_be_overridden() -> None:
    text = "base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\n"
    assert parse_yaml(text, "x").value["mine"] == {"x": 1, "y": 3}


def test_a_mapping_with_a_merge_key_may_be_used_again() -> None:
    text = "base: &b {x: 1, y: 2}\nmine: &m {<<: *b, y: 3}\nagain: *m\nmore: {<<: *m, x: 5}\nlast: *m\n"
    value = parse_yaml(text, "x").value
    assert value["again"] == value["last"] == {"x": 1, "y": 3}
    assert value["more"] == {"x": 5, "y": 3}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a'"),
        ("a: [1\nb: 2", 2, "got ':'"),
        ("a: &x [*x]", 1, "alias"),
        ("? [1, 2]\n: 3", 1, "key"),
        ("a: !!python/object:os.system x", 1, "constructor"),
        ("a: 1\n---\nb: 2", 2, "document"),
        ("a: !!int x", 1, "'x' is not a valid !!int"),
        ("a: 1\nb: 0x_", 2, "'0x_' is not a valid !!int"),
        ("a: !!bool 5", 1, "'5' is not a valid !!bool"),
        (f"a: {'1' * 5000}", 1, f"'{'1' * 40}…' is not a valid !!int"),
        (f"a: 0x{'f' * 5000}", 1, "20000 bits"),
        ("a: !!timestamp 2020-99-01", 1, "'2020-99-01' is not a valid !!timestamp"),
        ("a: !!timestamp 2020-09-01", 1, "!!timestamp"),
        ("!!timestamp 2020-09-01: 1", 1, "!!timestamp"),
        ("a: !!set {x}", 1, "!!set"),
        ("a: !mine [x]", 1, "!mine"),
        ('a: "\\ud800"', 1, "surrogate"),
        ('a: "x\\0"', 1, "NUL"),
        ("\na: " + "[" * 600, 2, "64 deep"),
    ],
)
def test_invalid_yaml_names_the_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_yaml(text, "f.yaml")
    assert error.value.subject == f"f.yaml:{line}"
    assert problem in error.value.problem


def test_invalid_characters_name_the_file() -> None:
    with pytest.raises(InvalidInput) as error:
        parse_yaml("a: '\x00'", "f.yaml")
    assert error.value.subject == "f.yaml"


def test_nested_aliases_count_as_depth() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 1500))]
    with pytest.raises(InvalidInput) as error:
        parse_yaml("\n".join(lines), "f.yaml")
    assert error.value.subject == "f.yaml:1"


def test_an_infinite_file_is_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        read_yaml(Path("/dev/zero"))
    assert error.value.subject == "/dev/zero"


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("abcdefg", "bcdefgh", strict=True):
        lines.append(f"{other}: &{other} [{', '.join([f'*{one}'] * 10)}]")
    with pytest.raises(InvalidInput) as error:
        parse_yaml("\n".join(lines), "f.yaml")
    assert error.value.subject == "f.yaml"


def test_files_without_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for content in (None, b"- 1\n", b"a: \xff\xfe"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidInput) as error:
            read_yaml(path)
        assert str(path) in (error.value.subject or "")
    path.write_text("# nothing\n")
    assert read_yaml(path).value == {}


# "a" and "b" are always mappings, "c" and "d" never
shaped = st.recursive(
    st.dictionaries(st.sampled_from("cd"), scalars | st.lists(scalars, max_size=2)),
    lambda inner: st.tuples(
        st.dictionaries(st.sampled_from("ab"), inner), st.dictionaries(st.sampled_from("cd"), scalars)
    ).map(lambda parts: {**parts[0], **parts[1]}),
    max_leaves=8,
)


@given(shaped, shaped, shaped)
def test_merge_is_associative_if_types_agree(a: object, b: object, c: object) -> None:
    one, two, three = placed(a, "a"), placed(b, "b"), placed(c, "c")
    assert merge(merge(one, two), three).value == merge(one, merge(two, three)).value


@given(mappings)
def test_merge_is_idempotent(value: object) -> None:
    one = placed(value, "a")
    assert merge(one, one).value == merge(Source({}), one).value == value


@given(mappings, mappings)
def test_places_of_merged_values(a: object, b: object) -> None:
    merged = merge(placed(a, "a"), placed(b, "b"))
    assert set(merged.locations) == set(paths(merged.value))
    for path in paths(merged.value):
        value = merged.value
        for part in path:
            value = value[part]
        if isinstance(value, dict):
            continue
        source = {"a": a, "b": b}[merged.locations[path]]
        for part in path:
            source = source[part]  # type: ignore[index]
        assert source == value


def test_lists_are_replaced() -> None:
    merged = merge(parse_yaml("{x: [1, 2, 3]}", "a"), parse_yaml("{x: [4]}", "b"))
    assert merged.value == {"x": [4]}
    assert merged.locate(("x", 2)) == "b:1"


def test_a_missing_key_is_located_at_the_keys_beside_it() -> None:
    """``--set method.stepz=5`` without a name: the error is about this option, not about another one."""
    given = {("splits",): "--splits val", ("method", "stepz"): "--set method.stepz=5", (): "--splits val"}
    source = Source({"splits": "val", "method": {"stepz": 5}}, given)
    assert source.locate(("method", "name")) == "--set method.stepz=5"
    assert source.locate(("method",)) == "--set method.stepz=5"
    assert source.locate(("scales",)) == "--splits val"
    assert Source({"a": {"b": 1}}, {("a", "b"): "f:2", ("a",): "f:1"}).locate(("a", "c")) == "f:1"


def test_a_part_is_not_located_at_an_option_for_one_of_its_keys() -> None:
    """A stage without ``with`` and ``--set cam.stride=4``: other keys of the stage are missing from the file."""
    source = Source({"cam": {"with": {"stride": 4}}}, {("cam",): "p.yaml:5", ("cam", "with", "stride"): "--set"})
    part = source.at(("cam", "with"))
    assert part.locate(("stride",)) == "--set"
    assert part.locate(("scales",)) == part.locate(()) == "p.yaml:5"
