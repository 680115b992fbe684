"""Flipped bits in a finished run: every reader refuses a damaged file and suggests a fix."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flipping import flip
from tinyrun import command, results, statuses, wsss

from wsss.errors import DamagedFile, InvalidInput
from wsss.pipeline.store.verification import verify_folder

FLIPS = 60
UNREAD = ("run.log", "tensorboard/", ".wsss-", ".lock")
"""Files that no stage reads."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(memory: Path) -> Path:
    """An undisturbed run; tests restore the bits that they flip."""
    done = wsss(*command(memory / "finished"))
    assert done.returncode == 0, done.stderr
    return memory / "finished"


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    subprocess.run(["cp", "-a", str(finished), str(tmp_path / "run")], check=True)
    return tmp_path / "run"


def reader(path: Path) -> Callable[[Path], Any] | None:
    """Return the function by which stages, export and report read a file, ``None`` if nothing reads it."""
    from wsss.io.confusions import read_confusions
    from wsss.io.rasters.arrays import read_arrays
    from wsss.io.rasters.label_masks import read_mask
    from wsss.io.weights import load_description, load_weights
    from wsss.refine.policyfile import read_policy
    from wsss.viz.drawing.charts import read_history
    from wsss.viz.report.pictures.selection import read_per_image

    by_name: dict[str, Callable[[Path], Any]] = {
        "model.safetensors": lambda path: load_weights(path.parent),
        "model.json": lambda path: load_description(path.parent),
        "policy.json": lambda path: read_policy(path.parent),
        "history.csv": read_history,
        "confusions.json": read_confusions,
        "per_image.csv": lambda path: read_per_image(path.parent),
    }
    by_suffix = {".npz": read_arrays, ".png": read_mask}
    return by_name.get(path.name) or by_suffix.get(path.suffix)


def content_of_data(root: Path) -> Any:
    """Return everything that a run reads of its generated dataset."""
    from wsss.data.readers.folder import LAYOUT, Config
    from wsss.data.sample_mask import read_sample_mask
    from wsss.io.rasters.rgb_images import read_image

    data = LAYOUT.read(Config.model_validate({"root": root}), work=root, log=lambda line: None)
    return {
        (name, sample.id): (
            sample.labels, read_image(sample.image).tobytes(), read_sample_mask(sample, data.classes).tobytes(),
        )
        for name, samples in data.splits.items()
        for sample in samples
    }  # fmt: skip


def fingerprints(root: Path) -> Any:
    from wsss.data.readers.folder import LAYOUT, Config

    data = LAYOUT.read(Config.model_validate({"root": root}), work=root.parent, log=lambda line: None)
    kinds = ("images", "labels", "masks")
    return [data.fingerprint(split, kind) for split in data.splits for kind in kinds]  # type: ignore[arg-type]


def test_flipped_bits_throughout_a_run(finished: Path) -> None:
    """Each is noticed by the reader of the file and by `wsss status --verify`, or nothing depends on it."""
    files = sorted(path for path in finished.rglob("*") if path.is_file() and path.stat().st_size)
    groups: dict[str, list[Path]] = {}  # all kinds are equally likely, although most files are images
    for path in files:
        groups.setdefault("data" if path.is_relative_to(finished / "data") else path.suffix, []).append(path)
    root = next((finished / "data").glob("shapes-*/shapes.json")).parent
    content, known = content_of_data(root), fingerprints(root)
    generator, kinds = random.Random(1), set()
    for _ in range(FLIPS):
        path = generator.choice(groups[generator.choice(sorted(groups))])
        name = path.relative_to(finished).as_posix()
        bit = generator.randrange(8 * path.stat().st_size)
        flip(path, bit)
        if name.startswith("data/"):
            kinds.add("data")
            if path.is_relative_to(root):
                assert data_is_refused_or_same(root, content, known), f"bit {bit} of {name}"
        elif not any(part in name for part in UNREAD):
            result = verify_folder(finished)
            assert result is not None and [one.path for one in result.damaged] == [path], f"bit {bit} of {name}"
            read = reader(path)
            if read is not None:
                kinds.add(path.suffix)
                with pytest.raises(DamagedFile) as error:
                    read(path)
                assert error.value.subject is not None and Path(error.value.subject) == path
        flip(path, bit)
    assert kinds >= {"data", ".png", ".npz", ".safetensors", ".json", ".csv"}
    assert verify_folder(finished) is not None and not verify_folder(finished).damaged  # type: ignore[union-attr]


def data_is_refused_or_same(root: Path, content: Any, known: Any) -> bool:
    """Return whether a flipped bit of the dataset is an error, another fingerprint (stages re-run), or no change."""
    try:
        return bool(fingerprints(root) != known or content_of_data(root) == content)
    except InvalidInput:
        return True


def test_a_damaged_network_is_refused_by_all_commands(run_dir: Path, finished: Path, tmp_path: Path) -> None:
    flip(run_dir / "segment/model.safetensors", 40_001)
    assert set(statuses(run_dir).values()) == {"skipped"}
    done = wsss("status", str(run_dir), "--verify")
    assert done.returncode == 1 and f"{run_dir}/segment/model.safetensors: changed" in done.stdout
    images = str(next(run_dir.glob("data/shapes-*/images")))
    done = wsss("predict", "--weights", str(run_dir / "segment"), "--images", images, "--out", str(tmp_path / "p"))
    assert done.returncode == 2 and "segment/model.safetensors: the file is damaged" in done.stderr
    assert not list(tmp_path.glob("p/masks/*"))
    subprocess.run(["rm", "-r", str(run_dir / "predict")], check=True)
    done = wsss(*command(run_dir))
    assert done.returncode == 2 and "Stage 'predict' failed" in done.stderr
    assert f"--force segment; or delete {run_dir}/segment" in done.stderr
    subprocess.run(["rm", "-r", str(run_dir / "segment")], check=True)
    assert statuses(run_dir)["segment"] == "done"
    assert results(run_dir) == results(finished)


def test_a_damaged_mask_is_neither_exported_nor_reported(run_dir: Path, tmp_path: Path) -> None:
    mask = run_dir / "predict/masks/val_00001.png"
    flip(mask, 8 * (mask.stat().st_size - 30))
    for arguments in (
        ["export", str(run_dir), "--format", "voc", "--out", str(tmp_path / "voc")],
        ["report", str(run_dir), "--gallery", "99", "--out", str(tmp_path / "page")],
        ["score", "--pred", str(run_dir / "predict"), "--data.layout", "folder", "--data.root",
         str(next(run_dir.glob("data/shapes-*/images")).parent), "--split", "val"],
    ):  # fmt: skip
        done = wsss(*arguments)
        assert done.returncode == 2, arguments
        assert f"{mask}: the file is damaged" in done.stderr and "--force predict" in done.stderr, done.stderr
    assert not (tmp_path / "voc").exists()


def test_kept_artifacts_of_a_repaired_stage_are_verified(run_dir: Path, finished: Path) -> None:
    """A stage with a missing file re-runs; its other files enter a new record."""
    (run_dir / "cam/cams/train_00001.npz").unlink()
    flip(run_dir / "cam/cams/train_00002.npz", 1001)
    done = wsss(*command(run_dir))
    assert done.returncode == 0 and "cams/train_00002.npz is changed; it is computed again" in done.stderr, done.stderr
    assert results(run_dir) == results(finished)
