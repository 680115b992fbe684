"""Time and memory of the recipes voc2012 and coco2014 at the full number of images, apart from their training.

Run it with ``python benchmarks/public_recipes.py voc2012`` or ``… coco2014`` (``--help`` for the options). It writes a
dataset with the folders, names, classes and counts of the public one; images have 16 × 16 pixels, and the annotations
of COCO are as long as the real ones. On it run the plan of the recipe, which hashes everything, then a run of cheap
stages on the same images for one class (maps by colour, pseudo masks, scores, report), the same run again (nothing to
do), its state and its report, each in a process of its own. Memory is the largest resident set of any process of the
command.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from growth import png
from measured_command import WSSS, measured, work_folder

SIDE = 16
CLASSES = Path(__file__).parents[1] / "data" / "classes"
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Numbers up to 90 that are the id of no category of COCO."""

VOC_COUNTS = {"train": 1464, "train_aug": 10582, "val": 1449}
COCO_COUNTS = {"train": (82783, 604907, 702), "val": (40504, 291875, 367)}
"""Numbers of images, annotations, and images without annotations."""

CORNERS = 28
"""Corners of an outline, for the 700 bytes per annotation of COCO's files."""

PIPELINE = """name: cheap
data: {data}
stages:
  colour: {{uses: colour, with: {{splits: {train}}}}}
  pseudo: {{uses: pseudo, needs: [colour], with: {{preset: pseudo/irn, splits: {train}}}}}
  score: {{uses: score, needs: [pseudo], with: {{split: {score}}}}}
  report: {{uses: report, needs: [score, pseudo], with: {{splits: {train}}}}}
"""

STAGES = ("colour", "pseudo", "score", "report")


def jpegs() -> Callable[[int], bytes]:
    """Return a function that returns a small JPEG; each number has different bytes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    bodies = []
    for _ in range(64):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(buffer, "JPEG")
        bodies.append(buffer.getvalue())
    return lambda number: bodies[number % 64] + number.to_bytes(8, "big")  # bytes after the end are not decoded


def write_voc(root: Path, share: float) -> None:
    """Write VOC 2012: images, XML annotations, both folders of masks, and the lists of the recipe."""
    names = [line.split()[1] for line in (CLASSES / "voc.txt").read_text().splitlines()[1:]]
    counts = {split: max(8, int(count * share)) for split, count in VOC_COUNTS.items()}
    lists, image = root / "ImageSets" / "Segmentation", jpegs()
    for folder in (lists, *(root / name for name in ("JPEGImages", "Annotations", "SegmentationClass"))):
        folder.mkdir(parents=True)
    (root / "SegmentationClassAug").mkdir()
    total = counts["train_aug"] + counts["val"]
    ids = [f"{2007 + number % 6}_{number:06}" for number in range(total)]
    masks = [
        png(np.repeat(np.array([0, index], np.uint8), SIDE * SIDE // 2).reshape(SIDE, SIDE)) for index in range(21)
    ]
    for number, name in enumerate(ids):
        (root / "JPEGImages" / f"{name}.jpg").write_bytes(image(number))
        index = 1 + number % 20
        xml = (
            f"<annotation><filename>{name}.jpg</filename><object><name>{names[index - 1]}</name></object></annotation>"
        )
        (root / "Annotations" / f"{name}.xml").write_text(xml)
        own = number < counts["train"] or number >= counts["train_aug"]
        (root / f"SegmentationClass{'' if own else 'Aug'}" / f"{name}.png").write_bytes(masks[index])
    members = {"train": ids[: counts["train"]], "train_aug": ids[: counts["train_aug"]]}
    for split, chosen in {**members, "val": ids[counts["train_aug"] :]}.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in chosen))


def write_coco(root: Path, share: float) -> None:
    """Write COCO 2014: images, and annotations in the order and with the keys of the public files."""
    names = [line.split(maxsplit=1)[1] for line in (CLASSES / "coco.txt").read_text().splitlines()]
    categories = dict(zip([id for id in range(1, 91) if id not in UNUSED], names, strict=True))
    (root / "annotations").mkdir(parents=True)
    image = jpegs()
    for split, (images, objects, empty) in COCO_COUNTS.items():
        count, folder = max(8, int(images * share)), root / f"{split}2014"
        folder.mkdir()
        files = {1 + 7 * number: f"COCO_{split}2014_{1 + 7 * number:012}.jpg" for number in range(count)}
        for number, file in files.items():
            (folder / file).write_bytes(image(number))
        ids = list(files)[: count - int(empty * share)]
        with (root / "annotations" / f"instances_{split}2014.json").open("w") as out:
            records = [image_record(number, file) for number, file in files.items()]
            out.write(f'{{"info": {{}}, "images": {json.dumps(records)}, "licenses": [], "annotations": [')
            for number, text in enumerate(annotation_texts(ids, list(categories), max(16, int(objects * share)))):
                out.write(text if number == 0 else f", {text}")
            listed = [{"supercategory": "thing", "id": id, "name": name} for id, name in categories.items()]
            out.write(f'], "categories": {json.dumps(listed)}}}')


def image_record(number: int, file: str) -> dict[str, object]:
    """Return an image as in COCO's files."""
    return {
        "license": 5,
        "file_name": file,
        "coco_url": f"http://images.cocodataset.org/train2014/{file}",
        "height": SIDE,
        "width": SIDE,
        "date_captured": "2013-11-18 02:53:27",
        "flickr_url": "http://farm5.staticflickr.com/4153/5014840696_0b1ff5d1a4_z.jpg",
        "id": number,
    }


def annotation_texts(images: list[int], categories: list[int], count: int) -> Iterator[str]:
    """Yield annotations; one in a hundred is a crowd, as run lengths."""
    rng = np.random.default_rng(0)
    shapes = []
    for _ in range(200):
        turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        ring = rng.uniform(4, 12, 2) + np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(1, 4)
        # six decimals: as many characters as COCO's coordinates of three digits and two decimals, and a space
        shapes.append(json.dumps([ring.round(6).ravel().tolist()]))
    crowd = json.dumps({"counts": [SIDE] * SIDE, "size": [SIDE, SIDE]})
    chosen = rng.integers(0, len(categories), count)
    for number in range(count):
        is_crowd = number % 100 == 99
        shape = crowd if is_crowd else shapes[number % 200]
        owner = images[number % len(images)]
        yield (
            f'{{"segmentation": {shape}, "area": 702.1057499999998, "iscrowd": {int(is_crowd)}, "image_id": {owner}, '
            f'"bbox": [4.83, 6.64, 7.01, 7.26], "category_id": {categories[chosen[number]]}, "id": {number + 1}}}'
        )


WRITERS = {"voc2012": write_voc, "coco2014": write_coco}
KEYS = {
    "voc2012": "{{layout: voc, root: {root}, splits: [train_aug, train, val], classes: [person]}}",
    "coco2014": "{{layout: coco, root: {root}, splits: [train, val], unannotated: drop, classes: [person]}}",
}
SPLITS = {"voc2012": ("[train_aug]", "train"), "coco2014": ("[train]", "train")}


def steps(recipe: str, folder: Path, until: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and command of each measurement, in order; the cheap run ends with the stage ``until``."""
    data, pipeline, run = (str(folder / name) for name in ("data", "pipeline.yaml", "run"))
    cheap = ("run", pipeline, "--run-dir", run, "--workers", "1", "--until", until)
    stages = ", ".join(STAGES[: STAGES.index(until) + 1])
    planned = ("run", recipe, "--set", f"data.root={data}", "--run-dir", str(folder / "recipe"), "--dry-run")
    yield f"`run {recipe} --dry-run`: plan, nothing cached", (*WSSS, *planned)
    yield f"run: {stages}", (*WSSS, *cheap)
    yield "run again: nothing to do", (*WSSS, *cheap)
    yield "plan of the finished run", (*WSSS, *cheap, "--dry-run")
    yield "status", (*WSSS, "status", run)
    yield "status --verify", (*WSSS, "status", run, "--verify")
    yield "report", (*WSSS, "report", run, "--out", str(folder / "page"))


def main() -> None:
    """Parse the options, write the dataset, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=WRITERS)
    parser.add_argument("--share", type=float, default=1.0, help="share of the images")
    parser.add_argument("--until", choices=STAGES, default="report", help="last stage of the cheap run")
    parser.add_argument("--work", type=Path, help="folder of the temporary files")
    args = parser.parse_args()
    with work_folder(args.work) as place:
        folder, recipe = place, args.recipe
        WRITERS[recipe](folder / "data", args.share)
        train, scored = SPLITS[recipe]
        block = KEYS[recipe].format(root=folder / "data")
        (folder / "pipeline.yaml").write_text(PIPELINE.format(data=block, train=train, score=scored))
        print("| command | seconds | CPU seconds | MiB |\n|---|---|---|---|")
        for name, words in steps(recipe, folder, args.until):
            took = measured(words)
            print(f"| {name} | {took.seconds:.0f} | {took.cpu:.1f} | {took.peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
