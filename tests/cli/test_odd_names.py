"""Control characters and formulas in names of files and classes, in the output of commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from inprocess import refused, succeed

from wsss.io.rasters.rgb_images import write_png
from wsss.io.text.tables import csv_text

NAMES = ("=1+1", "-b", "@c", "+d", "'=e", "f", "g", "-7")


@pytest.mark.parametrize("command", [("status",), ("data", "check"), ("export", "--format", "voc", "--out", "o")])
def test_control_characters_are_escaped(tmp_path: Path, command: tuple[str, ...]) -> None:
    odd = tmp_path / "a\x1b]0;title\x07\u202eb"
    odd.mkdir()
    message = refused(*command, odd).removeprefix("\x1b[31m\x1b[1merror:\x1b[0m")
    assert "\\x1b]0;title\\x07\\u202eb" in message and not {"\x1b", "\x07", "\u202e"} & set(message)


def test_too_long_names_are_refused() -> None:
    refused("run", "quickstart", "--set", f"data.root={'x' * 300}", "--dry-run")


def test_control_characters_in_json_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    from wsss.cli.options.shared_options import print_json

    print_json({"name": "\x9b\u202e é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "\x9b\u202e é"} and out == '{"name": "\\u009b\\u202e é"}\n'


def test_tables_of_a_project_contain_no_formulas(tmp_path: Path) -> None:
    from wsss.data.readers.registry import open_dataset
    from wsss.pipeline.config.spec import load_spec
    from wsss.stages import STAGES

    for number, name in enumerate(NAMES):
        write_png(tmp_path / "images" / f"{name}.png", np.full((8, 8, 3), number, np.uint8))
    classes = ["=cmd", "-z<i>"]
    labelled = {name: classes[number % 2] for number, name in enumerate(NAMES)}
    rows = [(f"{name}.png", label) for name, label in labelled.items()]
    (tmp_path / "labels.csv").write_text(csv_text([("image", "label"), *rows]))
    images, labels, out = (tmp_path / name for name in ("images", "labels.csv", "out"))
    succeed("init", "--images", images, "--labels", labels, "--out", out)
    table = (tmp_path / "out" / "image_labels.csv").read_text()
    cells = [cell for line in table.splitlines()[1:] for cell in line.split(",")]
    assert len(cells) == 16 and not [cell for cell in cells if cell[0] in "=@+" or (cell[0] == "-" and cell != "-7")]
    data = load_spec(str(out), STAGES, ()).data
    read = open_dataset(data, work=tmp_path / "w", log=lambda line: None, locate=lambda key: "")
    result = {
        sample.id: [read.classes.names[label] for label in sample.labels or ()]
        for samples in read.splits.values()
        for sample in samples
    }
    assert result == {name: [label] for name, label in labelled.items()}


def test_control_characters_in_logs_and_pages_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
