"""Masks to export with their classes and images: from a run, from a stage, or from any folder of masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.masks.predicted_masks import PREDICTED, read_predicted
from wsss.data.readers.find_images import images_by_id
from wsss.data.readers.registry import open_dataset, why_unavailable
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.export.export_items import Item, Masks
from wsss.export.locate_images import files_below, images_by_file, images_by_name
from wsss.export.naming import path_below
from wsss.io.files.stage_files import RUN
from wsss.pipeline.config.source import Source
from wsss.pipeline.store.run_folder import DATA, read_run
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages.common.input_masks.mask_classes import READING_KEYS, classes_of_masks, classes_of_run, stated_reading
from wsss.stages.common.input_masks.mask_folder import find_folder, mask_files
from wsss.stages.common.run_dataset import dataset_config, log_root

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.masks.predicted_masks import Predicted
    from wsss.data.sample import Sample
    from wsss.pipeline.run.progress import Reporter


NAMED_VALUES = "mask_values"
"""Key of a dataset that names mask values; also accepted for masks without a dataset, like `READING_KEYS`."""

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """Selection of masks.

    Args:
        run: a run directory, the folder of a stage, or a folder of masks.
        stage: id of a stage of the run; by default the last stage with masks.
        data: keys of the dataset config; override those of the run.
        splits: export only images of these splits.
        ids: export only these images.
        classes: a class list, for masks without a dataset.
        images: folder of the images, for masks without a dataset; for predictions, if the images were moved.
    """

    run: Path
    stage: str | None = None
    data: Source = field(default_factory=lambda: Source({}))
    splits: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    classes: Path | None = None
    images: Path | None = None


def find_masks(request: Request, *, work: Path, reporter: Reporter) -> Masks:
    """Return the selected masks, with their classes and images, if known.

    The classes are those of the dataset; without a dataset, those that `predict` recorded for a folder of images, those
    of a class list, or those of ``data.mask_values``. Otherwise each mask value is a class.

    Args:
        work: folder for generated data, if the masks belong to no run.
        reporter: logs which stage was chosen, and what is skipped.

    Raises:
        InvalidInput: there are no masks; the stage is unfinished or has none; a split, id or mask value is unknown; or
            classes or images are given although they are known.
    """
    folder, name, run = find_folder(request.run, request.stage, reporter)
    files = mask_files(folder, reporter.log)
    predicted = read_predicted(folder)
    if predicted is not None and predicted.failed:
        failed = f"{listing(predicted.failed)} (reasons in {folder / PREDICTED})"
        reporter.log(f"note: no masks for images that could not be predicted: {failed}.")
    config = dataset_config(run, request.data, folder.parent / RUN)
    if predicted is not None and predicted.files is not None and not request.data.value:
        classes, items = predicted.classes, _of_images(predicted, predicted.files, files, request, folder, run)
        return Masks(name, classes, _chosen(items, request.ids, folder))
    missing, known = _missing_dataset(request, config, folder, run)
    if missing is not None:
        _note_missing(request, missing, known, reporter.log)
    elif config.value.keys() - {NAMED_VALUES, *READING_KEYS}:
        generated = request.run / DATA if run is not None and read_run(request.run) else work
        log_root(run, request.data, reporter.log)
        data = _open_dataset(request, config, generated, reporter.log)
        items = _of_dataset(data, request, folder, reporter.log)
        return Masks(name, data.classes, _chosen(items, request.ids, folder))
    _refuse_splits(request, "no dataset is set" if missing is None else "the dataset is missing")
    if known is not None:
        _refuse_classes(request, known[1], hint="Omit --classes.")
    reading = stated_reading(config)
    alone = tuple(replace(item, reading=reading) for item in _without_dataset(request, files, folder, reporter.log))
    if known is not None:
        return Masks(name, known[0], alone)
    classes, values = classes_of_masks(request.classes, config.value.get(NAMED_VALUES), alone, folder)
    return Masks(name, classes, tuple(replace(item, mask_values=values) for item in alone))


def _of_images(
    predicted: Predicted,
    names: Mapping[str, str],
    files: Mapping[str, Path],
    request: Request,
    folder: Path,
    run: Run | None,
) -> list[Item]:
    """Return the masks of a folder of images, whose names ``images.json`` records."""
    _refuse_splits(request, "these masks were predicted from a folder of images")
    _refuse_classes(request, folder / PREDICTED, hint="Omit --classes.")
    images = _predicted_images(request.images, folder, names, run)
    return [Item(id, files[id], images.get(id), file=names.get(id), reading=predicted.reading) for id in sorted(files)]


def _predicted_images(
    moved_to: Path | None, folder: Path, names: Mapping[str, str], run: Run | None
) -> dict[str, Path]:
    """Return the predicted images: in the requested folder, otherwise in the stage's."""
    if moved_to is not None:
        return images_by_file(moved_to, names)
    config = (read_record(folder) or {}).get("config") or {}
    recorded = Path(str(config.get("images", ".")))
    started = Path(str((run or {}).get("directory", ".")))
    return files_below(started / recorded, names) or files_below(recorded, names)


def _missing_dataset(
    request: Request, config: Source, folder: Path, run: Run | None
) -> tuple[str | None, tuple[Classes, Path] | None]:
    """Return why the dataset of the run cannot be opened, and the classes that are known without it.

    ``(None, None)`` if it can be opened, if the request names another dataset, or if no classes are known: opening the
    dataset then reports the error.
    """
    missing = None if request.data.value.keys() & {"root", "layout"} else why_unavailable(config.value)
    if missing is None or run is None:
        return None, None
    run_dir = request.run if read_run(request.run) is not None else folder.resolve().parent
    known = classes_of_run(run_dir, run)
    return (None, None) if known is None and request.classes is None else (missing, known)


def _note_missing(
    request: Request, missing: str, known: tuple[Classes, Path] | None, log: Callable[[str], None]
) -> None:
    if request.data.value:
        keys = listing(f"data.{key}" for key in request.data.value)
        raise InvalidInput(
            f"no effect, because the dataset of these masks cannot be opened ({missing})",
            subject=keys,
            hint="Pass the folder of the dataset, --data.root DIR, or omit these options.",
        )
    source = f"; the classes are those of {known[1]}" if known else ""
    log(f"note: the dataset of these masks: {missing}{source}; images and splits are unknown.")


def _open_dataset(request: Request, config: Source, work: Path, log: Callable[[str], None]) -> Dataset:
    hint = "Omit --classes; use --data.classes to select or rename the classes of a dataset."
    _refuse_classes(request, "the dataset", hint=hint)
    if request.images is not None:
        moved = "set another dataset, or the new location of this one, with --data.root DIR."
        if "images" in config.value:
            moved = "if the images were moved: --data.images DIR; for another dataset: --data.root DIR."
        raise InvalidInput(
            "the images of these masks are known from the dataset",
            subject=f"--images {request.images}",
            hint=f"Omit --images; {moved}",
        )
    return open_dataset(config.value, work=work, log=log, locate=config.locate, complete=False)


def _of_dataset(data: Dataset, request: Request, folder: Path, log: Callable[[str], None]) -> list[Item]:
    """Return the masks of the images of a dataset, or of some of its splits."""
    files = mask_files(folder, log, {sample.id for sample in data.all_samples()})
    splits: dict[str, list[str]] = {}
    samples: dict[str, Sample] = {}
    for split in request.splits or data.splits:
        for sample in data.split(split) if request.splits else data.splits[split]:
            samples.setdefault(sample.id, sample)
            splits.setdefault(sample.id, []).append(split)
    # Masks of a stage have the values that wsss writes; ground truth in the folder of the dataset has its own values.
    own = read_record(folder) is None and folder.resolve().is_relative_to(data.root.resolve())
    items = [
        Item(
            id,
            files[id],
            None if id in data.missing else sample.image,
            tuple(splits[id]),
            sample.mask_values if own else None,
            _user_name(sample, data),
            reading=sample.reading,
        )
        for id, sample in samples.items()
        if id in files
    ]
    if not items:
        of = f"of split {listing(request.splits)}" if request.splits else f"of the dataset {data.name}"
        count = counted(len(samples), "image")
        raise InvalidInput(
            f"none of the {counted(len(files), 'mask')} belongs to an image {of} ({count})", subject=folder
        )
    _note_unmatched(items, files, samples, request, folder, log)
    return items


def _note_unmatched(
    items: Sequence[Item],
    files: Mapping[str, Path],
    samples: Mapping[str, Sample],
    request: Request,
    folder: Path,
    log: Callable[[str], None],
) -> None:
    """Log images without masks, missing images, and masks without images."""
    if request.splits and len(items) < len(samples):
        missing = [id for id in samples if id not in files]
        log(f"note: {folder} has no mask for {len(missing)} of {len(samples)} images: {listing(missing)}.")
    no_image = [item.id for item in items if item.image is None]
    if no_image:
        log(f"note: missing images for {len(no_image)} of {counted(len(items), 'mask')}: {listing(no_image)}.")
    unmatched = [] if request.splits else [id for id in files if id not in samples]
    if unmatched:
        count = counted(len(unmatched), "mask")
        log(f"note: {count} without an image in the dataset skipped: {listing(unmatched)}.")


def _user_name(sample: Sample, data: Dataset) -> str | None:
    """Return the path of an image relative to the folder of images; ``None`` if it is unknown or has no suffix."""
    file = path_below(sample.image, data.image_root)
    return None if file is None or without_suffix(file) == file else file


def _without_dataset(
    request: Request, files: Mapping[str, Path], folder: Path, log: Callable[[str], None]
) -> tuple[Item, ...]:
    """Return the masks of a folder, with their images if ``--images`` is given."""
    if request.images is not None and request.images.is_dir():
        files = mask_files(folder, log, images_by_id(request.images))
    items = _chosen([Item(id, files[id]) for id in sorted(files)], request.ids, folder)
    images = {} if request.images is None else images_by_name(request.images, items)
    return tuple(
        replace(item, image=images[item.id], file=path_below(images[item.id], request.images))
        if item.id in images
        else item
        for item in items
    )


def _chosen(items: Sequence[Item], ids: Sequence[str], folder: Path) -> tuple[Item, ...]:
    known = {item.id: item for item in items}
    for id in ids:
        if id not in known:
            raise InvalidInput(f"no mask of this image in {folder}", subject="--ids", found=id, allowed=known)
    return tuple(known[id] for id in dict.fromkeys(ids)) if ids else tuple(items)


def _refuse_splits(request: Request, why: str) -> None:
    if request.splits:
        raise InvalidInput(
            f"{why}, so splits are unknown",
            subject=f"--splits {','.join(request.splits)}",
            hint="Pass the dataset: --data.root DIR.",
        )


def _refuse_classes(request: Request, source: object, *, hint: str) -> None:
    if request.classes is not None:
        raise InvalidInput(
            f"the classes of these masks are known from {source}", subject=f"--classes {request.classes}", hint=hint
        )
