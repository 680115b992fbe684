"""A synthetic finished run: maps and masks derived from the ground truth, and their measured scores."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.atomic import write_json, write_text
from wsss.io.files.stage_files import cam_path, mask_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import IGNORE, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.metrics.overlap import confusion_matrix, overlap_scores

CLASSES = Classes(names=("background", "cat", "<script>alert(1)</script>", "sheep"), values=((0,), (8,), (15,), (17,)))


def drawn_dataset(root: Path, *, train: int = 6, val: int = 4, size: tuple[int, int] = (60, 80)) -> Dataset:
    """Discs and bars of two classes on noise; the class "sheep" has no support."""
    random = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", train), ("val", val)):
        samples = []
        for index in range(count):
            rows, columns = np.indices(size)
            mask = np.zeros(size, np.uint8)
            mask[(rows - 25 - index % 7) ** 2 + (columns - 25) ** 2 < 150] = 8
            if index % 2:
                mask[20:50, 50:70] = 15
            mask[0] = IGNORE
            noise = random.integers(0, 90, (*size, 3))
            image = (noise + mask[..., None] % 255 * 8).clip(0, 255).astype(np.uint8)
            image_id = f"{name}_{index}"
            write_png(root / "images" / f"{image_id}.png", image)
            write_mask(root / "masks" / f"{image_id}.png", mask)
            labels = (1, 2) if index % 2 else (1,)
            samples.append(
                Sample(image_id, root / "images" / f"{image_id}.png", labels, root / "masks" / f"{image_id}.png")
            )
        splits[name] = tuple(samples)
    return Dataset("drawn & small", root, CLASSES, splits)


class RunBuilder:
    """Writes stage folders like the engine and the stages."""

    def __init__(self, run_dir: Path, data: Dataset) -> None:
        self.run_dir, self.data = run_dir, data
        self.stages: list[dict[str, Any]] = []

    def stage(self, name: str, uses: str, inputs: dict[str, Any], **fields: Any) -> Path:
        """Write ``stage.json``; return the folder."""
        record = {
            "identity": "0" * 64,
            "id": name,
            "uses": uses,
            "status": "done",
            "seconds": 12.5,
            "device": "cpu",
            "inputs": inputs,
            "config": {},
            "metrics": {},
            "provenance": {},
            "versions": {"torch": "2.6.0"},
        }
        write_json(self.run_dir / name / "stage.json", {**record, **fields})
        self.stages.append({"id": name, "uses": uses, "needs": list(inputs.values())})
        write_json(self.run_dir / "run.json", {"format": 1, "name": "small", "stages": self.stages})
        return self.run_dir / name

    def network(self, name: str, uses: str, inputs: dict[str, Any], **fields: Any) -> Path:
        """Write the folder of a network with a learning curve."""
        folder = self.stage(name, uses, inputs, **fields)
        write_json(folder / "model.json", {"architecture": "tiny"})
        rows = [
            f"{epoch},{1.2 / epoch:.4f},{1.3 / epoch + 0.03 * epoch:.4f},{1 - 1 / (epoch + 1):.4f},{0.01 / epoch:.6f}"
            for epoch in range(1, 9)
        ]
        write_text(folder / "history.csv", "\n".join(["epoch,train_loss,val_loss,val_miou,lr", *rows]) + "\n")
        return folder

    def cams(self, name: str, inputs: dict[str, Any], *, split: str = "train", **fields: Any) -> Path:
        """Write blurred ground truth as maps, at a quarter of the image size."""
        folder = self.stage(name, "cam", inputs, **fields)
        for sample in self.data.split(split):
            truth = read_sample_mask(sample, self.data.classes)
            labels = sample.labels or ()
            soft = [ndimage.gaussian_filter((truth == index).astype(np.float32), 9) for index in labels]
            maps = np.stack([one[::4, ::4] / max(float(one.max()), 1e-6) for one in soft]).astype(np.float32)
            write_cams(cam_path(folder, sample.id), Cams(maps, labels, truth.shape))
        return folder

    def masks(
        self, name: str, uses: str, inputs: dict[str, Any], *, split: str, shift: int, uncertain: int = 0, **fields: Any
    ) -> Path:
        """Write the ground truth shifted to the right; ``uncertain`` pixels around each border become 255."""
        folder = self.stage(name, uses, inputs, **fields)
        for sample in self.data.split(split):
            truth = read_sample_mask(sample, self.data.classes)
            mask = np.roll(np.where(truth == IGNORE, 0, truth), shift, axis=1)
            if uncertain:
                inside = mask > 0
                rim = ndimage.binary_dilation(inside, iterations=uncertain) & ~ndimage.binary_erosion(
                    inside, iterations=uncertain
                )
                mask[rim] = IGNORE
            write_mask(mask_path(folder, sample.id), self.data.classes.decode(mask.astype(np.uint8)))
        return folder

    def score(self, name: str, masks: Path, *, split: str, provenance: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Measure masks, write the scores per image, return the metrics."""
        classes, counts = self.data.classes, []
        for sample in self.data.split(split):
            with Image.open(mask_path(masks, sample.id)) as picture:
                mask = classes.encode(np.asarray(picture), where=sample.id)
            counts.append(confusion_matrix(mask, read_sample_mask(sample, classes), len(classes)))
        metrics = {
            **overlap_scores(np.sum(counts, axis=0), classes.names),
            "images": len(counts),
            "split": split,
            "uncertain_counted_as": "miss",
            "threshold_policy": provenance.get("threshold_policy"),
            "provenance": provenance,
        }
        folder = self.stage(name, "score", {"pred": masks.name}, metrics=metrics, **fields)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["image_id", "miou"])
        for sample, count in zip(self.data.split(split), counts, strict=True):
            table.writerow([sample.id, f"{overlap_scores(count, classes.names)['miou']:.6f}"])
        write_text(folder / "per_image.csv", text.getvalue())
        return metrics


WEAK = {
    "supervision": "image-level labels",
    "initial_weights": "mobilenet_v2 (ImageNet)",
    "cam": {"method": "cam", "scales": [1.0, 0.5, 1.5, 2.0], "flip": True},
    "threshold_policy": "otsu per class",
}


def whole_run(run_dir: Path, data: Dataset) -> dict[str, dict[str, Any]]:
    """Write a run with every type of stage; return the metrics of its score stages by id."""
    run = RunBuilder(run_dir, data)
    aps = {name: 0.9 - 0.05 * index for index, name in enumerate(data.classes.foreground)}
    run.network("classify", "classify", {}, metrics={"map": 0.874, "f1": 0.812, "ap": aps}, seconds=184.2)
    run.cams("cam", {"classifier": "classify"}, seconds=61.0, config={"scales": [1.0, 0.5, 1.5, 2.0], "flip": True})
    pseudo = run.masks(
        "pseudo",
        "pseudo",
        {"cams": "cam"},
        split="train",
        shift=9,
        uncertain=2,
        metrics={"uncertain_fraction": 0.0712, "foreground_fraction": 0.244},
    )
    oracle = run.masks("pseudo_oracle", "pseudo", {"cams": "cam"}, split="train", shift=7)
    crf = run.masks("crf", "crf", {"masks": "pseudo", "cams": "cam"}, split="train", shift=4, uncertain=1)
    run.network("segment", "segment", {"masks": "crf"}, metrics={"train_loss": 0.15}, seconds=912.0)
    predict = run.masks("predict", "predict", {"segmenter": "segment"}, split="val", shift=3)
    run.network("segment_full", "segment", {}, metrics={"train_loss": 0.09}, seconds=3722.0)
    upper = run.masks("predict_full", "predict", {"segmenter": "segment_full"}, split="val", shift=1)
    stamp = {**WEAK, "threshold_policy": "ORACLE fixed .32 (best on the ground-truth masks)"}
    full = {"supervision": "ground-truth masks", "initial_weights": WEAK["initial_weights"]}
    return {
        "score_pseudo": run.score("score_pseudo", pseudo, split="train", provenance=WEAK),
        "score_oracle": run.score("score_oracle", oracle, split="train", provenance=stamp),
        "score_crf": run.score("score_crf", crf, split="train", provenance={**WEAK, "crf": "irn"}),
        "score_val": run.score("score_val", predict, split="val", provenance={**WEAK, "crf": "irn"}),
        "score_full": run.score("score_full", upper, split="val", provenance=full),
    }
