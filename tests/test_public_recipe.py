"""The recipes for all of VOC 2012 and COCO 2014: plans, and every stage on a handful of images, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from coco_files import annotation, rle, write_coco

from wsss.cli.main import cli
from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import read_image

PLAN = ["classify", "expand", "shrink", "cam", "pseudo", "crf", "segment", "predict"]
NAMES = ("aeroplane", "bicycle")
ONE_SCALE = ["--set", "cam.scales=[1]", "--set", "predict.scales=[1]"]


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Synthetic scenes in VOC's layout: the two classes get the ids of VOC's first two."""
    from PIL import Image

    generate(Config(size=40, train=4, val=2, classes=2), tmp_path / "shapes")
    root = tmp_path / "VOC2012"
    lists, labels = root / "ImageSets" / "Segmentation", ["image_id,labels"]
    lists.mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    ids: dict[str, list[str]] = {"train": [], "val": []}
    names = dict(zip((tmp_path / "shapes" / "classes.txt").read_text().split()[3::2], NAMES, strict=False))
    for line in (tmp_path / "shapes" / "labels.csv").read_text().splitlines()[1:]:
        image_id, words, split = line.split(",")
        ids[split].append(image_id)
        labels.append(f"{image_id},{' '.join(names.get(word, NAMES[0]) for word in words.split())}")
        pixels = read_image(tmp_path / "shapes" / "images" / f"{image_id}.png")
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{image_id}.jpg", quality=95)
        write_mask(
            root / "SegmentationClass" / f"{image_id}.png", read_mask(tmp_path / "shapes" / "masks" / f"{image_id}.png")
        )
    (root / "image_labels.csv").write_text("\n".join(labels) + "\n")
    for name, members in {**ids, "train_aug": ids["train"]}.items():
        (lists / f"{name}.txt").write_text("\n".join(members) + "\n")
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Synthetic scenes in COCO's layout: two classes, objects as run lengths, and an image without annotations."""
    generate(Config(size=40, train=2, val=1, classes=2), tmp_path / "shapes")
    folder = tmp_path / "shapes"
    images: dict[str, list[int]] = {"train": [90], "val": []}
    annotations: dict[str, list[dict]] = {"train": [], "val": []}
    pixels = {90: np.zeros((40, 40, 3), np.uint8)}
    for number, line in enumerate((folder / "labels.csv").read_text().splitlines()[1:], start=1):
        image_id, _, split = line.split(",")
        images[split].append(number)
        pixels[number] = read_image(folder / "images" / f"{image_id}.png")
        mask = read_mask(folder / "masks" / f"{image_id}.png")
        annotations[split] += [
            annotation(number, 88 + value, rle(mask == value)) for value in np.unique(mask).tolist() if value
        ]
    return write_coco(tmp_path / "coco", images, annotations, size=(40, 40), pixels=pixels)


def run(recipe: str, *arguments: str) -> dict:
    # Processes would take longer to import torch than to compute.
    command = ["run", recipe, *arguments, "--workers", "0", "--json"]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def smallest(root: Path, backbone: str, side: int) -> list[str]:
    """Return the options of a run with random weights and as few steps as possible."""
    network = f"{{name: {backbone}, output_stride: 16, weights: none, freeze_batchnorm: false}}"
    trained = {"epochs": 1, "batch_size": 2, "augmentation.size": side}
    small = {
        "data.root": root,
        "classify.backbone": network,
        "segment.backbone": network,
        **{f"{stage}.{k}": v for stage in ("classify", "expand", "shrink", "segment") for k, v in trained.items()},
        "predict.scales": "[0.5, 1]",
    }
    return [word for key, value in small.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize(("recipe", "root"), [("voc2012", "voc"), ("coco2014", "coco")])
def test_plans_need_neither_network_nor_weights(
    recipe: str, root: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    data = f"data.root={request.getfixturevalue(root)}"
    plan = run(recipe, "--set", data, "--run-dir", str(tmp_path / "run"), "--dry-run")
    assert [stage["id"] for stage in plan["stages"]][: len(PLAN)] == PLAN
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_every_stage_of_voc2012_runs(voc: Path, tmp_path: Path) -> None:
    result = run("voc2012", *smallest(voc, "timm/test_resnet", 64), "--run-dir", str(tmp_path / "run"))
    assert result["status"] == "done" and Path(result["report"]).is_file()
    scores = {stage["id"]: stage["metrics"] for stage in result["stages"] if stage["uses"] == "score"}
    assert scores["score-segment-val"]["images"] == 2 and scores["score-segment-val"]["split"] == "val"
    assert scores["score-crf-train"]["provenance"]["crf"] == "irn"
    supported = 21 - len(scores["score-pseudo-train"]["unsupported"])
    assert 2 <= supported <= 3


@pytest.mark.slow
def test_every_stage_of_coco2014_runs_and_is_skipped_again(coco: Path, tmp_path: Path) -> None:
    options = [*smallest(coco, "timm/test_resnet", 32), *ONE_SCALE, "--run-dir", str(tmp_path / "run")]
    result = run("coco2014", *options)
    assert result["status"] == "done" and Path(result["report"]).is_file()
    scores = {stage["id"]: stage["metrics"] for stage in result["stages"] if stage["uses"] == "score"}
    assert scores["score-segment-val"]["images"] == 1 and scores["score-crf-train"]["images"] == 2  # one is left out
    assert 2 <= 81 - len(scores["score-pseudo-train"]["unsupported"]) <= 3
    assert set(scores["score-pseudo-train"]["unsupported"]).isdisjoint({"background"})
    again = run("coco2014", *options)
    assert {stage["status"] for stage in again["stages"]} == {"skipped"}
