"""Every stage of voc2012 or coco2014 on eight generated images of full size, with ResNet-50 and random weights.

Run it with ``python benchmarks/recipe_stages.py coco2014`` (``--help`` for the options). Images have the size of most
of the public ones (640 × 480, VOC: 500 × 375). Only the numbers of steps are smaller than in the recipe: one epoch,
batches of two images. Prints seconds of each stage, and the largest resident set during it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from large_photographs import photograph
from measured_command import run, work_folder
from numpy.typing import NDArray
from PIL import Image

from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rle import runs

SIZES = {"voc2012": (375, 500), "coco2014": (480, 640)}
TRAIN, VAL = 6, 2
TRAINED = ("classify", "expand", "shrink", "segment")
RANDOM = "{name: resnet50, output_stride: 16, weights: none, freeze_batchnorm: false}"


def pictures(recipe: str) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return images and masks; half of them show class 1, the others class 2."""
    drawn = [photograph(SIZES[recipe], seed) for seed in range(TRAIN + VAL)]
    return [(image, mask * np.uint8(1 + number % 2)) for number, (image, mask) in enumerate(drawn)]


def write_voc(root: Path) -> None:
    """Write the images in VOC's layout."""
    lists, names = root / "ImageSets" / "Segmentation", ("aeroplane", "bicycle")
    lists.mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    labels = "image_id,labels\n"
    for number, (image, mask) in enumerate(pictures("voc2012")):
        Image.fromarray(image).save(root / "JPEGImages" / f"{number}.jpg", quality=90)
        write_mask(root / "SegmentationClass" / f"{number}.png", mask)
        labels += f"{number},{names[number % 2]}\n"
    (root / "image_labels.csv").write_text(labels)
    for split, ids in {"train": range(TRAIN), "train_aug": range(TRAIN), "val": range(TRAIN, TRAIN + VAL)}.items():
        (lists / f"{split}.txt").write_text("".join(f"{number}\n" for number in ids))


def write_coco(root: Path) -> None:
    """Write the images in COCO's layout."""
    (root / "annotations").mkdir(parents=True)
    categories = [{"id": id, "name": f"class {id}"} for id in range(1, 81)]
    for split, numbers in {"train": range(TRAIN), "val": range(TRAIN, TRAIN + VAL)}.items():
        (root / f"{split}2014").mkdir()
        images, annotations = [], []
        for number in numbers:
            image, mask = pictures("coco2014")[number]
            file, counts = f"{number}.jpg", runs((mask > 0).ravel(order="F")).tolist()
            Image.fromarray(image).save(root / f"{split}2014" / file, quality=90)
            images.append({"id": number, "file_name": file, "height": mask.shape[0], "width": mask.shape[1]})
            outline = {"size": list(mask.shape), "counts": counts}
            annotations.append({"image_id": number, "category_id": 1 + number % 2, "segmentation": outline})
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}2014.json").write_text(json.dumps(document))


def main() -> None:
    """Parse the options, write the images, run the recipe and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=SIZES)
    parser.add_argument("--work", type=Path, help="folder of the temporary files")
    args = parser.parse_args()
    with work_folder(args.work) as place:
        data, run_dir = place / "data", place / "run"
        {"voc2012": write_voc, "coco2014": write_coco}[args.recipe](data)
        settings = {"data.root": data, "classify.backbone": RANDOM, "segment.backbone": RANDOM}
        settings |= {f"{stage}.{key}": value for stage in TRAINED for key, value in (("epochs", 1), ("batch_size", 2))}
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        run("run", args.recipe, *sets, "--run-dir", run_dir, "--workers", "1")
        print("| stage | seconds | MiB |\n|---|---|---|")
        for record in sorted(run_dir.glob("*/stage.json"), key=lambda path: json.loads(path.read_text())["finished"]):
            stage = json.loads(record.read_text())
            print(f"| {record.parent.name} | {stage['seconds']:.0f} | {stage['peak_memory_bytes'] / 2**20:.0f} |")


if __name__ == "__main__":
    main()
