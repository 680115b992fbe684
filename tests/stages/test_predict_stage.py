"""`predict` on small coloured images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import CLASSES, run_stage
from onethread import one_thread

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays
from wsss.io.rasters.label_masks import read_mask, voc_palette
from wsss.io.rasters.rgb_images import write_png
from wsss.stages import predict

__all__ = ["one_thread"]  # a fixture of every test here


def test_predicted_masks_have_the_values_and_sizes_of_the_dataset(
    data: Dataset, segmented: Path, tmp_path: Path
) -> None:
    run_stage(predict.STAGE, {"save_probabilities": True}, tmp_path, data, segmenter=segmented)
    for sample in data.split("val"):
        mask = read_mask(tmp_path / "masks" / f"{sample.id}.png", size=(36, 44))
        assert set(np.unique(mask)) <= {0, 40, 90}
        arrays = read_arrays(tmp_path / "probabilities" / f"{sample.id}.npz")
        assert arrays["probabilities"].shape == (3, 36, 44)
        assert arrays["probabilities"].dtype == np.float16
        np.testing.assert_allclose(arrays["probabilities"].astype(float).sum(0), 1, atol=2e-3)
        best = np.array([0, 40, 90])[arrays["probabilities"].argmax(0)]
        assert (best == mask).mean() > 0.98  # float16 ties aside
        from PIL import Image

        with Image.open(tmp_path / "masks" / f"{sample.id}.png") as image:
            assert image.getpalette()[120:123] == voc_palette()[40].tolist()


def test_masks_of_another_dataset_have_its_values(data: Dataset, segmented: Path, tmp_path: Path) -> None:
    """The same class names with other values on disk."""
    first = run_stage(predict.STAGE, {}, tmp_path / "p", data, segmenter=segmented)
    other = Dataset(data.name, data.root, Classes(CLASSES.names, ((5,), (7,), (3,))), data.splits)
    second = run_stage(predict.STAGE, {}, tmp_path / "q", other, segmenter=segmented)
    assert second.metrics == first.metrics
    for sample in data.split("val"):
        before, after = (read_mask(tmp_path / name / f"masks/{sample.id}.png") for name in "pq")
        np.testing.assert_array_equal(other.classes.encode(after, where="q"), CLASSES.encode(before, where="p"))


def test_predict_a_folder_with_scales_and_flip(data: Dataset, segmented: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_png(images / "large.png", np.zeros((70, 40, 3), np.uint8))
    write_png(images / "tiny.PNG", np.zeros((1, 3, 3), np.uint8))
    (images / "notes.txt").write_text("no image")
    (images / "._large.png").write_bytes(b"what macOS puts beside a file")
    (images / "folder.png").mkdir()
    config = {"images": str(images), "scales": [1, 0.5], "flip": True, "max_side": 32}
    result = run_stage(predict.STAGE, config, tmp_path / "p", data, segmenter=segmented)
    assert sorted(path.name for path in (tmp_path / "p/masks").iterdir()) == ["large.png", "tiny.png"]
    assert read_mask(tmp_path / "p/masks/large.png").shape == (70, 40)
    assert read_mask(tmp_path / "p/masks/tiny.png").shape == (1, 3)
    assert result.provenance == {
        "predict_scales": [1, 0.5],
        "predict_flip": True,
        "predict_reduced": {"images": 1, "max_side": 32},
    }
    write_png(images / "tiny.jpg", np.zeros((4, 4, 3), np.uint8))
    run_stage(predict.STAGE, config, tmp_path / "q", data, segmenter=segmented)
    names = ["large.png", "tiny_PNG.png", "tiny_jpg.png"]
    assert sorted(path.name for path in (tmp_path / "q/masks").iterdir()) == names


def test_predict_refuses_to_write_into_its_images(data: Dataset, segmented: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "photos/a.png", np.zeros((8, 8, 3), np.uint8))
    config = {"images": str(tmp_path / "photos")}
    for out in ("photos", "photos/out", "photos/../photos/deep/out"):
        with pytest.raises(InvalidInput) as error:
            run_stage(predict.STAGE, config, tmp_path / out, data, segmenter=segmented)
        assert error.value.subject == str(tmp_path / out)
    run_stage(predict.STAGE, config, tmp_path / "photos-out", data, segmenter=segmented)


def test_predict_needs_one_source(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(predict.STAGE, {"images": str(tmp_path), "splits": ["val"]}, tmp_path / "p", data)
    assert error.value.subject == "predict" and "splits or images" in error.value.problem
    with pytest.raises(InvalidInput) as error:
        run_stage(predict.STAGE, {"images": str(tmp_path)}, tmp_path / "p", data)
    assert error.value.subject == str(tmp_path)
