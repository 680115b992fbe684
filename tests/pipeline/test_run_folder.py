from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.pipeline.store.run_folder import data_of_run, read_run, write_run


@pytest.mark.parametrize(
    "data",
    [
        {"layout": "folder", "root": "photos", "images": "/elsewhere/photos"},
        {"layout": "coco", "root": "coco", "images": {"train": "img/train2014", "val": "img/val2014"}},
        {"layout": "coco", "root": "coco", "annotations": {"train": "labels/mine.json"}},
        {"layout": "of-another-package", "root": "there", "images": ["left", "right"]},
    ],
)
def test_the_config_of_a_dataset_is_read_as_it_was_written(data: dict[str, Any], tmp_path: Path) -> None:
    write_run(tmp_path, {"name": "toy", "pipeline": {"data": data}, "stages": []})
    assert data_of_run(read_run(tmp_path)) == data


@pytest.mark.parametrize("key", ["images", "annotations"])
@pytest.mark.parametrize("path", ["a\0b", "~no-such-user/photos"])
def test_paths_of_no_file_are_refused(key: str, path: str, tmp_path: Path) -> None:
    for value in (path, {"train": path}, [path]):
        with pytest.raises(InvalidInput) as error:
            write_run(tmp_path, {"name": "toy", "pipeline": {"data": {key: value}}, "stages": []})
        assert str(error.value.subject).endswith(f"pipeline.data.{key}")
