"""Segments as SAM writes them: pycocotools encodes, `read_segments` decodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from wsss.errors import InvalidInput
from wsss.io.rasters.segment_files import read_segment_numbers, read_segments, segments_path

SIZE = (31, 45)


@pytest.fixture
def masks() -> NDArray[np.bool_]:
    generator = np.random.default_rng(0)
    masks = generator.random((4, *SIZE)) > 0.6
    masks[0, :, 10:] = False
    masks[1] = True
    return masks


def rle(mask: NDArray[np.bool_]) -> dict[str, object]:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@pytest.mark.parametrize("wrapped", [False, True])
def test_json_of_the_mask_generator(tmp_path: Path, masks: NDArray[np.bool_], wrapped: bool) -> None:
    records = [{"segmentation": rle(mask), "area": int(mask.sum())} for mask in masks]
    content = {"image": {"image_id": 1}, "annotations": records} if wrapped else records
    (tmp_path / "a.json").write_text(json.dumps(content))
    segments = read_segments(segments_path(tmp_path, "a"), SIZE)
    np.testing.assert_array_equal(np.stack(list(segments)), masks)


def test_uncompressed_counts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"segmentation": {"size": [2, 3], "counts": [1, 2, 3]}}]))
    expected = np.array([[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(read_segments(tmp_path / "a.json", (2, 3))[0], expected)


def test_a_folder_of_binary_masks(tmp_path: Path, masks: NDArray[np.bool_]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metadata.csv").write_text("id,area\n")
    for index, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "a" / f"{index}.png")
    (tmp_path / "a" / "._0.png").write_bytes(b"\0\5\x16\7Mac OS X")
    segments = read_segments(segments_path(tmp_path, "a"), SIZE)
    np.testing.assert_array_equal(np.stack(list(segments)), masks)


@pytest.mark.parametrize("content", ["[]", '{"annotations": []}'])
def test_json_of_an_image_without_segments(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert len(read_segments(segments_path(tmp_path, "a"), SIZE)) == 0


def test_a_folder_of_an_image_without_segments(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InvalidInput) as error:
        read_segments(segments_path(tmp_path, "a"), SIZE)
    assert (error.value.found, error.value.allowed) == ("0 segments", "1 to 65,536")
    (tmp_path / "a" / "metadata.csv").write_text("id,area\n")
    assert len(read_segments(segments_path(tmp_path, "a"), SIZE)) == 0


def test_numbers_of_16_bits(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 60_000, SIZE).astype(np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_segment_numbers(segments_path(tmp_path, "a"), SIZE), numbers)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "3",
        '[{"area": 3}]',
        '[{"segmentation": [1, 2]}]',
        '[{"segmentation": {"size": [31, 44], "counts": [1364]}}]',
        '[{"segmentation": {"size": [31, 45], "counts": [3]}}]',
        '[{"segmentation": {"size": [31, 45], "counts": [-1, 1396]}}]',
        '[{"segmentation": {"size": [31, 45], "counts": "~~~"}}]',
        '[{"segmentation": {"size": [31, 45], "counts": null}}]',
    ],
)
def test_invalid_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InvalidInput) as error:
        list(read_segments(tmp_path / "a.json", SIZE))
    assert error.value.subject == str(tmp_path / "a.json")


def test_missing_or_ambiguous_segments(tmp_path: Path) -> None:
    for expected in ("no segments", "a.json"):
        with pytest.raises(InvalidInput) as error:
            segments_path(tmp_path, "a")
        assert expected in str(error.value.found)
        (tmp_path / "a.json").touch()
        (tmp_path / "a.png").touch()


def test_numbers_of_another_size(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInput) as error:
        read_segment_numbers(tmp_path / "a.png", SIZE)
    assert (error.value.found, error.value.allowed) == ((3, 4), "[31, 45]")
