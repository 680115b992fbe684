"""Matching of annotated images to the images of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from wsss.data.corrections.drawing_rules import AnnotatedImage
from wsss.data.dataset import Dataset
from wsss.data.exported_names import listable_name, writable_name
from wsss.data.importers.match_images import Finder
from wsss.data.sample import Sample
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, closest, listing, together


def match_samples(
    images: Sequence[AnnotatedImage], data: Dataset, ids: Collection[str] = ()
) -> list[tuple[AnnotatedImage, Sample]]:
    """Return each annotated image with its sample.

    An image is found by the id or path that the source states, then by its name: the path of the image file, an id, a
    path compared as `wsss init` compares the names in label files, or a name that an export of `wsss` has changed.

    Args:
        ids: only these images; errors about others are not reported.

    Raises:
        InvalidInput: an image is unknown or ambiguous, or two are the same; lists all such images. Or the source has no
            image with one of ``ids``.
    """
    names = _Names(data)
    matched: dict[str, AnnotatedImage] = {}
    errors: list[InvalidInput] = []
    for image in images:
        found = names.ids_of(image)
        if len(found) == 1 and found[0] not in matched:
            matched[found[0]] = image
        elif not ids or not set(ids).isdisjoint(found):
            errors.append(_unmatched(image, found, names.samples, matched))
    if errors:
        raise together(errors, len(images), "annotated images cannot be matched")
    for id in ids:
        if id not in matched:
            raise InvalidInput(
                "no mask of this image in the source", subject="--ids", found=id, allowed=sorted(matched)
            )
    return [(image, names.samples[id]) for id, image in matched.items() if not ids or id in ids]


class _Names:
    """The names that sources of masks may use for the images of a dataset."""

    def __init__(self, data: Dataset) -> None:
        self.samples = {sample.id: sample for sample in data.all_samples()}
        self._ids = {_file(sample, data): id for id, sample in self.samples.items()}
        self._finder = Finder(list(self._ids), root=data.image_root.absolute().name if data.image_root else "")
        self._by_path: dict[str, set[str]] = defaultdict(set)
        for file, id in self._ids.items():
            self._by_path[without_suffix(file)].add(id)

    def ids_of(self, image: AnnotatedImage) -> list[str]:
        """Return the ids of the images that an annotated image may be."""
        if image.path is not None and (found := self._finder.find(image.path).files):
            return [self._ids[file] for file in found]
        if image.id is not None and image.id in self.samples:
            return [image.id]
        stem = without_suffix(image.name)
        for name in (image.name, stem):  # a.jpg.png is a mask of a.jpg, unless it is an image itself
            if name in self._ids:
                # masks are PNG files whatever the suffix of the image, so the stem may also be an id
                by_id = {stem} & self.samples.keys() if image.mask is not None and image.id is None else set()
                return sorted({self._ids[name]} | by_id)
        for name in (image.name, stem, without_suffix(stem)):
            if named := self._by_path.get(name, set()) | ({name} & self.samples.keys()):
                return sorted(named)
        if found := self._finder.find(image.name).files:
            return [self._ids[file] for file in found]
        return sorted(self._by_exported_name.get(stem, set()))

    @cached_property
    def _by_exported_name(self) -> Mapping[str, set[str]]:
        """Names that `wsss export` may write instead of a path or id that a format does not allow → ids."""
        found: dict[str, set[str]] = defaultdict(set)
        for file, id in self._ids.items():
            for name in map(writable_name, (without_suffix(file), id)):
                found[name].add(id)
                found[listable_name(name)].add(id)
        return found


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
