"""Tables contain no formulas, numbers stay numbers, and everything reads back unchanged."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.text.tables import csv_text, from_cell, read_rows, read_table, to_cell

TEXT = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.from_regex(r"'{0,2}[=+\-@\t\r＝-][a-z0-9.,\"\r\n]{0,4}", fullmatch=True),
)


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2, unique=True), min_size=1, max_size=4))
def test_round_trip(rows: list[list[str]]) -> None:
    text = csv_text(rows)
    assert read_rows(io.StringIO(text, newline=""), "x") == [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    for cell in (cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row):
        assert not cell.startswith(tuple("=@\t\r＝")) and (cell[:1] not in "+-" or not cell or _is_number(cell))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_numbers_stay_numbers() -> None:
    cells = ["-1.500000", "+3", "-1e-09", "-.5", "-inf", "7", ""]
    assert [to_cell(cell) for cell in cells] == cells == [from_cell(cell) for cell in cells]
    assert csv_text([["a", -1.5, None, 2, "-1+1", "=1", "'=1"]]) == "a,-1.5,,2,'-1+1,'=1,''=1\n"


def test_broken_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for content, subject in ((b"a,b\n1\n", f"{path}: row 1"), (b"a,b\n\xff,1\n", str(path))):
        path.write_bytes(content)
        with pytest.raises(InvalidInput) as error:
            read_table(path)
        assert error.value.subject == subject
    with pytest.raises(InvalidInput):
        read_table(tmp_path / "missing.csv")
