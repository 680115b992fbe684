"""The recipe for all of VOC 2012: its plan, and every stage of it on a handful of images, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from wsss.cli.main import cli
from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import read_image

PLAN = ["classify", "expand", "shrink", "cam", "pseudo", "crf", "segment", "predict"]
NAMES = ("aeroplane", "bicycle")


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
            root / "SegmentationClass" / f"{image_id}.png",
            read_mask(tmp_path / "shapes" / "masks" / f"{image_id}.png"),
        )
    (root / "image_labels.csv").write_text("\n".join(labels) + "\n")
    for name, members in {**ids, "train_aug": ids["train"]}.items():
        (lists / f"{name}.txt").write_text("\n".join(members) + "\n")
    return root


def run(*arguments: str) -> dict:
    done = CliRunner().invoke(cli, ["run", "voc2012", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_its_plan_needs_neither_network_nor_weights(voc: Path, tmp_path: Path) -> None:
    plan = run("--set", f"data.root={voc}", "--run-dir", str(tmp_path / "run"), "--dry-run")
    assert [stage["id"] for stage in plan["stages"]][: len(PLAN)] == PLAN
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_every_stage_of_it_runs(voc: Path, tmp_path: Path) -> None:
    small = {
        "data.root": voc,
        "classify.backbone": "{name: resnet18, output_stride: 16, weights: none, freeze_batchnorm: false}",
        "classify.epochs": 1,
        "classify.batch_size": 2,
        "classify.augmentation.size": 64,
        **{
            f"{stage}.{key}": value
            for stage in ("expand", "shrink")
            for key, value in {"epochs": 1, "batch_size": 2, "augmentation.size": 64}.items()
        },
        "segment.backbone": "{name: resnet18, output_stride: 16, weights: none, freeze_batchnorm: false}",
        "segment.epochs": 1,
        "segment.batch_size": 2,
        "segment.augmentation.size": 64,
        "predict.scales": "[0.5, 1]",
    }
    sets = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    result = run(*sets, "--run-dir", str(tmp_path / "run"))
    assert result["status"] == "done" and Path(result["report"]).is_file()
    scores = {stage["id"]: stage["metrics"] for stage in result["stages"] if stage["uses"] == "score"}
    assert scores["score-segment-val"]["images"] == 2 and scores["score-segment-val"]["split"] == "val"
    assert scores["score-crf-train"]["provenance"]["crf"] == "irn"
    supported = 21 - len(scores["score-pseudo-train"]["unsupported"])
    assert 2 <= supported <= 3
