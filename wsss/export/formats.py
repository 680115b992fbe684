"""All export formats, and the one function that makes an export of any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from wsss.data.lists import check_id
from wsss.errors import InvalidInput, closest, listing
from wsss.export.folder import check_out, new_folder
from wsss.export.images import check_images
from wsss.export.items import Item, Masks, Options, Workshop

T = TypeVar("T")
Track = Callable[[int], Callable[[int], None]]


class Export(Protocol):
    """Writes masks in one format."""

    def __call__(self, masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
        """Write the files; return what is worth saying of them, as JSON values."""


@dataclass(frozen=True)
class Format:
    """A format: where its function is, and which options mean something to it, beside those of all formats."""

    place: str
    options: tuple[str, ...]


ALWAYS = ("min_area", "keep_ignored")
FORMATS = {
    "voc": Format("wsss.export.voc:export", ("images",)),
    "coco": Format("wsss.export.coco:export", ("images", "components")),
    "cvat": Format("wsss.export.cvat:export", ("images", "components")),
    "label-studio": Format("wsss.export.labelstudio:export", ("images", "components", "role", "image_url")),
    "overlay": Format("wsss.export.pictures:export_overlays", ("opacity", "contours", "legend", "side_by_side")),
    "sheet": Format(
        "wsss.export.pictures:export_sheet",
        ("opacity", "contours", "legend", "side_by_side", "columns", "rows", "pages"),
    ),
    "polygons": Format("wsss.export.polygons:export", ("components", "tolerance")),
}


def check_options(format_name: str, given: Sequence[str]) -> Format:
    """Return the format, once it is certain that it looks at the options that were given.

    Args:
        format_name: one of `FORMATS`.
        given: names of fields of `Options`.

    Raises:
        InvalidInput: there is no such format, or it has no use for an option.
    """
    if format_name not in FORMATS:
        raise InvalidInput(
            f"--format {format_name}: allowed are {listing(FORMATS, limit=20)}{closest(format_name, FORMATS)}"
        )
    chosen = FORMATS[format_name]
    for name in given:
        if name not in (*chosen.options, *ALWAYS):
            takers = [other for other, one in FORMATS.items() if name in one.options]
            raise InvalidInput(
                f"{option_of(name)} means nothing to --format {format_name}; it is for {listing(takers, limit=20)}."
            )
    return chosen


def option_of(name: str) -> str:
    """Return what the option of a field is called on the command line."""
    return {"keep_ignored": "--ignored", "role": "--as"}.get(name, f"--{name.replace('_', '-')}")


def export_masks(
    masks: Masks,
    format_name: str,
    options: Options,
    out: Path,
    *,
    force: bool = False,
    workers: int = 1,
    track: Track = lambda total: lambda steps: None,
) -> dict[str, Any]:
    """Write masks in a format.

    Args:
        masks: what to export.
        format_name: one of `FORMATS`.
        options: see there.
        out: the folder; it appears when it is complete.
        force: replace an earlier export in ``out``.
        workers: threads; the files don't depend on it.
        track: number of images → a function that is told of each that is done.

    Returns:
        What was written, as JSON values: ``format``, ``images``, ``files``, and what the format says.

    Raises:
        InvalidInput: no mask, an id that leads out of the folder, a folder that isn't empty, or what the format says.
        RunFailed: the folder can't be written to.
    """
    chosen = check_options(format_name, ())
    if not masks.items:
        raise InvalidInput("There is no mask to export.", mend="Leave out --split and --ids to export all there are.")
    for item in masks.items:
        check_id(item.id, masks.name)
    check_out(out, force=force)
    if options.images is not None:
        check_images(masks.items)
    used = {name: getattr(options, name) for name in (*ALWAYS, *chosen.options)}
    record: dict[str, Any] = {
        "format": format_name,
        "masks": masks.name,
        "images": len(masks.items),
        "classes": list(masks.classes.names),
        "options": used,
    }
    module, _, function = chosen.place.partition(":")
    write: Export = getattr(import_module(module), function)
    with new_folder(out, record) as folder:
        said = write(masks, options, Workshop(folder, _each(workers, track(len(masks.items)))))
        record |= said
        check_out(out, force=force)  # that took a while: there may be something by now
        files = sum(not path.is_dir() for path in folder.rglob("*"))
    return {"out": str(out), **record, "files": files}


def options_from(given: dict[str, Any]) -> Options:
    """Return the options with those that were given in place of the defaults; ``None`` means not given."""
    known = {field.name for field in dataclasses.fields(Options)}
    return Options(**{name: value for name, value in given.items() if name in known and value is not None})


def _each(workers: int, advance: Callable[[int], None]) -> Callable[[Callable[[Item], T], Sequence[Item]], Iterator[T]]:
    """Return what calls a function for every item in threads, and yields the results in order."""

    def each(work: Callable[[Item], T], items: Sequence[Item]) -> Iterator[T]:
        pool = ThreadPoolExecutor(max(1, workers))
        try:
            for result in pool.map(work, items):
                advance(1)
                yield result
        finally:
            pool.shutdown(cancel_futures=True)

    return each
