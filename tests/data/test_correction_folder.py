"""The folder of corrected masks: what an import keeps, replaces and refuses."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_sources import CVAT_POLYGON, SIZE, cvat, error_of, imported, rectangle

from wsss.data.corrections.correction_folder import open_corrections, sole_import
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput, RunFailed
from wsss.io.rasters.label_masks import write_mask


def test_changed_corrections_are_refused(data: Dataset, tmp_path: Path) -> None:
    imported(cvat(tmp_path, CVAT_POLYGON), data, tmp_path)
    write_mask(tmp_path / "c" / "masks" / "a.png", np.full(SIZE, 8, np.uint8))
    corrections = open_corrections(tmp_path / "c", data.classes)
    with pytest.raises(InvalidInput) as caught:
        corrections.read("a")
    assert str(caught.value.subject).endswith("a.png")
    record = tmp_path / "c" / "corrections.json"
    for key, value in (("version", 2), ("images", {"../a": {}}), ("classes", {})):
        content = json.loads(record.read_text())
        damaged = tmp_path / f"damaged-{key}"
        damaged.mkdir()
        (damaged / "corrections.json").write_text(json.dumps({**content, key: value}))
        with pytest.raises(InvalidInput):
            open_corrections(damaged)


def three_masks(folder: Path, data: Dataset) -> dict[str, Path]:
    """Import masks of a, b and c; return id → file."""
    for id in "abc":
        write_mask(folder / "m" / f"{id}.png", rectangle(8))
    import_masks(folder / "m", data, folder / "c")
    return {id: folder / "c" / "masks" / f"{id}.png" for id in "abc"}


def test_earlier_masks_keep_their_bytes(data: Dataset, tmp_path: Path) -> None:
    """Another version of the library may compress pixels differently; the checksum is that of the bytes."""
    masks = three_masks(tmp_path, data)
    content = masks["a"].read_bytes()
    end = len(content) - 12  # before the chunk IEND
    comment = (4).to_bytes(4, "big") + b"tEXt" + b"a\0bc"
    content = content[:end] + comment + zlib.crc32(comment[4:]).to_bytes(4, "big") + content[end:]
    masks["a"].write_bytes(content)
    record = tmp_path / "c" / "corrections.json"
    stated = json.loads(record.read_text())
    stated["images"]["a"]["sha256"] = hashlib.sha256(content).hexdigest()
    record.write_text(json.dumps(stated))
    import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["b"], force=True))
    assert masks["a"].read_bytes() == content
    assert open_corrections(tmp_path / "c", data.classes).read("a", SIZE) is not None


def test_damaged_masks_are_replaced_one_after_the_other(data: Dataset, tmp_path: Path) -> None:
    masks = three_masks(tmp_path, data)
    masks["a"].unlink()
    masks["b"].write_bytes(b"damaged")
    result = import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["c"], force=True))
    assert result.damaged == ("a", "b") and masks["b"].read_bytes() == b"damaged"
    result = import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["a"], force=True))
    assert result.damaged == ("b",)
    corrections = open_corrections(tmp_path / "c", data.classes)
    assert corrections.read("a") is not None
    with pytest.raises(InvalidInput):
        corrections.read("b")
    result = import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(force=True))
    assert result.damaged == () and result.corrections.read("b") is not None


def test_corrections_survive_a_process_that_is_killed_while_it_replaces_them(data: Dataset, tmp_path: Path) -> None:
    """Between two renames, neither the earlier nor the new folder has its name."""
    masks = three_masks(tmp_path, data)
    before = masks["a"].read_bytes()
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            rename = Path.rename
            patch.setattr(Path, "rename", lambda self, to: os._exit(7) if to.name == "c" else rename(self, to))
            import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(force=True))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 and not (tmp_path / "c").exists()
    result = import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["b"], force=True))
    assert list(result.corrections.images) == ["a", "b", "c"] and masks["a"].read_bytes() == before


def test_other_files_among_corrections_are_never_deleted(data: Dataset, tmp_path: Path) -> None:
    three_masks(tmp_path, data)
    (tmp_path / "c" / "notes.txt").write_text("mine")
    assert "notes.txt" in error_of(tmp_path / "m", data, tmp_path, force=True).problem


def test_corrections_of_other_classes_are_refused(
    data: Dataset, voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    imported(cvat(tmp_path, CVAT_POLYGON), data, tmp_path)
    others = open_at(voc, classes=["cat", "person"])
    with pytest.raises(InvalidInput) as caught:
        open_corrections(tmp_path / "c", others.classes)
    assert "dog 12" in str(caught.value.found)


def test_folders_of_other_files_are_never_replaced(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").write_text("mine")
    error = error_of(cvat(tmp_path, CVAT_POLYGON), data, tmp_path, force=True)
    assert str(tmp_path / "c") in str(error.subject)


def test_classes_in_another_order_keep_their_pixels(
    data: Dataset, voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    imported(cvat(tmp_path, CVAT_POLYGON), data, tmp_path)
    swapped = open_at(voc, classes=["dog", "cat"])
    mask = open_corrections(tmp_path / "c", swapped.classes).read("a", SIZE)
    assert mask is not None and np.array_equal(mask, rectangle(swapped.classes.index("cat")))


def test_two_imports_at_once_exclude_each_other(data: Dataset, tmp_path: Path) -> None:
    source = cvat(tmp_path, CVAT_POLYGON)
    with sole_import(tmp_path / "c"):
        with pytest.raises(RunFailed) as caught:
            import_masks(source, data, tmp_path / "c")
        assert caught.value.subject == str(tmp_path / "c")
        import_masks(source, data, tmp_path / "d")
    import_masks(source, data, tmp_path / "c")
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_folders_of_stages_and_corrections_are_masks(data: Dataset, tmp_path: Path) -> None:
    three_masks(tmp_path, data)
    (tmp_path / "stage" / "masks").mkdir(parents=True)
    write_mask(tmp_path / "stage" / "masks" / "a.png", rectangle(8))
    for name in ("stage.json", "policy.json", "reduced.json"):
        (tmp_path / "stage" / name).write_text("{}")
    for number, source in enumerate(("stage", "c")):
        assert import_masks(tmp_path / source, data, tmp_path / str(number)).format == "folder"
