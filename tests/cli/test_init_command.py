"""``wsss init``: from a label file to a pipeline that can be run, and masks."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from labelfiles import WRITERS

from wsss.cli.commands.init import FORMATS
from wsss.cli.main import cli
from wsss.data.importers import importer_registry
from wsss.data.readers.label_tables import read_label_table
from wsss.data.synthetic.shapes import Config, generate
from wsss.errors import InvalidInput
from wsss.io.rasters import image_kinds
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import image_size

SHARED = os.environ.get("WSSS_SHARED_DATA")


def wsss(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two synthetic classes with their label table, in a folder with an awkward name."""
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
def test_every_format_gives_a_pipeline_that_can_be_planned(kind: str, shapes: Path, here: Path) -> None:
    labels = WRITERS[kind](here / "my labels", file_labels(shapes))
    names = ["--classes", here / "names.txt"] if kind == "npy" else []
    done = wsss("init", "--images", shapes / "images", "--labels", labels, "--name", "night", *names)
    assert done.exit_code == 0, done.output
    assert done.stdout == "wsss run wsss-night/pipeline.yaml\n"
    assert "ring" in done.stderr and "No problem." in done.stderr and "Written: wsss-night/pipeline.yaml" in done.stderr
    planned = wsss(*shlex.split(done.stdout)[1:], "--dry-run", "--json")
    assert planned.exit_code == 0, planned.output
    assert [stage["action"] for stage in json.loads(planned.stdout)["stages"]] == ["run"] * 9
    assert not (here / "runs").exists()


def test_json_is_one_document(shapes: Path, here: Path) -> None:
    arguments = ("init", "--images", shapes / "images", "--labels", shapes / "labels.csv", "--json")
    document = json.loads(wsss(*arguments).stdout)
    assert document["pipeline"] == "wsss-odz-at-night/pipeline.yaml"
    assert shlex.split(document["command"])[-1] == document["pipeline"]
    assert document["report"]["splits"]["train"]["images"] == 10, "the column split says so"
    again = wsss(*arguments)
    assert isinstance(again.exception, InvalidInput) and "--force" in str(again.exception)
    assert wsss(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize("splits", [2, 5])
def test_classes_may_be_called_as_rows_of_the_table_are(splits: int, shapes: Path, here: Path) -> None:
    """More than four splits are rows of the table, not columns."""
    named = {"all": 5, "ignore": 4, "with labels": 3}
    rows = [f"train_0000{n},{name},train" for name, count in named.items() for n in range(count)]
    others = [f"train_0000{6 + n},all,split{n}" for n in range(splits - 1)]
    (here / "l.csv").write_text("\n".join(["image,label,split", *rows, *others]) + "\n")
    done = wsss("init", "--images", shapes / "images", "--labels", "l.csv", "--no-negatives")
    assert done.exit_code == 0, done.output
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
def test_names_are_printed_as_they_are(splits: int, shapes: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets and colons would be instructions for the library that draws the table."""
    rows = [f"train_0000{n},[red];[/x];:cat:,{'train' if not n else f's[{n}]'}" for n in range(splits)]
    rows.append("train_00005,ok,train")
    (here / "l.csv").write_text("\n".join(["image,labels,split", *rows]) + "\n")
    monkeypatch.setenv("COLUMNS", "200")
    done = wsss("init", "--images", shapes / "images", "--labels", "l.csv")
    assert done.exit_code == 0, done.output
    for name in ("[red]", "[/x]", ":cat:", *(f"s[{n}]" for n in range(1, splits))):
        assert name in done.stderr.partition("Image sizes")[0]


def test_it_says_what_does_not_fit(shapes: Path, here: Path) -> None:
    (here / "l.csv").write_text("image,labels\ntrain_00000,ring\ntrain_00001,cross\nnowhere,ring\n")
    done = wsss("init", "--images", shapes / "images", "--labels", "l.csv")
    assert done.exit_code == 0
    assert "PROBLEM: labels without an image, left out: 1\n  l.csv:4: 'nowhere'" in done.stderr
    assert (
        "Note: images without labels: 10" in done.stderr
        and "… and" not in done.stderr.split("PROBLEM")[0].split("labels: 10")[0]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--images", "absent"), "--images: absent: no such folder"),
        (("--images", "."), "--images: .: no images"),
        (("--images", "IMAGES", "--labels", "absent.csv"), "absent.csv: no such file"),
        (("--images", "IMAGES"), "no class folders"),
        (("--images", "IMAGES", "--labels", "LABELS", "--name", "a/b"), "--name: found 'a/b'"),
        (
            ("--images", "IMAGES", "--labels", "LABELS", "--weights", "absent.pth"),
            "--weights: absent.pth: no such file",
        ),
        (("--images", "IMAGES", "--labels", "LABELS", "--format", "npy"), "labels.csv: not an npy file"),
    ],
)
def test_wrong_usage_is_explained(arguments: tuple[str, ...], words: str, shapes: Path, here: Path) -> None:
    places = {"IMAGES": shapes / "images", "LABELS": shapes / "labels.csv"}
    done = wsss("init", *(places.get(word, word) for word in arguments))
    assert isinstance(done.exception, InvalidInput), done.output
    assert words in str(done.exception)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("option", [("--val-share", "0.3"), ("--seed", "7")])
def test_options_without_effect_are_refused(option: tuple[str, str], shapes: Path, here: Path) -> None:
    arguments = ("init", "--images", shapes / "images", "--labels", shapes / "labels.csv")
    done = wsss(*arguments, *option)
    assert isinstance(done.exception, InvalidInput)
    assert f"{option[0]}: the labels name the splits (train, val)" in str(done.exception)
    assert wsss(*arguments).exit_code == 0


def test_files_that_exist_and_cannot_be_read_are_said_to_exist(
    shapes: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    shutil.copytree(shapes / "images", here / "photos")
    for name in ("phone.heic", "camera.dng"):
        (here / "photos" / name).write_bytes(b"x")
    (here / "l.csv").write_text(
        "image,labels\ntrain_00000.png,ring\ntrain_00001.png,cross\nphone.heic,ring\ncamera,cross\n"
    )
    done = wsss("init", "--images", "photos", "--labels", "l.csv")
    assert done.exit_code == 0, done.output
    assert "l.csv:4: 'phone.heic': the file phone.heic exists, but HEIC needs pip install 'wsss[heic]'" in done.stderr
    assert "l.csv:5: 'camera': the file camera.dng exists, but .dng is a raw camera image" in done.stderr
    (here / "l.csv").write_text("image,labels\nphone.heic,ring\ncamera,cross\n")
    done = wsss("init", "--images", "photos", "--labels", "l.csv")
    assert isinstance(done.exception, InvalidInput) and "wsss[heic]" in str(done.exception)


def test_label_studios_uploads(shapes: Path, here: Path) -> None:
    """Files that keep their prefixes, some of one name; a second image URL in each task, and two controls."""
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
    assert isinstance(wsss(*arguments).exception, InvalidInput)
    done = wsss(*arguments, "--label-key", "shape")
    assert done.exit_code == 0, done.output
    rows = {row.id: row.labels for row in read_label_table(here / "wsss-photos" / "image_labels.csv")}
    assert rows == {f"{number:08x}-img": ("ring", "cross")[number % 2] for number in range(len(files))}
    done = wsss(*arguments, "--label-key", "shape", "--image-key", "previous", "--force")
    rows = {row.id: row.labels for row in read_label_table(here / "wsss-photos" / "image_labels.csv")}
    assert rows["00000000-img"] == "cross" and done.exit_code == 0, "the label of the next task"


def test_the_formats_are_those_that_are_read() -> None:
    assert (importer_registry.AUTO, *importer_registry.FORMATS) == FORMATS


def run_to_masks(pipeline: str, small: dict[str, object]) -> Path:
    """Run a pipeline with less of everything; return the folder of the network's masks."""
    sets = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    done = wsss("run", pipeline, *sets, "--run-dir", "run", "--workers", 1, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["status"] == "done" and Path(document["report"]).is_file()
    return Path("run/predict/masks")


LEAST = {f"{stage}.epochs": 1 for stage in ("classify", "expand", "shrink", "segment")}


@pytest.mark.slow
def test_from_a_table_to_masks(shapes: Path, here: Path) -> None:
    labels = WRITERS["wide"](here / "l", {f: n for f, n in file_labels(shapes).items() if f != "val_00001.png"})
    done = wsss("init", "--images", shapes / "images", "--labels", labels, "--weights", "none", "--name", "tiny")
    assert done.exit_code == 0, done.output
    masks = run_to_masks(shlex.split(done.stdout)[-1], LEAST)
    images = sorted((shapes / "images").iterdir())
    assert sorted(path.stem for path in masks.iterdir()) == [path.stem for path in images], "the unlabelled one, too"
    for image in images:
        mask = read_mask(masks / f"{image.stem}.png", size=image_size(image))
        assert set(np.unique(mask)) <= {0, 1, 2}


@pytest.mark.slow
def test_names_that_no_mask_can_have_go_through_a_whole_run(shapes: Path, here: Path) -> None:
    names = ["con", "x" * 240, "写" * 75, "what?", "dot.", "tab\t", "e\u0301", "\u00e9", "A", "a", "end "]
    files = sorted((shapes / "images").iterdir())[: len(names)]
    (here / "photos" / "sub").mkdir(parents=True)
    for name, file in zip(names, files, strict=True):
        shutil.copy(file, here / "photos" / "sub" / f"{name}.png")
    rows = [f'"{name}.png","{("ring", "cross")[at % 2]}"' for at, name in enumerate(names)]
    (here / "l.csv").write_text("\n".join(["image,labels", *rows]) + "\n", encoding="utf-8")
    done = wsss("init", "--images", "photos", "--labels", "l.csv", "--weights", "none", "--name", "tiny")
    assert done.exit_code == 0 and "No problem." in done.stderr, done.output
    masks = run_to_masks(shlex.split(done.stdout)[-1], LEAST)
    assert len(list(masks.iterdir())) == len(names)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED, reason="WSSS_SHARED_DATA is not set: no real photographs at hand")
def test_from_class_folders_of_photographs_to_masks(here: Path) -> None:
    """With initial weights from a file; two photographs of each class, which have one name in each folder."""
    shared = Path(SHARED or ".")
    for row in read_label_table(shared / "voc_animals" / "image_labels.csv"):
        folder = here / "animals" / row.labels
        if row.labels in ("cat", "sheep") and len(list(folder.glob("*"))) < 4:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{len(list(folder.glob('*')))}.jpg").symlink_to(
                shared / "voc_animals" / "JPEGImages" / f"{row.id}.jpg"
            )
    weights = shared / "weights" / "mobilenet_v2_imagenet_bnfolded.pth"
    done = wsss("init", "--images", "animals", "--weights", weights)
    assert done.exit_code == 0, done.output
    half = {
        f"{stage}.backbone.weights.{key}": "[0.5, 0.5, 0.5]"
        for stage in ("classify", "segment")
        for key in ("mean", "std")
    }
    small = {"cam.scales": "[0.5]", "predict.scales": "[0.5]", "segment.augmentation.size": 64, "crf.iterations": 2}
    masks = run_to_masks(shlex.split(done.stdout)[-1], {**LEAST, **half, **small})
    expected = [f"{kind}__{number}" for kind in ("cat", "sheep") for number in range(4)]
    assert sorted(path.stem for path in masks.iterdir()) == expected
