"""All formats of masks that can be imported, and detection of the format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wsss.data.classes import Classes
from wsss.data.corrections.drawing_rules import AnnotatedImage
from wsss.data.corrections.formats import (
    coco_regions,
    cvat_shapes,
    labelme_shapes,
    labelstudio_regions,
    mask_pictures,
    outline_files,
)
from wsss.data.corrections.unpack_archive import unpack
from wsss.data.importers.json.json_file import read_json
from wsss.errors import InvalidInput, listing
from wsss.io.files.visible import visible, visible_below

FORMATS = ("folder", "voc", "coco", "cvat", "cvat-images", "label-studio", "labelme", "polygons")
"""``cvat`` is CVAT's "Segmentation mask", ``cvat-images`` its "CVAT for images" (XML)."""

Read = Callable[[Path, Classes], Iterator[AnnotatedImage]]


@contextmanager
def opened_source(source: Path) -> Iterator[Path]:
    """Yield the file or folder of a source: an archive is unpacked for the duration of the block.

    Raises:
        InvalidInput: the source does not exist, or is an invalid archive.
    """
    if not source.exists():
        raise InvalidInput("no such file or folder", subject=source)
    if source.is_file() and source.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="wsss-import-") as folder:
            unpack(source, Path(folder))
            yield _only_folder(Path(folder))
    else:
        yield source


def read_source(path: Path, classes: Classes, format: str | None = None) -> tuple[str, list[AnnotatedImage]]:
    """Return the format of a source, and its images with their regions.

    Args:
        path: a file or folder, see `opened_source`.
        format: one of `FORMATS`; detected by default.

    Raises:
        InvalidInput: unknown format, or an invalid file; names file and key.
    """
    found, name = _recognise(path) if format is None else (_member(path, format), format)
    return name, list(_READERS[name](found, classes))


def _read_labelme(path: Path, classes: Classes) -> Iterator[AnnotatedImage]:
    return labelme_shapes.read_files(_files(path, "*.json"))


def _read_outlines(path: Path, classes: Classes) -> Iterator[AnnotatedImage]:
    return outline_files.read_files(_files(path, "*.geojson"))


_READERS: Mapping[str, Read] = {
    "folder": mask_pictures.read,
    "voc": mask_pictures.read,
    "coco": lambda path, classes: coco_regions.read(path),
    "cvat": mask_pictures.read,
    "cvat-images": lambda path, classes: cvat_shapes.read(path),
    "label-studio": lambda path, classes: labelstudio_regions.read(path),
    "labelme": _read_labelme,
    "polygons": _read_outlines,
}

_MEMBERS = {
    "coco": ("annotations.json", "annotations/*.json", "*.json"),
    "cvat-images": ("annotations.xml", "*.xml"),
    "label-studio": ("tasks.json", "*.json"),
}
"""Format of a single file → patterns of its name in a folder."""


def _member(path: Path, format: str) -> Path:
    """Return the file that a format reads, which may be in a folder; other formats read the folder.

    Raises:
        InvalidInput: the folder has no such file, or several.
    """
    if format not in _MEMBERS or path.is_file():
        return path
    for pattern in _MEMBERS[format]:
        files = visible(path.glob(pattern))
        if len(files) == 1:
            return files[0]
        if files:
            shown = listing(file.name for file in files)
            raise InvalidInput(f"several files of this format: {shown}", subject=path, hint="Pass one of them.")
    raise InvalidInput(f"no file in the format {format}", subject=path, allowed=_MEMBERS[format])


def _recognise(path: Path) -> tuple[Path, str]:
    return _recognise_file(path) if path.is_file() else _recognise_folder(path)


def _recognise_file(path: Path) -> tuple[Path, str]:
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return path, "cvat-images"
    if suffix == ".geojson":
        return path, "polygons"
    if suffix == ".json":
        name = _kind_of_json(path)
        if name is None:
            raise InvalidInput(
                "unknown JSON format",
                subject=path,
                allowed=f"one of {listing(_JSON)}",
                hint="From Label Studio, export as JSON, not as JSON-MIN.",
            )
        return path, name
    raise InvalidInput("unknown suffix", subject=path, found=suffix, allowed=(".json", ".xml", ".geojson", ".zip"))


_JSON = {
    "coco": coco_regions.looks_like,
    "label-studio": labelstudio_regions.looks_like,
    "labelme": labelme_shapes.looks_like,
}


def _kind_of_json(path: Path) -> str | None:
    content = read_json(path)
    return next((name for name, looks_like in _JSON.items() if looks_like(content)), None)


def _recognise_folder(folder: Path) -> tuple[Path, str]:
    archives = visible(folder.glob("*.zip"))
    if archives:
        raise InvalidInput("the folder contains an archive", subject=folder, hint=f"Pass the archive: {archives[0]}")
    if (folder / mask_pictures.CLASS_MASKS).is_dir():
        return folder, "voc" if (folder / mask_pictures.CLASS_LIST).is_file() else "cvat"
    if (folder / "annotations.xml").is_file():
        return folder / "annotations.xml", "cvat-images"
    if visible(folder.glob("*.geojson")):
        return folder, "polygons"
    files = [
        file for pattern in ("*.json", "annotations/*.json", "images/*.json") for file in visible(folder.glob(pattern))
    ]
    masks = mask_pictures.mask_paths(folder)
    files = files or _first_of_labelme(folder)
    if not files and all(path.suffix.lower() in (".jpg", ".jpeg") for path in masks):  # images of annotations
        files = visible_below(folder, "*.json")[:1]
    # Stages and corrections have records beside their masks: other JSON files are ignored then.
    name = next((kind for file in files if (kind := _kind_of_json(file)) is not None), "folder" if masks else None)
    if name is None and visible_below(folder, "*.geojson"):  # of images in subfolders
        return folder, "polygons"
    if name is None and files:
        return _recognise_file(files[0])
    if name is None:
        raise InvalidInput("no masks and no annotations in this folder", subject=folder)
    return (_member(folder, name) if name in _MEMBERS else folder), name


def _first_of_labelme(folder: Path) -> list[Path]:
    """Return the first labelme file in subfolders, which are beside the images of a tree of folders; or no file.

    Other JSON files in the subfolders may be anything, since masks are there, too.
    """
    for file in visible_below(folder, "*.json"):
        try:
            kind = _kind_of_json(file)
        except InvalidInput:  # not JSON: read_files refuses it if others are of labelme
            continue
        if kind == "labelme":
            return [file]
    return []


def _files(path: Path, pattern: str) -> list[Path]:
    """Return a file, or the files below a folder that match a pattern.

    Raises:
        InvalidInput: no file matches.
    """
    files = [path] if path.is_file() else visible_below(path, pattern)
    if not files:
        raise InvalidInput(f"no {pattern} in this folder", subject=path)
    return files


def _only_folder(folder: Path) -> Path:
    """Return the only entry of a folder if it is a folder, since many archives have a single top-level folder."""
    entries = visible(folder.iterdir())
    holds_all = len(entries) == 1 and entries[0].is_dir() and entries[0].name not in ("annotations", "masks")
    return entries[0] if holds_all and entries[0].name != mask_pictures.CLASS_MASKS else folder
