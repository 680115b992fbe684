"""Broken and unusual datasets in whole pipelines: exit code 2 and a message without a traceback, or a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inprocess import succeed, wsss
from PIL import Image

from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.label_masks import write_mask

PIPELINE = """\
name: bad
data: {{layout: folder, root: {root}}}
stages:
  classify:
    uses: classify
    with:
      {{backbone: {{name: timm/test_resnet, weights: none}}, epochs: 1, batch_size: 2, val: val,
       augmentation: {{size: 32}}}}
  cam: {{uses: cam, needs: [classify], with: {{scales: [1], splits: [train, val]}}}}
  pseudo: {{uses: pseudo, needs: [cam], with: {{splits: [train, val]}}}}
  score: {{uses: score, needs: [pseudo]}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generate(Config(size=32, train=3, val=2, classes=2), tmp_path / "data")
    (tmp_path / "bad.yaml").write_text(PIPELINE.format(root=tmp_path / "data"))
    return tmp_path / "data"


def run(root: Path, *more: str) -> tuple[object, ...]:
    return ("run", root.parent / "bad.yaml", "--run-dir", root.parent / "run", "--workers", "0", *more)


def image(root: Path) -> Path:
    return root / "images" / "train_00001.png"


def truncate(root: Path) -> None:
    image(root).write_bytes(image(root).read_bytes()[:200])


def zero_bytes(root: Path) -> None:
    image(root).write_bytes(b"")


def no_image(root: Path) -> None:
    image(root).write_text("hello")


def missing_image(root: Path) -> None:
    image(root).unlink()


def mask_of_another_size(root: Path) -> None:
    write_mask(root / "masks" / "val_00000.png", np.zeros((5, 6), np.uint8))


def id_out_of_range(root: Path) -> None:
    write_mask(root / "masks" / "val_00000.png", np.full((32, 32), 77, np.uint8))


def relabel(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").write_text("\n".join(change(lines)) + "\n")


def unknown_class(root: Path) -> None:
    relabel(root, lambda lines: [lines[0], "train_00000,unicorn,train", *lines[2:]])


def duplicate_id(root: Path) -> None:
    relabel(root, lambda lines: [*lines, lines[1]])


def empty_split(root: Path) -> None:
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n")
    (root / "splits" / "val.txt").write_text("val_00000\n")


BROKEN = {
    truncate: "train_00001.png: ",
    zero_bytes: "train_00001.png: ",
    no_image: "train_00001.png: ",
    missing_image: "train_00001",
    mask_of_another_size: "got 6×5",
    id_out_of_range: "got 77",
    unknown_class: "unknown class; expected",
    duplicate_id: "train_00000",
    empty_split: "empty",
}


@pytest.mark.parametrize("damage", BROKEN, ids=lambda damage: damage.__name__)
def test_broken_data_is_reported_by_run_and_check(root: Path, damage: Callable[[Path], None]) -> None:
    damage(root)
    done = wsss(*run(root))
    assert done.returncode == 2 and BROKEN[damage] in done.stderr
    assert "Traceback" not in done.stderr and "bug" not in done.stderr
    checked = wsss("data", "check", root)
    output = checked.stdout + checked.stderr
    assert checked.returncode == 2 and (BROKEN[damage].split(":")[0] in output or "val_00000" in output)


def cmyk(root: Path) -> None:
    Image.open(image(root)).convert("CMYK").save(image(root).with_suffix(".jpg"))
    image(root).unlink()


def sixteen_bits(root: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (32, 32)).astype(np.uint16)).save(image(root))


def rotated(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(image(root)).crop((0, 0, 32, 20))
    picture.save(image(root).with_suffix(".jpg"), exif=exif)
    image(root).unlink()
    write_mask(root / "masks" / "train_00001.png", np.zeros((32, 20), np.uint8))


def single_class(root: Path) -> None:
    """One class, in every second image."""
    (root / "classes.txt").write_text("1 only\n")
    rows = [line.split(",") for line in (root / "labels.csv").read_text().splitlines()[1:]]
    labels = {row[0]: "" if number % 2 else "only" for number, row in enumerate(rows)}
    relabel(root, lambda lines: [lines[0], *(f"{row[0]},{labels[row[0]]},{row[2]}" for row in rows)])
    for path in (root / "masks").glob("*.png"):
        write_mask(path, np.eye(32, dtype=np.uint8) * bool(labels[path.stem]))


def single_image(root: Path) -> None:
    relabel(root, lambda lines: [lines[0], lines[1], lines[-1]])


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [cmyk, sixteen_bits, rotated, single_class, single_image], ids=lambda one: one.__name__
)
def test_unusual_data_runs_through_all_stages(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    more = ("--set", "data.scaling=full") if change is sixteen_bits else ()
    succeed(*run(root, *more))


def test_class_in_every_image_is_refused(root: Path) -> None:
    (root / "classes.txt").write_text("1 only\n")
    relabel(root, lambda lines: [lines[0], *(f"{line.split(',')[0]},only,{line.split(',')[2]}" for line in lines[1:])])
    for path in (root / "masks").glob("*.png"):
        write_mask(path, np.eye(32, dtype=np.uint8))
    done = wsss(*run(root))
    assert done.returncode == 2 and "'only'" in done.stderr


SETTINGS = {
    "classify.epoch=3": "'epochs'",
    "classify.epochs=many": "'many'",
    "cam.needs=[pseudo]": "cam → pseudo → cam",
    "classify.backbone.weights={path: nowhere.pth}": "weights.path",
    "seed=-1": "seed",
    "data.root=/nowhere/at/all": "/nowhere/at/all",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_invalid_settings_are_reported_before_the_run(root: Path, setting: str) -> None:
    done = wsss(*run(root, "--set", setting))
    assert done.returncode == 2 and SETTINGS[setting] in done.stderr
    assert not list((root.parent / "run").glob("*/stage.json"))


def test_weights_of_another_architecture(root: Path) -> None:
    import torch
    import torchvision

    path = root.parent / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    done = wsss(*run(root, "--set", f"classify.backbone={{name: mobilenet_v2, weights: {{path: {path}}}}}"))
    assert done.returncode == 2 and "mobilenet_v2" in done.stderr and "resnet18.pth" in done.stderr


def test_file_in_place_of_a_run_directory(root: Path) -> None:
    (root.parent / "file").write_text("")
    done = wsss("run", root.parent / "bad.yaml", "--run-dir", root.parent / "file" / "run")
    assert done.returncode in (1, 2) and str(root.parent / "file") in done.stderr
