"""A small dataset with a finished stage of each kind that trains, shared by the tests of stages; read-only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learning import SMALL_SEGMENTATION, SMALL_TRAINING, coloured_dataset, random_segmenter, run_stage, write_corrected

from wsss.data.dataset import Dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four training images and two of validation, with masks."""
    return coloured_dataset(tmp_path_factory.mktemp("coloured"))


@pytest.fixture(scope="session")
def classified(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a `classify` stage."""
    from wsss.stages.classify import STAGE

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("trained") / "classify"
    run_stage(STAGE, SMALL_TRAINING | {"val": "val"}, out, data)
    return out


@pytest.fixture(scope="session")
def segmented(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a `segment` stage."""
    from wsss.stages.segment import STAGE

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("trained") / "segment"
    run_stage(STAGE, SMALL_SEGMENTATION, out, data, masks=data.root)
    return out


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random network, without other files."""
    return random_segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def corrections(tmp_path: Path) -> Path:
    """A full mask of train0, and a partial one of train1, whose class 2 its pseudo mask does not show."""
    full, partial = np.zeros((36, 44), np.uint8), np.full((36, 44), 255, np.uint8)
    full[:10, :10], partial[30:, 30:], partial[:5, :20] = 2, 2, 0
    return write_corrected(tmp_path / "corrections", {"train0": full, "train1": partial})
