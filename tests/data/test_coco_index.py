"""The index of a COCO file: cached, and rebuilt after the file has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coco_files import TRAIN, square

from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput

Open = Callable[..., Dataset]


def test_fingerprints_follow_the_file(coco: Path, open_at: Open) -> None:
    before = {kind: open_at(coco).fingerprint("train", kind) for kind in ("images", "labels", "masks")}
    path = coco / TRAIN
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [square(3, 3, 9)]
    path.write_text(json.dumps(content))
    after = {kind: open_at(coco).fingerprint("train", kind) for kind in before}
    assert [kind for kind in before if before[kind] != after[kind]] == ["masks"]


def test_a_file_is_parsed_once(coco: Path, open_at: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_at(coco)
    cached = sorted((tmp_path / "work").glob("coco-*.npz"))
    assert len(cached) == 2

    def refuse(*_: object) -> None:
        raise AssertionError("parsed again")

    with monkeypatch.context() as patch:
        patch.setattr("wsss.data.coco.index_cache.build_index", refuse)
        assert open_at(coco) == first
    for damaged in (b"", cached[0].read_bytes()[:-30], cached[1].read_bytes()):  # the last: the index of another file
        cached[0].write_bytes(damaged)
        assert open_at(coco) == first


def test_a_manipulated_cache_is_rebuilt(coco: Path, open_at: Open, tmp_path: Path) -> None:
    from wsss.data.coco.index_cache import load_index
    from wsss.data.manifest import ContentHashes
    from wsss.io.rasters.arrays import read_arrays, write_arrays

    open_at(coco, splits=["train"])
    (cached,) = (tmp_path / "work").glob("coco-*.npz")
    arrays = read_arrays(cached)
    valid = load_index(coco / TRAIN, tmp_path / "work", ContentHashes(None), print)
    for key, change in {"sizes": 1 << 20, "starts": 99, "annotations": None}.items():
        changed = arrays[key].copy()
        if change is None:
            changed["at"] = 1 << 40
        else:
            changed[1:] = change
        write_arrays(cached, {**arrays, key: changed})
        again = load_index(coco / TRAIN, tmp_path / "work", ContentHashes(None), print)
        assert np.array_equal(again.sizes, valid.sizes) and np.array_equal(again.starts, valid.starts)
        assert np.array_equal(again.annotations, valid.annotations)


def test_a_file_changed_while_it_is_used(coco: Path, open_at: Open) -> None:
    data = open_at(coco)
    path = coco / TRAIN
    path.write_text(path.read_text().replace('"info"', '"information"'))
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(data.split("train")[0], data.classes)
    assert error.value.subject == f"{path}: image 1"
