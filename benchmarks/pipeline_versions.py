"""The stages of a photograph pipeline as commands of one version of wsss; see `pipeline`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from large_photographs import photograph

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = ROOT / "pipelines" / "voc_animals.yaml"
WEIGHTS = "mobilenet_v2_imagenet_bnfolded.pth"
"""Initial weights of the pipeline, expected next to the data."""

TRAINING = ("classify", "expand", "shrink", "segment")
GENERATED = {"cat": 8, "dog": 12}
"""Classes of generated photographs, with their values in masks of PASCAL VOC."""

TIMED = ("stage.json", "run.json", "run.log", "tensorboard", "report")
"""Files and folders that contain times or logs, which differ between runs of one version."""


@dataclass(frozen=True)
class Step:
    """A measured stage.

    Args:
        uses: command.
        settings: stage of `PIPELINE` with its settings.
        inputs: option → measured stage whose results it reads.
    """

    uses: str
    settings: str
    inputs: Mapping[str, str] = field(default_factory=dict)


STAGES = {
    "classify": Step("classify", "classify"),
    "expand": Step("expand", "expand", {"classifier": "classify"}),
    "shrink": Step("shrink", "shrink", {"classifier": "expand"}),
    "cam": Step("cam", "cam", {"classifier": "shrink"}),
    "cam-plain": Step("cam", "cam", {"classifier": "classify"}),
    "pseudo": Step("pseudo", "pseudo", {"cams": "cam"}),
    "crf": Step("crf", "crf", {"masks": "pseudo", "cams": "cam"}),
    "segment": Step("segment", "segment", {"masks": "crf", "classifier": "classify"}),
    "predict": Step("predict", "predict", {"weights": "segment"}),
    "score": Step("score", "score-segment-val", {"pred": "predict"}),
}
"""``cam`` uses the classifier with both samplers, ``cam-plain`` the one without, as peers do."""


@dataclass(frozen=True)
class Usage:
    """CPU seconds of a process and its descendants, and its wall-clock seconds."""

    cpu: float
    wall: float


def measured(command: Sequence[object], source: Path, folder: Path) -> Usage:
    """Run a command with a version of wsss.

    Args:
        command: arguments of Python.
        source: folder that contains the package ``wsss``.
        folder: working directory; the output of the command is written to ``output.txt`` in it.

    Raises:
        SystemExit: the command failed.
    """
    path = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    words = [sys.executable, *map(str, command)]
    log = folder / "output.txt"
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)  # includes descendants that it has waited for: workers
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {process.returncode}\n{log.read_text(errors='replace')}")
    return Usage(usage.ru_utime + usage.ru_stime, wall)


@dataclass(frozen=True)
class Version:
    """A source tree or installation of wsss.

    Args:
        name: ``before`` or ``after``.
        source: folder that contains the package ``wsss``.
        work: folder for results.
        options: options of every stage.
    """

    name: str
    source: Path
    work: Path
    options: tuple[object, ...] = ()

    def require(self) -> None:
        """Require that Python imports the package from this folder.

        Raises:
            SystemExit: it does not.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        measured(("-c", "import wsss; print(wsss.__file__)"), self.source, self.work)
        found = (self.work / "output.txt").read_text().strip()
        if not Path(found).resolve().is_relative_to(self.source.resolve()):
            raise SystemExit(f"{self.source}: Python imports {found} instead")

    @cached_property
    def command(self) -> tuple[str, str]:
        """The arguments of Python that run the command line."""
        return "-m", "wsss" if (self.source / "wsss" / "__main__.py").is_file() else "wsss.cli.main"

    def folder(self, size: str) -> Path:
        """Return the folder of the results on one of the two subsets, ``few`` or ``many``."""
        return self.work / size

    def run(self, name: str, size: str, data: Path) -> Usage:
        """Run a stage; the first results are kept as inputs of later stages."""
        step, results = STAGES[name], self.folder(size)
        kept = results / name
        out = kept if not kept.exists() else results / "again"
        results.mkdir(parents=True, exist_ok=True)
        inputs = [word for option, stage in step.inputs.items() for word in (f"--{option}", results / stage)]
        settings = ("--config", self.work.parent / "settings" / f"{name}.yaml")
        words = (*self.command, step.uses, *inputs, *settings, "--data.root", data, "--out", out, *self.options)
        usage = measured(words, self.source, results)
        shutil.rmtree(results / "again", ignore_errors=True)
        return usage

    def run_pipeline(self, pipeline: str, run: Path, options: Iterable[object]) -> Usage:
        """Run a whole pipeline; a file of this version of the same name is preferred."""
        own = self.source / pipeline
        file = own if own.is_file() else Path(pipeline).resolve() if Path(pipeline).is_file() else pipeline
        return measured((*self.command, "run", file, "--run-dir", run, *options), self.source, self.work)


def with_inputs(names: Iterable[str]) -> list[str]:
    """Return stages and all stages they depend on, in order."""
    needed: set[str] = set()
    for name in names:
        needed |= {name, *with_inputs(STAGES[name].inputs.values())}
    return [name for name in STAGES if name in needed]


def write_settings(folder: Path, weights: Path | None, batch: int | None) -> int:
    """Write the settings of every stage: those of `PIPELINE`, on one split, without validation, for one epoch.

    Maps are plain class activation maps, which every version and the hand-written loop can compute.

    Args:
        folder: where ``STAGE.yaml`` are written.
        weights: initial weights; without them, the networks start from random ones.
        batch: batch size of training, if not that of the presets.

    Returns:
        The batch size.
    """
    stages = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]
    folder.mkdir(parents=True)
    for name, step in STAGES.items():
        settings: dict[str, Any] = {**stages[step.settings].get("with", {})}
        settings.pop("val", None)
        settings.pop("method", None)  # earlier versions do not clamp weights; it costs almost nothing
        settings |= {key: value for key, value in (("splits", ["train"]), ("split", "train")) if key in settings}
        if step.uses in TRAINING:
            settings |= {"epochs": 1} | ({"batch_size": batch} if batch else {})
        if "backbone" in settings:
            initial = {"weights": {"path": str(weights)}} if weights else {"weights": "none", "freeze_batchnorm": False}
            settings["backbone"] = initial
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    preset = ROOT / "configs" / f"{stages['classify']['with']['preset']}.yaml"
    return batch or int(yaml.safe_load(preset.read_text(encoding="utf-8"))["batch_size"])


def generate(root: Path, count: int, size: tuple[int, int]) -> None:
    """Write photographs in the layout of PASCAL VOC, each of one class."""
    import cv2

    from wsss.io.rasters.label_masks import write_mask

    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rows = ["image_id,labels"]
    for number in range(count):
        image, mask = photograph(size, seed=number)
        label = list(GENERATED)[number % len(GENERATED)]
        cv2.imwrite(str(root / "JPEGImages" / f"{number:04}.jpg"), image[..., ::-1])
        write_mask(root / "SegmentationClass" / f"{number:04}.png", (mask * GENERATED[label]).astype(np.uint8))
        rows.append(f"{number:04},{label}")
    (root / "image_labels.csv").write_text("\n".join(rows) + "\n")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("".join(f"{i:04}\n" for i in range(count)))


def write_subset(source: Path, target: Path, count: int) -> list[str]:
    """Write a dataset with the first images of another's training split, as links; return its classes.

    The classes are those of ``image_labels.csv``; without that file, none are returned, for those of PASCAL VOC.

    Raises:
        SystemExit: there are fewer images.
    """
    split = Path("ImageSets") / "Segmentation" / "train.txt"
    names = (source / split).read_text(encoding="utf-8").split()
    if len(names) < count:
        raise SystemExit(f"{source / split}: {len(names)} images, {count} are required")
    (target / split).parent.mkdir(parents=True)
    (target / split).write_text("".join(f"{name}\n" for name in names[:count]), encoding="utf-8")
    for path in source.iterdir():
        if path.name != "ImageSets":
            (target / path.name).symlink_to(path.resolve())
    labels = source / "image_labels.csv"
    rows = labels.read_text(encoding="utf-8").splitlines()[1:] if labels.is_file() else []
    return sorted({label for row in rows for label in row.partition(",")[2].split()})


def list_samples(root: Path, classes: Sequence[str], file: Path) -> None:
    """Write what hand-written loops need: the images, labels and masks of a dataset, and the values of its classes."""
    from wsss.data.readers.registry import open_dataset

    config = {"root": str(root)} | ({"classes": list(classes)} if classes else {})
    data = open_dataset(config, work=file.parent)
    samples = [
        {"id": one.id, "image": str(one.image), "mask": str(one.mask), "labels": list(one.labels or ())}
        for one in data.split("train")
    ]
    file.write_text(json.dumps({"values": [values[0] for values in data.classes.values], "samples": samples}))


def compare_files(before: Path, after: Path) -> dict[str, list[str]]:
    """Compare two folders of results by SHA-256, ignoring `TIMED` and hidden files.

    Returns:
        Relative paths by ``equal``, ``different``, ``only before`` and ``only after``.
    """
    old, new = _hashes(before), _hashes(after)
    return {
        "equal": sorted(name for name in old.keys() & new.keys() if old[name] == new[name]),
        "different": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
        "only before": sorted(old.keys() - new.keys()),
        "only after": sorted(new.keys() - old.keys()),
    }


def _hashes(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if not any(part in TIMED or part.startswith(".") for part in name.parts)
    }
