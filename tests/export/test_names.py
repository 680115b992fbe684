"""Names of classes and images that could escape a folder, an archive, a list, JSON or XML."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.export.export_formats import FORMATS, export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

STRANGE = "<b>&\"'; ]]> ünï 猫 \\ / {x}"


def masks(folder: Path, *, image_id: str = "a", name: str = "cat") -> Masks:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:5], mask[5, 5] = 3, 255
    write_mask(folder / "m.png", mask)
    write_png(folder / "i.png", np.zeros((6, 8, 3), np.uint8))
    classes = Classes(("background", name), ((0,), (3,)))
    return Masks("n", classes, (Item(image_id, folder / "m.png", folder / "i.png"),))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("image_id", ["../a", "a/b", "..", ".hidden", "a\\b", "a\nb", ""])
def test_ids_with_path_components_are_refused(tmp_path: Path, name: str, image_id: str) -> None:
    with pytest.raises(InvalidInput):
        export_masks(masks(tmp_path, image_id=image_id), name, Options(), tmp_path / "deep" / "o")
    assert {path.name for path in tmp_path.rglob("*")} == {"m.png", "i.png"}


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"geotiff", "geojson"}))  # these need georeferenced images
def test_strange_ids_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    image_id = "%2e%2e%2fa ; $(x) 'ü\"&"
    export_masks(masks(tmp_path, image_id=image_id), name, Options(), tmp_path / "o")
    assert {path.name for path in tmp_path.iterdir()} == {"m.png", "i.png", "o"}
    if name == "label-studio":
        [task] = json.loads((tmp_path / "o" / "tasks.json").read_text(encoding="utf-8"))
        assert task["data"]["image_id"] == image_id
        assert task["data"]["image"] == "/data/local-files/?d=%252e%252e%252fa%20%3B%20%24%28x%29%20%27%C3%BC%22%26.png"


def test_ids_with_spaces(tmp_path: Path) -> None:
    export_masks(masks(tmp_path, image_id="a b"), "voc", Options(), tmp_path / "voc")
    assert (tmp_path / "voc/ImageSets/Segmentation/default.txt").read_text() == "a b\n"
    export_masks(masks(tmp_path, image_id="a b"), "cvat", Options(), tmp_path / "o")
    with zipfile.ZipFile(tmp_path / "o" / "segmentation_mask_1.1.zip") as archive:
        assert archive.read("ImageSets/Segmentation/default.txt") == b"a b\n"
        assert all(not name.startswith("/") and ".." not in name for name in archive.namelist())


@pytest.mark.parametrize("name", ["voc", "cvat"])
@pytest.mark.parametrize("word", ["a:b", "a\nb", "a\x00", "#a", "", " a"])
def test_class_names_that_break_a_list_are_refused(tmp_path: Path, name: str, word: str) -> None:
    with pytest.raises(InvalidInput) as error:
        export_masks(masks(tmp_path, name=word), name, Options(), tmp_path / "o")
    assert error.value.subject == f"class {word!r}" and "data.classes" in str(error.value.hint)
    assert not (tmp_path / "o").exists()


def test_class_names_in_json_and_xml(tmp_path: Path) -> None:
    strange = masks(tmp_path, name=STRANGE)
    export_masks(strange, "coco", Options(), tmp_path / "coco")
    document = json.loads((tmp_path / "coco" / "annotations.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in document["categories"]] == [STRANGE, "ignore"]
    export_masks(strange, "label-studio", Options(), tmp_path / "ls")
    view = ElementTree.parse(tmp_path / "ls" / "label_config.xml").getroot()
    assert [one.attrib["value"] for one in view.iter("Label")] == [STRANGE, "ignore"]
    export_masks(strange, "polygons", Options(), tmp_path / "p")
    features = json.loads((tmp_path / "p" / "a.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["class"] for feature in features] == [STRANGE, "ignore"]
    for name in ("overlay", "sheet"):
        export_masks(strange, name, Options(), tmp_path / name)
    with pytest.raises(InvalidInput) as error:
        export_masks(masks(tmp_path, name="a\x01"), "label-studio", Options(), tmp_path / "no")
    assert error.value.subject == r"class 'a\x01'"


def test_a_class_called_ignore(tmp_path: Path) -> None:
    export_masks(masks(tmp_path, name="ignore"), "coco", Options(), tmp_path / "o")
    document = json.loads((tmp_path / "o" / "annotations.json").read_text(encoding="utf-8"))
    assert [(category["id"], category["name"]) for category in document["categories"]] == [
        (3, "ignore"),
        (255, "ignored"),
    ]
    assert [(annotation["category_id"], annotation["iscrowd"]) for annotation in document["annotations"]] == [
        (3, 0),
        (255, 1),
    ]
