"""The dataset `bricks`: files, splits and determinism."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from wsss.data.checks.check import check_dataset
from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset, recognise
from wsss.data.readers.topomortar import GROUPS, KINDS, read_groups
from wsss.data.sample_mask import read_sample_mask
from wsss.data.synthetic.bricks import Config, generate
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import image_size
from wsss.topology import betti_numbers

SMALL = Config(size=64, train=4, small=2, val=2, test=2, seed=1)
KEYS = {"layout": "bricks", **SMALL.model_dump(exclude={"layout"})}


def digest(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def dataset(work: Path) -> Dataset:
    return open_dataset(KEYS, work=work)


def test_splits(dataset: Dataset) -> None:
    counts = {name: len(samples) for name, samples in dataset.splits.items()}
    assert counts == {
        "train": 4,
        "val": 2,
        "test": 14,
        **{f"train-large-{kind}": 4 for kind in KINDS},
        **{f"train-small-{kind}": 2 for kind in KINDS},
        **{f"val-{kind}": 2 for kind in KINDS},
        **{f"test-{group}": 2 for group in GROUPS},
    }
    assert dataset.name == "bricks" and dataset.classes.names == ("background", "mortar")
    assert [sample.id for sample in dataset.split("test-indistr")] == ["007", "008"]
    assert all(image_size(sample.image) == (64, 64) for sample in dataset.split("test"))


def test_the_layout_is_that_of_topomortar(dataset: Dataset) -> None:
    assert recognise(dataset.root).name == "topomortar"
    assert not check_dataset(dataset).problems
    groups = read_groups(dataset.root / "dataset" / "dataset_types.txt")
    assert len(groups) == 20 and groups["001"] == "indistr" and groups["020"] == "shadows"
    sample = dataset.split("train-large-noisy")[0]
    assert sample.mask is not None and set(np.unique(read_mask(sample.mask))) == {0, 255}


def test_table_of_betti_numbers(dataset: Dataset) -> None:
    rows = list(csv.DictReader((dataset.root / "dataset" / "betti_numbers.csv").open()))
    assert list(rows[0]) == ["ID", "Betti0", "Betti1", "Betti2"]
    published = {row["ID"]: (int(row["Betti0"]), int(row["Betti1"])) for row in rows}
    computed = {
        split.id: tuple(betti_numbers(read_sample_mask(split, dataset.classes) == 1)) for split in dataset.split("test")
    }
    assert published == computed and {row["Betti2"] for row in rows} == {"0"}


def test_label_kinds_differ(dataset: Dataset) -> None:
    accurate, noisy, pseudo = (
        [read_sample_mask(sample, dataset.classes) for sample in dataset.split(f"train-large-{kind}")] for kind in KINDS
    )
    for a, n, p in zip(accurate, noisy, pseudo, strict=True):
        assert not np.array_equal(a, n) and not np.array_equal(a, p) and not np.array_equal(n, p)


@pytest.mark.slow
def test_images_depend_on_the_config_only(dataset: Dataset, tmp_path: Path) -> None:
    generate(SMALL, tmp_path / "again")
    assert digest(tmp_path / "again") == digest(dataset.root)
    generate(SMALL.model_copy(update={"seed": 2}), tmp_path / "other")
    other = digest(tmp_path / "other")
    assert not [name for name, value in digest(dataset.root).items() if name.endswith("0.png") and other[name] == value]


def test_the_size_of_a_part_does_not_change_other_parts(dataset: Dataset, work: Path) -> None:
    more = open_dataset({**KEYS, "train": 5}, work=work)
    for split in ("val", "test-shadows"):
        for one, other in zip(dataset.split(split), more.split(split), strict=True):
            assert one.image.read_bytes() == other.image.read_bytes()


def test_missing_files_are_drawn_again(dataset: Dataset, work: Path) -> None:
    before = digest(dataset.root)
    for split in ("train", "test"):
        sample = dataset.split(split)[1]
        assert sample.mask is not None
        sample.mask.unlink()
    (dataset.root / "dataset" / "betti_numbers.csv").unlink()
    assert digest(open_dataset(KEYS, work=work).root) == before


def test_selected_splits(work: Path, dataset: Dataset) -> None:
    few = open_dataset({**KEYS, "splits": ["train-small-noisy", "val"]}, work=work)
    assert list(few.splits) == ["train-small-noisy", "val"] and few.root == dataset.root


def test_invalid_configs(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        open_dataset({"layout": "bricks", "size": 32}, work=tmp_path)
    assert (error.value.subject, error.value.found) == ("data.size", 32)
    with pytest.raises(InvalidInput) as error:
        open_dataset({"layout": "bricks", "small": 9, "train": 5}, work=tmp_path)
    assert error.value.subject == "data"
    assert error.value.problem.startswith("small: ") and "train (5)" in error.value.problem
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput) as error:
        generate(SMALL, tmp_path / "full")
    assert "notes.txt" in error.value.problem
