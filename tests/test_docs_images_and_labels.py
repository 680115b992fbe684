"""What docs/images-and-labels.md tells people to do, done."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from docpages import Session, blocks, check_marks

PAGE = Path(__file__).parents[1] / "docs" / "images-and-labels.md"
COLOURS = {"car": (200, 30, 30), "cat": (30, 160, 30), "person": (40, 40, 200)}
PHOTOS = {
    "street": ("car", "person"),
    "cat_01": ("cat",),
    "cat_02": ("cat",),
    "garden": ("cat", "person"),
    "corner": ("car",),
    "meadow": (),
    "park_1": ("person",),
    "park_2": ("person",),
    "garage": ("car",),
    "sofa": ("cat",),
    "unseen": ("car",),
}


def photograph(labels: tuple[str, ...], seed: int) -> np.ndarray:
    """A noisy grey image with a square of one colour for each label."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 160, (64, 80, 3)).astype(np.uint8)
    for place, name in enumerate(labels):
        top, left = rng.integers(0, 40), 40 * place + rng.integers(0, 16)
        image[top : top + 24, left : left + 24] = COLOURS[name]
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder: photographs, the same sorted by class, new ones."""
    from PIL import Image

    here = tmp_path / "here"
    for place, (name, labels) in enumerate(PHOTOS.items()):
        image = Image.fromarray(photograph(labels, place))
        folders = ["photos", *(f"sorted/{label}" for label in labels), *(["new-photos"] if name == "unseen" else [])]
        for parent in folders:
            (here / parent).mkdir(parents=True, exist_ok=True)
            image.save(here / parent / f"{name}.jpg")
    rows = ["image,labels"]
    (here / "cells").mkdir()
    for number in range(6):  # 12 bits, two channels as pages
        page = Image.fromarray(np.random.default_rng(number).integers(0, 4096, (20, 24)).astype(np.uint16))
        page.save(here / "cells" / f"{number}.tif", save_all=True, append_images=[page])
        rows.append(f"{number}.tif,{'nucleus' if number % 2 else ''}")
    (here / "cells.csv").write_text("\n".join(rows) + "\n")
    return here


def put_weights(*files: Path) -> None:
    """Write MobileNetV2's random weights to the places where pretrained ones would be."""
    import torch
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torchvision.models.mobilenet_v2(weights=None).state_dict()
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, file)


FIRST = "wsss init --images photos --labels labels.csv\n"


def shorten(pipeline: Path) -> None:
    """Train for an epoch per stage, not for the 10 to 60 that ten photographs get."""
    text = pipeline.read_text(encoding="utf-8")
    pipeline.write_text(re.sub(r"epochs: \d+", "epochs: 1", text), encoding="utf-8")


def test_every_block_is_run_or_a_file() -> None:
    check_marks(PAGE)
    assert len(list(blocks(PAGE))) > 15


def test_what_takes_seconds(folder: Path) -> None:
    (folder / "mobilenet_v2.pth").write_bytes(b"only looked for")
    session = Session(folder, slow=False)
    for block in blocks(PAGE):
        session.run(block)
    written = {path.parent.name for path in folder.glob("*/pipeline.yaml")}
    assert written == {"wsss-photos", "from-wheel", "from-file", "from-nothing"} | {
        f"from-{kind}"
        for kind in (
            "columns",
            "parts",
            "json",
            "records",
            "lines",
            "coco",
            "label-studio",
            "cvat",
            "npy",
            "folders",
            "cells",
        )
    }
    train, val = (
        set((folder / "wsss-photos" / "splits" / f"{name}.txt").read_text().split()) for name in ("train", "val")
    )
    assert len(train | val) == 10 and not train & val
    assert (folder / "wsss-photos" / "splits" / "unlabelled.txt").read_text() == "unseen\n"


@pytest.mark.slow
def test_what_takes_minutes(folder: Path) -> None:
    from torchvision.models import MobileNet_V2_Weights

    # torchvision looks there before it downloads, and tests have no network.
    downloaded = MobileNet_V2_Weights.DEFAULT.url.rsplit("/", 1)[-1]
    put_weights(folder / "mobilenet_v2.pth", folder.parent / "torch" / "hub" / "checkpoints" / downloaded)
    session = Session(folder, slow=True, env={"TORCH_HOME": str(folder.parent / "torch")})
    for block in blocks(PAGE):
        if "slow" in block.marks or block.file == "labels.csv" or block.text == FIRST:
            session.run(block)
        if block.text == FIRST:
            assert "imagenet-wheel" in (folder / "wsss-photos" / "pipeline.yaml").read_text(encoding="utf-8")
            shorten(folder / "wsss-photos" / "pipeline.yaml")
    assert len(list((folder / "runs" / "photos" / "predict" / "masks").glob("*.png"))) == len(PHOTOS)
    assert (folder / "runs" / "photos" / "report" / "index.html").is_file()
    assert [path.name for path in (folder / "new-masks" / "masks").iterdir()] == ["unseen.png"]
    assert list((folder / "photos-coco").rglob("*.json"))
