"""Class lists of users and of annotation tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.data.class_list import read_class_list
from wsss.errors import InvalidInput


def read(tmp_path: Path, text: str) -> dict[str, int]:
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return read_class_list(path)


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\n",
        "background\ncat\ndog\n",
        "Background\ncat\ndog\n",
        "__ignore__\n_background_\ncat\ndog\n",
        "0 background\n1 cat\n2 dog\n",
        "0\tBackground\n2 dog\n1\tcat\n",
        "# classes\n1 cat\n\n2 dog\n",
    ],
)
def test_forms_of_class_lists(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"cat": 1, "dog": 2}


def test_names_may_begin_with_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "3d model\ncar\n") == {"3d model": 1, "car": 2}
    assert read(tmp_path, "1 2 wheeler\n2 4 wheeler\n") == {"2 wheeler": 1, "4 wheeler": 2}
    assert read(tmp_path, "16:9 screen\nscreen\n") == {"16:9 screen": 1, "screen": 2}
    assert read(tmp_path, "car\n2 wheeler\n") == {"car": 1, "2 wheeler": 2}
    assert read(tmp_path, "car: sedan\n2 wheeler\n") == {"car: sedan": 1, "2 wheeler": 2}
    assert read(tmp_path, "screen\n16:9 screen\n") == {"screen": 1, "16:9 screen": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0,background\n1,cat\n2,dog\n", 1),
        ("0: background\n1: cat\n", 1),
        ("1 = cat\n2 = dog\n", 1),
        ("id name\n0 background\n1 cat\n", 2),
        ("0\tbackground\ncat\ndog\n", 1),
        ("cat\n0: background\ndog\n", 2),
        ("id,name\n0,background\n1,cat\n", 2),
        ("id,name\n1,cat\n2,dog\n", 2),
        ("id,name,color\n1,cat,red\n", 2),
        ("Class ID,Class Name\n1,cat\n", 2),
        ("id\tname\n1\tcat\n", 2),
        ("id name\n1 cat\n2 dog\n", 2),
        ("1 background\n2 cat\n", 1),
        ("1 cat\n1 dog\n", 2),
        ("1 cat\n255 dog\n", 2),
        ("cat\ncat\n", 2),
    ],
)
def test_ids_in_other_forms_are_refused(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, text)
    assert error.value.subject == f"{tmp_path / 'classes.txt'}:{line}"
