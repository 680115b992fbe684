"""``data.mask_values``: the meaning of mask values that are not class ids."""

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
from wsss.data.dataset import Dataset
from wsss.data.mask_values import MaskValues, as_key
from wsss.data.readers.registry import open_dataset
from wsss.data.sample_mask import load_sample_mask, read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]
SIZE = (12, 16)
ROADS = {0: "background", 255: "road"}


def bands(*values: int) -> np.ndarray:
    """Return a mask of vertical bands; the last one extends to the right border."""
    mask = np.full(SIZE, values[-1], np.uint8)
    for position, value in enumerate(values[:-1]):
        mask[:, 3 * position : 3 * position + 3] = value
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
    return np.unique(read_sample_mask(dataset.split(split)[0], dataset.classes)).tolist()


def test_255_is_a_class_in_ground_truth_and_ignore_in_results(roads: Path, open_at: Open) -> None:
    dataset = open_at(roads, mask_values=ROADS, val_fraction=0)
    assert seen(dataset) == [0, 1]
    assert dataset.classes.decode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 1, 255]]
    assert seen(open_at(roads, val_fraction=0)) == [0, 255]


def test_several_values_of_a_class_and_values_to_ignore(roads: Path, open_at: Open) -> None:
    for path in (roads / "masks").iterdir():
        write_png(path, bands(0, 100, 128, 255))
    dataset = open_at(roads, mask_values={0: "background", 100: "road", 128: "ignore", 255: "road"}, val_fraction=0)
    mask = read_sample_mask(dataset.split("train")[0], dataset.classes)
    assert mask[0, [0, 3, 6, 15]].tolist() == [0, 1, 255, 1]


def test_255_must_be_named_too(roads: Path, open_at: Open) -> None:
    dataset = open_at(roads, mask_values={0: "background", 1: "road"}, val_fraction=0)
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(dataset.split("train")[0], dataset.classes)
    assert str(error.value.subject).endswith("r0.png") and "36 pixels of value 255" in error.value.problem
    assert error.value.allowed == "0 (background), 1 (road)"
    assert "mask_values: {0: background, 1: road, 255: …}" in str(error.value.hint)


def test_selected_and_merged_classes(roads: Path, open_at: Open) -> None:
    (roads / "classes.txt").write_text("road\nriver\nrail\n")
    for path in (roads / "masks").iterdir():
        write_png(path, bands(10, 20, 30, 0))
    values = {0: "background", 10: "road", 20: "river", 30: "rail"}

    def row(**config: object) -> list[int]:
        dataset = open_at(roads, mask_values=values, val_fraction=0, **config)
        return read_sample_mask(dataset.split("train")[0], dataset.classes)[0, [0, 3, 6, 15]].tolist()

    assert row() == [1, 2, 3, 0]
    assert row(classes=["river"]) == [0, 1, 0, 0]
    assert row(classes=["river"], other="ignore") == [255, 1, 255, 0]
    assert row(classes={"way": ["road", "rail"]}) == [1, 0, 1, 0]
    dataset = open_at(roads, mask_values={0: "background", 10: "way", 20: "ignore", 30: "way"}, val_fraction=0,
                      classes={"way": ["road", "rail"]})  # fmt: skip
    assert read_sample_mask(dataset.split("train")[0], dataset.classes)[0, [0, 3, 6, 15]].tolist() == [1, 255, 1, 0]


def test_names_define_the_classes_without_a_class_list(roads: Path, open_at: Open) -> None:
    (roads / "classes.txt").unlink()
    dataset = open_at(roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, val_fraction=0)
    assert dataset.classes.names == ("background", "bridge", "road") and seen(dataset) == [0, 2]
    chosen = open_at(roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, classes=["road"], val_fraction=0)
    assert chosen.classes.names == ("background", "road") and seen(chosen) == [0, 1]
    merged = open_at(
        roads, layout="folder", mask_values={**ROADS, 9: "bridge"}, classes={"way": ["road", "bridge"]}, val_fraction=0
    )
    assert merged.classes.names == ("background", "way") and seen(merged) == [0, 1]


def test_a_class_without_a_value_is_logged(roads: Path, open_at: Open, lines: list[str]) -> None:
    (roads / "classes.txt").write_text("road\nriver\n")
    open_at(roads, mask_values=ROADS)
    assert any("no value for river" in line for line in lines)


def test_voc_layout(voc: Path, open_at: Open) -> None:
    for path in (voc / "SegmentationClass").iterdir():
        write_png(path, bands(0, 255, 0))
    values = {0: "background", 255: "cat"}
    dataset = open_at(voc, mask_values=values, classes=["cat", "dog"], labels="masks")
    assert seen(dataset) == [0, 1] and dataset.split("val")[0].labels == (1,)
    with pytest.raises(InvalidInput) as error:
        open_at(voc, classes=["cat"], labels="masks")
    assert error.value.subject == "data.labels: masks" and "{0: background, 255: cat}" in str(error.value.hint)


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        ({0: "background", 256: "road"}, "got 256"),
        ({0: "background", -1: "road"}, "got -1"),
        ({0: "background", "x": "road"}, "got 'x'"),
        ({0: "background", True: "road"}, "got True"),
        ({0: "background", 255: 1}, "value 255: "),
        ([0, 255], "a mapping of mask values"),
        ({}, "a mapping of mask values"),
        ({0: "background", 255: "ignore"}, "{0: background, 255: ignore}"),
    ],
)
def test_errors_name_the_key(roads: Path, open_at: Open, values: object, stated: str) -> None:
    with pytest.raises(InvalidInput) as error:
        open_at(roads, mask_values=values)
    assert error.value.subject == "data.mask_values" and stated in (error.value.problem or str(error.value.allowed))


def test_unknown_names_are_refused(roads: Path, open_at: Open) -> None:
    with pytest.raises(InvalidInput) as error:
        open_at(roads, mask_values={0: "background", 255: "raod"})
    assert (error.value.subject, error.value.found) == ("data.mask_values.255", "raod")
    assert {"background", "ignore", "road"} <= {*error.value.allowed}


def test_layouts_with_fixed_values_do_not_accept_the_key(tmp_path: Path, open_at: Open) -> None:
    with pytest.raises(InvalidInput) as error:
        open_at(tmp_path, layout="topomortar", mask_values=ROADS)
    assert error.value.subject == "data.mask_values"


def test_keys_may_be_strings_of_digits(roads: Path, open_at: Open) -> None:
    recorded = json.loads(json.dumps({"mask_values": ROADS}))
    assert seen(open_at(roads, **recorded, val_fraction=0)) == [0, 1]


def test_masks_in_colours_with_equal_channels(roads: Path, open_at: Open, tmp_path: Path) -> None:
    for path in (roads / "masks").iterdir():
        Image.fromarray(np.dstack([bands(0, 128, 0)] * 3)).save(path)
    config = {"mask_values": {0: "background", 128: "road"}, "val_fraction": 0}
    dataset = open_at(roads, **config)
    mask, remarks = load_sample_mask(dataset.split("train")[0], dataset.classes)
    assert np.unique(mask).tolist() == [0, 1] and "equal red, green and blue" in remarks[0][0]
    report = check_config({"root": str(roads), **config}, work=tmp_path)
    assert not report.problems
    (note,) = (note for note in report.notes if note.kind == "masks read from colours with equal red, green and blue")
    assert note.count == 4


def test_the_meaning_of_values_changes_the_fingerprint(roads: Path, open_at: Open) -> None:
    plain, named = open_at(roads), open_at(roads, mask_values=ROADS)
    ignoring = open_at(roads, mask_values={**ROADS, 7: "ignore"})
    digests = {one.fingerprint("train", "masks") for one in (plain, named, ignoring)}
    assert len(digests) == 3
    assert plain.fingerprint("train", "images") == named.fingerprint("train", "images")


@pytest.mark.parametrize("name", ["road", "dining table", "a:b", "no", "1", "tree, tall", "straße", "x}"])
def test_the_key_in_a_hint_is_valid_yaml(name: str) -> None:
    assert yaml.safe_load(as_key([(0, "background"), (255, name)])) == {"mask_values": {0: "background", 255: name}}


@given(st.lists(st.sampled_from([0, 8, 40, 200, 255]), min_size=1, max_size=30))
def test_stray_values_count_as_rest_in_masks_that_show_a_class(values: list[int]) -> None:
    mask = np.array([values], np.uint8)
    own = MaskValues(((0,), (255,)), rest=0)
    if 255 in values or set(values) <= {0}:
        assert np.array_equal(own.encode(mask, where="m"), (mask == 255).astype(np.uint8))
        assert sum(own.stray(mask).values()) == np.isin(mask, [8, 40, 200]).sum()
    else:  # the mask may use another numbering altogether
        with pytest.raises(InvalidInput) as error:
            own.encode(mask, where="m")
        assert error.value.allowed == "0, 255"
    assert MaskValues(((0,), (255,))).stray(mask) == {}


def test_incomplete_datasets_use_the_same_values(roads: Path, tmp_path: Path) -> None:
    config = {"layout": "folder", "root": str(roads), "mask_values": ROADS}
    for complete in (True, False):
        dataset = open_dataset(config, work=tmp_path, complete=complete)
        assert seen(dataset) == [0, 1]
