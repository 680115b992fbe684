"""All export formats, and the one function that makes an export of any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from wsss.errors import DamagedFile, InvalidInput, closest, listing
from wsss.export.export_folder import check_out, new_folder
from wsss.export.export_items import WHERE, Each, Item, Masks, Options, Workshop
from wsss.export.image_copies import require_file
from wsss.export.naming import check_name, require_good, with_stems

T = TypeVar("T")
Track = Callable[[int], Callable[[int], None]]


class Export(Protocol):
    """Writes masks in one format."""

    def __call__(self, masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
        """Write the files; return what is worth saying of them, as JSON values."""


@dataclass(frozen=True)
class Format:
    """A format.

    Args:
        place: where its function is.
        options: which options mean something to it, beside those of all formats.
        needs: what has to be known of every image: its ``file``, its ``name``, or nothing.
    """

    place: str
    options: tuple[str, ...]
    needs: Literal["file", "name"] | None = None


ALWAYS = ("min_area", "keep_ignored")
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
                f"{option_of(name)} has no effect with --format {format_name}; it is for {listing(takers, limit=20)}."
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
        track: number of images → a function that is called for each that is done.

    Returns:
        What was written, as JSON values: ``format``, ``images`` (number of masks), ``files``, what the format says,
        ``failed`` (id → why, of masks that were left out), ``dropped`` (``regions``: their number below ``min_area``;
        ``emptied``: ids of the masks without any other region) and ``renamed`` (the user's name → the name in the
        export, where the format can't hold the first).

    Raises:
        InvalidInput: no mask that can be exported, a folder that isn't empty, or what the format says.
        RunFailed: the folder can't be written to.
    """
    chosen = check_options(format_name, ())
    if not masks.items:
        raise InvalidInput("There is no mask to export.", hint="Leave out --splits and --ids to export all there are.")
    check_out(out, force=force)
    failed = _unfit(masks.items, chosen, options, format_name)
    require_good(masks.items, failed)
    items = with_stems([item for item in masks.items if item.id not in failed])
    good = replace(masks, items=items, dropped={})
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
        each, quietly = _each(workers, track(len(good.items)), failed), _each(workers, lambda steps: None, {})
        shop = Workshop(folder, each, quietly, failed, {})
        said = write(good, options, shop)
        require_good(masks.items, failed)
        record |= said
        record["images"] -= len(failed)
        record |= {"failed": {_shown(one): error.message for one, error in failed.items()}} if failed else {}
        record |= _dropped(good, failed)
        record |= {"renamed": shop.renamed} if shop.renamed else {}
        check_out(out, force=force)  # that took a while: there may be something by now
        files = sum(not path.is_dir() for path in folder.rglob("*"))
    return {"out": str(out), **record, "files": files}


def _unfit(items: Sequence[Item], chosen: Format, options: Options, format_name: str) -> dict[str, InvalidInput]:
    """Return id → why, of the items that lack what the format or the options need.

    Raises:
        InvalidInput: nothing is known of any image.
    """
    what = format_name if options.with_images is None else "--with-images"
    if (chosen.needs or options.with_images) and all(item.file is None and item.image is None for item in items):
        found = "the image of this mask is" if len(items) == 1 else f"the images of these {len(items)} masks are"
        raise InvalidInput(f"{what}: {found} not known.", hint=WHERE)
    failed: dict[str, InvalidInput] = {}
    for item in items:
        try:
            check_name(item)
            if options.with_images is not None:
                require_file(item, "there is no image to put beside its mask (--with-images)")
            elif chosen.needs == "file":
                require_file(item, f"{format_name} shows the image")
            elif chosen.needs == "name" and item.file is None and item.image is None:
                raise InvalidInput(f"{item.id}: {format_name} names the image; it is not known.", hint=WHERE)
        except InvalidInput as error:
            failed[item.id] = error
    return failed


def _dropped(masks: Masks, failed: Container[str]) -> dict[str, Any]:
    """Return what the record says of regions below ``min_area``: nothing where there was none."""
    found = {item.id: masks.dropped[item.id] for item in masks.items if item.id in masks.dropped}
    exported = {one: dropped for one, dropped in found.items() if one not in failed}
    emptied = [_shown(one) for one, dropped in exported.items() if dropped.emptied]
    regions = sum(dropped.regions for dropped in exported.values())
    return {"dropped": {"regions": regions, "emptied": emptied}} if regions else {}


def _shown(text: str) -> str:
    """Return text that can be written: a file name may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def options_from(given: dict[str, Any]) -> Options:
    """Return the options with those that were given in place of the defaults; ``None`` means not given."""
    known = {field.name for field in dataclasses.fields(Options)}
    return Options(**{name: value for name, value in given.items() if name in known and value is not None})


def _each(workers: int, advance: Callable[[int], None], failed: dict[str, InvalidInput]) -> Each:
    """Return what calls a function for every item in threads, and yields the results in order."""

    def each(work: Callable[[Item], T], items: Sequence[Item]) -> Iterator[tuple[Item, T]]:
        def attempt(item: Item) -> T | InvalidInput:
            try:
                return work(item)
            except DamagedFile:  # its stage can make it again
                raise
            except InvalidInput as error:
                return error

        pool = ThreadPoolExecutor(max(1, workers))
        try:
            for item, result in zip(items, pool.map(attempt, items), strict=True):
                advance(1)
                if isinstance(result, InvalidInput):
                    failed[item.id] = result
                else:
                    yield item, result
        finally:
            pool.shutdown(cancel_futures=True)

    return each
