"""Indices of COCO files in the working folder of a run, so that a large file is parsed once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.coco.annotation_index import ANNOTATION, AnnotationIndex, build_index
from wsss.data.manifest import ContentHashes
from wsss.errors import InvalidInput, WsssError
from wsss.io.files.json_files import parse_json
from wsss.io.rasters.arrays import read_arrays, write_arrays
from wsss.io.rasters.rgb_images import MAX_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Incremented whenever the format or the content of an index changes."""

LOGGED = 20_000_000
"""Size of a file in bytes above which indexing takes a second or more, and is logged."""


def load_index(path: Path, work: Path, hashes: ContentHashes, log: Callable[[str], None]) -> AnnotationIndex:
    """Return the index of a COCO file from ``work``, or read the file and keep its index there.

    Args:
        work: writable folder; the index is ``coco-VERSION-HASH.npz``, where HASH is the hash of the file's content.

    Raises:
        InvalidInput: see `build_index`; or the file changes while it is read.
    """
    content = hashes.of(path)
    cached = work / f"coco-{VERSION}-{content[:32]}.npz"
    size = path.stat().st_size
    index = _read(cached, content, size) if cached.exists() else None
    if index is None:
        if size > LOGGED:
            log(f"{path}: indexing {size / 1e6:,.0f} MB of annotations (once per run directory)")
        index = build_index(path)
        if hashes.of(path) != content:
            raise InvalidInput("changed while it was read", subject=path)
        write_arrays(cached, _arrays(index, content))
    return index


def _arrays(index: AnnotationIndex, content: str) -> dict[str, NDArray[Any]]:
    names = json.dumps({"of": content, "categories": list(index.categories.items()), "files": index.files}).encode()
    return {
        "names": np.frombuffer(names, np.uint8),
        "ids": index.ids,
        "sizes": index.sizes,
        "starts": index.starts,
        "annotations": index.annotations,
    }


def _read(cached: Path, content: str, size: int) -> AnnotationIndex | None:
    """Return a cached index; ``None`` if it is damaged, or not that of a file with this hash and number of bytes."""
    try:
        arrays = read_arrays(cached)
        names = parse_json(arrays["names"].tobytes())
        categories = {int(number): str(name) for number, name in names["categories"]}
        files = tuple(str(file) for file in names["files"])
        index = AnnotationIndex(categories, files, *(arrays[key] for key in ("ids", "sizes", "starts", "annotations")))
    except (WsssError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if names.get("of") == content and _is_valid(index, size) else None


def _is_valid(index: AnnotationIndex, size: int) -> bool:
    """Return whether shapes, types and offsets of an index are those of a file of ``size`` bytes."""
    found, starts = index.annotations, index.starts
    images = len(index.files)
    expected = {"ids": ((images,), np.int64), "sizes": ((images, 2), np.int32), "starts": ((images + 1,), np.int64)}
    if any((getattr(index, key).shape, getattr(index, key).dtype) != value for key, value in expected.items()):
        return False
    if found.ndim != 1 or found.dtype != ANNOTATION or starts[0] != 0 or starts[-1] != len(found):
        return False
    inside = (found["at"] >= 0) & (found["length"] > 0) & (found["at"] <= size - found["length"])
    numbered = (found["number"] >= 1) & (found["number"] <= len(index.categories))
    sized = (index.sizes > 0).all(axis=1) & (index.sizes.astype(np.int64).prod(axis=1) <= MAX_PIXELS)
    return bool((np.diff(starts) >= 0).all() and sized.all() and inside.all() and numbered.all())
