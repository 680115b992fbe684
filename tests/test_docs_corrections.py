"""What docs/corrections.md tells people to do, done on a small run; a script stands for the annotator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from docpages import Session, blocks, check_marks, commands, look_up

from wsss.io.rasters.rle import brush_rle

PAGE = Path(__file__).parents[1] / "docs" / "corrections.md"
QUICK = Path(__file__).parent / "support" / "quick.yaml"


def test_every_command_exists() -> None:
    check_marks(PAGE)
    found = [words for block in blocks(PAGE) for words in commands(block.text) if block.language == "sh"]
    for words in found:
        look_up(words, PAGE.name)
    assert {words[0] for words in found} >= {"run", "rank", "import-masks"}


def correct(folder: Path) -> None:
    """Submit all tasks, with the upper half of each image as one region of a class."""
    tasks = json.loads((folder / "correct" / "label-studio" / "tasks.json").read_text())
    half = np.zeros((32, 32), bool)
    half[:16] = True
    value = {"format": "rle", "rle": brush_rle(half), "brushlabels": ["ring"]}
    result = {"type": "brushlabels", "original_width": 32, "original_height": 32, "value": value}
    corrected = [{"data": task["data"], "annotations": [{"result": [result]}]} for task in tasks]
    (folder / "corrected.json").write_text(json.dumps(corrected[:2]))


@pytest.mark.slow
def test_the_page_on_a_small_run(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.yaml").write_text(QUICK.read_text().replace("name: quick", "name: mine"))
    session = Session(tmp_path / "here", slow=True)
    for block in blocks(PAGE):
        if "import-masks" in block.text and block.language == "sh":
            correct(tmp_path / "here")
        session.run(block)
    run = tmp_path / "here" / "runs" / "mine"
    stated = "2 of 6 training images have corrected masks, 100.0 % of their pixels"
    for stage in ("pseudo", "segment", "score-segment"):
        record = json.loads((run / stage / "stage.json").read_text())
        assert stage == "pseudo" or record["provenance"]["corrected_masks"] == stated
        assert record["provenance"]["supervision"].endswith("and corrected masks")
    scores = json.loads((run / "score-segment" / "metrics.json").read_text())
    assert scores["provenance"]["corrected_masks"] == stated
    assert stated in (run / "report" / "index.html").read_text()
