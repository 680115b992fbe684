"""What people get wrong, from the command line: exit code 2, a message that names it, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.cli.main import main
from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.label_masks import write_mask

PIPELINE = """\
name: bad
data: {{layout: folder, root: {root}}}
stages:
  classify:
    uses: classify
    with:
      {{backbone: {{name: mobilenet_v2, weights: none}}, epochs: 1, batch_size: 2, val: val,
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


def wsss(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    return int(end.value.code or 0)


def run(root: Path, *more: str) -> int:
    return wsss("run", root.parent / "bad.yaml", "--run-dir", root.parent / "run", "--workers", "0", *more)


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
    truncate: "train_00001.png: the image is broken or truncated",
    zero_bytes: "train_00001.png: the file is empty (0 bytes)",
    no_image: "train_00001.png: not an image",
    missing_image: "train_00001",
    mask_of_another_size: "the mask is 6×5 (width×height)",
    id_out_of_range: "unknown mask value; expected 0, 1, 2, 255",
    unknown_class: "unknown class; expected",
    duplicate_id: "train_00000",
    empty_split: "empty",
}


@pytest.mark.parametrize("damage", BROKEN, ids=lambda damage: damage.__name__)
def test_broken_data_stops_a_run_and_is_found_by_the_check(
    root: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(root)
    assert run(root) == 2
    messages = capsys.readouterr().err
    assert BROKEN[damage] in messages and "Traceback" not in messages and "bug" not in messages
    assert wsss("data", "check", root) == 2
    shown = capsys.readouterr()
    found = shown.out + shown.err
    assert BROKEN[damage].split(":")[0] in found or "val_00000" in found


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
    """One class, which every second image lacks."""
    (root / "classes.txt").write_text("1 only\n")
    rows = [line.split(",") for line in (root / "labels.csv").read_text().splitlines()[1:]]
    labels = {row[0]: "" if number % 2 else "only" for number, row in enumerate(rows)}
    relabel(root, lambda lines: [lines[0], *(f"{row[0]},{labels[row[0]]},{row[2]}" for row in rows)])
    for path in (root / "masks").glob("*.png"):
        write_mask(path, np.eye(32, dtype=np.uint8) * bool(labels[path.stem]))


def single_image(root: Path) -> None:
    relabel(root, lambda lines: [lines[0], lines[1], lines[-1]])


@pytest.mark.parametrize(
    "change", [cmyk, sixteen_bits, rotated, single_class, single_image], ids=lambda one: one.__name__
)
def test_unusual_data_works_through_all_stages(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    assert run(root) == 0


def test_a_class_that_every_image_shows_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "classes.txt").write_text("1 only\n")
    relabel(root, lambda lines: [lines[0], *(f"{line.split(',')[0]},only,{line.split(',')[2]}" for line in lines[1:])])
    for path in (root / "masks").glob("*.png"):
        write_mask(path, np.eye(32, dtype=np.uint8))
    assert run(root) == 2
    assert "'only'" in capsys.readouterr().err


SETTINGS = {
    "classify.epoch=3": ("unknown key", "did you mean 'epochs'?"),
    "classify.epochs=many": ("classify", "integer", "'many'"),
    "cam.needs=[pseudo]": ("circle", "cam → pseudo → cam"),
    "classify.backbone.weights={path: nowhere.pth}": ("weights.path", "no such file or folder: nowhere.pth"),
    "seed=-1": ("seed",),
    "data.root=/nowhere/at/all": ("/nowhere/at/all",),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_wrong_settings_are_found_before_anything_runs(
    root: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--set", setting) == 2
    messages = capsys.readouterr().err
    assert all(part in messages for part in SETTINGS[setting]), messages
    assert not list((root.parent / "run").glob("*/stage.json"))


def test_weights_of_another_architecture(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    import torchvision

    path = root.parent / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    assert run(root, "--set", f"classify.backbone={{name: mobilenet_v2, weights: {{path: {path}}}}}") == 2
    messages = capsys.readouterr().err
    assert "mobilenet_v2" in messages and "resnet18.pth" in messages and "Traceback" not in messages


def test_a_run_directory_that_cannot_be(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root.parent / "file").write_text("")
    code = wsss("run", root.parent / "bad.yaml", "--run-dir", root.parent / "file" / "run")
    assert code in (1, 2) and str(root.parent / "file") in capsys.readouterr().err
