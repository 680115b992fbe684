"""Where masks to export are found: in a run, in a stage's folder, or in any folder of masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, closest, counted, listing
from wsss.pipeline.config.source import Source, merge
from wsss.pipeline.store.run_folder import DATA, data_of_run, read_run
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages.common.mask_folder import find_folder, mask_files

if TYPE_CHECKING:
    from wsss.data.masks.mask_values import MaskValues
    from wsss.data.sample import Classes, Dataset, Sample
    from wsss.export.export_items import Item, Masks
    from wsss.pipeline.run.progress import Reporter


STATED = "mask_values"
"""Key of a dataset that says what mask values mean; it may be given for masks without a dataset, too."""


@dataclass(frozen=True)
class Request:
    """Which masks are wanted.

    Args:
        run: a run directory, a stage's folder, or a folder of masks.
        stage: id of a stage of the run; by default the last that has masks.
        data: keys of the dataset's config; laid over those of the run.
        splits: only images of these.
        ids: only these images.
        classes: a class list, for masks without a dataset.
        images: folder of the images, for masks without a dataset; for predicted ones, where they have been moved.
    """

    run: Path
    stage: str | None = None
    data: Source = field(default_factory=lambda: Source({}))
    splits: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    classes: Path | None = None
    images: Path | None = None


def find_masks(request: Request, *, work: Path, reporter: Reporter) -> Masks:
    """Return the masks, with their classes and images as far as they are known.

    The classes are those of the dataset; without one, those that `predict` recorded of a folder of images, those of a
    class list, or those of ``data.mask_values``. Where none of these is given, each mask value becomes a class.

    Args:
        request: see there.
        work: a folder for generated data, where the masks are in no run.
        reporter: prints which stage was chosen, and what is left out.

    Raises:
        InvalidInput: no masks there, a stage that isn't finished or makes none, an unknown split, id or mask value;
            classes or images are given that are known already.
    """
    from wsss.data.masks.predicted_masks import PREDICTED, read_predicted
    from wsss.data.readers.find_images import images_by_id
    from wsss.export.export_items import Item, Masks
    from wsss.export.locate_images import images_by_name
    from wsss.export.naming import path_below

    folder, name, run = find_folder(request.run, request.stage, reporter)
    files = mask_files(folder, reporter.log)
    predicted = read_predicted(folder)
    if predicted is not None and predicted.failed:
        reporter.log(
            f"note: images that could not be predicted have no mask: {listing(predicted.failed)} "
            f"({folder / PREDICTED} tells why)."
        )
    config = _data_config(request, run, folder)
    if predicted is not None and predicted.files is not None and not request.data.value:
        _refuse_splits(request, "these masks are of a folder of images")
        _refuse_classes(request, folder / PREDICTED, hint="Leave --classes out.")
        found = _predicted_images(request.images, folder, predicted.files, run)
        items = [Item(one, files[one], found.get(one), file=predicted.files.get(one)) for one in sorted(files)]
        return Masks(name, predicted.classes, _chosen(items, request.ids, folder))
    gone, known = _gone(request, config, folder, run)
    if gone is not None and request.data.value:
        keys = listing(f"data.{key}" for key in request.data.value)
        raise InvalidInput(
            f"the dataset of these masks: {gone}, so that {keys} changes nothing.",
            hint="Say where the dataset is, --data.root DIR, or leave these out.",
        )
    if gone is not None:
        where = f"; the classes are those of {known[1]}" if known else ""
        reporter.log(f"note: the dataset of these masks: {gone}{where}; images and splits are not known.")
    elif config.value.keys() - {STATED}:
        _refuse_classes(
            request, "the dataset", hint="Leave --classes out; --data.classes chooses and renames classes of a dataset."
        )
        _refuse_images(request, config.value)
        from wsss.data.readers.registry import open_dataset

        place = request.run / DATA if run is not None and read_run(request.run) else work
        data = open_dataset(config.value, work=place, log=reporter.log, locate=config.locate, complete=False)
        known_ids = {sample.id for samples in data.splits.values() for sample in samples}
        items = _of_dataset(data, mask_files(folder, reporter.log, known_ids), request, folder, reporter.log)
        return Masks(name, data.classes, _chosen(items, request.ids, folder))
    _refuse_splits(request, "no dataset is given" if gone is None else "the dataset is not there")
    if known is not None:
        _refuse_classes(request, known[1], hint="Leave --classes out.")
    if request.images is not None and request.images.is_dir():
        files = mask_files(folder, reporter.log, images_by_id(request.images))
    chosen = _chosen([Item(one, files[one]) for one in sorted(files)], request.ids, folder)
    found = {} if request.images is None else images_by_name(request.images, chosen)
    complete = tuple(
        replace(item, image=found[item.id], file=path_below(found[item.id], request.images))
        if item.id in found
        else item
        for item in chosen
    )
    if known:
        return Masks(name, known[0], complete)
    classes, values = _classes(request.classes, config.value.get(STATED), chosen, folder)
    return Masks(name, classes, tuple(replace(item, mask_values=values) for item in complete))


def _data_config(request: Request, run: Mapping[str, Any] | None, folder: Path) -> Source:
    """Return the dataset's config: the run's own, and over it what was given."""
    recorded = data_of_run(run)
    place = f"the run's data: (see {folder.parent / 'run.json'}; change it by --data.KEY VALUE)"
    base = Source(recorded, {(): place})
    if "layout" in request.data.value and request.data.value["layout"] != recorded.get("layout"):
        base = Source({})
    return merge(base, request.data)


def _gone(
    request: Request, config: Source, folder: Path, run: Mapping[str, Any] | None
) -> tuple[str | None, tuple[Classes, Path] | None]:
    """Return why the run's own dataset can't be opened any more, and which classes are known without it.

    ``None`` and ``None`` where it can, where another one is named, and where no classes are known: opening it then says
    what is wrong.
    """
    from wsss.data.readers.registry import why_gone
    from wsss.stages.common.run_classes import classes_of_run

    gone = None if request.data.value.keys() & {"root", "layout"} else why_gone(config.value)
    if gone is None or run is None:
        return None, None
    run_dir = request.run if read_run(request.run) is not None else folder.resolve().parent
    known = classes_of_run(run_dir, run)
    return (None, None) if known is None and request.classes is None else (gone, known)


def _of_dataset(
    data: Dataset, files: Mapping[str, Path], request: Request, folder: Path, log: Callable[[str], None]
) -> list[Item]:
    from wsss.export.export_items import Item

    splits: dict[str, list[str]] = {}
    samples: dict[str, Sample] = {}
    for split in request.splits or data.splits:
        for sample in data.split(split) if request.splits else data.splits[split]:
            samples.setdefault(sample.id, sample)
            splits.setdefault(sample.id, []).append(split)
    # Masks of a stage have our values; those in the dataset's own folder, as its ground truth, have the dataset's.
    own = read_record(folder) is None and folder.resolve().is_relative_to(data.root.resolve())
    there = [
        Item(
            one,
            files[one],
            None if one in data.missing else sample.image,
            tuple(splits[one]),
            sample.mask_values if own else None,
            _user_name(sample, data),
        )
        for one, sample in samples.items()
        if one in files
    ]
    if not there:
        of = f"of split {listing(request.splits)}" if request.splits else f"of the dataset {data.name}"
        known = counted(len(samples), "image")
        raise InvalidInput(f"{folder}: none of the {counted(len(files), 'mask')} is {of} ({known}).")
    if request.splits and len(there) < len(samples):
        missing = [one for one in samples if one not in files]
        log(f"note: {folder} has no mask for {len(missing)} of {len(samples)} images: {listing(missing)}.")
    gone = [item.id for item in there if item.image is None]
    if gone:
        log(f"note: the images of {len(gone)} of {counted(len(there), 'mask')} are missing: {listing(gone)}.")
    strangers = [] if request.splits else [one for one in files if one not in samples]
    if strangers:
        count = counted(len(strangers), "mask")
        log(f"note: {count} without an image in the dataset, left out: {listing(strangers)}.")
    return there


def _user_name(sample: Sample, data: Dataset) -> str | None:
    """Return an image's path below the folder of the images; ``None`` where it is not known with its suffix."""
    from wsss.data.sample_ids import without_suffix
    from wsss.export.naming import path_below

    file = path_below(sample.image, data.image_root)
    return None if file is None or without_suffix(file) == file else file


def _chosen(items: Sequence[Item], ids: Sequence[str], folder: Path) -> tuple[Item, ...]:
    known = {item.id: item for item in items}
    for one in ids:
        if one not in known:
            raise InvalidInput(f"--ids: {folder} has no mask of image {one!r}{closest(one, known)}")
    return tuple(known[one] for one in dict.fromkeys(ids)) if ids else tuple(items)


def _refuse_splits(request: Request, why: str) -> None:
    if request.splits:
        raise InvalidInput(
            f"--splits {','.join(request.splits)}: {why}, so there are no splits.",
            hint="Name the dataset: --data.root DIR.",
        )


def _refuse_classes(request: Request, known_from: object, *, hint: str) -> None:
    if request.classes is not None:
        raise InvalidInput(
            f"--classes {request.classes}: the classes of these masks are known from {known_from}.", hint=hint
        )


def _refuse_images(request: Request, config: Mapping[str, Any]) -> None:
    if request.images is not None:
        moved = "--data.root DIR names another dataset, or this one where it has moved."
        if "images" in config:  # apart from the root, as in the pipelines that `wsss init` writes
            moved = "--data.images DIR says where its images have moved to, --data.root DIR names another dataset."
        raise InvalidInput(
            f"--images {request.images}: the images of these masks are known from the dataset.",
            hint=f"Leave --images out; {moved}",
        )


def _predicted_images(
    given: Path | None, folder: Path, files: Mapping[str, str], run: Mapping[str, Any] | None
) -> dict[str, Path]:
    """Return the images that a network was applied to: in the folder given, else where its stage found them."""
    from wsss.export.locate_images import files_below, images_by_file

    if given is not None:
        return images_by_file(given, files)
    config = (read_record(folder) or {}).get("config") or {}
    recorded = Path(str(config.get("images", ".")))
    started = Path(str((run or {}).get("directory", ".")))
    return files_below(recorded, files) or files_below(started / recorded, files)


def _classes(path: Path | None, stated: Any, items: Sequence[Item], folder: Path) -> tuple[Classes, MaskValues | None]:
    """Return the classes of a class list or of stated mask values, else one class for every value in the masks.

    Args:
        path: the class list.
        stated: what ``--data.mask_values`` gives.
        items: the masks.
        folder: of the masks.

    Raises:
        InvalidInput: the masks hold no value that means a class.
    """
    from wsss.data.class_list import BACKGROUND, choose_classes, read_class_list
    from wsss.data.masks.mask_values import parse_names, resolve
    from wsss.data.sample import Classes
    from wsss.io.rasters.label_masks import IGNORED_NAMES

    listed = None if path is None else read_class_list(path)
    if stated is not None:
        names = parse_names(stated, where="--data.mask_values")
        own = [name for name in dict.fromkeys(names.values()) if name not in (BACKGROUND, IGNORED_NAMES[0])]
        base = listed or {name: number for number, name in enumerate(own, start=1)}
        labels = choose_classes(None, base, other="background", where=str(path or "--data.mask_values"))
        return labels.classes, resolve(names, labels, where="--data.mask_values")
    values = _values_shown(items, folder, named=path is not None)
    if listed is not None:
        return choose_classes(None, listed, other="background", where=str(path)).classes, None
    classes = (BACKGROUND, *(f"class {value}" for value in values))
    return Classes(classes, ((0,), *((value,) for value in values))), None


def _values_shown(items: Sequence[Item], folder: Path, *, named: bool) -> list[int]:
    """Return the values from 1 to 254 in the masks.

    Raises:
        InvalidInput: there is none, and 255, or no class list, says that there should be.
    """
    import numpy as np

    from wsss.io.rasters.label_masks import IGNORE, read_mask

    found = np.zeros(256, bool)
    for item in items:
        try:
            found |= np.bincount(read_mask(item.mask).ravel(), minlength=256) > 0
        except InvalidInput:  # named, and left out, when it is exported
            continue
    values = [int(value) for value in np.flatnonzero(found) if value not in (0, IGNORE)]
    if not values and found[IGNORE]:
        raise InvalidInput(
            f"{folder}: the masks hold no value but 0 and 255, and 255 means ignored: there is no class to export.",
            hint="If 255 means a class, name it: --data.mask_values '{0: background, 255: NAME}'",
        )
    if not values and not named:
        raise InvalidInput(
            f"{folder}: all pixels of the masks are 0: there is no class to export.",
            hint="Name the classes, to export masks of none of them: --classes FILE",
        )
    return values
