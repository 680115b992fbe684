"""Matching of names in label files to images, and ids of images."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.image_ids import fold, image_ids, is_cut
from wsss.data.importers.listing import NOT_UTF8, list_images
from wsss.data.importers.match_images import Finder
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput


@pytest.mark.parametrize(
    ("files", "name", "matches", "difference"),
    [
        (["a.jpg", "b.jpg"], "a.jpg", ["a.jpg"], ""),
        (["a.jpg", "b.jpg"], "a", ["a.jpg"], ""),
        (["a.jpg", "b.jpg"], "./a.jpg", ["a.jpg"], ""),
        (["a.jpg"], "a.png", ["a.jpg"], "suffix"),
        (["A.JPG"], "a.jpg", ["A.JPG"], "case"),
        (["a.jpg", "A.jpg"], "A.jpg", ["A.jpg"], ""),
        (["a.jpg", "a.png"], "a.png", ["a.png"], ""),
        (["a.jpg", "a.png"], "a", ["a.jpg", "a.png"], ""),
        (["cat/1.jpg", "dog/1.jpg"], "dog/1.jpg", ["dog/1.jpg"], ""),
        (["cat/1.jpg", "dog/1.jpg"], "/home/me/dog/1.jpg", ["dog/1.jpg"], ""),
        (["cat/1.jpg", "dog/1.jpg"], r"C:\me\cat\1.jpg", ["cat/1.jpg"], ""),
        (["cat/1.jpg", "dog/1.jpg"], "1.jpg", ["cat/1.jpg", "dog/1.jpg"], ""),
        (["x/cat/1.jpg", "y/cat/1.jpg"], "y/cat/1", ["y/cat/1.jpg"], ""),
        (["scan.v2.png", "scan.png"], "scan.v2", ["scan.v2.png"], ""),
        (["COCO_train2014_000000000009.jpg"], "9", ["COCO_train2014_000000000009.jpg"], "number"),
        (["7.jpg", "a7.jpg"], "7", ["7.jpg"], ""),
        (["a.jpg"], "b", [], ""),
        (["cat/1.jpg"], "dog/1.jpg", [], ""),
        (["cat/1.jpg"], "dog/1", [], ""),
        (["cat/1.jpg"], "/home/me/dog/1.jpg", [], ""),
        (["train/cat/1.jpg"], "val/cat/1.jpg", [], ""),
        (["train/cat/1.jpg"], "cat/1.jpg", ["train/cat/1.jpg"], ""),
        (["cat/1.jpg"], "train/cat/1.jpg", ["cat/1.jpg"], ""),
        (["cat/1.jpg"], "Cat/1.jpg", ["cat/1.jpg"], "case"),
        (["cat/1.jpg", "dog/1.png"], "dog/1.jpg", ["dog/1.png"], "suffix"),
        (["1.jpg"], "photos/1.jpg", ["1.jpg"], ""),
        (["1.jpg"], "../photos/1.jpg", ["1.jpg"], ""),
        (["cat/1.jpg"], "https://host.example/a/cat/1.jpg", ["cat/1.jpg"], ""),
        (["cat/1.jpg"], "https://host.example/1.jpg", ["cat/1.jpg"], ""),
        (["cat/1.jpg"], "https://host.example/dog/1.jpg", [], ""),
        (["imgs/dog 1.jpg"], "https://x.org/a/imgs/dog%201.jpg", ["imgs/dog 1.jpg"], ""),
        (["cat_02.jpg"], "https://x.org/a/imgs/cat_02.jpg?sig=abc", ["cat_02.jpg"], ""),
        (["żółw.jpg"], "https://x.org/%C5%BC%C3%B3%C5%82w.jpg?a=b/c#d", ["żółw.jpg"], ""),
        (["a.jpg", "300.jpg"], "https://x.org/a.jpg?d=300", ["a.jpg"], ""),
        (["cat/1.jpg", "dog/1.jpg"], "https://x.org/cat/1.jpg?like=dog/1.jpg", ["cat/1.jpg"], ""),
        (["cat/1.jpg"], "https://x.org/dog/1.jpg?like=cat/1.jpg", [], ""),
        (["imgs/dog 1.jpg"], "/data/local-files/?d=imgs/dog%201.jpg", ["imgs/dog 1.jpg"], ""),
        (["dog 1.jpg"], "/data/upload/1/0123abcd-dog%201.jpg", ["dog 1.jpg"], ""),
        (["0123abcd-1.jpg"], "/data/upload/1/0123abcd-1.jpg", ["0123abcd-1.jpg"], ""),
        (["0123abcd-1.jpg", "1.jpg"], "/data/upload/1/0123abcd-1.jpg", ["0123abcd-1.jpg"], ""),
        (["1.jpg", "2.jpg"], "/data/upload/1/0123abcd-1.jpg", ["1.jpg"], ""),
        (["cat/1.jpg"], "/data/upload/1/0123abcd-1.jpg", ["cat/1.jpg"], ""),
        (["cat/0123abcd-1.jpg", "1.jpg"], "/data/upload/1/0123abcd-1.jpg", ["cat/0123abcd-1.jpg"], ""),
        (["1/0123abcd-1.jpg", "2/0123abcd-1.jpg"], "/data/upload/2/0123abcd-1.jpg", ["2/0123abcd-1.jpg"], ""),
        (["1.jpg"], "images/0123abcd-1.jpg", ["1.jpg"], ""),
        (["1.jpg"], r"images\0123abcd-1.jpg", ["1.jpg"], ""),
        (["cat/1.jpg"], "../../label-studio/data/media/upload/7/0123abcd-1.jpg", ["cat/1.jpg"], ""),
        (["a/1.jpg"], "https://studio.example/data/upload/7/0123abcd-1.jpg", ["a/1.jpg"], ""),
        (["1.png"], "0123abcd-1.jpg", ["1.png"], "suffix"),
        (["0123abcd-.jpg"], "0123abcd-.jpg", ["0123abcd-.jpg"], ""),
        (["a b (1), #2.jpg"], "/data/upload/1/0123abcd-a_b_1_2.jpg", ["a b (1), #2.jpg"], ""),
        (["t/a b.jpg", "u/a b.jpg", "a.jpg"], "/data/upload/1/0123abcd-a_b.jpg", ["t/a b.jpg", "u/a b.jpg"], ""),
        (["a b.jpg", "a_b.jpg"], "/data/upload/1/0123abcd-a_b.jpg", ["a_b.jpg"], ""),
        (["e\u0301 1.jpg"], "/data/upload/1/0123abcd-%C3%A9_1.jpg", ["é 1.jpg"], ""),
        (["a b.jpg"], "a_b.jpg", [], ""),
        (["1.jpg"], "0123abcg-1.jpg", [], ""),
        (["1.jpg"], "0123ABCD-1.jpg", [], ""),
        (["000000000009.jpg"], "9.jpg", ["000000000009.jpg"], "number"),
        (["COCO_train2014_000000000009.jpg"], "9.jpg", [], ""),
        (["000000000009.jpg"], "000000000009", ["000000000009.jpg"], ""),
        (["100%25.jpg", "100%.jpg"], "100%25.jpg", ["100%25.jpg"], ""),
        (["100%25.jpg", "100%.jpg"], "s3://bucket/100%25.jpg", ["100%25.jpg"], ""),
        (["a%20b.jpg"], "a b.jpg", [], ""),
        (["a b.jpg"], "a%20b.jpg", [], ""),
        (["why?.jpg"], "why?.jpg", ["why?.jpg"], ""),
        (["why?.jpg", "why.jpg"], "s3://bucket/why?.jpg", ["why?.jpg"], ""),
        (["a.jpg"], "a.jpg?sig=abc", [], ""),
        (["a.jpg"], "http://[x/a.jpg", ["a.jpg"], ""),
        ([unicodedata.normalize("NFD", "żółw.jpg")], unicodedata.normalize("NFC", "Żółw"), ["żółw.jpg"], "case"),
        ([unicodedata.normalize("NFD", "né 1.jpg")], "/data/upload/1/0123abcd-ne_1.jpg", ["né 1.jpg"], ""),
        ([unicodedata.normalize("NFC", "né 1.jpg")], "/data/upload/1/0123abcd-ne_1.jpg", ["né 1.jpg"], ""),
        (["né 1.jpg"], "/data/upload/1/0123abcd-né_1.jpg", ["né 1.jpg"], ""),
        (["né (1).jpg", "nè 1.jpg"], "/data/upload/1/0123abcd-ne_1.jpg", ["né (1).jpg", "nè 1.jpg"], ""),
        (["né.jpg", "ne.jpg"], "/data/upload/1/0123abcd-ne.jpg", ["ne.jpg"], ""),
        ([unicodedata.normalize("NFD", "각 1.jpg")], "/data/upload/1/0123abcd-각_1.jpg", ["각 1.jpg"], ""),
    ],
)
def test_matching(files: list[str], name: str, matches: list[str], difference: str) -> None:
    match = Finder(files).find(name)
    assert [unicodedata.normalize("NFC", file) for file in match.files] == matches
    assert match.difference == difference


def test_a_name_may_begin_with_the_images_folder() -> None:
    finder = Finder(["a/cat/1.jpg", "cat/1.jpg", "dog/2.jpg"], root="photos")
    assert finder.find("photos/cat/1.jpg").files == ("cat/1.jpg",)
    assert finder.find("/home/me/photos/a/cat/1.jpg").files == ("a/cat/1.jpg",)
    assert finder.find("photos/2.jpg").files == ("dog/2.jpg",)
    assert finder.find("photos/cat/2.jpg").files == ()
    assert finder.find("photos/cat/2.jpg").elsewhere == ("dog/2.jpg",)


def test_a_name_with_an_upload_prefix_matches_less_exactly() -> None:
    finder = Finder(["1.jpg", "2.jpg"])
    exact, loose = finder.find("1.jpg"), finder.find("/data/upload/1/0123abcd-1.jpg")
    assert exact.distance < loose.distance and loose.unprefixed and not exact.unprefixed
    assert loose.name != finder.find("/data/upload/1/ffffffff-1.jpg").name, "two uploads may be two images"


def test_unsupported_image_files_match_last() -> None:
    finder = Finder(["b.jpg", "c.jpg"], unread=["a.heic", "sub/c.heic"], root="photos")
    for name in ("a.heic", "a", "photos/a.HEIC"):
        match = finder.find(name)
        assert match.files == () and match.unread == ("a.heic",)
    assert finder.find("c.heic").files == ("c.jpg",) and finder.find("x.heic").unread == ()
    raw = Finder(["b.jpg"], unread=["cam/A 1.DNG"])
    for name in ("A 1", "A 1.DNG", "cam/a 1.dng", "a 1.jpg", "https://x.org/cam/A%201.DNG"):
        assert raw.find(name).unread == ("cam/A 1.DNG",)


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (["a.jpg", "b c.png"], ["a", "b c"]),
        (["cat/1.jpg", "dog/2.jpg"], ["1", "2"]),
        (["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"], ["cat__1", "dog__1", "dog__2"]),
        (["a.jpg", "A.jpg"], ["a_jpg__509b0d46", "A_jpg__c88c8fca"]),
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),
        ([" a .jpg", "b..c.jpg"], ["a", "b__c"]),
        (["scan.jpg.png"], ["scan_jpg"]),
        (["con.jpg", "COM1.x.jpg", "console.jpg"], ["_con", "_COM1.x", "console"]),
        (["why?.jpg", 'a"b:c<d>|*.jpg'], ["why_", "a_b_c_d___"]),
        (["end .jpg", "dot..jpg"], ["end", "dot_"]),
        (["tab\t.jpg", "bell\x07.jpg", "\x85.jpg"], ["tab_", "bell_", "_"]),
        (["e\u0301.jpg", "\u00e9.jpg"], ["e\u0301_jpg__146f2b56", "\u00e9_jpg__b83fca42"]),
    ],
)
def test_ids(files: list[str], ids: list[str]) -> None:
    assert list(image_ids(files).values()) == ids


@pytest.mark.parametrize("folders", [False, True])
def test_similar_names_do_not_change_the_ids_of_others(folders: bool) -> None:
    others = [f"{name}.jpg" for name in "bcd"]
    pair = ["X.jpg", "x.JPG", "a.bmp", "a.png"]
    alone = image_ids(others, folders=folders)
    both = image_ids([*others, *pair], folders=folders)
    assert alone == {f"{name}.jpg": name for name in "bcd"} and alone.items() <= both.items()
    assert image_ids(pair, folders=folders).items() <= both.items(), "independent of other images"
    assert image_ids([*pair[::-1], *others], folders=folders) == both, "in any order"
    assert both["a.bmp"] == "a_bmp" and both["X.jpg"].startswith("X_jpg__")
    last = image_ids(["a.jpg", "a.png", "a_jpg.png"], folders=folders)
    assert len({fold(name) for name in last.values()}) == 3 and last["a.png"] == "a_png"


def test_long_names_are_shortened_to_unique_ids() -> None:
    files = [f"{'写' * 74}{end}.jpg" for end in ("a", "b")] + ["short.jpg"]
    ids = image_ids(files)
    assert ids["short.jpg"] == "short" and not is_cut("short.jpg", "short")
    for file in files[:2]:
        assert ids[file].startswith("写" * 60) and len(ids[file].encode()) <= 200 and is_cut(file, ids[file])
    assert len(set(ids.values())) == 3 and image_ids(files) == ids
    assert image_ids([f"{'x' * 200}.jpg"]) == {f"{'x' * 200}.jpg": "x" * 200}
    deep = [f"{'d' * 150}/{n}{'e' * 100}/1.jpg" for n in range(3)]
    assert len({fold(name) for name in image_ids(deep).values()}) == 3


names = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80).filter(
    lambda name: not name.startswith(".") and name.strip()
)


@given(st.lists(st.builds("/".join, st.lists(names, min_size=1, max_size=3)), min_size=1, max_size=8, unique=True))
def test_ids_are_unique(stems: list[str]) -> None:
    files = [f"{stem}.png" for stem in stems]
    ids = image_ids(files)
    assert list(ids) == files and len({fold(name) for name in ids.values()}) == len(files)
    for name in ids.values():
        assert check_id(name, "here") == name == name.strip() == without_suffix(name)
        assert len(name.splitlines()) == 1


BEGINNINGS = ("", "http://", "s3://b/", "/data/upload/", "/data/local-files/?d=")


@given(st.sampled_from(BEGINNINGS), st.text("ab %2?=#[]/\\.:@0\0żd&", max_size=15))
def test_any_text_is_a_valid_name(beginning: str, rest: str) -> None:
    match = Finder(["a b.jpg", "x/1.jpg"], root="p").find(beginning + rest)
    assert set(match.files) <= {"a b.jpg", "x/1.jpg"}


def test_listing(tmp_path: Path) -> None:
    for file in ("b.JPG", "sub/dir/a.png", ".hidden.png", ".git/x.png", "notes.txt", "ą ę.webp"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    assert list_images(tmp_path).images == ["b.JPG", "sub/dir/a.png", "ą ę.webp"]
    try:
        (tmp_path / "wrong\udcff.png").write_bytes(b"x")
    except OSError:
        pytest.skip("the file system requires valid UTF-8")
    assert (f"files {NOT_UTF8}", "wrong\udcff.png") in list_images(tmp_path).notes


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_folders_without_images_are_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput) as error:
        list_images(tmp_path / folder)
    assert error.value.subject == f"--images: {tmp_path / folder}"


def test_another_unicode_form_is_a_smaller_difference_than_case() -> None:
    finder = Finder(["caf\u00e9.jpg"])
    assert [finder.find(name).difference for name in ("cafe\u0301.jpg", "cafe\u0301", "CAF\u00c9.jpg")] == [
        *("Unicode form", "Unicode form", "case")
    ]
