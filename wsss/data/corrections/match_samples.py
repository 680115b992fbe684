"""Matching of annotated images to the images of a dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from wsss.data.corrections.drawing_rules import AnnotatedImage
from wsss.data.dataset import Dataset
from wsss.data.importers.match_images import Finder
from wsss.data.sample import Sample
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, closest, listing, together


def match_samples(
    images: Sequence[AnnotatedImage], data: Dataset, ids: Collection[str] = ()
) -> list[tuple[AnnotatedImage, Sample]]:
    """Return each annotated image with its sample.

    An image is found by the id or path that the source states, then by its name: an id, or the path of the image file,
    compared as `wsss init` compares the names in label files.

    Args:
        ids: only these images; errors about others are not reported.

    Raises:
        InvalidInput: an image is unknown or ambiguous, or two are the same; lists all such images. Or there is no image
            of an id.
    """
    samples = {sample.id: sample for split in data.splits.values() for sample in split}
    files = {_file(sample, data): sample for sample in samples.values()}
    finder = Finder(list(files), root=data.image_root.absolute().name if data.image_root else "")
    matched: dict[str, AnnotatedImage] = {}
    errors: list[InvalidInput] = []
    for image in images:
        found = _sample_ids(image, samples, files, finder)
        if len(found) == 1 and found[0] not in matched:
            matched[found[0]] = image
        elif not ids or not set(ids).isdisjoint(found):
            errors.append(_unmatched(image, found, samples, matched))
    if errors:
        raise together(errors, len(images), "annotated images cannot be matched")
    for id in ids:
        if id not in matched:
            raise InvalidInput(
                "no mask of this image in the source", subject="--ids", found=id, allowed=sorted(matched)
            )
    return [(image, samples[id]) for id, image in matched.items() if not ids or id in ids]


def _sample_ids(
    image: AnnotatedImage, samples: Mapping[str, Sample], files: Mapping[str, Sample], finder: Finder
) -> list[str]:
    """Return the ids of the images that an annotated image may be."""
    if image.path is not None and (found := finder.find(image.path).files):
        return [files[file].id for file in found]
    stem = without_suffix(image.name)
    for name in (image.id, image.name, stem, without_suffix(stem)):  # a.jpg.png is a mask of a.jpg
        if name is not None and name in samples:
            return [name]
    return [files[file].id for file in finder.find(image.name).files]


def _unmatched(
    image: AnnotatedImage, found: Sequence[str], samples: Mapping[str, Sample], matched: Mapping[str, AnnotatedImage]
) -> InvalidInput:
    if len(found) == 1:
        problem = f"the image {found[0]!r} has two masks; the other one: {matched[found[0]].where}"
        return InvalidInput(problem, subject=image.where)
    if found:
        return InvalidInput(f"{image.name!r} matches several images: {listing(found)}", subject=image.where)
    near = closest(without_suffix(image.name), samples).replace("; did", " Did")
    problem = f"unknown image {image.name!r}: the dataset has no such image.{near}"
    return InvalidInput(problem, subject=image.where)


def _file(sample: Sample, data: Dataset) -> str:
    """Return the path of an image relative to the folder of images, or its id with its suffix."""
    if data.image_root is not None and sample.image.is_relative_to(data.image_root):
        return sample.image.relative_to(data.image_root).as_posix()
    return sample.id + sample.image.suffix
