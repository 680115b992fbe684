"""``wsss report RUN…`` on a run that the engine really made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from wsss.cli.main import main
from wsss.cli.report_paths import comparison_folder


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return int(ended.value.code or 0)


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
      backbone: {name: resnet18, weights: none}
      epochs: 1
      batch_size: 4
      augmentation: {size: 32}
  cam: {uses: cam, needs: [classify], with: {splits: [val], scales: [1]}}
  pseudo: {uses: pseudo, needs: [cam], with: {preset: pseudo/otsu, splits: [val]}}
  score: {uses: score, needs: [pseudo], with: {split: val}}
""",
        encoding="utf-8",
    )
    assert call("run", root / "tiny.yaml", "--run-dir", root / "run") == 0
    return root / "run"


def test_one_run_with_its_own_dataset(run_dir: Path) -> None:
    assert call("report", run_dir) == 0
    page = (run_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('class="row"') == 3 and "score" in page


@pytest.fixture
def reported(run_dir: Path, tmp_path: Path) -> Path:
    """A run whose pipeline has a report of its own, with settings, a seed and a choice of stages."""
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
    assert call("run", tmp_path / "tiny.yaml", "--run-dir", tmp_path / "run") == 0
    return tmp_path


def planned(reported: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert call("run", reported / "tiny.yaml", "--run-dir", reported / "run", "--dry-run", "--json") == 0
    return str({one["id"]: one["action"] for one in json.loads(capsys.readouterr().out)["stages"]}["page"])


def test_the_report_again_is_the_pipelines_own(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = reported / "run" / "page" / "index.html"
    made = page.read_text(encoding="utf-8")
    assert made.count('class="row"') == 2
    assert call("report", reported / "run") == 0
    assert "report skipped" in capsys.readouterr().out and planned(reported, capsys) == "skip"
    page.unlink()
    assert call("report", reported / "run") == 0
    assert page.read_text(encoding="utf-8") == made and planned(reported, capsys) == "skip"
    assert not (reported / "run" / "report").exists()


def test_options_change_the_pipelines_report_and_without_them_it_is_back(
    reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reported / "more.yaml").write_text("title: Other\n")
    assert call("report", reported / "run", "--gallery", "1", "--config", reported / "more.yaml") == 0
    record = json.loads((reported / "run" / "page" / "stage.json").read_text(encoding="utf-8"))
    assert record["config"]["images"] == 1 and record["config"]["title"] == "Other" and record["seed"] == 7
    assert record["config"]["splits"] == ["val"] and record["config"]["sampling"] == 3
    assert planned(reported, capsys) == "run"
    assert call("report", reported / "run") == 0 and planned(reported, capsys) == "skip"
    assert call("report", reported / "run", "--seed", "0", "--out", reported / "p") == 0
    assert json.loads((reported / "p" / "stage.json").read_text(encoding="utf-8"))["seed"] == 0
    assert planned(reported, capsys) == "skip"


def test_the_pipelines_report_without_its_dataset(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((reported / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["data"] = {"layout": "folder", "root": str(reported / "gone"), "val": 3}
    (reported / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    page = (reported / "run" / "page" / "index.html").read_bytes()
    assert call("report", reported / "run") == 2
    assert "page/index.html shows " in (said := capsys.readouterr().err) and "--force" in said
    assert (reported / "run" / "page" / "index.html").read_bytes() == page
    assert call("report", reported / "run", "--force") == 0
    assert "gone does not exist: no pictures" in capsys.readouterr().err
    assert "has no pictures" in (reported / "run" / "page" / "index.html").read_text(encoding="utf-8")


def test_a_pipeline_that_cannot_be_read_any_more(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((reported / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["stages"]["page"]["with"]["imagse"] = 2
    (reported / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert call("report", reported / "run", "--out", reported / "p") == 0
    said = capsys.readouterr().err
    assert "The settings of the report in" in said and "imagse" in said


def test_out_and_options_of_the_page(run_dir: Path, tmp_path: Path) -> None:
    assert call("report", run_dir, "--out", tmp_path / "page", "--gallery", "1", "--title", "Mine") == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count('class="row"') == 1 and "<h1>Mine</h1>" in page
    assert call("report", run_dir, "--out", tmp_path / "elsewhere") == 0
    assert "<h1>run</h1>" in (tmp_path / "elsewhere" / "index.html").read_text(encoding="utf-8")
    drawn = [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")]
    assert not drawn, "the dataset that the run generated is used as it is"


def test_run_by_its_name_below_runs(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run_dir, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    assert call("report", "mine") == 0
    assert (tmp_path / "runs" / "mine" / "report" / "index.html").is_file()


def test_two_runs_side_by_side(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run_dir, tmp_path / "other")
    record = json.loads((tmp_path / "other" / "pseudo" / "stage.json").read_text(encoding="utf-8"))
    record["config"]["policy"]["scope"] = "somewhere"
    (tmp_path / "other" / "pseudo" / "stage.json").write_text(json.dumps(record), encoding="utf-8")
    assert call("report", run_dir, tmp_path / "other", "--out", tmp_path / "both", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(tmp_path / "both" / "index.html")}
    page = (tmp_path / "both" / "index.html").read_text(encoding="utf-8")
    assert "somewhere" in page and "policy.scope" in page and page.count('class="row"') == 3


def test_a_comparison_without_a_folder_gets_one_of_its_own(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("a/one", "a/two", "b/one"):
        shutil.copytree(run_dir, tmp_path / place)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the same comparison may be made again
        assert call("report", "a/one", "a/two") == 0
        assert capsys.readouterr().out == "report: comparison-of-one-and-two/index.html\n"
    made = (tmp_path / "comparison-of-one-and-two" / "index.html").read_bytes()
    assert call("report", "b/one", "a/two") == 2
    assert "comparison-of-one-and-two holds the comparison of other runs" in (said := capsys.readouterr().err)
    assert "--out DIR" in said and (tmp_path / "comparison-of-one-and-two" / "index.html").read_bytes() == made
    long = comparison_folder([Path("猫" * 80), Path("犬" * 80)])
    assert long.name.startswith("comparison-of-猫") and long.name.endswith("-and-others") and not long.exists()
    (tmp_path / "comparison-of-two-and-one").mkdir()
    (tmp_path / "comparison-of-two-and-one" / "index.html").write_text("mine")
    assert call("report", "a/two", "a/one") == 2
    assert "something that wsss report didn't make" in capsys.readouterr().err
    assert (tmp_path / "comparison-of-two-and-one" / "index.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'RUN...'"),
        (("nowhere",), "neither nowhere nor runs/nowhere is a run directory"),
        (("RUN", "--stages", "RUN/cam"), "not both"),
        (("--stages", "RUN/cam"), "--out"),
        (("RUN", "RUN", "--out", "OUT"), "given twice"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    message: str,
    run_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run_dir, tmp_path / "second")
    places = {"RUN": str(run_dir), "RUN2": str(tmp_path / "second"), "OUT": str(tmp_path / "out")}
    given = [places.get(one, one.replace("RUN", places["RUN"]) if "/" in one else one) for one in arguments]
    assert call("report", *given) == 2
    assert message in capsys.readouterr().err


def test_dataset_that_is_gone_costs_the_pictures_alone(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["data"] = {"layout": "folder", "root": str(tmp_path / "gone")}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert call("report", tmp_path / "run", "--force") == 0
    assert "no pictures" in capsys.readouterr().err
    assert "has no pictures" in (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture
def apart(run_dir: Path, tmp_path: Path) -> Path:
    """A run whose images lie apart from the root of its dataset, as those of ``wsss init`` do."""
    shutil.copytree(run_dir, tmp_path / "run")
    shutil.copytree(next((run_dir / "data").glob("shapes-*/images")).parent, tmp_path / "root")
    (tmp_path / "root" / "images").rename(tmp_path / "photos")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["data"] = {
        "layout": "folder", "root": str(tmp_path / "root"), "images": str(tmp_path / "photos"), "splits": ["val"]
    }  # fmt: skip
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def test_images_that_are_gone_or_broken_cost_their_rows_alone(
    apart: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, *_ = sorted(
        path for path in (apart / "photos").iterdir() if (apart / "run/cam/cams" / f"{path.stem}.npz").is_file()
    )
    one.unlink()
    other.write_bytes(other.read_bytes()[:60])
    for runs in ([], [run_dir]):
        assert call("report", apart / "run", *runs, "--out", apart / "page") == 0
        said = capsys.readouterr().err
        assert f"report: 2 unreadable images omitted: {one.stem} (no such image in" in said
        page = (apart / "page" / "index.html").read_text(encoding="utf-8")
        assert page.count('class="row"') == 1 and "2 images omitted because of missing" in page
        shutil.rmtree(apart / "page")


def test_images_that_have_moved_cost_the_pictures_alone(apart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (apart / "photos").rename(apart / "elsewhere")
    assert call("report", apart / "run") == 2
    assert "shows 3 images, of which 3 are missing now" in capsys.readouterr().err
    assert (apart / "run" / "report" / "index.html").read_text(encoding="utf-8").count('class="row"') == 3
    assert call("report", apart / "run", "--out", apart / "page") == 0
    assert "3 unreadable images omitted" in capsys.readouterr().err
    assert call("report", apart / "run", "--force") == 0
    assert "3 unreadable images omitted" in capsys.readouterr().err
    page = (apart / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "No pictures: the images are missing or unreadable" in page and "Stages" in page
    assert call("report", apart / "run", "--data.images", apart / "elsewhere") == 0
    assert (apart / "run" / "report" / "index.html").read_text(encoding="utf-8").count('class="row"') == 3


def test_a_layout_that_is_not_recognised_any_more_costs_the_pictures_alone(
    apart: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((apart / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["data"] = {"root": str(apart / "root")}
    (apart / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert call("report", apart / "run", "--force") == 0
    assert "unknown dataset layout" in (said := capsys.readouterr().err) and "no pictures" in said


def test_keys_of_the_dataset_are_laid_over_those_of_the_run(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    shutil.copytree(next((run_dir / "data").glob("shapes-*/images")).parent, tmp_path / "moved")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    record["pipeline"]["data"] = {"layout": "folder", "root": str(tmp_path / "gone"), "splits": ["val"]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert call("report", tmp_path / "run", "--data.root", tmp_path / "moved") == 0
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('class="row"') == 3
    assert "3 images in val" in page and "train 4 images" not in page  # the run's own choice of splits


@pytest.mark.parametrize("several", [False, True])
def test_no_page_is_written_over_a_stage(
    several: bool, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    runs = [run_dir, tmp_path / "run"] if several else [tmp_path / "run"]
    assert call("report", *runs, "--out", tmp_path / "run" / "pseudo") == 2
    assert "'pseudo'" in capsys.readouterr().err
    assert len(list((tmp_path / "run" / "pseudo" / "masks").glob("*.png"))) == 3


def columns_of_nodes(page: str) -> dict[str, float]:
    """Return where the boxes of the pipeline's picture begin, by stage."""
    picture = page[page.index('<svg class="dag right"') :].partition("</svg>")[0]
    return {
        name: float(x) for name, x in re.findall(r'<g class="node [^"]*"><title>([^:]*):.*?<rect x="([^"]*)"', picture)
    }


def test_the_picture_is_of_the_pipeline_whatever_is_left_of_it(run_dir: Path, reported: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "whole")
    assert call("report", tmp_path / "whole") == 0
    whole = columns_of_nodes((tmp_path / "whole" / "report" / "index.html").read_text(encoding="utf-8"))
    assert sorted(whole, key=lambda name: whole[name]) == ["classify", "cam", "pseudo", "score"]
    # the pipeline's own report takes only some of the stages
    assert columns_of_nodes((reported / "run" / "page" / "index.html").read_text(encoding="utf-8")) == whole
    shutil.rmtree(tmp_path / "whole" / "cam")
    assert call("report", tmp_path / "whole") == 0
    page = (tmp_path / "whole" / "report" / "index.html").read_text(encoding="utf-8")
    assert columns_of_nodes(page) == whole and 'class="node pending"' in page


def test_stages_that_failed_or_wait_are_in_the_picture(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "score" / "stage.json").read_text(encoding="utf-8"))
    record["status"] = "failed"
    (tmp_path / "run" / "score" / "stage.json").write_text(json.dumps(record), encoding="utf-8")
    shutil.rmtree(tmp_path / "run" / "pseudo")
    assert call("report", tmp_path / "run") == 0
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert 'class="node failed"' in page and 'class="node pending"' in page and 'class="node done"' in page
