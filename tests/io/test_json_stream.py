"""Reading of large JSON files element by element: skipped values, limits, and what errors say."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.io.files import json_stream
from wsss.io.files.json_stream import stream_lists

SKIPPED = [
    "text",
    'quotes " and \\ and \\\\" and ]}[{',
    "é 日本",
    -1.5e3,
    None,
    True,
    [],
    {},
    [[{"a]": "}"}, []], "\\"],
    {"images": [7], "b": {"c": ["[", '"{']}},
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of kilobytes, with the same ratio."""
    monkeypatch.setattr(json_stream, "CHUNK", 1 << 10)
    monkeypatch.setattr(json_stream, "MAX_ELEMENT", 1 << 14)


def read(path: Path, text: str) -> list[Any]:
    path.write_text(text, encoding="utf-8")
    found = list(stream_lists(path, ["images"]))
    content = path.read_bytes()
    for _, index, element in found:
        assert json.loads(content[element.at : element.at + element.length]) == element.value
        assert found[index][1] == index
    return [element.value for _, _, element in found]


def error_of(path: Path, text: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        read(path, text)
    return error.value


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 8, 1 << 22])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_other_keys_are_skipped(chunk: int, ascii_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    document = {f"k{number}": value for number, value in enumerate(SKIPPED)} | {"images": SKIPPED, "z": SKIPPED}
    for indent in (None, 1):
        assert read(tmp_path / "a.json", json.dumps(document, ensure_ascii=ascii_only, indent=indent)) == SKIPPED


def test_skipped_values_have_any_size_and_are_not_built(small: None, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    large = json.dumps({"licenses": [[number, "x"] for number in range(40_000)], "data": "y" * 400_000})
    path.write_text(f'{large[:-1]}, "images": [1, 2]}}')
    tracemalloc.start()
    try:
        values = [element.value for _, _, element in stream_lists(path, ["images"])]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values == [1, 2]
    assert peak < 200_000  # of a file of a megabyte


@pytest.mark.parametrize("element", ['"{}"', '{{"a": "{}"}}', '[["{}"], 1]'])
def test_large_elements(element: str, small: None, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    least = len(element.format(""))
    largest = element.format("x" * ((1 << 14) - least))
    assert read(path, f'{{"images": [1, {largest}, 2]}}') == [1, json.loads(largest), 2]
    for size in (1 << 14, 1 << 15, 1 << 17):
        error = error_of(path, f'{{"images": [1, {element.format("x" * (size - least + 1))}, 2]}}')
        assert error.subject == f"{path}: images[1]"
        assert error.problem == "an element of more than 0 MiB (byte 15)"


def test_limit_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(json_stream, "MAX_ELEMENT", 1 << 20)
    error = error_of(tmp_path / "a.json", '{"images": ["' + "x" * (1 << 20) + '"]}')
    assert error.problem.startswith("an element of more than 1 MiB")


@pytest.mark.parametrize(
    "cut", ["tru", "-", "-Infin", '"a', '"\\', '"\\u12', "[1", "[1,", '{"a"', '{"a":', '{"a": 1', '{"']
)
def test_values_cut_at_a_chunk(cut: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = {"tru": "e", "-": "1", "-Infin": "ity", '"\\': 'n"', '"\\u12': '34"', "[1,": "2]", '{"': 'a": 1}'}
    rest |= {'"a': '"', "[1": "]", '{"a"': ": 1}", '{"a":': " 1}", '{"a": 1': "}"}
    monkeypatch.setattr(json_stream, "CHUNK", len('{"images": [') + len(cut))
    text = f'{{"images": [{cut}{rest[cut]}]}}'
    if "Inf" in cut:
        assert "expected a finite number" in error_of(tmp_path / "a.json", text).problem
    else:
        assert read(tmp_path / "a.json", text) == [json.loads(cut + rest[cut])]


def test_errors_in_small_elements_of_large_files(small: None, tmp_path: Path) -> None:
    filler = ", 1" * 20_000
    error = error_of(tmp_path / "a.json", f'{{"images": [1, {{"a" 2}}{filler}]}}')
    assert error.problem == "not valid JSON (Expecting ':' delimiter, byte 20)"


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff"])
def test_empty_files(text: str, tmp_path: Path) -> None:
    error = error_of(tmp_path / "a.json", text)
    assert (error.problem, error.found, error.subject) == ("empty file", None, str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    "text", ['{"a": [1, {"b": "]"', '{"a": "x', '{"a": "x\\', '{"a": "x\\"', '{"a"', '{"a": ]', '{"a": 1']
)
def test_files_that_end_early(text: str, tmp_path: Path) -> None:
    assert error_of(tmp_path / "a.json", text).problem.startswith("not valid JSON (")
