"""Make the pictures of the pages answers.md and corrections.md from four generated walls.

python docs/step_pictures.py FOLDER    # FOLDER gets the walls, the answers and the run; a few minutes on a core

The commands are those of the pages; a script that knows the true masks answers the questions and corrects a mask.
Requires ``pip install '.[test,ask]'`` and Chromium.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, read_mask, write_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.viz.drawing.overlay import contact_sheet, overlay
from wsss.viz.drawing.palette import class_colours

DOCS = Path(__file__).resolve().parent
RUN = Path("runs", "photos")
MAX_BYTES = 150_000
"""Maximum size of a picture."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

Truth = Mapping[str, NDArray[np.uint8]]
"""Id of a wall → its true mask, ``(H, W)``: 1 for mortar."""


def wsss(*words: object) -> None:
    """Run a command in the working directory."""
    print("wsss", *words, flush=True)
    subprocess.run([sys.executable, "-m", "wsss", *map(str, words)], check=True)


def make_walls() -> Truth:
    """Write ``photos`` and ``photos.yaml``, and return the true masks."""
    from wsss.data.readers.registry import open_dataset
    from wsss.data.sample_mask import read_sample_mask

    config = {"layout": "bricks", "size": 384, "train": 4, "small": 1, "val": 1, "test": 1}
    data = open_dataset(config, work=Path("walls"))
    Path("photos").mkdir()
    truth = {}
    for number, sample in enumerate(data.split("train-large-accurate"), 1):
        shutil.copy(sample.image, Path("photos", f"wall_{number}.png"))
        truth[f"wall_{number}"] = read_sample_mask(sample, data.classes)
    page = (DOCS / "answers.md").read_text(encoding="utf-8")
    (pipeline,) = re.findall(r"<!-- file: photos\.yaml -->\n```yaml\n(.*?)```", page, re.DOTALL)
    Path("photos.yaml").write_text(pipeline, encoding="utf-8")
    return truth


@contextlib.contextmanager
def window(width: int, height: int) -> Iterator[Any]:
    """Open an empty page in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium.new_page(viewport={"width": width, "height": height})
        chromium.close()


def show_question(url: str, file: Path, *, width: int, height: int) -> None:
    """Save the page of ``wsss ask`` as it asks the next question."""
    with window(width, height) as page:
        page.goto(url)
        page.wait_for_selector("#question:has-text('?')")
        page.locator("#name").fill("annotator-1")
        page.keyboard.press("Enter")
        page.wait_for_selector("#shown:visible")
        page.wait_for_function("document.querySelector('#picture').complete")
        page.screenshot(path=file)


def ask(truth: Truth) -> None:
    """Answer 60 questions about tiles, and look at the pages."""
    sys.path.insert(0, str(DOCS.parent / "benchmarks"))
    from simulated_annotator import answer_questions, asking

    def answer(url: str, count: int) -> None:
        answer_questions(url, "annotator-1", {"mortar": 1}, truth.__getitem__, count=count)

    with asking(["photos", "--about", "mortar", "--size", "12", "--count", "60"]) as url:
        answer(url, 18)
        show_question(url, Path("ask-tile.png"), width=900, height=720)
        show_question(url, Path("ask-phone.png"), width=390, height=780)
        answer(url, 42)
    whole = ["--about", "mortar", "--about", "plants", "--whole", "--answers", "images.csv"]
    with asking(["photos", *whole]) as url:
        show_question(url, Path("ask-whole.png"), width=900, height=720)


def show_tiles() -> None:
    """Save the tiles that ``wsss data tiles`` cuts, nine times enlarged, beside their labels."""
    from wsss.data.readers.registry import open_dataset

    wsss("data", "tiles", "photos", "tiles", "--answers", "answers.csv")
    samples = open_dataset({"layout": "folder", "root": "tiles"}, work=Path("walls")).split("train")
    yes, no = ([one for one in samples if bool(one.labels) is shows] for shows in (True, False))
    rows = [
        [np.kron(read_image(*one.source), np.ones((9, 9, 1), np.uint8)) for one in (*yes[row::2][:6], *no[row::2][:2])]
        for row in range(2)
    ]
    contact_sheet(rows, ["mortar"] * 6 + ["none"] * 2, Path("tiles.png"), width=108)


def show_report() -> None:
    """Save the top of the report."""
    with window(1000, 1000) as page:
        page.goto((RUN / "report" / "index.html").resolve().as_uri())
        page.screenshot(path="report.png")


def show_masks() -> None:
    """Save the masks over the walls."""
    wsss("export", RUN, "--format", "sheet", "--columns", 4, "--out", "masks-sheet")
    shutil.copy(Path("masks-sheet", "sheet-1.png"), "masks.png")


def show_ranking() -> None:
    """Save the contact sheet of ``wsss rank``."""
    wsss("rank", RUN, "--count", 4, "--out", "correct")
    shutil.copy(Path("correct", "sheet", "sheet-1.png"), "rank-sheet.png")


def correct(truth: Truth) -> None:
    """Correct the worst quarter of the worst mask, and save the mask before and after."""
    before = {wall: read_mask(mask_path(RUN / "crf", wall)) for wall in truth}
    wall = max(truth, key=lambda wall: int((before[wall] != truth[wall]).sum()))
    marked = worst_quarter(before[wall], truth[wall])
    Path("corrected").mkdir()
    write_mask(Path("corrected", f"{wall}.png"), marked)
    wsss("import-masks", "corrected", "--run", RUN)
    wsss("run", "photos.yaml", "--set", f"supervision.corrections={RUN}/corrections")
    image, after = read_image(Path("photos", f"{wall}.png")), read_mask(mask_path(RUN / "crf", wall))
    colours = class_colours(open_classes())
    pictures = [image, *(overlay(image, mask, colours) for mask in (before[wall], marked, after))]
    contact_sheet([pictures], [wall, "mask before", "corrected quarter", "mask after"], Path("corrected.png"))


def open_classes() -> Any:
    """Return the classes of the tiles: mortar."""
    from wsss.data.readers.registry import open_dataset

    return open_dataset({"layout": "folder", "root": "tiles"}, work=Path("walls")).classes


def worst_quarter(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the true mask of the quarter with most wrong pixels, and 255 (not labelled) elsewhere."""
    halves = [(slice(0, side // 2), slice(side // 2, None)) for side in mask.shape]
    quarters = list(itertools.product(*halves))
    worst = max(quarters, key=lambda quarter: int((mask[quarter] != truth[quarter]).sum()))
    marked = np.full_like(truth, IGNORE)
    marked[worst] = truth[worst]
    return marked


def make(truth: Truth) -> None:
    """Run the commands of the pages, and save all pictures in the working directory."""
    ask(truth)
    show_tiles()
    wsss("run", "photos.yaml")
    show_report()
    show_masks()
    show_ranking()
    correct(truth)


PICTURES = {
    "ask-tile.png": "answers.md",
    "ask-phone.png": "answers.md",
    "report.png": "answers.md",
    "masks.png": "answers.md",
    "tiles.png": "answers.md",
    "ask-whole.png": "answers.md",
    "rank-sheet.png": "corrections.md",
    "corrected.png": "corrections.md",
}
"""Picture → the page that shows it, in the order of the pages."""


def shrink(source: Path, target: Path) -> None:
    """Write a picture with as many colours as fit into `MAX_BYTES`."""
    from PIL import Image

    with Image.open(source) as picture:
        colours = picture.convert("RGB")
    written = None
    for number in (None, 256, 128, 64, 32):
        reduced = colours if number is None else colours.quantize(number, kmeans=3, dither=Image.Dither.NONE)
        reduced.save(target, optimize=True)
        if target.stat().st_size <= MAX_BYTES:
            written = number or "all"
            break
    print(f"{target.name}: {target.stat().st_size} bytes, {written} colours")


def main(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        make(make_walls())
        for name in PICTURES:
            shrink(Path(name), DOCS / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
