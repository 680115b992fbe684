"""``wsss report RUN…``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inprocess import document, error_of, refused, succeed

from wsss.cli.report_paths import comparison_folder


def change(run: Path, update: Callable[[dict[str, Any]], object], name: str = "run.json") -> None:
    """Change a record of a run."""
    record = json.loads((run / name).read_text(encoding="utf-8"))
    update(record)
    (run / name).write_text(json.dumps(record), encoding="utf-8")


def set_data(run: Path, **data: object) -> None:
    """Replace the dataset of a run."""
    change(run, lambda record: record["pipeline"].update(data=data))


def page_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report-command")
    (root / "tiny.yaml").write_text(
        """
name: tiny
data: {layout: shapes, size: 32, train: 4, val: 3}
stages:
  classify:
    uses: classify
    with:
      backbone: {name: timm/test_resnet, weights: none}
      epochs: 1
      batch_size: 4
      augmentation: {size: 32}
  cam: {uses: cam, needs: [classify], with: {splits: [val], scales: [1]}}
  pseudo: {uses: pseudo, needs: [cam], with: {preset: pseudo/otsu, splits: [val]}}
  score: {uses: score, needs: [pseudo], with: {split: val}}
""",
        encoding="utf-8",
    )
    succeed("run", root / "tiny.yaml", "--run-dir", root / "run")
    return root / "run"


def test_page_of_a_run(run_dir: Path) -> None:
    succeed("report", run_dir)
    page = page_of(run_dir / "report")
    assert page.count('class="row"') == 3 and "score" in page


def test_gallery_stages_are_patterns(run_dir: Path, tmp_path: Path) -> None:
    succeed("report", run_dir, "--gallery-stages", "*cam*", "--out", tmp_path / "cam")
    succeed("report", run_dir, "--gallery-stages", "cam,pseudo", "--out", tmp_path / "both")
    succeed("report", run_dir, "--out", tmp_path / "all")
    images = [page_of(tmp_path / name).count("<img") for name in ("cam", "both", "all")]
    assert images[0] < images[1] == images[2]


@pytest.fixture
def reported(run_dir: Path, tmp_path: Path) -> Path:
    """A run whose pipeline has a report stage, with settings, a seed and selected stages."""
    shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    report = """
  page:
    uses: report
    needs: [pseudo, score]
    seed: 7
    with: {images: 2, sampling: "${{ data.val }}", splits: [val]}
"""
    pipeline = (run_dir.parent / "tiny.yaml").read_text(encoding="utf-8") + report
    (tmp_path / "tiny.yaml").write_text(pipeline, encoding="utf-8")
    succeed("run", tmp_path / "tiny.yaml", "--run-dir", tmp_path / "run")
    return tmp_path


def planned(reported: Path) -> str:
    """Return whether ``wsss run`` would run or skip the report."""
    stages = document("run", reported / "tiny.yaml", "--run-dir", reported / "run", "--dry-run")["stages"]
    return str({stage["id"]: stage["action"] for stage in stages}["page"])


def test_report_equals_that_of_the_pipeline(reported: Path) -> None:
    page = reported / "run" / "page" / "index.html"
    original = page.read_text(encoding="utf-8")
    assert original.count('class="row"') == 2
    assert "report skipped" in succeed("report", reported / "run").stdout and planned(reported) == "skip"
    page.unlink()
    succeed("report", reported / "run")
    assert page.read_text(encoding="utf-8") == original and planned(reported) == "skip"
    assert not (reported / "run" / "report").exists()


def test_options_override_the_settings_of_the_pipeline(reported: Path) -> None:
    (reported / "more.yaml").write_text("title: Other\n")
    succeed("report", reported / "run", "--gallery", "1", "--config", reported / "more.yaml")
    record = json.loads((reported / "run" / "page" / "stage.json").read_text(encoding="utf-8"))
    assert record["config"]["images"] == 1 and record["config"]["title"] == "Other" and record["seed"] == 7
    assert record["config"]["splits"] == ["val"] and record["config"]["sampling"] == 3
    assert planned(reported) == "run"
    succeed("report", reported / "run")
    assert planned(reported) == "skip"
    succeed("report", reported / "run", "--seed", "0", "--out", reported / "p")
    assert json.loads((reported / "p" / "stage.json").read_text(encoding="utf-8"))["seed"] == 0
    assert planned(reported) == "skip"


def test_report_of_the_pipeline_without_its_dataset(reported: Path) -> None:
    set_data(reported / "run", layout="folder", root=str(reported / "gone"), val=3)
    before = page_of(reported / "run" / "page")
    message = refused("report", reported / "run")
    assert "page/index.html: " in message and "--force" in message
    assert page_of(reported / "run" / "page") == before
    assert "gone" in succeed("report", reported / "run", "--force").stderr
    assert "has no pictures" in page_of(reported / "run" / "page")


def test_unreadable_pipeline_is_reported(reported: Path) -> None:
    change(reported / "run", lambda record: record["pipeline"]["stages"]["page"]["with"].update(imagse=2))
    assert "imagse" in succeed("report", reported / "run", "--out", reported / "p").stderr


def test_options_of_the_page(run_dir: Path, tmp_path: Path) -> None:
    succeed("report", run_dir, "--out", tmp_path / "page", "--gallery", "1", "--title", "Mine")
    page = page_of(tmp_path / "page")
    assert page.count('class="row"') == 1 and "<h1>Mine</h1>" in page
    succeed("report", run_dir, "--out", tmp_path / "elsewhere")
    assert "<h1>run</h1>" in page_of(tmp_path / "elsewhere")
    drawn = [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")]
    assert not drawn, "the generated dataset of the run is reused"


def test_run_by_its_name_below_runs(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run_dir, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    succeed("report", "mine")
    assert (tmp_path / "runs" / "mine" / "report" / "index.html").is_file()


def test_comparison_of_two_runs(run_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run_dir, other)
    change(other, lambda record: record["config"]["policy"].update(scope="somewhere"), "pseudo/stage.json")
    both = tmp_path / "both"
    assert document("report", run_dir, other, "--out", both) == {"out": str(both / "index.html")}
    page = page_of(both)
    assert "somewhere" in page and "policy.scope" in page and page.count('class="row"') == 3


def test_default_folder_of_a_comparison(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/one", "a/two", "b/one"):
        shutil.copytree(run_dir, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # a comparison may be repeated
        assert succeed("report", "a/one", "a/two").stdout == "report: comparison-of-one-and-two/index.html\n"
    page = page_of(tmp_path / "comparison-of-one-and-two")
    message = refused("report", "b/one", "a/two")
    assert "comparison-of-one-and-two: " in message and "--out DIR" in message
    assert page_of(tmp_path / "comparison-of-one-and-two") == page
    long = comparison_folder([Path("猫" * 80), Path("犬" * 80)])
    assert long.name.startswith("comparison-of-猫") and long.name.endswith("-and-others") and not long.exists()
    (tmp_path / "comparison-of-two-and-one").mkdir()
    (tmp_path / "comparison-of-two-and-one" / "index.html").write_text("mine")
    refused("report", "a/two", "a/one")
    assert page_of(tmp_path / "comparison-of-two-and-one") == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'RUN...'"),
        (("nowhere",), "nowhere: "),
        (("RUN", "--stages", "RUN/cam"), "--stages"),
        (("--stages", "RUN/cam"), "--out"),
    ],
)
def test_invalid_usage(arguments: tuple[str, ...], message: str, run_dir: Path) -> None:
    assert message in refused("report", *(word.replace("RUN", str(run_dir)) for word in arguments))


def test_a_run_is_not_compared_with_itself(run_dir: Path, tmp_path: Path) -> None:
    assert error_of("report", run_dir, run_dir, "--out", tmp_path / "out").subject == str(run_dir)


@pytest.mark.parametrize(
    ("option", "value"), [("--gallery-stages", "cam"), ("--sampling", "3"), ("--topology", "0"), ("--topology", "8")]
)
def test_a_comparison_refuses_settings_without_effect(run_dir: Path, tmp_path: Path, option: str, value: str) -> None:
    shutil.copytree(run_dir, tmp_path / "other")
    given = ("report", run_dir, tmp_path / "other", "--out", tmp_path / "out")
    assert str(error_of(*given, option, value).subject).startswith(option)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def apart(run_dir: Path, tmp_path: Path) -> Path:
    """A run whose images are not below the root of its dataset, as after ``wsss init``."""
    shutil.copytree(run_dir, tmp_path / "run")
    shutil.copytree(next((run_dir / "data").glob("shapes-*/images")).parent, tmp_path / "root")
    (tmp_path / "root" / "images").rename(tmp_path / "photos")
    root, images = str(tmp_path / "root"), str(tmp_path / "photos")
    set_data(tmp_path / "run", layout="folder", root=root, images=images, splits=["val"])
    return tmp_path


def test_missing_and_broken_images_are_omitted(apart: Path, run_dir: Path) -> None:
    missing, broken, *_ = sorted(
        path for path in (apart / "photos").iterdir() if (apart / "run/cam/cams" / f"{path.stem}.npz").is_file()
    )
    missing.unlink()
    broken.write_bytes(broken.read_bytes()[:60])
    for runs in ([], [run_dir]):
        message = succeed("report", apart / "run", *runs, "--out", apart / "page").stderr
        assert "2 unreadable images" in message and missing.stem in message
        page = page_of(apart / "page")
        assert page.count('class="row"') == 1 and "2 images" in page
        shutil.rmtree(apart / "page")


def test_missing_images_of_a_finished_page(apart: Path) -> None:
    succeed("report", apart / "run")
    (apart / "photos").rename(apart / "elsewhere")
    page = apart / "run" / "report"
    assert "index.html: " in refused("report", apart / "run")
    assert page_of(page).count('class="row"') == 3
    for options in (("--out", apart / "page"), ("--force",)):
        assert "3 unreadable images" in succeed("report", apart / "run", *options).stderr
    assert page_of(page).count('class="row"') == 0 and "Stages" in page_of(page)
    succeed("report", apart / "run", "--data.images", apart / "elsewhere")
    assert page_of(page).count('class="row"') == 3


@pytest.mark.parametrize("layout", ["folder", None])
def test_missing_or_unknown_dataset_gives_a_page_without_images(apart: Path, layout: str | None) -> None:
    if layout is None:
        set_data(apart / "run", root=str(apart / "root"))
    else:
        set_data(apart / "run", layout=layout, root=str(apart / "gone"))
    assert "no images" in succeed("report", apart / "run", "--force").stderr
    assert "has no pictures" in page_of(apart / "run" / "report")


def test_dataset_options_override_the_dataset_of_the_run(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    shutil.copytree(next((run_dir / "data").glob("shapes-*/images")).parent, tmp_path / "moved")
    set_data(tmp_path / "run", layout="folder", root=str(tmp_path / "gone"), splits=["val"])
    succeed("report", tmp_path / "run", "--data.root", tmp_path / "moved", "--data.splits", "[val]")
    page = page_of(tmp_path / "run" / "report")
    assert page.count('class="row"') == 3
    assert "3 images in val" in page and "train 4 images" not in page  # the splits of the run


@pytest.mark.parametrize("several", [False, True])
def test_stages_are_not_overwritten(several: bool, run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    runs = [run_dir, tmp_path / "run"] if several else [tmp_path / "run"]
    assert "'pseudo'" in refused("report", *runs, "--out", tmp_path / "run" / "pseudo")
    assert len(list((tmp_path / "run" / "pseudo" / "masks").glob("*.png"))) == 3


def columns_of_nodes(page: str) -> dict[str, float]:
    """Return stage → horizontal position in the diagram of the pipeline."""
    picture = page[page.index('<svg class="dag right"') :].partition("</svg>")[0]
    return {
        name: float(x) for name, x in re.findall(r'<g class="node [^"]*"><title>([^:]*):.*?<rect x="([^"]*)"', picture)
    }


def test_diagram_shows_the_whole_pipeline(run_dir: Path, reported: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "whole")
    succeed("report", tmp_path / "whole")
    whole = columns_of_nodes(page_of(tmp_path / "whole" / "report"))
    assert sorted(whole, key=lambda name: whole[name]) == ["classify", "cam", "pseudo", "score"]
    # the report stage has only some of the stages as inputs
    assert columns_of_nodes(page_of(reported / "run" / "page")) == whole
    shutil.rmtree(tmp_path / "whole" / "cam")
    succeed("report", tmp_path / "whole")
    page = page_of(tmp_path / "whole" / "report")
    assert columns_of_nodes(page) == whole and 'class="node pending"' in page


def test_diagram_shows_failed_and_pending_stages(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    change(tmp_path / "run", lambda record: record.update(status="failed"), "score/stage.json")
    shutil.rmtree(tmp_path / "run" / "pseudo")
    succeed("report", tmp_path / "run")
    page = page_of(tmp_path / "run" / "report")
    assert 'class="node failed"' in page and 'class="node pending"' in page and 'class="node done"' in page


def test_a_run_without_finished_stages_is_named_as_it_was_given(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    for stage in ("classify", "cam", "pseudo", "score"):
        shutil.rmtree(tmp_path / "run" / stage)
    for arguments, subject in (((tmp_path / "run",), ""), (("--stages", tmp_path / "run", "--out", "x"), "--stages ")):
        invalid = error_of("report", *arguments)
        assert invalid.subject == f"{subject}{tmp_path / 'run'}"
        assert "provides" not in invalid.problem and "wsss run" in (invalid.hint or "")
