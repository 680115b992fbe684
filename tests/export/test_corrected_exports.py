"""Masks that are exported, changed in the exported file by independent code, and imported again."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import truth, values
from numpy.typing import NDArray
from PIL import Image
from readers import brush_layer

from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.corrections.drawing_rules import DrawingRules
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Masks, Options
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask

BLOCK = (slice(1, 4), slice(2, 5))
"""Pixels that become the class of value 20 in every mask."""


def dataset(masks: Masks, folder: Path) -> Dataset:
    samples = tuple(Sample(item.id, item.image, mask=item.mask) for item in masks.items if item.image)
    assert samples
    return Dataset("made", folder, masks.classes, {"train": samples}, image_root=samples[0].image.parent)


def imported(masks: Masks, source: Path, tmp_path: Path, **options: Any) -> dict[str, NDArray[np.uint8]]:
    """Return id → imported mask with values on disk; one of the masks shows only background."""
    rules = DrawingRules(empty="background")
    result = import_masks(source, dataset(masks, tmp_path), tmp_path / "c", ImportOptions(rules=rules, **options))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".wsss-tmp-")]
    read = open_corrections(tmp_path / "c", masks.classes)
    assert read.images == result.corrections.images
    for id, record in read.images.items():
        mask = read_mask(mask_path(tmp_path / "c", id))
        assert record.kind == ("partial" if (mask == 255).any() else "full")
        assert record.labelled == (mask != 255).sum() and (record.height, record.width) == mask.shape
    return {id: read_mask(mask_path(tmp_path / "c", id)) for id in read.images}


def changed(masks: Masks) -> dict[str, NDArray[np.uint8]]:
    expected = {name: mask.copy() for name, mask in truth(masks).items()}
    for mask in expected.values():
        mask[BLOCK] = 20
    return expected


def same(actual: dict[str, NDArray[np.uint8]], expected: dict[str, NDArray[np.uint8]]) -> None:
    assert sorted(actual) == sorted(expected)
    for name, mask in expected.items():
        assert np.array_equal(actual[name], mask), name


def edit_voc(out: Path, masks: Masks) -> Path:
    for item in masks.items:
        path = out / "SegmentationClass" / f"{item.id}.png"
        with Image.open(path) as image:
            pixels, palette = np.array(image), image.getpalette()
        pixels[BLOCK] = 20
        edited = Image.fromarray(pixels).convert("P")
        edited.putpalette(palette or [])
        edited.save(path)
    return out


def edit_coco(out: Path, masks: Masks) -> Path:
    tool = pytest.importorskip("pycocotools.mask")
    path = out / "annotations.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        pixels = np.zeros((image["height"], image["width"]), np.uint8)
        pixels[BLOCK] = 1
        for one in document["annotations"]:
            if one["image_id"] == image["id"]:
                kept = tool.decode(one["segmentation"]) * (1 - pixels)
                one["segmentation"]["counts"] = tool.encode(np.asfortranarray(kept))["counts"].decode()
        added = tool.encode(np.asfortranarray(pixels))
        segmentation = {"size": added["size"], "counts": added["counts"].decode()}
        document["annotations"].append({"image_id": image["id"], "category_id": 20, "segmentation": segmentation})
    path.write_text(json.dumps(document))
    return path


def edit_cvat(out: Path, masks: Masks) -> Path:
    path = out / "segmentation_mask_1.1.zip"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    lines = [line.split(":") for line in content["labelmap.txt"].decode().splitlines() if not line.startswith("#")]
    colour = next(tuple(map(int, line[1].split(","))) for line in lines if line[0] == "tv/monitor")
    for name in [name for name in content if name.startswith("SegmentationClass/")]:
        pixels = np.array(Image.open(io.BytesIO(content[name])))
        pixels[BLOCK] = colour
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        content[name] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def edit_label_studio(out: Path, masks: Masks) -> Path:
    """Edit the layers as the tool does: a run of every pixel, and no repeated values."""
    path = out / "tasks.json"
    tasks = json.loads(path.read_text())
    for task, item in zip(tasks, masks.items, strict=True):
        height, width = read_mask(item.mask).shape
        results = task["annotations"][0]["result"]
        for one in results:
            layer = brush_layer(one["value"]["rle"], width, height)
            layer[BLOCK] = 0
            one["value"]["rle"] = unrepeated(layer)
        layer = np.zeros((height, width, 4), np.uint8)
        layer[BLOCK] = 255
        value = {"format": "rle", "rle": unrepeated(layer), "brushlabels": ["tv/monitor"]}
        size = {"original_width": width, "original_height": height}
        results.append({"type": "brushlabels", "from_name": "label", "to_name": "image", **size, "value": value})
    path.write_text(json.dumps(tasks))
    return path


def unrepeated(layer: NDArray[np.uint8]) -> list[int]:
    """Encode with rle-pack's blocks of different values."""
    numbers = layer.ravel().tolist()
    bits = f"{len(numbers):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    for start in range(0, len(numbers), 200):
        block = numbers[start : start + 200]
        bits += f"0{2:02b}{len(block) - 1:08b}" + "".join(f"{number:08b}" for number in block)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def edit_polygons(out: Path, masks: Masks) -> Path:
    rows, columns = BLOCK
    ring = [[c, r] for r, c in ((1, 2), (1, 5), (4, 5), (4, 2), (1, 2))]
    assert (rows, columns) == (slice(1, 4), slice(2, 5))
    for path in out.glob("*.geojson"):
        document = json.loads(path.read_text())
        geometry = {"type": "Polygon", "coordinates": [ring]}
        document["features"].append({"properties": {"class": "tv/monitor"}, "geometry": geometry})
        path.write_text(json.dumps(document))
    return out


EDITS: dict[str, tuple[Callable[[Path, Masks], Path], Options]] = {
    "voc": (edit_voc, Options()),
    "coco": (edit_coco, Options(components=True)),
    "cvat": (edit_cvat, Options()),
    "label-studio": (edit_label_studio, Options(role="annotations")),
    "polygons": (edit_polygons, Options(tolerance=0)),
}


@pytest.mark.parametrize("name", EDITS)
def test_unchanged_exports_are_imported_exactly(name: str, made: Masks, tmp_path: Path) -> None:
    export_masks(made, name, EDITS[name][1], tmp_path / "o")
    source = next((tmp_path / "o").glob("*.zip"), tmp_path / "o")
    same(imported(made, source, tmp_path), truth(made))


@pytest.mark.parametrize("name", EDITS)
def test_exactly_the_changed_pixels_change(name: str, made: Masks, tmp_path: Path) -> None:
    edit, options = EDITS[name]
    export_masks(made, name, options, tmp_path / "o")
    same(imported(made, edit(tmp_path / "o", made), tmp_path), changed(made))


def test_a_folder_of_masks(made: Masks, tmp_path: Path) -> None:
    same(imported(made, made.items[0].mask.parent, tmp_path), truth(made))
    assert values(made)["ignore"] == 255


def test_masks_of_labelme_files(made: Masks, tmp_path: Path) -> None:
    """labelme has no export: its files are written here from the made."""
    (tmp_path / "l").mkdir()
    for item in made.items:
        mask, shapes = read_mask(item.mask), []
        for label, value in values(made).items():
            rows, columns = np.nonzero(mask == value)
            if value and len(rows):
                window = (mask == value)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
                buffer = io.BytesIO()
                Image.fromarray(window).save(buffer, "PNG")
                corners = [[int(columns.min()), int(rows.min())], [int(columns.max()), int(rows.max())]]
                encoded = base64.b64encode(buffer.getvalue()).decode()
                shapes.append({"label": label, "shape_type": "mask", "points": corners, "mask": encoded})
        document = {"imagePath": f"../images/{item.id}.png", "imageHeight": mask.shape[0], "imageWidth": mask.shape[1]}
        (tmp_path / "l" / f"{item.id}.json").write_text(json.dumps({**document, "shapes": shapes}))
    same(imported(made, tmp_path / "l", tmp_path), truth(made))


def test_masks_of_cvat_for_images(made: Masks, tmp_path: Path) -> None:
    """CVAT for images has no export of ours: its masks are run lengths inside the box of each class."""
    lines = []
    for item in made.items:
        mask = read_mask(item.mask)
        lines.append(f'<image id="0" name="{item.id}.png" width="{mask.shape[1]}" height="{mask.shape[0]}">')
        for label, value in values(made).items():
            rows, columns = np.nonzero(mask == value)
            if value and len(rows):
                window = (mask == value)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
                box = f'left="{columns.min()}" top="{rows.min()}" width="{window.shape[1]}" height="{window.shape[0]}"'
                lines.append(f'<mask label="{label}" rle="{cvat_rle(window)}" {box} z_order="0"></mask>')
        lines.append("</image>")
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("annotations.xml", f"<annotations>{''.join(lines)}</annotations>")
        file.writestr("images/a.png", b"not read")
    same(imported(made, archive, tmp_path), truth(made))


def cvat_rle(window: NDArray[np.bool_]) -> str:
    counts: list[int] = []
    now, run = False, 0
    for pixel in window.ravel().tolist():
        if pixel != now:
            counts, now, run = [*counts, run], pixel, 0
        run += 1
    return ", ".join(map(str, [*counts, run]))


def test_imports_add_to_earlier_ones(made: Masks, tmp_path: Path) -> None:
    folder = made.items[0].mask.parent
    first, *others = [item.id for item in made.items]
    same(imported(made, folder, tmp_path, ids=[first]), {first: truth(made)[first]})
    before = (tmp_path / "c" / "corrections.json").read_bytes()
    with pytest.raises(InvalidInput) as caught:
        imported(made, folder, tmp_path)
    assert first in caught.value.problem and "--force" in str(caught.value.hint)
    assert (tmp_path / "c" / "corrections.json").read_bytes() == before
    same(imported(made, folder, tmp_path, ids=others), truth(made))
    again = (tmp_path / "c" / "corrections.json").read_bytes()
    same(imported(made, folder, tmp_path, force=True), truth(made))
    assert (tmp_path / "c" / "corrections.json").read_bytes() == again
