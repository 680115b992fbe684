"""Finding masks by the ids of their images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.rasters.mask_files import GUESSED, LOSSY, STRANGERS, masks_alone, masks_by_id, masks_folder


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
    found = masks_by_id(folder_of(tmp_path, mask), [image, "another"])
    assert found.found == {image: tmp_path / mask} and found.strangers == ()
    plain = mask.lower().rpartition(".")[0] in (image.lower(), f"{image}.jpg")
    assert found.guessed == (() if plain else (image,))


def test_an_exact_name_comes_before_a_guess(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "a_mask.png")
    both = masks_by_id(tmp_path, ["a", "a_mask"])
    assert both.found == {"a": tmp_path / "a.png", "a_mask": tmp_path / "a_mask.png"} and not both.guessed
    with pytest.raises(InvalidInput, match=r"a\.png and a_mask\.png are both masks of image 'a'[\s\S]*mask_suffix"):
        masks_by_id(tmp_path, ["a"])


def test_two_images_that_differ_by_such_a_word_get_no_guess(tmp_path: Path) -> None:
    found = masks_by_id(folder_of(tmp_path, "7_mask.png"), ["7_train", "7_test"])
    assert found.found == {} and found.strangers == ("7_mask.png",)


@pytest.mark.parametrize(("one", "other"), [("a.png", "a.tif"), ("a.png", "a.jpg.png"), ("a_gt.png", "a_mask.png")])
def test_two_masks_of_one_image_are_refused_by_name(tmp_path: Path, one: str, other: str) -> None:
    with pytest.raises(InvalidInput) as found:
        masks_by_id(folder_of(tmp_path, one, other), ["a"])
    assert one in found.value.message and other in found.value.message and "'a'" in found.value.message


def test_a_suffix_chooses_among_annotators(tmp_path: Path) -> None:
    folder_of(tmp_path, "a_1stHO.png", "a_2ndHO.png", "b_1stHO.png", "b_2ndHO.png")
    found = masks_by_id(tmp_path, ["a", "b"], suffix="_2ndHO")
    assert found.found == {one: tmp_path / f"{one}_2ndHO.png" for one in "ab"} and not found.guessed
    with pytest.raises(InvalidInput, match=r"no mask's name ends in '_x' \(data\.mask_suffix\); found a_1stHO\.png"):
        masks_by_id(tmp_path, ["a"], suffix="_x")


def test_what_fits_no_image_is_counted_with_examples(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", *(f"x{number}.png" for number in range(7)), "b.jpg", "notes.txt", ".hidden.png")
    found = masks_by_id(tmp_path, ["a", "b"])
    assert found.strangers == tuple(f"x{number}.png" for number in range(7)) and found.lossy == ("b.jpg",)
    remarks = dict(found.remarks())
    assert set(remarks) == {STRANGERS, LOSSY}
    assert "No matching image for 7 masks: x0.png, x1.png, x2.png, x3.png, x4.png and 2 more" in remarks[STRANGERS]
    assert "b.jpg" in remarks[LOSSY]


def test_guesses_are_announced(tmp_path: Path) -> None:
    remarks = dict(masks_by_id(folder_of(tmp_path, "a_mask.png"), ["a"]).remarks())
    assert "1 mask matched by a part of the name: a_mask.png of image a" in remarks[GUESSED]


def test_a_folder_of_masks_or_one_that_holds_it(tmp_path: Path) -> None:
    assert masks_folder(tmp_path) == tmp_path
    (tmp_path / "masks").mkdir()
    assert masks_folder(tmp_path) == tmp_path / "masks"
    assert masks_by_id(tmp_path / "absent", ["a"]).found == {}


def test_masks_without_images_have_the_ids_of_their_names(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.c.tif", "a_mask.png", "d.jpg")
    assert masks_alone(tmp_path) == {
        "a": tmp_path / "a.png",
        "b.c": tmp_path / "b.c.tif",
        "a_mask": tmp_path / "a_mask.png",
    }
    folder_of(tmp_path, "a.tif")
    with pytest.raises(InvalidInput, match=r"a\.png and a\.tif are both masks of image 'a'"):
        masks_alone(tmp_path)


IDS = st.lists(st.text("ab_.1", min_size=1, max_size=6).filter(lambda name: name[0] != "."), min_size=1, unique=True)


@given(IDS)
def test_every_image_finds_the_mask_of_its_own_name(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    folder = folder_of(tmp_path_factory.mktemp("ids"), *(f"{one}.png" for one in ids))
    found = masks_by_id(folder, ids)
    assert found.found == {one: folder / f"{one}.png" for one in ids}
    assert found.strangers == found.guessed == ()
