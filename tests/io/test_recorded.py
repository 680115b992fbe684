from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from flipping import flip

from wsss.errors import DamagedFile
from wsss.io.files.recorded import check_recorded, find_recorded
from wsss.io.files.sealed import write_sealed_json
from wsss.io.files.stage_files import RECORD
from wsss.io.rasters.arrays import read_arrays, write_arrays
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.weights import load_description, load_weights
from wsss.pipeline.store.stage_folder import list_artifacts, read_record, write_record


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A finished stage with one file of each kind."""
    folder = tmp_path / "run" / "one"
    write_mask(folder / "masks" / "a.png", np.zeros((5, 7), np.uint8))
    write_arrays(folder / "cams" / "a.npz", {"maps": np.arange(6.0)})
    (folder / "model.json").write_text('{"kind": "segmenter"}')
    (folder / "model.safetensors").write_bytes(b"weights of some kind")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    record = {"id": "one", "identity": "i", "status": "done", "artifacts": list_artifacts(folder)}
    write_record(folder, record)
    return folder


def edit(path: Path) -> None:
    """Change a file and its modification time."""
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(1, 1))


def test_unchanged_files_pass(stage: Path) -> None:
    for path in stage.rglob("*"):
        check_recorded(path)
        check_recorded(path, always=True)
    assert read_mask(stage / "masks" / "a.png").shape == (5, 7)
    result = find_recorded(stage / "masks" / "a.png")
    assert result is not None and (result.folder, result.stage) == (stage, "one")


@pytest.mark.parametrize("name", ["masks/a.png", "cams/a.npz", "model.json", "model.safetensors", "table.csv"])
def test_flipped_bit_is_detected(stage: Path, name: str) -> None:
    flip(stage / name, 8 * (stage / name).stat().st_size - 3)
    with pytest.raises(DamagedFile) as caught:
        check_recorded(stage / name)
    assert caught.value.subject == str(stage / name) and "'one'" in caught.value.problem
    assert caught.value.hint is not None and str(stage) in caught.value.hint and "--force" not in caught.value.hint
    (stage.parent / "run.json").write_text("{}")
    with pytest.raises(DamagedFile) as caught:
        check_recorded(stage / name)
    assert caught.value.hint is not None and f"--run-dir {stage.parent} --force one" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("masks/a.png", lambda stage: read_mask(stage / "masks" / "a.png")),
        ("cams/a.npz", lambda stage: read_arrays(stage / "cams" / "a.npz")),
        ("model.json", load_description),
        ("model.safetensors", load_weights),
    ],
)
def test_readers_refuse_damaged_files(stage: Path, name: str, read: object) -> None:
    assert callable(read)
    flip(stage / name, 8 * ((stage / name).stat().st_size // 2))
    with pytest.raises(DamagedFile):
        read(stage)


def test_files_are_hashed_once_and_weights_always(stage: Path) -> None:
    for name in ("masks/a.png", "model.safetensors"):
        check_recorded(stage / name)
        flip(stage / name, 100)
    check_recorded(stage / "masks" / "a.png")  # verified before
    with pytest.raises(DamagedFile):
        check_recorded(stage / "model.safetensors", always=True)


def test_edited_files_pass_but_not_weights(stage: Path) -> None:
    edit(stage / "table.csv")
    check_recorded(stage / "table.csv")
    edit(stage / "model.safetensors")
    with pytest.raises(DamagedFile) as caught:
        check_recorded(stage / "model.safetensors", always=True)
    assert caught.value.hint is not None and f"delete {stage / 'stage.json'}" in caught.value.hint
    (stage / "stage.json").unlink()
    check_recorded(stage / "model.safetensors", always=True)


def test_copied_stage_is_verified_by_its_own_record(stage: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(stage, tmp_path / "copy", copy_function=shutil.copyfile))  # does not preserve times
    check_recorded(copy / "masks" / "a.png")
    (copy / "masks" / "a.png").unlink()
    check_recorded(copy / "masks" / "a.png")  # reported by its reader


@pytest.mark.parametrize("known", [None, {}, {"bytes": 20}, {"sha256": None}, "text"])
def test_files_without_a_recorded_hash_pass(stage: Path, known: object) -> None:
    record = read_record(stage)
    assert record is not None
    write_sealed_json(stage / RECORD, {**record, "artifacts": {"model.safetensors": known}})
    flip(stage / "model.safetensors", 9)
    check_recorded(stage / "model.safetensors", always=True)
    write_sealed_json(stage / RECORD, {**record, "artifacts": [known]})
    check_recorded(stage / "model.safetensors", always=True)
    write_record(stage, {**record, "status": "running"})
    check_recorded(stage / "model.safetensors", always=True)


def test_damaged_record_is_refused(stage: Path) -> None:
    flip(stage / "stage.json", 8 * (stage / "stage.json").read_bytes().index(b"one"))
    with pytest.raises(DamagedFile) as caught:
        check_recorded(stage / "masks" / "a.png")
    assert caught.value.subject == str(stage / "stage.json")


def test_files_outside_of_stages_pass(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    check_recorded(tmp_path / "a.txt", always=True)
    check_recorded(Path("nowhere.png"))
