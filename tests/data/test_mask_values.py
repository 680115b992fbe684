"""``data.mask_values``: what the values of a dataset's own masks mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss.data.checks.check import check_config
from wsss.data.masks.mask_values import MaskValues, as_key
from wsss.data.readers.registry import open_dataset
from wsss.data.sample import Dataset, load_truth, read_truth
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]
SIZE = (12, 16)
ROADS = {0: "background", 255: "road"}


def bands(*values: int) -> np.ndarray:
    """A mask of bands of the given values, the last one to the end."""
    mask = np.full(SIZE, values[-1], np.uint8)
    for place, value in enumerate(values[:-1]):
        mask[:, 3 * place : 3 * place + 3] = value
    return mask


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    """Four images with masks of 0 and 255, and a class list."""
    for number in range(4):
        write_png(tmp_path / "roads" / "images" / f"r{number}.png", np.full((*SIZE, 3), 40 * number, np.uint8))
        write_png(tmp_path / "roads" / "masks" / f"r{number}.png", bands(0, 255, 0))
    (tmp_path / "roads" / "classes.txt").write_text("road\n")
    return tmp_path / "roads"


def seen(dataset: Dataset, split: str = "train") -> list[int]:
    return np.unique(read_truth(dataset.split(split)[0], dataset.classes)).tolist()


def test_255_is_a_class_and_ours_keep_255_for_ignore(roads: Path, open_at: Open) -> None:
    dataset = open_at(roads, mask_values=ROADS, val_fraction=0)
    assert seen(dataset) == [0, 1]
    assert dataset.classes.decode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 1, 255]]
    assert seen(open_at(roads, val_fraction=0)) == [0, 255]


def test_several_values_of_a_class_and_values_to_ignore(roads: Path, open_at: Open) -> None:
    for path in (roads / "masks").iterdir():
        write_png(path, bands(0, 100, 128, 255))
    dataset = open_at(roads, mask_values={0: "background", 100: "road", 128: "ignore", 255: "road"}, val_fraction=0)
    mask = read_truth(dataset.split("train")[0], dataset.classes)
    assert mask[0, [0, 3, 6, 15]].tolist() == [0, 1, 255, 1]


def test_255_is_ignored_only_where_it_is_named(roads: Path, open_at: Open) -> None:
    dataset = open_at(roads, mask_values={0: "background", 1: "road"}, val_fraction=0)
    with pytest.raises(InvalidInput) as found:
        read_truth(dataset.split("train")[0], dataset.classes)
    assert "r0.png: 36 pixels of value 255, which data.mask_values does not name" in found.value.message
    assert "it names 0 (background), 1 (road)" in found.value.message
    assert "mask_values: {0: background, 1: road, 255: …}" in str(found.value.hint)


def test_it_goes_with_a_choice_and_with_new_names_of_classes(roads: Path, open_at: Open) -> None:
    (roads / "classes.txt").write_text("road\nriver\nrail\n")
    for path in (roads / "masks").iterdir():
        write_png(path, bands(10, 20, 30, 0))
    values = {0: "background", 10: "road", 20: "river", 30: "rail"}

    def row(**config: object) -> list[int]:
        dataset = open_at(roads, mask_values=values, val_fraction=0, **config)
        return read_truth(dataset.split("train")[0], dataset.classes)[0, [0, 3, 6, 15]].tolist()

    assert row() == [1, 2, 3, 0]
    assert row(classes=["river"]) == [0, 1, 0, 0]
    assert row(classes=["river"], other="ignore") == [255, 1, 255, 0]
    assert row(classes={"way": ["road", "rail"]}) == [1, 0, 1, 0]
    dataset = open_at(roads, mask_values={0: "background", 10: "way", 20: "ignore", 30: "way"}, val_fraction=0,
                      classes={"way": ["road", "rail"]})  # fmt: skip
    assert read_truth(dataset.split("train")[0], dataset.classes)[0, [0, 3, 6, 15]].tolist() == [1, 255, 1, 0]


def test_without_a_class_list_the_names_are_the_classes(roads: Path, open_at: Open) -> None:
    (roads / "classes.txt").unlink()
    dataset = open_at(roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, val_fraction=0)
    assert dataset.classes.names == ("background", "bridge", "road") and seen(dataset) == [0, 2]
    chosen = open_at(roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, classes=["road"], val_fraction=0)
    assert chosen.classes.names == ("background", "road") and seen(chosen) == [0, 1]
    gathered = open_at(
        roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, classes={"way": ["road", "bridge"]}, val_fraction=0
    )
    assert gathered.classes.names == ("background", "way") and seen(gathered) == [0, 1]


def test_a_class_without_a_value_is_announced(roads: Path, open_at: Open, lines: list[str]) -> None:
    (roads / "classes.txt").write_text("road\nriver\n")
    open_at(roads, mask_values=ROADS)
    assert any("names no value for river" in line for line in lines)


def test_voc_layout(voc: Path, open_at: Open) -> None:
    for path in (voc / "SegmentationClass").iterdir():
        write_png(path, bands(0, 255, 0))
    values = {0: "background", 255: "cat"}
    dataset = open_at(voc, mask_values=values, classes=["cat", "dog"], labels="masks")
    assert seen(dataset) == [0, 1] and dataset.split("val")[0].labels == (1,)
    with pytest.raises(InvalidInput, match=r"labels: masks: no pixel[\s\S]*mask_values: \{0: background, 255: cat\}"):
        open_at(voc, classes=["cat"], labels="masks")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {0: "background", 256: "road"},
            "data.mask_values: expected whole numbers from 0 to 255 for mask values; found 256",
        ),
        ({0: "background", -1: "road"}, "found -1"),
        ({0: "background", "x": "road"}, "found 'x'"),
        ({0: "background", True: "road"}, "found True"),
        ({0: "background", 255: 1}, "value 255 has the name 1; expected a class name, background or ignore"),
        ([0, 255], "expected a mapping of mask values to names"),
        ({}, "expected a mapping of mask values to names"),
        ({0: "background", 255: "raod"}, "data.mask_values.255: unknown class 'raod'; allowed are background, ignore"),
        ({0: "background", 255: "raod"}, "did you mean 'road'?"),
        ({0: "background", 255: "ignore"}, "data.mask_values: no value means a class"),
    ],
)
def test_mistakes_are_named_with_their_key(roads: Path, open_at: Open, values: object, words: str) -> None:
    with pytest.raises(InvalidInput) as found:
        open_at(roads, mask_values=values)
    assert words in str(found.value) and found.value.exit_code == 2


def test_layouts_with_values_of_their_own_do_not_have_the_key(tmp_path: Path, open_at: Open) -> None:
    with pytest.raises(InvalidInput, match=r"data\.mask_values: unknown key"):
        open_at(tmp_path, layout="topomortar", mask_values=ROADS)


def test_digits_as_json_has_them(roads: Path, open_at: Open) -> None:
    recorded = json.loads(json.dumps({"mask_values": ROADS}))
    assert seen(open_at(roads, **recorded, val_fraction=0)) == [0, 1]


def test_masks_in_colours_with_equal_channels(roads: Path, open_at: Open, tmp_path: Path) -> None:
    for path in (roads / "masks").iterdir():
        Image.fromarray(np.dstack([bands(0, 128, 0)] * 3)).save(path)
    config = {"mask_values": {0: "background", 128: "road"}, "val_fraction": 0}
    dataset = open_at(roads, **config)
    mask, remarks = load_truth(dataset.split("train")[0], dataset.classes)
    assert np.unique(mask).tolist() == [0, 1] and "equal red, green and blue" in remarks[0][0]
    report = check_config({"root": str(roads), **config}, work=tmp_path)
    assert not report.problems
    (note,) = (one for one in report.notes if one.kind == "masks read from colours with equal red, green and blue")
    assert note.count == 4


def test_how_values_are_read_is_part_of_the_identity(roads: Path, open_at: Open) -> None:
    plain, named = open_at(roads), open_at(roads, mask_values=ROADS)
    ignoring = open_at(roads, mask_values={**ROADS, 7: "ignore"})
    digests = {one.fingerprint("train", "masks") for one in (plain, named, ignoring)}
    assert len(digests) == 3
    assert plain.fingerprint("train", "images") == named.fingerprint("train", "images")


@pytest.mark.parametrize("name", ["road", "dining table", "a:b", "no", "1", "tree, tall", "straße", "x}"])
def test_the_key_of_a_hint_can_be_pasted(name: str) -> None:
    assert yaml.safe_load(as_key([(0, "background"), (255, name)])) == {"mask_values": {0: "background", 255: name}}


@given(st.lists(st.sampled_from([0, 8, 40, 200, 255]), min_size=1, max_size=30))
def test_stray_values_count_as_background_beside_a_class(values: list[int]) -> None:
    mask = np.array([values], np.uint8)
    own = MaskValues(((0,), (255,)), rest=0)
    if 255 in values or set(values) <= {0}:
        assert np.array_equal(own.encode(mask, where="m"), (mask == 255).astype(np.uint8))
        assert sum(own.stray(mask).values()) == np.isin(mask, [8, 40, 200]).sum()
    else:  # nothing says that the mask is numbered like this at all
        with pytest.raises(InvalidInput, match=r"stands for no class; allowed are 0, 255\."):
            own.encode(mask, where="m")
    assert MaskValues(((0,), (255,))).stray(mask) == {}


def test_the_values_are_read_through_every_door(roads: Path, tmp_path: Path) -> None:
    config = {"layout": "folder", "root": str(roads), "mask_values": ROADS}
    for complete in (True, False):
        dataset = open_dataset(config, work=tmp_path, complete=complete)
        assert seen(dataset) == [0, 1]
