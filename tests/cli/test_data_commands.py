"""``wsss data synth shapes`` and ``wsss data check``."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsss.cli.commands.data import data
from wsss.cli.main import cli
from wsss.data.synthetic.shapes import Config
from wsss.errors import InvalidInput


def wsss_data(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def draw(out: Path) -> tuple[object, ...]:
    return ("synth", "shapes", out, "--train", 8, "--val", 4, "--size", 48, "--seed", 3)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "shapes"
    done = wsss_data(*draw(out))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 8 training and 4 validation images\n"
    return out


def test_what_is_drawn_passes_the_check(shapes: Path) -> None:
    done = wsss_data("check", shapes)
    assert done.exit_code == 0
    assert "No problem." in done.stdout and "train" in done.stdout and "ring" in done.stdout
    assert "48×48 to 48×48" in done.stdout


def test_json_is_one_document_on_stdout(shapes: Path) -> None:
    report = json.loads(wsss_data("check", shapes, "--json").stdout)
    assert report["ok"] is True and report["splits"]["train"]["images"] == 8
    drawn = json.loads(wsss_data(*draw(shapes), "--json").stdout)
    assert drawn["out"] == str(shapes) and drawn["seed"] == 3 and drawn["train"] == 8


def test_bricks_are_written_and_checked(tmp_path: Path) -> None:
    counts = ("--train", 3, "--small", 1, "--val", 1, "--test", 1, "--size", 64)
    arguments = ("synth", "bricks", tmp_path / "walls", *counts)
    done = wsss_data(*arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'walls'}: 3 training, 1 validation and 7 test images\n"
    assert json.loads(wsss_data(*arguments, "--json").stdout)["small"] == 1
    for root in (tmp_path / "walls", tmp_path / "walls" / "dataset"):
        checked = wsss_data("check", root)
        assert checked.exit_code == 0 and "No problem." in checked.stdout
        assert "train-large-accurate" in checked.stdout and "images in both" not in checked.stdout
    wrong = wsss_data("synth", "bricks", tmp_path / "other", "--small", 3, "--train", 2)
    assert isinstance(wrong.exception, InvalidInput) and "small: 3 of 2 training images" in str(wrong.exception)


def test_many_splits_are_rows(tmp_path: Path) -> None:
    draw = ("synth", "bricks", tmp_path, "--train", 2, "--small", 1, "--val", 1, "--test", 1, "--size", 64)
    assert wsss_data(*draw).exit_code == 0
    table = wsss_data("check", tmp_path).stdout.splitlines()
    (row,) = (line for line in table if "train-large-noisy" in line and "│" in line)
    assert re.match(r"│ train-large-noisy +│ +2 │ +2 │ +2 │ +2 │ +\d+\.\d% │ +0\.0% │", row)


def test_keys_of_data_can_be_given(shapes: Path) -> None:
    keys = ("--data.layout", "folder", "--data.classes", "[ring, bars]", "--data.splits=[val]")
    arguments = ("check", shapes, *keys)
    report = json.loads(wsss_data(*arguments, "--json").stdout)
    assert report["classes"] == ["ring", "bars"] and list(report["splits"]) == ["val"]


def test_a_broken_dataset_exits_with_2(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    assert wsss_data("synth", "shapes", out, "--train", 15, "--val", 2, "--size", 32).exit_code == 0
    for path in sorted((out / "images").glob("train*"))[:12]:
        path.write_bytes(b"")
    done = wsss_data("check", out)
    assert done.exit_code == 2
    assert "PROBLEM: unreadable images: 12" in done.stdout and "… and 2 more" in done.stdout
    assert "12 problems." in done.stdout
    done = wsss_data("check", out, "--json")
    assert done.exit_code == 2 and json.loads(done.stdout)["ok"] is False
    (out / "labels.csv").write_text("image_id,labels\nabsent,ring\n")
    done = wsss_data("check", out)
    assert done.exit_code == 2 and "labels.csv:2: no image 'absent'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "absent"), "absent: no such folder, pipeline file or shipped pipeline"),
        (("check", ".", "--data.layout", "vox"), "unknown layout; expected"),
        (("check", ".", "--data..x", "1"), "expected --data.KEY VALUE"),
        (("check", ".", "--data.classes", "[a"), "not valid YAML"),
        (("check", ".", "--data.root", "x"), "--data.root x: . is the dataset's folder"),
        (("check", ".", "--data.layout", "folder", "--data.sise", "1"), "data.sise: unknown key"),
        (("synth", "shapes", "out", "--size", "7"), "--size: size"),
        (("synth", "shapes", "out", "--class-count", "9"), "--class-count: classes"),
    ],
)
def test_wrong_usage_is_explained(arguments: tuple[str, ...], words: str) -> None:
    with CliRunner().isolated_filesystem():
        done = CliRunner().invoke(data, list(arguments))
    assert isinstance(done.exception, InvalidInput), done.output
    assert words in str(done.exception)


def test_help_tells_the_true_defaults() -> None:
    text = wsss_data("synth", "shapes", "--help").stdout
    for key, field in Config.model_fields.items():
        if key != "layout":
            option = {"classes": "class-count"}.get(key, key)
            found = re.search(rf"--{option} INT .*?\[default:\s+(\d+)\]", text, re.DOTALL)
            assert found and int(found.group(1)) == field.default, key


@pytest.fixture
def photographs(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs in ``photos``, with a table of labels of another form than a dataset's."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shapes / "images", tmp_path / "photos" / "images")
    lines = (shapes / "labels.csv").read_text().splitlines()
    rows = [",".join(line.split(",")[:2]).replace(" ", ";") for line in lines[1:]]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    return tmp_path / "photos"


def test_a_plain_folder_of_photographs(photographs: Path) -> None:
    done = wsss_data("check", "photos/images")
    assert done.exit_code == 0
    assert done.stdout.startswith("photos/images: photographs without labels, 12 images.\n")
    assert "48×48 to 48×48" in done.stdout
    assert done.stdout.endswith("No problem.\nNext: wsss init --images photos/images --labels FILE\n")
    first = sorted((photographs / "images").iterdir())[0]
    first.write_bytes(first.read_bytes()[:40])
    (photographs / "images" / "empty.jpg").write_bytes(b"")
    done = wsss_data("check", "photos/images", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 2 and found["kind"] == "photographs" and found["images"] == 13
    (problem,) = found["problems"]
    assert problem["count"] == 2 and {"empty.jpg", first.name} <= set(re.findall(r"[\w.]+\.\w+", str(problem)))


@pytest.mark.parametrize("table", ["labels.csv", "labels.json"])
def test_photographs_with_labels_beside_them(table: str, photographs: Path) -> None:
    (photographs / "labels.csv").rename(photographs / table)
    found = json.loads(wsss_data("check", "photos", "--json").stdout)
    assert found["next"] == f"wsss init --images photos/images --labels photos/{table}"
    assert found["label_files"] == [f"photos/{table}"] and found["ok"]
    done = wsss_data("check", "photos")
    assert done.exit_code == 0 and ("got 'image,labels'" in done.stdout) == (table == "labels.csv")


@pytest.mark.parametrize("folder", ["photos", "photos/images"])
def test_keys_of_a_dataset_are_not_dropped_for_photographs(folder: str, photographs: Path) -> None:
    done = wsss_data("check", folder, "--data.classes", "[cat]")
    assert done.exit_code in (1, 2) and "photographs" not in done.stdout
    unknown = wsss_data("check", folder, "--data.layout", "folder", "--data.clases", "[cat]")
    assert unknown.exit_code in (1, 2) and "data.clases: unknown key" in str(unknown.exception or unknown.stdout)


def test_the_next_command_that_is_named_works(photographs: Path) -> None:
    """From photographs to `wsss init`, and the folder it writes, by the commands that are printed."""
    following = json.loads(wsss_data("check", "photos", "--json").stdout)["next"]
    made = CliRunner().invoke(cli, [*following.split()[1:], "--name", "mine"])
    assert made.exit_code == 0, made.output
    for path in ("wsss-mine", "wsss-mine/pipeline.yaml"):
        done = wsss_data("check", path, "--json")
        found = json.loads(done.stdout)
        assert done.exit_code == 0 and found["pipeline"] == found["next"].removeprefix("wsss run ")
        assert sum(split["images"] for split in found["splits"].values()) == 12
        planned = CliRunner().invoke(cli, [*found["next"].split()[1:], "--dry-run"])
        assert planned.exit_code == 0
    assert "With --data.layout NAME the folder itself" in wsss_data("check", "wsss-mine").stderr


def test_folders_of_classes_lead_to_init(photographs: Path) -> None:
    images = sorted((photographs / "images").iterdir())
    for name, several in (("cat", images[:5]), ("dog", images[5:])):
        (photographs.parent / "sorted" / name).mkdir(parents=True)
        for path in several:
            path.rename(photographs.parent / "sorted" / name / path.name)
    done = wsss_data("check", "sorted")
    assert done.exit_code == 0 and "a folder per class, 12 images: cat 5, dog 7." in done.stdout
    assert done.stdout.endswith("Next: wsss init --images sorted\n")
    (photographs.parent / "split").mkdir()
    (photographs.parent / "sorted").rename(photographs.parent / "split" / "train")
    assert json.loads(wsss_data("check", "split", "--json").stdout)["kind"] == "class folders"


def test_folders_of_negatives_and_of_unlabelled_images(photographs: Path) -> None:
    images = sorted((photographs / "images").iterdir())
    for name, several in (("good", images[:3]), ("crack", images[3:8]), ("unlabeled", images[8:])):
        (photographs.parent / "parts" / name).mkdir(parents=True)
        for path in several:
            path.rename(photographs.parent / "parts" / name / path.name)
    done = wsss_data("check", "parts")
    assert done.exit_code == 0
    assert "12 images: crack 5, no class 3, unlabelled 4." in done.stdout


def test_photographs_of_a_kind_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.cr2").write_bytes(b"II*")
    done = wsss_data("check", tmp_path)
    assert isinstance(done.exception, InvalidInput)
    assert "a.cr2" in str(done.exception) and "supported" in str(done.exception)


def test_pipelines_by_file_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(
        "data: {layout: shapes, size: 32, train: 3, val: 2}\nstages: {colour: {uses: colour}}\n"
    )
    found = json.loads(wsss_data("check", "p.yaml", "--json", "--data.train", "4").stdout)
    assert found["splits"]["train"]["images"] == 4 and found["next"] == "wsss run p.yaml"
    found = json.loads(
        wsss_data("check", "topomortar_quick", "--json", "--data.train", "8", "--data.size", "64").stdout
    )
    assert found["pipeline"] == "topomortar_quick" and found["classes"] == ["mortar"]
    (tmp_path / "empty.yaml").write_text("stages: {colour: {uses: colour}}\n")
    done = wsss_data("check", "empty.yaml")
    assert isinstance(done.exception, InvalidInput) and "no dataset" in str(done.exception)
    done = wsss_data("check", "topomortar_quik")
    assert isinstance(done.exception, InvalidInput) and "did you mean 'topomortar_quick'" in str(done.exception)


def test_a_dataset_beside_a_pipeline_is_checked_by_its_layout(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "both")
    (tmp_path / "both" / "pipeline.yaml").write_text(
        "data: {layout: shapes, size: 32, train: 3, val: 2}\nstages: {colour: {uses: colour}}\n"
    )
    found = json.loads(wsss_data("check", tmp_path / "both", "--json").stdout)
    assert found["splits"]["train"]["images"] == 3
    found = json.loads(wsss_data("check", tmp_path / "both", "--data.layout", "folder", "--json").stdout)
    assert found["splits"]["train"]["images"] == 8 and found["pipeline"] is None


def test_a_run_directory_stands_for_its_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(
        "data: {layout: shapes, size: 32, train: 3, val: 2, classes: 1}\nstages: {colour: {uses: colour}}\n"
    )
    assert CliRunner().invoke(cli, ["run", "p.yaml", "--workers", "1"]).exit_code == 0
    found = json.loads(wsss_data("check", "runs/p", "--json").stdout)
    assert found["classes"] == ["cross"] and found["splits"]["train"]["images"] == 3
    done = wsss_data("check", "runs/p/colour")
    assert isinstance(done.exception, InvalidInput) and "the folder of a stage" in str(done.exception)


def test_a_file_that_is_no_pipeline(shapes: Path) -> None:
    path = next((shapes / "images").iterdir())
    done = wsss_data("check", path)
    assert isinstance(done.exception, InvalidInput) and "got another file" in str(done.exception)


def test_a_folder_without_images_names_what_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    done = wsss_data("check", tmp_path)
    assert isinstance(done.exception, InvalidInput)
    assert "unknown dataset layout" in str(done.exception) and "wsss init" in str(done.exception)


def test_a_broken_table_of_a_dataset_stays_a_problem(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "mine")
    (tmp_path / "mine" / "labels.csv").write_text("image,labels\nx,ring\n")
    done = wsss_data("check", tmp_path / "mine")
    assert done.exit_code == 2 and "datasets that cannot be opened" in done.stdout


def test_tiles_of_a_pipelines_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(
        "data: {layout: bricks, size: 96, train: 2, small: 1, val: 1, test: 1}\nstages: {tiles: {uses: tiles}}\n"
    )
    done = wsss_data("tiles", "p.yaml", "t", "--split", "train-large-accurate", "--count", 6, "--size", 6)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "t" / "images").iterdir())) == 6
