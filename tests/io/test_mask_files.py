from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.rasters.mask_files import GUESSED, LOSSY, UNMATCHED, masks_by_id, masks_by_name, masks_folder


def folder_of(root: Path, *names: str) -> Path:
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a", "a.png"),
        ("a", "a.PNG"),
        ("a", "a.tif"),
        ("a", "a.TIFF"),
        ("a", "a.bmp"),
        ("a", "a.gif"),
        ("a", "a.jpg.png"),
        ("scan.v2", "scan.v2.png"),
        ("a", "a_mask.png"),
        ("a", "a_Mask.PNG"),
        ("a", "a-gt.png"),
        ("a", "a_label.png"),
        ("a", "a_labels.tif"),
        ("a", "a_ground_truth.png"),
        ("a", "a_segmentation.png"),  # ISIC
        ("0001TP_006690", "0001TP_006690_L.png"),  # CamVid
        ("a", "a_manual1.gif"),
        ("21_training", "21_manual1.gif"),  # DRIVE
        ("Image_01L", "Image_01L_1stHO.png"),  # CHASE_DB1
        ("100034_sat", "100034_mask.png"),  # DeepGlobe's roads
        ("aachen_0_leftImg8bit", "aachen_0_gtFine_labelIds.png"),  # Cityscapes
    ],
)
def test_names_of_tools_and_public_datasets(tmp_path: Path, image: str, mask: str) -> None:
    files = masks_by_id(folder_of(tmp_path, mask), [image, "another"])
    assert files.paths == {image: tmp_path / mask} and files.unmatched == ()
    plain = mask.lower().rpartition(".")[0] in (image.lower(), f"{image}.jpg")
    assert files.guessed == (() if plain else (image,))


def test_exact_names_take_precedence(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "a_mask.png")
    both = masks_by_id(tmp_path, ["a", "a_mask"])
    assert both.paths == {"a": tmp_path / "a.png", "a_mask": tmp_path / "a_mask.png"} and not both.guessed
    with pytest.raises(InvalidInput) as error:
        masks_by_id(tmp_path, ["a"])
    assert error.value.subject == str(tmp_path) and "mask_suffix" in str(error.value.hint)


def test_ambiguous_names_are_not_matched(tmp_path: Path) -> None:
    files = masks_by_id(folder_of(tmp_path, "7_mask.png"), ["7_train", "7_test"])
    assert files.paths == {} and files.unmatched == ("7_mask.png",)


@pytest.mark.parametrize(("first", "second"), [("a.png", "a.tif"), ("a.png", "a.jpg.png"), ("a_gt.png", "a_mask.png")])
def test_two_masks_of_one_image_are_refused(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(InvalidInput) as error:
        masks_by_id(folder_of(tmp_path, first, second), ["a"])
    assert first in error.value.problem and second in error.value.problem and "'a'" in error.value.problem


def test_suffix_selects_an_annotator(tmp_path: Path) -> None:
    folder_of(tmp_path, "a_1stHO.png", "a_2ndHO.png", "b_1stHO.png", "b_2ndHO.png")
    files = masks_by_id(tmp_path, ["a", "b"], suffix="_2ndHO")
    assert files.paths == {one: tmp_path / f"{one}_2ndHO.png" for one in "ab"} and not files.guessed
    with pytest.raises(InvalidInput) as error:
        masks_by_id(tmp_path, ["a"], suffix="_x")
    assert error.value.subject == str(tmp_path) and "a_1stHO.png" in str(error.value.found)


def test_unmatched_files_are_reported(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", *(f"x{number}.png" for number in range(7)), "b.jpg", "notes.txt", ".hidden.png")
    files = masks_by_id(tmp_path, ["a", "b"])
    assert files.unmatched == tuple(f"x{number}.png" for number in range(7)) and files.lossy == ("b.jpg",)
    remarks = dict(files.remarks())
    assert set(remarks) == {UNMATCHED, LOSSY}
    assert "no matching image for 7 masks: x0.png, x1.png, x2.png, x3.png, x4.png and 2 more" in remarks[UNMATCHED]
    assert "b.jpg" in remarks[LOSSY]


def test_guesses_are_reported(tmp_path: Path) -> None:
    remarks = dict(masks_by_id(folder_of(tmp_path, "a_mask.png"), ["a"]).remarks())
    assert "1 mask matched by a part of the name: a_mask.png of image a" in remarks[GUESSED]


def test_masks_folder(tmp_path: Path) -> None:
    assert masks_folder(tmp_path) == tmp_path
    (tmp_path / "masks").mkdir()
    assert masks_folder(tmp_path) == tmp_path / "masks"
    assert masks_by_id(tmp_path / "absent", ["a"]).paths == {}


def test_masks_alone(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.c.tif", "a_mask.png", "d.jpg")
    assert masks_by_name(tmp_path) == {
        "a": tmp_path / "a.png",
        "b.c": tmp_path / "b.c.tif",
        "a_mask": tmp_path / "a_mask.png",
    }
    folder_of(tmp_path, "a.tif")
    with pytest.raises(InvalidInput):
        masks_by_name(tmp_path)


IDS = st.lists(st.text("ab_.1", min_size=1, max_size=6).filter(lambda name: name[0] != "."), min_size=1, unique=True)


@given(IDS)
def test_masks_with_exact_names_are_always_matched(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    folder = folder_of(tmp_path_factory.mktemp("ids"), *(f"{name}.png" for name in ids))
    files = masks_by_id(folder, ids)
    assert files.paths == {name: folder / f"{name}.png" for name in ids}
    assert files.unmatched == files.guessed == ()
