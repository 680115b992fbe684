"""Names of files and classes that are no plain words, in what commands print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wsss.cli.main import main
from wsss.io.rasters.rgb_images import write_png
from wsss.io.text.tables import csv_text

NAMES = ("=1+1", "-b", "@c", "+d", "'=e", "f", "g", "-7")


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_no_name_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "a\x1b]0;title\x07\u202eb"
    odd.mkdir()
    for arguments in (("status", str(odd)), ("data", "check", str(odd)), ("export", str(odd), "--format", "voc")):
        assert call(*arguments) == 2
    found = capsys.readouterr()
    assert "\\x1b]0;title\\x07\\u202eb" in found.err
    assert not {"\x1b", "\x07", "\u202e"} & set(found.err + found.out)


def test_names_that_are_too_long_are_invalid_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "quickstart", "--set", f"data.root={'x' * 300}", "--dry-run") == 2
    assert "Unexpected" not in capsys.readouterr().err


def test_json_stays_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wsss.cli.options.shared_options import print_json

    print_json({"name": "\x9b\u202e é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "\x9b\u202e é"} and out == '{"name": "\\u009b\\u202e é"}\n'


def test_tables_of_a_project_hold_no_formula_and_are_read_back(tmp_path: Path) -> None:
    from wsss.data.readers.registry import open_dataset
    from wsss.pipeline.config.spec import load_spec
    from wsss.stages import STAGES

    for number, name in enumerate(NAMES):
        write_png(tmp_path / "images" / f"{name}.png", np.full((8, 8, 3), number, np.uint8))
    classes = ["=cmd", "-z<i>"]
    rows = [(f"{name}.png", classes[place % 2]) for place, name in enumerate(NAMES)]
    (tmp_path / "labels.csv").write_text(csv_text([("image", "label"), *rows]))
    images, labels, out = (str(tmp_path / name) for name in ("images", "labels.csv", "out"))
    assert call("init", "--images", images, "--labels", labels, "--out", out) == 0
    table = (tmp_path / "out" / "image_labels.csv").read_text()
    cells = [cell for line in table.splitlines()[1:] for cell in line.split(",")]
    assert len(cells) == 16 and not [one for one in cells if one[0] in "=@+" or (one[0] == "-" and one != "-7")]
    data = load_spec(str(tmp_path / "out"), STAGES, ()).data
    read = open_dataset(data, work=tmp_path / "w", log=lambda line: None, locate=lambda key: "")
    found = {
        sample.id: [read.classes.names[label] for label in sample.labels or ()]
        for samples in read.splits.values()
        for sample in samples
    }
    assert found == {name: [classes[place % 2]] for place, name in enumerate(NAMES)}


def test_logs_and_pages_show_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wsss.pipeline.run.progress import Reporter
    from wsss.viz.drawing.formatting import escape
    from wsss.viz.report.page import environment

    reporter = Reporter()
    reporter.file = tmp_path / "run.log"
    reporter.log("image a\x1b[2J\u202eb")
    shown = "a\\x1b[2J\\u202eb"
    assert shown in capsys.readouterr().err and shown in (tmp_path / "run.log").read_text()
    page = environment().from_string("<p>{{ name }}{{ svg }}</p>").render(name="<b>\x1b", svg=escape("<i>\u202e"))
    assert page == "<p>&lt;b&gt;\\x1b&lt;i&gt;\\u202e</p>"
