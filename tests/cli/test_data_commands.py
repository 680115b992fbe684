"""``wsss data check``, ``synth`` and ``tiles``."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import inprocess
import pytest
from inprocess import wsss

from wsss.data.synthetic.shapes import Config


def succeed(*arguments: object) -> subprocess.CompletedProcess[str]:
    return inprocess.succeed("data", *arguments)


def document(*arguments: object) -> Any:
    return inprocess.document("data", *arguments)


def refused(*arguments: object) -> str:
    return inprocess.refused("data", *arguments)


def draw(out: Path) -> tuple[object, ...]:
    return ("synth", "shapes", out, "--train", 8, "--val", 4, "--size", 48, "--seed", 3)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "shapes"
    done = succeed(*draw(out))
    assert done.stdout == f"{out}: 8 training and 4 validation images\n"
    return out


def test_generated_dataset_passes_the_check(shapes: Path) -> None:
    output = succeed("check", shapes).stdout
    assert "No problems found." in output and "train" in output and "ring" in output and "48×48 to 48×48" in output
    report = document("check", shapes)
    assert report["ok"] is True and report["splits"]["train"]["images"] == 8
    drawn = document(*draw(shapes))
    assert drawn["out"] == str(shapes) and drawn["seed"] == 3 and drawn["train"] == 8


def test_bricks(tmp_path: Path) -> None:
    counts = ("--train", 3, "--small", 1, "--val", 1, "--test", 1, "--size", 64)
    arguments = ("synth", "bricks", tmp_path / "walls", *counts)
    assert succeed(*arguments).stdout == f"{tmp_path / 'walls'}: 3 training, 1 validation and 7 test images\n"
    assert document(*arguments)["small"] == 1
    for root in (tmp_path / "walls", tmp_path / "walls" / "dataset"):
        output = succeed("check", root).stdout
        assert "No problems found." in output and "train-large-accurate" in output and "images in both" not in output
    (row,) = (line for line in output.splitlines() if "train-large-noisy" in line and "│" in line)  # many splits
    assert re.match(r"│ train-large-noisy +│ +3 │ +3 │ +3 │ +3 │ +\d+\.\d% │ +0\.0% │", row)
    assert "small: " in refused("synth", "bricks", tmp_path / "other", "--small", 3, "--train", 2)


def test_dataset_options(shapes: Path) -> None:
    keys = ("--data.layout", "folder", "--data.classes", "[ring, bars]", "--data.splits=[val]")
    report = document("check", shapes, *keys)
    assert report["classes"] == ["ring", "bars"] and list(report["splits"]) == ["val"]


def test_broken_dataset_exits_with_2(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    succeed("synth", "shapes", out, "--train", 15, "--val", 2, "--size", 32)
    for path in sorted((out / "images").glob("train*"))[:12]:
        path.write_bytes(b"")
    done = wsss("data", "check", out)
    assert done.returncode == 2 and "… and 2 more" in done.stdout and "12 problems." in done.stdout
    done = wsss("data", "check", out, "--json")
    assert done.returncode == 2 and json.loads(done.stdout)["ok"] is False
    for table in ("image_id,labels\nabsent,ring\n", "image,labels\nx,ring\n"):
        (out / "labels.csv").write_text(table)
        done = wsss("data", "check", out)
        assert done.returncode == 2 and "labels.csv" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "absent"), "absent: "),
        (("check", "topomortar_quik"), "'topomortar_quick'"),
        (("check", ".", "--data.layout", "vox"), "'vox'"),
        (("check", ".", "--data..x", "1"), "--data..x: "),
        (("check", ".", "--data.classes", "[a"), "--data.classes [a"),
        (("check", ".", "--data.root", "x"), "--data.root x: "),
        (("check", ".", "--data.layout", "folder", "--data.sise", "1"), "data.sise: "),
        (("synth", "shapes", "out", "--size", "7"), "--size: size"),
        (("synth", "shapes", "out", "--class-count", "9"), "--class-count: classes"),
    ],
)
def test_invalid_usage(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("labels.csv", (f"pass .{os.sep}\n", "wsss init --images DIR --labels labels.csv")),
        ("a.bin", (f"pass .{os.sep}",)),
    ],
)
def test_a_file_is_not_a_dataset(
    name: str, hints: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("image,labels\n")
    invalid = inprocess.error_of("data", "check", name)
    assert invalid.subject == name and all(hint in str(invalid.hint) for hint in hints)
    assert str(invalid.hint).endswith(hints[-1])


def test_help_shows_the_defaults() -> None:
    text = succeed("synth", "shapes", "--help").stdout
    for key, field in Config.model_fields.items():
        if key != "layout":
            option = {"classes": "class-count"}.get(key, key)
            match = re.search(rf"--{option} INT .*?\[default:\s+(\d+)\]", text, re.DOTALL)
            assert match and int(match[1]) == field.default, key


@pytest.fixture
def photographs(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images in ``photos``, with a label table in another format than a dataset's."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shapes / "images", tmp_path / "photos" / "images")
    lines = (shapes / "labels.csv").read_text().splitlines()
    rows = [",".join(line.split(",")[:2]).replace(" ", ";") for line in lines[1:]]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    return tmp_path / "photos"


def test_image_folder(photographs: Path) -> None:
    output = succeed("check", "photos/images").stdout
    assert output.startswith("photos/images: ") and "12 images" in output and "48×48 to 48×48" in output
    assert output.endswith("No problems found.\nNext: wsss init --images photos/images --labels FILE\n")
    first = sorted((photographs / "images").iterdir())[0]
    first.write_bytes(first.read_bytes()[:40])
    (photographs / "images" / "empty.jpg").write_bytes(b"")
    done = wsss("data", "check", "photos/images", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 2 and report["kind"] == "photographs" and report["images"] == 13
    (problem,) = report["problems"]
    assert problem["count"] == 2 and {"empty.jpg", first.name} <= set(re.findall(r"[\w.]+\.\w+", str(problem)))


@pytest.mark.parametrize("table", ["labels.csv", "labels.json"])
def test_image_folder_with_labels(table: str, photographs: Path) -> None:
    (photographs / "labels.csv").rename(photographs / table)
    report = document("check", "photos")
    assert report["next"] == f"wsss init --images photos/images --labels photos/{table}"
    assert report["label_files"] == [f"photos/{table}"] and report["ok"]
    assert ("'image,labels'" in succeed("check", "photos").stdout) == (table == "labels.csv")


@pytest.mark.parametrize("folder", ["photos", "photos/images"])
def test_dataset_options_apply_to_image_folders(folder: str, photographs: Path) -> None:
    done = wsss("data", "check", folder, "--data.classes", "[cat]")
    assert done.returncode in (1, 2) and "photographs" not in done.stdout
    unknown = wsss("data", "check", folder, "--data.layout", "folder", "--data.clases", "[cat]")
    assert unknown.returncode in (1, 2) and "data.clases: " in unknown.stdout + unknown.stderr


def test_suggested_next_commands_work(photographs: Path) -> None:
    following = document("check", "photos")["next"]
    inprocess.succeed(*following.split()[1:], "--name", "mine")
    for path in ("wsss-mine", "wsss-mine/pipeline.yaml"):
        report = document("check", path)
        assert report["pipeline"] == report["next"].removeprefix("wsss run ")
        assert sum(split["images"] for split in report["splits"].values()) == 12
        inprocess.succeed(*report["next"].split()[1:], "--dry-run")
    assert "--data.layout NAME" in succeed("check", "wsss-mine").stderr


def test_the_next_command_has_the_options_of_the_dataset(photographs: Path) -> None:
    inprocess.succeed("init", "--images", "photos/images", "--labels", "photos/labels.csv", "--name", "mine")
    (photographs.parent / "wsss-mine").rename(photographs.parent / "moved here")
    report = document("check", "moved here/pipeline.yaml", "--data.root", "moved here")
    assert report["next"] == "wsss run 'moved here/pipeline.yaml' --set 'data.root=moved here'"
    inprocess.succeed(*shlex.split(report["next"])[1:], "--dry-run")


def sort_into(folder: Path, images: list[Path], *counts: tuple[str, int]) -> None:
    """Move images into subfolders."""
    remaining = iter(images)
    for name, count in counts:
        (folder / name).mkdir(parents=True)
        for path in itertools.islice(remaining, count):
            path.rename(folder / name / path.name)


def test_class_folders(photographs: Path) -> None:
    here, images = photographs.parent, sorted((photographs / "images").iterdir())
    sort_into(here / "sorted", images, ("cat", 5), ("dog", 7))
    output = succeed("check", "sorted").stdout
    assert "12 images: cat 5, dog 7." in output and output.endswith("Next: wsss init --images sorted\n")
    (here / "split").mkdir()
    (here / "sorted").rename(here / "split" / "train")
    assert document("check", "split")["kind"] == "class folders"


def test_folders_of_negatives_and_of_unlabelled_images(photographs: Path) -> None:
    images = sorted((photographs / "images").iterdir())
    sort_into(photographs.parent / "parts", images, ("good", 3), ("crack", 5), ("unlabeled", 4))
    assert "12 images: crack 5, no class 3, unlabelled 4." in succeed("check", "parts").stdout


@pytest.mark.slow
def test_pipelines_by_file_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = "stages: {colour: {uses: colour}}\n"
    (tmp_path / "p.yaml").write_text(f"data: {{layout: shapes, size: 32, train: 3, val: 2, classes: 1}}\n{stages}")
    report = document("check", "p.yaml", "--data.train", "4")
    assert report["splits"]["train"]["images"] == 4 and report["next"] == "wsss run p.yaml --set data.train=4"
    report = document("check", "topomortar_quick", "--data.train", "8", "--data.size", "64")
    assert report["pipeline"] == "topomortar_quick" and report["classes"] == ["mortar"]
    (tmp_path / "empty.yaml").write_text(stages)
    assert "empty.yaml: " in refused("check", "empty.yaml")
    inprocess.succeed("run", "p.yaml", "--workers", "1")
    report = document("check", "runs/p")
    assert report["classes"] == ["cross"] and report["splits"]["train"]["images"] == 3
    assert "runs/p/colour: " in refused("check", "runs/p/colour")


def test_dataset_beside_a_pipeline(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "both")
    (tmp_path / "both" / "pipeline.yaml").write_text(
        "data: {layout: shapes, size: 32, train: 3, val: 2}\nstages: {colour: {uses: colour}}\n"
    )
    assert document("check", tmp_path / "both")["splits"]["train"]["images"] == 3
    report = document("check", tmp_path / "both", "--data.layout", "folder")
    assert report["splits"]["train"]["images"] == 8 and report["pipeline"] is None


def test_other_files_and_folders_are_refused(shapes: Path, tmp_path: Path) -> None:
    image = next((shapes / "images").iterdir())
    assert f"{image}: " in refused("check", image)
    (tmp_path / "notes.txt").write_text("nothing")
    assert "wsss init" in refused("check", tmp_path)
    (tmp_path / "a.cr2").write_bytes(b"II*")
    assert "a.cr2" in refused("check", tmp_path)


def test_tiles_of_plain_images_need_answers(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes / "images", tmp_path / "photos")
    assert "--answers FILE" in refused("tiles", tmp_path / "photos", tmp_path / "t")


def test_images_and_masks_without_a_class_list_are_not_plain_images(shapes: Path, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        shutil.copytree(shapes / name, tmp_path / "d" / name)
    message = refused("tiles", tmp_path / "d", tmp_path / "t")
    assert "classes.txt" in message and "subfolders" not in message


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiles") / "walls"
    succeed("synth", "bricks", out, "--train", 3, "--small", 1, "--val", 1, "--test", 1, "--size", 96)
    return out


def test_tiles_are_a_dataset(walls: Path, tmp_path: Path) -> None:
    arguments = ("tiles", walls, tmp_path / "t", "--count", 30, "--size", 6, "--label-noise", 0.1, "--seed", 4)
    output = succeed(*arguments).stdout
    assert output.startswith(f"{tmp_path / 't'}: 30 tiles of 6 pixels from 3 images, ") and "10%" in output
    assert "wrong" not in succeed("tiles", walls, tmp_path / "exact", "--count", 30, "--size", 6).stdout
    record = document(*arguments)
    assert (record["tiles"], record["tile_size"], record["split"], record["seed"]) == (30, 6, "train", 4)
    assert "split 'train'" in record["answers"]
    output = succeed("check", tmp_path / "t").stdout
    assert "No problems found." in output and "mortar" in output
    assert len(list((tmp_path / "t" / "images").glob("*.png"))) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", 500), "tiles"),
        (("--label-noise", 0.7), "--label-noise: label_noise: "),
        (("--split", "train-huge-accurate"), "'train-huge-accurate'"),
        (("--split", "train-large-noisy", "--count", 1), "--count: count: "),
    ],
)
def test_invalid_options_of_tiles(walls: Path, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    assert message in refused("tiles", walls, tmp_path / "t", *options)
    succeed("tiles", walls, tmp_path / "t", "--count", 4, "--size", 6)


def test_tiles_do_not_overwrite_other_files(walls: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert "mine.txt" in refused("tiles", walls, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_tiles_of_the_dataset_of_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(
        "data: {layout: bricks, size: 96, train: 2, small: 1, val: 1, test: 1}\nstages: {tiles: {uses: tiles}}\n"
    )
    succeed("tiles", "p.yaml", "t", "--split", "train-large-accurate", "--count", 6, "--size", 6)
    assert len(list((tmp_path / "t" / "images").iterdir())) == 6
