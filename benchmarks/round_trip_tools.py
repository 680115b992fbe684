"""The half of `round_trips` that runs in the environment of datumaro and label-studio-sdk: open, paint, save."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np

NEW = 1 << 20
"""Id of a painted object: datumaro joins objects with equal ids."""


def main(path: str) -> None:
    """Paint the rectangles into the masks of one export, and save them with the tool's writer."""
    painting = json.loads(Path(path).read_text())
    change = _label_studio if painting["format"] == "label-studio" else _datumaro
    change(Path(painting["source"]), Path(painting["out"]), painting["format"], painting["painted"])


def _rectangle(painted: dict) -> tuple[tuple[slice, slice], str]:
    """Return the pixels of a rectangle, and its label."""
    rows, columns = slice(painted["top"], painted["bottom"]), slice(painted["left"], painted["right"])
    return (rows, columns), painted["label"]


def _datumaro(source: Path, out: Path, name: str, painted: dict[str, dict]) -> None:
    from datumaro.components.annotation import AnnotationType, Mask
    from datumaro.components.dataset import Dataset

    if name == "cvat":
        with zipfile.ZipFile(source / "segmentation_mask_1.1.zip") as archive:
            archive.extractall(source / "unpacked")
        source = source / "unpacked"
    kind = "coco_instances" if name == "coco" else "voc_segmentation"
    if name == "coco":  # datumaro requires this folder
        (source / "annotations").mkdir()
        source = (source / "annotations.json").rename(source / "annotations" / "instances_default.json")
    dataset = Dataset.import_from(str(source), kind)
    labels = dataset.categories()[AnnotationType.label]
    for item in list(dataset):
        if item.id not in painted:
            continue
        inside, label_name = _rectangle(painted[item.id])
        annotations, index = [], labels.find(label_name)[0]
        rectangle = None
        for mark in item.annotations:
            if mark.type != AnnotationType.mask:
                continue
            image = np.array(mark.image, dtype=bool)
            rectangle = np.zeros_like(image) if rectangle is None else rectangle
            image[inside] = False
            if image.any():
                annotations.append(Mask(image=image, label=mark.label, id=mark.id, group=mark.group))
        if rectangle is None:
            rectangle = np.zeros(item.media.size, dtype=bool)
        rectangle[inside] = True
        annotations.append(Mask(image=rectangle, label=index, id=NEW, group=NEW))
        dataset.put(item.wrap(annotations=annotations))
    exact = {"segmentation_mode": "mask"} if name == "coco" else {}  # by default it simplifies masks to polygons
    dataset.export(str(out), kind, save_media=False, **exact)


def _label_studio(source: Path, out: Path, _name: str, painted: dict[str, dict]) -> None:
    from label_studio_sdk.converter.brush import decode_rle, mask2rle

    tasks = json.loads((source / "tasks.json").read_text())
    for task in tasks:
        image = task["data"]["image"].rpartition("/")[2].rpartition(".")[0]
        prediction = task.pop("predictions")[0]
        inside, label_name = _rectangle(painted[image])
        results = []
        if not prediction["result"]:
            raise SystemExit(f"{image}: choose images that show a class; without regions, the task has no size")
        for result in prediction["result"]:
            height, width = result["original_height"], result["original_width"]
            mask = decode_rle(result["value"]["rle"]).reshape(height, width, 4)[:, :, 3].copy()
            mask[inside] = 0
            if mask.any():
                results.append({**result, "value": {**result["value"], "rle": mask2rle(mask)}})
        drawn = np.zeros((height, width), np.uint8)
        drawn[inside] = 255
        value = {**prediction["result"][0]["value"], "rle": mask2rle(drawn), "brushlabels": [label_name]}
        results.append({**prediction["result"][0], "id": "painted", "value": value})
        task["annotations"] = [{"id": 1, "result": results, "was_cancelled": False}]
    out.mkdir()
    (out / "tasks.json").write_text(json.dumps(tasks))


if __name__ == "__main__":
    main(sys.argv[1])
