"""The synthetic scenes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from wsss.data.checks.check import check_dataset
from wsss.data.readers.registry import open_dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.data.synthetic.scene import CLASS_NAMES, EMBLEM_COLOURS, draw_scene
from wsss.data.synthetic.shapes import Config, generate
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import read_image

SMALL = Config(size=48, train=10, val=4, classes=5, objects=3)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_images_depend_on_the_config_only(tmp_path: Path) -> None:
    generate(SMALL, tmp_path / "a")
    generate(SMALL, tmp_path / "b")
    generate(SMALL.model_copy(update={"seed": 1}), tmp_path / "c")
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b and a.keys() == c.keys()
    assert not {a[name] for name in a if name.startswith("images/")} & set(c.values())
    assert len(a) == 2 * 14 + 4


def test_the_number_of_images_does_not_change_their_content(tmp_path: Path) -> None:
    generate(SMALL, tmp_path / "a")
    generate(SMALL.model_copy(update={"train": 12, "val": 5}), tmp_path / "b")
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert all(b[name] == sha for name, sha in a.items() if name.endswith(".png"))


def test_the_dataset_is_clean_and_balanced(tmp_path: Path) -> None:
    dataset = open_dataset({"layout": "shapes", "train": 60, "val": 20, "size": 48}, work=tmp_path)
    report = check_dataset(dataset)
    assert report.problems == () and report.notes == ()
    assert report.classes == CLASS_NAMES[:4] and report.sizes == ((48, 48), (48, 48))
    assert {name: counts.images for name, counts in report.splits.items()} == {"train": 60, "val": 20}
    assert all(15 <= images <= 40 for images in report.splits["train"].class_images.values())
    assert any(len(sample.labels or ()) > 1 for sample in dataset.split("train"))
    again = open_dataset({"layout": "shapes", "train": 60, "val": 20, "size": 48}, work=tmp_path)
    assert again == dataset


def test_bodies_show_their_emblem_and_are_much_larger(tmp_path: Path) -> None:
    for number in range(40):
        first = 1 + number % 5
        image, mask = draw_scene(np.random.default_rng(number), size=96, first=first, classes=5, max_objects=2)
        assert image.shape == (96, 96, 3) and image.dtype == np.uint8 and mask.dtype == np.uint8
        assert first in mask
        for kind in set(np.unique(mask)) - {0}:
            colour = 255 * np.array(EMBLEM_COLOURS[kind - 1])
            emblem = (np.abs(image - colour).max(-1) < 40) & (mask == kind)
            assert emblem.sum() >= 8, (number, kind)
            assert 0.02 < emblem.sum() / (mask == kind).sum() < 0.15 or (mask == kind).sum() > 96 * 96 / 5


def test_bodies_differ_from_the_background_in_colour(tmp_path: Path) -> None:
    inside, outside = [], []
    for number in range(20):
        image, mask = draw_scene(np.random.default_rng(number), size=64, first=1, classes=4, max_objects=2)
        warmth = image[..., 0].astype(int) - image[..., 2]  # red minus blue
        inside.append(np.median(warmth[mask > 0]))
        outside.append(np.median(warmth[mask == 0]))
    assert min(inside) > max(outside)


def test_interrupted_calls_are_completed(tmp_path: Path) -> None:
    config = Config(size=48, train=80, val=4)
    generate(config, tmp_path / "whole")
    out, finished = tmp_path / "out", count()

    def killed_at_the_third(steps: int) -> None:
        if next(finished) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    call = {"config": config, "out": out, "advance": killed_at_the_third}
    process = multiprocessing.get_context("fork").Process(target=generate, kwargs=call)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert json.loads((out / "shapes.json").read_text())["complete"] is False
    (out / "masks" / ".wsss-tmp-1-x.png").write_bytes(b"half")
    generate(config, out)
    assert digest(out) == digest(tmp_path / "whole")


@pytest.mark.slow
def test_concurrent_processes_draw_the_dataset_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wsss.data.readers.registry import open_dataset\n"
        "config = {'layout': 'shapes', 'size': 32, 'train': 40, 'val': 2}\n"
        "open_dataset(config, work=Path(sys.argv[1]) / 'w', log=lambda line: print('Generating' in line))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    ranks = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    output = "".join(rank.communicate(timeout=300)[0] for rank in ranks)
    assert [rank.returncode for rank in ranks] == [0, 0, 0]
    assert output.count("True") == 1


def test_folders_with_other_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InvalidInput) as error:
        generate(SMALL, tmp_path / "mine")
    assert error.value.subject == str(tmp_path / "mine") and "thesis.txt" in error.value.problem
    generate(SMALL, tmp_path / "a")
    before = digest(tmp_path / "a")
    with pytest.raises(InvalidInput):
        generate(SMALL.model_copy(update={"size": 64}), tmp_path / "a")
    assert digest(tmp_path / "a") == before


def test_a_single_class_and_a_single_image(tmp_path: Path) -> None:
    dataset = open_dataset({"layout": "shapes", "train": 1, "val": 0, "classes": 1, "size": 32}, work=tmp_path)
    assert list(dataset.splits) == ["train"]
    sample = dataset.split("train")[0]
    assert sample.labels == (1,) and 1 in read_sample_mask(sample, dataset.classes, size=(32, 32))
    assert read_image(sample.image).shape == (32, 32, 3)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").write_text("x")


@pytest.mark.parametrize("damage", [truncate, replace_by_a_folder, Path.unlink], ids=lambda one: one.__name__)
def test_damaged_files_are_drawn_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    lines: list[str] = []

    def opened() -> dict[str, bytes]:
        config = Config(size=32, train=2, val=1).model_dump()
        data = open_dataset(config, work=tmp_path, log=lines.append)
        return {str(path.relative_to(data.root)): path.read_bytes() for path in data.root.rglob("*") if path.is_file()}

    whole = opened()
    root = next(tmp_path.glob("shapes-*/"))
    for name in ("images/train_00001.png", "masks/val_00000.png", "labels.csv", "shapes.json", "shapes.sha256.json"):
        if name == "shapes.sha256.json" and damage is Path.unlink:
            continue  # without hashes, changes are not detected
        damage(root / name)
        lines.clear()
        assert opened() == whole, name
        assert damage is Path.unlink or "generated again" in lines[0], (name, lines)
        lines.clear()
        assert opened() == whole and lines == []
