"""What docs/answers.md tells people to do, done by a simulated person on synthetic walls."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docpages import Block, Session, blocks, check_marks, commands, look_up

from wsss.data.answers.answer_rows import read_answers
from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "answers.md"
CLASSES = {"mortar": 1, "plants": 2}
"""Class → its index in the masks; there are no plants."""


def lines() -> Iterator[tuple[Block, list[str]]]:
    """Yield the commands of the page, each with a block of its own."""
    for block in blocks(PAGE):
        for words in commands(block.text) if block.language == "sh" else ():
            yield replace(block, text=shlex.join(["wsss", *words])), words


def starts_page(words: list[str]) -> bool:
    return words[0] == "ask" and not {"--summary", "--export"} & set(words)


def test_every_command_exists() -> None:
    check_marks(PAGE)
    for block, words in lines():
        look_up(words, block.place)
    assert sum(starts_page(words) for _, words in lines()) == 3


@pytest.fixture
def bricks(tmp_path: Path) -> Dataset:
    config = {"layout": "bricks", "size": 384, "train": 4, "small": 1, "val": 1, "test": 1}
    return open_dataset(config, work=tmp_path / "walls")


@pytest.fixture
def annotate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import simulated_annotator

    return simulated_annotator


@pytest.mark.slow
def test_the_page_on_walls_without_masks(bricks: Dataset, annotate: Any, tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="no starlette: pip install 'wsss[ask]'")
    pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'wsss[ask]'")
    here, samples = tmp_path / "here", bricks.split("train-large-accurate")
    truth = {sample.id: read_sample_mask(sample, bricks.classes) for sample in samples}
    (here / "photos").mkdir(parents=True)
    for sample in samples:
        shutil.copy(sample.image, here / "photos" / f"{sample.id}{sample.image.suffix}")
    session, numbers, printed = Session(here, slow=True), [], ""
    for block in blocks(PAGE):
        if block.file is not None:
            session.run(block)
    for block, words in lines():
        if starts_page(words):
            asked = {name: index for name, index in CLASSES.items() if name in words}
            with contextlib.chdir(here), annotate.asking(words[1:]) as url:
                numbers.append(annotate.answer_questions(url, "annotator-1", asked, truth.__getitem__, count=1000))
        else:
            printed += session.run(block)
    assert numbers == [60, 30, len(samples)]
    assert len(read_answers(here / "answers.csv")) == 90
    assert "60 tiles or images; answered by annotator-1 60" in printed
    labels = (here / "labels.csv").read_text().splitlines()
    assert labels == ["image_id,labels", *(f"{sample.id},mortar" for sample in samples)]
    scores = [dice(read_mask(mask_path(here / "runs" / "photos" / "crf", id)), mask) for id, mask in truth.items()]
    assert np.mean(scores) > 0.6
    assert (here / "runs" / "photos" / "report" / "index.html").is_file()
    assert (here / "tiles" / "tiles.csv").is_file()


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float(((mask == 1) & (truth == 1)).sum()) / float((mask == 1).sum() + (truth == 1).sum())
