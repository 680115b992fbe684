"""Targets of fuzzing: a valid file or text of each kind, and the code that reads it."""

from __future__ import annotations

import contextlib
import errno
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from corruption import WORDS, corrupt_bytes, corrupt_text
from PIL import Image

SUPPORT = Path(__file__).parents[1] / "support"
PIPELINE = SUPPORT / "quick.yaml"

Case = tuple[str, Callable[[], object]]
"""Description of the corrupted input, and the function that reads it."""


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Args:
        name: name in messages and for ``--only``.
        cases: folder for files, random numbers → endless corrupted inputs.
        quick: number of cases in about five seconds.
    """

    name: str
    cases: Callable[[Path, random.Random], Iterator[Case]]
    quick: int


def command(*arguments: str) -> None:
    """Run ``wsss ARGUMENTS`` in this process; any exit code is valid."""
    from wsss.cli.main import cli

    error = CliRunner().invoke(cli, list(arguments)).exception
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # reported by `main`
        return
    if error is not None and not isinstance(error, SystemExit):
        raise error


def pipelines(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Pipeline files, planned by ``wsss run --dry-run``."""
    text = PIPELINE.read_text(encoding="utf-8") + "matrix: {n: [1, 2]}\n"
    path = folder / "corrupted.yaml"
    while True:
        corrupted = corrupt_text(text, rng)
        path.write_bytes(corrupted.encode("utf-8", "surrogatepass"))
        yield repr(corrupted), lambda: command("run", str(path), "--dry-run", "--run-dir", str(folder / "run"))


def settings(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Values of ``--set``."""
    keys = ("classify.epochs=2", "cam.scales=[1, 2]", "data.root=x", "seed=3", "matrix.seed=[1, 2]", "name=x")
    keys += ("segment.optimiser={name: sgd, lr: 1e-3}", "crf.enabled=false", "pseudo.preset=pseudo/otsu")
    while True:
        corrupted = corrupt_text(rng.choice(keys), rng).replace("\0", "")
        arguments = ("run", str(PIPELINE), "--dry-run", "--run-dir", str(folder / "run"), "--set", corrupted)
        yield repr(corrupted), lambda arguments=arguments: command(*arguments)


def labels(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Label files of all formats, read by ``wsss init``."""
    import labelfiles

    names = {"a.png": ("cat",), "b.png": ("dog", "cat"), "c.png": (), "d.png": ("dog",)}
    images = folder / "images"
    images.mkdir()
    for name in names:
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(images / name)
    files = []
    for number, write in enumerate(labelfiles.WRITERS.values()):
        (folder / str(number)).mkdir()
        path = write(folder / str(number) / "labels", names)
        files.append((path, path.read_bytes()))
    count = 0
    while True:
        path, content = rng.choice(files)
        if path.suffix == ".npy" or rng.random() < 0.2:
            corrupted = corrupt_bytes(content, rng)
        else:
            corrupted = corrupt_text(content.decode(), rng).encode("utf-8", "surrogatepass")
        path.write_bytes(corrupted)
        count += 1
        out = str(folder / "out" / str(count))
        arguments = ("init", "--images", str(images), "--labels", str(path), "--weights", "none", "--out", out)
        yield f"{path.name} {corrupted!r}", lambda arguments=arguments: command(*arguments)
        path.write_bytes(content)


def names(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Corrupted paths in the arguments of commands."""
    pictures = folder / "pictures"
    for number, kind in enumerate(("cat", "cat", "dog", "dog")):
        (pictures / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(pictures / kind / f"{number}.png")
    init = ("init", "--weights", "none", "--images")
    commands: tuple[Callable[[str], tuple[str, ...]], ...] = (
        lambda corrupted: ("run", str(PIPELINE), "--dry-run", "--run-dir", corrupted),
        lambda corrupted: ("run", corrupted, "--dry-run"),
        lambda corrupted: ("status", corrupted),
        lambda corrupted: ("status", corrupted, "--repair"),
        lambda corrupted: ("export", corrupted, "--format", "voc", "--out", str(folder / "export")),
        lambda corrupted: ("data", "check", corrupted),
        lambda corrupted: (*init, str(pictures), "--out", corrupted),
        lambda corrupted: (*init, corrupted, "--out", str(folder / "project"), "--force"),
        lambda corrupted: (*init, str(pictures), "--labels", corrupted, "--out", str(folder / "project"), "--force"),
        lambda corrupted: ("score", "--pred", corrupted, "--data.root", str(pictures)),
        lambda corrupted: ("topo", "betti", corrupted),
    )
    # output stays below the folder; arguments of processes cannot contain null characters
    words = [word for word in WORDS if "/" not in word and "\0" not in word]
    while True:
        arguments = rng.choice(commands)(f"{folder}/{corrupt_text('name', rng, words)}")
        yield repr(arguments), lambda arguments=arguments: command(*arguments)


def images(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Images of all supported formats, as photographs and as masks."""
    from wsss.io.rasters.label_masks import load_mask
    from wsss.io.rasters.planes import read_plane
    from wsss.io.rasters.rgb_images import read_image

    pixels = np.random.default_rng(0)
    colour = Image.fromarray(pixels.integers(0, 256, (24, 32, 3), np.uint8))
    grey = Image.fromarray(pixels.integers(0, 3, (24, 32), np.uint8))
    indexed = grey.convert("P")
    deep = Image.fromarray(pixels.integers(0, 65536, (24, 32), np.uint16))
    files = [(colour, kind) for kind in ("png", "jpg", "webp", "bmp", "gif", "tif", "avif", "ppm")]
    files += [(grey, "png"), (grey, "tif"), (indexed, "png"), (indexed, "gif"), (deep, "png"), (deep, "tif")]
    contents = []
    for image, suffix in files:
        buffer = io.BytesIO()
        with contextlib.suppress(KeyError, OSError):  # Pillow without this format
            image.save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
            contents.append((suffix, buffer.getvalue()))
    while True:
        suffix, content = rng.choice(contents)
        path = folder / f"corrupted.{rng.choice((suffix, suffix, 'png', 'jpg'))}"
        corrupted = corrupt_bytes(content, rng)
        path.write_bytes(corrupted)
        read = rng.choice((read_image, load_mask, read_plane))
        yield f"{path.name} {read.__name__} {corrupted!r}", lambda read=read, path=path: read(path)


def arrays(folder: Path, rng: random.Random) -> Iterator[Case]:
    """``.npz`` and ``.npy`` files: maps, offsets, probabilities, planes."""
    from wsss.io.rasters.arrays import read_arrays
    from wsss.io.rasters.cams import Cams, read_cams, write_cams
    from wsss.io.rasters.offsets import Offsets, read_offsets, write_offsets
    from wsss.io.rasters.planes import read_plane

    write_cams(folder / "cams.npz", Cams(np.full((2, 4, 5), 0.5, np.float32), np.array([1, 3]), (4, 5)))
    write_offsets(folder / "offsets.npz", Offsets(np.zeros((9, 2, 3, 4), np.float32), 16, (48, 64)))
    np.save(folder / "plane.npy", np.arange(20, dtype=np.float32).reshape(4, 5))
    readers = {"cams.npz": (read_cams, read_arrays), "offsets.npz": (read_offsets,), "plane.npy": (read_plane,)}
    contents = {name: (folder / name).read_bytes() for name in readers}
    while True:
        name = rng.choice(list(readers))
        read = rng.choice(readers[name])
        corrupted = corrupt_bytes(contents[name], rng)
        path = folder / f"corrupted{Path(name).suffix}"
        path.write_bytes(corrupted)
        yield f"{name} {read.__name__} {corrupted!r}", lambda read=read, path=path: read(path)


def networks(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Folders of a network: ``model.safetensors`` and ``model.json``."""
    from wsss.data.classes import Classes
    from wsss.io.weights import DESCRIPTION, WEIGHTS
    from wsss.models.classifier import build_classifier, load_classifier, save_classifier
    from wsss.models.config import ClassifierConfig

    config = ClassifierConfig.model_validate({"convnet": {"widths": [4, 4], "wide": 2, "stride": 2}})
    classes = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))
    save_classifier(folder, build_classifier(config, 2), classes)
    contents = {name: (folder / name).read_bytes() for name in (WEIGHTS, DESCRIPTION)}
    while True:
        name = rng.choice(list(contents))
        if name == DESCRIPTION and rng.random() < 0.8:
            corrupted = corrupt_text(contents[name].decode(), rng).encode("utf-8", "surrogatepass")
        else:
            corrupted = corrupt_bytes(contents[name], rng)
        (folder / name).write_bytes(corrupted)
        yield f"{name} {corrupted[:3000]!r}", lambda: load_classifier(folder)
        (folder / name).write_bytes(contents[name])


def drawn_masks(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Masks in the formats of annotation tools."""
    import json

    from annotations import HEIGHT, WIDTH, documents
    from mutations import mutations

    from wsss.data.classes import Classes
    from wsss.data.corrections.import_masks import ImportOptions, import_masks
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

    image = folder / "a.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(image)
    classes = Classes(("background", "cat", "dog"), ((0,), (8,), (12,)))
    data = Dataset("one", folder, classes, {"train": (Sample("a", image),)}, image_root=folder)
    valid = documents()
    streams = {name: mutations(value, rng.randrange(1000)) for name, value in valid.items() if isinstance(value, dict)}
    while True:
        name = rng.choice(list(valid))
        if name in streams:
            content = next(streams[name])[1]
        else:
            text = valid[name] if isinstance(valid[name], str) else json.dumps(valid[name])
            content = corrupt_text(text, rng).encode("utf-8", "surrogatepass")
        path = folder / name
        path.write_bytes(content)
        yield f"{name} {content!r}", lambda path=path: import_masks(path, data, folder / "c", ImportOptions(force=True))


TARGETS = (
    Target("masks", drawn_masks, 400),
    Target("pipelines", pipelines, 60),
    Target("settings", settings, 60),
    Target("labels", labels, 100),
    Target("names", names, 150),
    Target("images", images, 3000),
    Target("arrays", arrays, 4000),
    Target("networks", networks, 200),
)
