"""Registry of export formats, and the function that exports masks in any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from wsss.errors import DamagedFile, InvalidInput, counted, listing
from wsss.export.export_folder import check_out, new_folder
from wsss.export.export_items import UNKNOWN_IMAGES, Item, Masks, Options, Output, ParallelMap
from wsss.export.image_copies import require_file
from wsss.export.naming import check_name, require_good, with_stems

T = TypeVar("T")
AHEAD = 64
"""Maximum number of results that are in memory and not yet written."""

Track = Callable[[int], Callable[[int], None]]


class Writer(Protocol):
    """Writes masks in one format."""

    def __call__(self, masks: Masks, options: Options, output: Output) -> dict[str, Any]:
        """Write the files; return entries for ``export.json``."""


@dataclass(frozen=True)
class Format:
    """An export format.

    Args:
        function: import path of its `Writer`.
        options: its options, besides those of all formats.
        needs: whether it needs the ``file`` or the ``name`` of every image.
    """

    function: str
    options: tuple[str, ...]
    needs: Literal["file", "name"] | None = None


COMMON = ("min_area", "keep_ignored")
"""Options of all formats."""

FORMATS = {
    "voc": Format("wsss.export.write_voc:export", ("with_images",)),
    "coco": Format("wsss.export.write_coco:export", ("with_images", "components")),
    "cvat": Format("wsss.export.write_cvat:export", ("with_images", "components")),
    "label-studio": Format(
        "wsss.export.write_labelstudio:export", ("with_images", "components", "role", "image_url"), "name"
    ),
    "overlay": Format(
        "wsss.export.write_pictures:export_overlays", ("opacity", "contours", "legend", "side_by_side"), "file"
    ),
    "sheet": Format(
        "wsss.export.write_pictures:export_sheet",
        ("opacity", "contours", "legend", "side_by_side", "columns", "rows", "pages"),
        "file",
    ),
    "polygons": Format("wsss.export.write_polygons:export", ("components", "tolerance")),
    "geotiff": Format("wsss.export.geo.write_geotiff:export", (), "file"),
    "geojson": Format("wsss.export.geo.write_geojson:export", ("components", "tolerance"), "file"),
}


def check_options(format_name: str, options: Sequence[str]) -> Format:
    """Return a format and require that it has these options.

    Args:
        format_name: one of `FORMATS`.
        options: names of fields of `Options`.

    Raises:
        InvalidInput: the format does not exist, or does not have an option.
    """
    if format_name not in FORMATS:
        raise InvalidInput(subject="--format", found=format_name, allowed=FORMATS)
    chosen = FORMATS[format_name]
    for name in options:
        if name not in (*chosen.options, *COMMON):
            formats = [other for other, candidate in FORMATS.items() if name in candidate.options]
            raise InvalidInput(
                f"no effect with --format {format_name}; only with {listing(formats, limit=20)}",
                subject=option_of(name),
            )
    return chosen


def option_of(name: str) -> str:
    """Return the command-line option of a field of `Options`."""
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
        format_name: one of `FORMATS`.
        out: output folder; it appears when it is complete.
        force: replace an earlier export in ``out``.
        workers: number of threads; does not affect the files.
        track: number of images → function to advance the progress.

    Returns:
        The content of ``export.json``: ``format``, ``images`` (number of masks), ``files``, entries of the format,
        ``failed`` (id → reason, for skipped masks), ``dropped`` (``regions``: number of regions below ``min_area``;
        ``emptied``: ids of the masks without any other region) and ``renamed`` (the user's name → name in the export,
        if the format does not allow the user's).

    Raises:
        InvalidInput: no mask can be exported, the folder is not empty, or the format refuses the masks.
        RunFailed: the folder cannot be written.
    """
    chosen = check_options(format_name, ())
    if not masks.items:
        raise InvalidInput("no masks to export", hint="Omit --splits and --ids to export all masks.")
    check_out(out, force=force)
    failed = _not_exportable(masks.items, chosen, options, format_name)
    require_good(masks.items, failed)
    items = with_stems([item for item in masks.items if item.id not in failed])
    good = replace(masks, items=items, dropped={})
    used = {name: getattr(options, name) for name in (*COMMON, *chosen.options)}
    record: dict[str, Any] = {
        "format": format_name,
        "masks": masks.name,
        "images": len(masks.items),
        "classes": list(masks.classes.names),
        "options": used,
    }
    module, _, function = chosen.function.partition(":")
    write: Writer = getattr(import_module(module), function)
    with new_folder(out, record) as folder:
        each, silently = _each(workers, track(len(good.items)), failed), _each(workers, lambda steps: None, {})
        output = Output(folder, each, silently, failed, {})
        record |= write(good, options, output)
        require_good(masks.items, failed)
        record["images"] -= len(failed)
        record |= {"failed": {_escaped(id): error.message for id, error in failed.items()}} if failed else {}
        record |= _dropped(good, failed)
        record |= {"renamed": output.renamed} if output.renamed else {}
        check_out(out, force=force)  # files may have been added meanwhile
        files = sum(not path.is_dir() for path in folder.rglob("*"))
    return {"out": str(out), **record, "files": files}


def _not_exportable(
    items: Sequence[Item], chosen: Format, options: Options, format_name: str
) -> dict[str, InvalidInput]:
    """Return id → error, for items without the image or name that the format or the options need.

    Raises:
        InvalidInput: no image is known.
    """
    if (chosen.needs or options.with_images) and all(item.file is None and item.image is None for item in items):
        subject = format_name if options.with_images is None else "--with-images"
        raise InvalidInput(f"no images known for {counted(len(items), 'mask')}", subject=subject, hint=UNKNOWN_IMAGES)
    failed: dict[str, InvalidInput] = {}
    for item in items:
        try:
            check_name(item)
            if options.with_images is not None:
                require_file(item, "--with-images")
            elif chosen.needs == "file":
                require_file(item, format_name)
            elif chosen.needs == "name" and item.file is None and item.image is None:
                raise InvalidInput(
                    f"{format_name} needs the image, which is unknown", subject=item.id, hint=UNKNOWN_IMAGES
                )
        except InvalidInput as error:
            failed[item.id] = error
    return failed


def _dropped(masks: Masks, failed: Container[str]) -> dict[str, Any]:
    """Return the entry of the record on regions below ``min_area``; empty if there were none."""
    dropped = {item.id: masks.dropped[item.id] for item in masks.items if item.id in masks.dropped}
    exported = {id: lost for id, lost in dropped.items() if id not in failed}
    emptied = [_escaped(id) for id, lost in exported.items() if lost.emptied]
    regions = sum(lost.regions for lost in exported.values())
    return {"dropped": {"regions": regions, "emptied": emptied}} if regions else {}


def _escaped(text: str) -> str:
    """Escape bytes of file names that are not valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def options_from(values: dict[str, Any]) -> Options:
    """Return the options of a command; ``None`` stands for the default, and other keys are ignored."""
    known = {field.name for field in dataclasses.fields(Options)}
    return Options(**{name: value for name, value in values.items() if name in known and value is not None})


def _each(workers: int, advance: Callable[[int], None], failed: dict[str, InvalidInput]) -> ParallelMap:
    """Return a function that calls another for every item in threads, and yields the results in order."""

    def each(work: Callable[[Item], T], items: Sequence[Item]) -> Iterator[tuple[Item, T]]:
        def attempt(item: Item) -> T | InvalidInput:
            try:
                return work(item)
            except DamagedFile:  # its stage has to be re-run
                raise
            except InvalidInput as error:
                return error

        pool = ThreadPoolExecutor(max(1, workers))
        try:
            for start in range(0, len(items), AHEAD):
                batch = items[start : start + AHEAD]
                for item, result in zip(batch, pool.map(attempt, batch), strict=True):
                    advance(1)
                    if isinstance(result, InvalidInput):
                        failed[item.id] = result
                    else:
                        yield item, result
        finally:
            pool.shutdown(cancel_futures=True)

    return each
