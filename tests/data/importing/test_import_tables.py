"""Label tables in CSV, of every shape."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelfiles import by_image, noted, read

from wsss.data.answers.answer_rows import HEADER, Answer, Item, answer_line
from wsss.errors import InvalidInput


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image_id,labels\na,cat dog\nb,\n", {"a": ("cat", "dog"), "b": ()}),
        ("\ufeffimage;labels\na.jpg;cat,dog\nb.jpg;cat\n", {"a.jpg": ("cat", "dog"), "b.jpg": ("cat",)}),
        ("image,labels\na,dining table;cat\nb,dining table\n", {"a": ("dining table", "cat"), "b": ("dining table",)}),
        ("filename\tlabel\na\tdining table\na\tcat\nb\tcat\n", {"a": ("dining table", "cat"), "b": ("cat",)}),
        ("name|class\na|cat\n", {"a": ("cat",)}),
        ('image,labels\na,"cat,dog"\n"b, c.png",cat\n', {"a": ("cat", "dog"), "b, c.png": ("cat",)}),
        ("labels,when,image\ncat,2020,a\n", {"a": ("cat",)}),
        ("a.jpg,cat,dog\nb.jpg,cat\nc.jpg\n", {"a.jpg": ("cat", "dog"), "b.jpg": ("cat",), "c.jpg": ()}),
        ("a.jpg,cat;dog;owl\n", {"a.jpg": ("cat", "dog", "owl")}),
        ("image,cat,dog\na,1,0\nb,0,1\nc,1,1\nd,0,0\n", {"a": ("cat",), "b": ("dog",), "c": ("cat", "dog"), "d": ()}),
        ("image;cat;dog\na;True;\nb;no;yes\n", {"a": ("cat",), "b": ("dog",)}),
        ("image,cat,dog\na,1.0,-1\n", {"a": ("cat",)}),
        (",file,cat\n0,a.png,1\n1,b.png,0\n", {"a.png": ("cat",), "b.png": ()}),
        ("image,label\na,1\nb,0\n", {"a": ("label",), "b": ()}),
        ("image,label\na,1\nb,0\nc,2\n", {"a": ("1",), "b": ("0",), "c": ("2",)}),
        ("image,labels\na,x\nb,y\nc,n\n", {"a": ("x",), "b": ("y",), "c": ("n",)}),
        ("image,label\na,t\nb,f\nc,t\n", {"a": ("t",), "b": ("f",), "c": ("t",)}),
        ("image,Label\na,X\nb,\n", {"a": ("X",), "b": ()}),
        ("image,label\na,yes\nb,no\n", {"a": ("label",), "b": ()}),
        ("image,cat,dog\na,x,\nb,,x\n", {"a": ("cat",), "b": ("dog",)}),
        ("image,labels\na,background cat\nb,background\n", {"a": ("cat",), "b": ()}),
        ("image,cat,dog,annotator\na,1,0,bob\nb,0,1,ann\n", {"a": ("cat",), "b": ("dog",)}),
        ("image,choice\na.jpg,dining table\n", {"a.jpg": ("dining table",)}),
        ("image,choices\na.jpg,cat dog\n", {"a.jpg": ("cat", "dog")}),
        ("image,labels\na,\"['cat', 'dog']\"\nb,[]\n", {"a": ("cat", "dog"), "b": ()}),
        ('image,labels\na,"[""cat"", ""dining table""]"\nb,\n', {"a": ("cat", "dining table"), "b": ()}),
        ("image,labels\na,['dining table' 'cat']\nb,['cat']\n", {"a": ("dining table", "cat"), "b": ("cat",)}),
        ("image,labels\na,\"{'dog', 'cat'}\"\n", {"a": ("cat", "dog")}),
        ('image,labels\na,"{""choices"": [""cat"", ""dog""]}"\nb,owl\n', {"a": ("cat", "dog"), "b": ("owl",)}),
        ("image,labels\na,[unknown]\nb,cat;dog\n", {"a": ("[unknown]",), "b": ("cat", "dog")}),
        ("sub/deep.jpg,dining table\nb.jpg,cat\n", {"sub/deep.jpg": ("dining table",), "b.jpg": ("cat",)}),
        ("a.jpg,dining table,cat\nb.jpg\n", {"a.jpg": ("dining table", "cat"), "b.jpg": ()}),
        ("image,labels\r\na,cat\r\n\r\nb,dog\r\n", {"a": ("cat",), "b": ("dog",)}),
    ],
)
def test_shapes(table: Path, text: str, expected: dict[str, tuple[str, ...]]) -> None:
    table.write_text(text, encoding="utf-8", newline="")
    assert by_image(read(table)) == expected


def test_columns_keep_their_order_other_classes_are_sorted(table: Path) -> None:
    table.write_text("image,zebra,ant\na,1,1\n")
    assert read(table).classes == ("zebra", "ant")
    table.write_text("image,labels\na,zebra ant\n")
    assert read(table).classes == ("ant", "zebra")


def test_separators(table: Path) -> None:
    table.write_text("image,labels\na,big cat\nb,small dog\n")
    labels = read(table)
    assert labels.classes == ("big", "cat", "dog", "small")
    assert noted(labels, "read as several labels")
    assert read(table, separator=";").classes == ("big cat", "small dog")
    table.write_text("image,labels\na,cat/dog\n")
    assert read(table, separator="/").classes == ("cat", "dog")


def test_labels_in_a_table_without_header_are_separated_by_the_delimiter(table: Path) -> None:
    table.write_text("a.jpg,big cat\nb.jpg,cat\n")
    labels = read(table)
    assert labels.classes == ("big cat", "cat")
    assert noted(labels, "read as one label each")
    assert read(table, separator=" ").classes == ("big", "cat")


def test_the_column_of_labels(table: Path) -> None:
    table.write_text("image,labels,animals\na,x,cat|dog\nb,x,\n")
    assert by_image(read(table, label_key="animals")) == {"a": ("cat", "dog"), "b": ()}
    with pytest.raises(InvalidInput) as error:
        read(table, label_key="animal")
    assert (error.value.found, error.value.allowed) == ("animal", ("image", "labels", "animals"))
    table.write_text("a.jpg,cat\n")
    with pytest.raises(InvalidInput) as error:
        read(table, label_key="animal")
    assert error.value.subject == f"{table}: --label-key"
    table.write_text("image,animals\na,cat\n")
    with pytest.raises(InvalidInput) as error:
        read(table)
    assert "--label-key" in (error.value.hint or "")


STUDIO = "annotation_id,annotator,choice,created_at,id,image,lead_time,updated_at"
"""The header of Label Studio's own CSV export (label_studio_sdk 1.0: converter/exports/csv2.py)."""


def test_label_studios_table(table: Path) -> None:
    rows = [
        '7,1,"{""choices"":[""cat"",""dog""]}",2024-05-01T09:00:00Z,1,/data/local-files/?d=imgs/dog%201.jpg,3.4,x',
        "8,1,dining table,2024-05-01T09:00:00Z,2,/data/upload/1/0123abcd-a%20b.jpg,1.1,x",
        "9,1,,2024-05-01T09:00:00Z,3,s3://bucket/c.jpg,1.1,x",
    ]
    expected = {
        "/data/local-files/?d=imgs/dog%201.jpg": ("cat", "dog"),
        "/data/upload/1/0123abcd-a%20b.jpg": ("dining table",),
        "s3://bucket/c.jpg": (),
    }
    for name in ("choice", "animals"):
        table.write_text("\n".join([STUDIO.replace("choice", name), *rows]) + "\n")
        labels = read(table)
        assert by_image(labels) == expected
        assert labels.classes == ("cat", "dining table", "dog")
        assert labels.entries[1].where == f"{table}:3"
        assert by_image(read(table, format="label-studio")) == expected
    table.write_text(
        STUDIO.replace("id,image", "id,image,who") + "\n1,1,,x,1,a.jpg,bob,1,x\n2,1,cat,x,2,b.jpg,ann,1,x\n"
    )
    assert by_image(read(table)) == {"a.jpg": (), "b.jpg": ("cat",)}
    assert by_image(read(table, label_key="who")) == {"a.jpg": ("bob",), "b.jpg": ("ann",)}


def test_other_columns_are_noted(table: Path) -> None:
    table.write_text("image,width,cat,made,split\na,640,1,monday,train\nb,480,0,friday,val\n")
    labels = read(table)
    assert labels.classes == ("cat",)
    assert {text for kind, text in labels.notes if "--label-key" in kind} == {"width", "made"}
    assert [entry.split for entry in labels.entries] == ["train", "val"]
    assert [entry.where for entry in labels.entries] == [f"{table}:2", f"{table}:3"]


@pytest.mark.parametrize(
    ("text", "where", "value"),
    [
        ("", "", None),
        ("image\na\n", ":1", "image"),
        ("image,labels\n", "", None),
        ("image,labels\na,cat\nb,cat,dog\n", ":3", 3),
        ("image,cat,cat\na,1,0\n", ":1", None),
        ("image,cat\na,1\nb,maybe\n", ":3: column 'cat'", "maybe"),
        ("image,cat\na,1\na,0\n", ":3", None),
        ("image,width\na,17\n", ":1", ["image", "width"]),
        ('image,labels\na,"[cat, dog]"\n', ":2", "[cat, dog]"),
        ('image,labels\na,"[1, 2]"\n', ":2", "[1, 2]"),
        ("a.jpg,['cat', 'dog']\n", ":1", "['cat'"),
        ("image,labels\n,cat\n", ":2", None),
        ("image,a|b\nx,1\n", ":1", "a|b"),
        ("image,labels\na,\nb,\n", "", None),
        ('image,labels\na,"cat\nb,dog\n', ":3", None),
        ("image,label,split\na,cat,train\na,dog,val\n", ":3", "val"),
        ("image,labels\n" + "".join(f"a,c{n}\n" for n in range(300)), "", 300),
    ],
)
def test_mistakes_are_reported_with_file_and_line(table: Path, text: str, where: str, value: object) -> None:
    table.write_text(text)
    with pytest.raises(InvalidInput) as error:
        read(table)
    assert (error.value.subject, error.value.found) == (f"{table}{where}", value)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        *(("cp1250", "WINDOWS-1252"), ("cp1252", "WINDOWS-1252")),
        *(("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")),
    ],
)
def test_the_hint_for_other_encodings_converts_the_file(table: Path, encoding: str, name: str) -> None:
    table.write_bytes("image,labels\na,Möwe\n".encode(encoding))
    with pytest.raises(InvalidInput) as error:
        read(table)
    assert str(table) in str(error.value.subject)
    assert f"iconv -f {name} -t UTF-8" in (error.value.hint or "") and "Excel" in (error.value.hint or "")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_excels_line_with_the_delimiter(table: Path, first: str) -> None:
    table.write_text(f"\ufeff{first}\r\nimage;labels\r\na, b.jpg;cat,dog\r\nc.jpg;\r\n", encoding="utf-8", newline="")
    labels = read(table)
    assert by_image(labels) == {"a, b.jpg": ("cat", "dog"), "c.jpg": ()}
    assert [entry.where for entry in labels.entries] == [f"{table}:3", f"{table}:4"]
    table.write_text("sep=\t\na.jpg\tcat\n")
    assert by_image(read(table)) == {"a.jpg": ("cat",)}
    table.write_text("sep=;\n")
    with pytest.raises(InvalidInput):
        read(table)


@pytest.mark.parametrize(
    ("header", "row", "image", "guessed"),
    [
        ("previous,image,label", "p.jpg,i.jpg,cat", "i.jpg", True),
        ("id,url,label", "17,https://x.org/i.jpg,cat", "https://x.org/i.jpg", True),
        ("image_id,url,label", "17,https://x.org/i.jpg,cat", "17", False),
        ("name,label", "i.jpg,cat", "i.jpg", False),
        ("Id,label", "17,cat", "17", False),
        ("label,filename,thumbnail", "cat,i.jpg,t.jpg", "i.jpg", True),
        ("shot,label", "i17,cat", "i17", True),
        ("label,shot", "cat,i17.png", "i17.png", True),
        ("previous,image,cat,dog", "p.jpg,i.jpg,1,0", "i.jpg", True),
    ],
)
def test_the_column_of_the_image(table: Path, header: str, row: str, image: str, guessed: bool) -> None:
    table.write_text(f"{header}\n{row}\n")
    labels = read(table)
    assert by_image(labels) == {image: ("cat",)}
    assert noted(labels, "--image-key") == guessed
    column = header.split(",")[row.split(",").index(image)]
    chosen = read(table, image_key=column)
    assert by_image(chosen) == by_image(labels) and not noted(chosen, "--image-key")


def test_the_column_of_the_image_must_be_unambiguous(table: Path) -> None:
    for header, row in (("before,after,label", "b.jpg,a.jpg,cat"), ("before,after,cat,dog", "b.jpg,a.jpg,1,0")):
        table.write_text(f"{header}\n{row}\n")
        with pytest.raises(InvalidInput) as error:
            read(table)
        assert error.value.found == ["before", "after"] and "--image-key" in (error.value.hint or "")
        assert by_image(read(table, image_key="after")) == {"a.jpg": ("cat",)}
        with pytest.raises(InvalidInput) as error:
            read(table, image_key="aftr")
        assert error.value.found == "aftr" and "after" in (error.value.allowed or ())
    table.write_text("a.jpg,cat\n")
    with pytest.raises(InvalidInput) as error:
        read(table, image_key="image")
    assert error.value.subject == f"{table}: --image-key"


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_tables_of_answers_are_no_tables_of_labels(delimiter: str, table: Path) -> None:
    """Answers about tiles, answers that were undone, and those of a minority are no labels of the images."""
    row = answer_line(Answer(Item("a", 1, 2, 9), "cat", "no", "annotator-1", "2026-11-29T10:00:00Z"))
    table.write_text(f"{HEADER}{row}".replace(",", delimiter))
    with pytest.raises(InvalidInput, match="table of answers") as error:
        read(table)
    assert "--export" in str(error.value.hint) and "wsss data tiles IMAGES OUT --answers" in str(error.value.hint)
