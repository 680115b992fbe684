"""The sampling positions of deformable samplers: arrows from the regular grid, next to the resulting class maps.

Each row is an image, each column a checkpoint: the classifier before any sampler, after expansion, after shrinkage. A
checkpoint shows its sampling positions, and the class maps that a cam stage computed from it, if any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import DamagedFile, InvalidInput
from wsss.io.files.stage_files import OFFSETS, cam_path, offsets_path
from wsss.io.rasters.offsets import Offsets, read_offsets
from wsss.io.rasters.rgb_images import read_image
from wsss.viz.report.pictures.gallery_layout import Row, Section, Tile, UnreadableImage, missing_image
from wsss.viz.report.pictures.gallery_tiles import label_names, map_tiles, tiles_or_error
from wsss.viz.report.pictures.thumbnails import Detail, data_uri, photo_uri
from wsss.viz.report.run_overview import StageRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

MAX_ARROWS = 260
"""Approximate maximum number of arrows per picture; on finer grids, only every n-th element is drawn."""

INK, HALO = "#ffe45c", "#10131a"


@dataclass(frozen=True)
class Chain:
    """Checkpoints in training order, and the images with offsets."""

    steps: tuple[StageRecord, ...]
    images: tuple[str, ...]


def sampling_sections(
    data: Dataset, records: Sequence[StageRecord], *, count: int, detail: Detail
) -> tuple[Section, ...]:
    """Return a section per chain of checkpoints with offsets; ``ranked_by`` is the name of the chain.

    Images whose photograph is missing or broken are in ``unread``.

    Args:
        count: maximum number of rows, divided among the chains.
    """
    shown = list(chains(records))[:count]
    splits = reversed(list(data.splits.items()))  # an image in several splits belongs to the first
    samples = {sample.id: (sample, split) for split, several in splits for sample in several}
    sections = []
    for index, chain in enumerate(shown):
        share = count // len(shown) + (index < count % len(shown))
        present = [samples[image] for image in chain.images if image in samples and image not in data.missing][:share]
        cam_stages = [_cam_stage_of(step, records, [sample.id for sample, _ in present]) for step in chain.steps]
        rows = [_make_row(sample, chain, cam_stages, data.classes, detail) for sample, _ in present]
        unread = [missing_image(samples[image][0]) for image in chain.images if image in data.missing & samples.keys()]
        unread += [row for row in rows if isinstance(row, UnreadableImage)]
        readable = tuple(row for row in rows if isinstance(row, Row))
        if readable or unread:
            pairs = zip(chain.steps, cam_stages, strict=True)
            columns = tuple(record.id for pair in pairs for record in pair if record is not None)
            names = ", ".join(dict.fromkeys(split for _, split in present))
            title = " → ".join(step.id for step in chain.steps)
            sections.append(Section(names, len(chain.images), title, columns, readable, tuple(unread)))
    return tuple(sections)


def chains(records: Sequence[StageRecord]) -> Iterator[Chain]:
    """Yield the chains of networks, each ending in a stage with offsets that no other such stage continues."""
    by_id = {record.id: record for record in records}
    sampled = [record for record in records if record.has_offsets]
    built_on = {need for record in sampled for need in record.needs}
    for last in sampled:
        if last.id in built_on:
            continue
        steps = [last]
        while parent := next((by_id[need] for need in steps[0].needs if need in by_id and by_id[need].has_model), None):
            if parent in steps:
                break  # a cycle in damaged records
            steps.insert(0, parent)
        images = sorted({path.stem for step in steps for path in (step.path / OFFSETS).glob("*.npz")})
        yield Chain(tuple(steps), tuple(images))


def arrows_svg(offsets: Offsets, kernel: int = 1) -> str:
    """Draw arrows from the regular positions of the taps to their sampling positions, as an SVG of the image's size.

    Args:
        offsets: offsets of one image; zero offsets are drawn as dots.
        kernel: taps per side, one feature pixel apart.
    """
    starts, ends = _arrows(offsets, kernel)
    thick = max(offsets.size) / 200
    lines, heads = [], []
    for (y, x), (down, right) in zip(starts, ends - starts, strict=True):
        length = float(np.hypot(down, right))
        if length < thick:
            continue
        uy, ux = down / length, right / length
        tip, wing = min(4.5 * thick, 0.6 * length), min(2.2 * thick, 0.35 * length)
        by, bx = y + down - uy * tip, x + right - ux * tip
        lines.append(f"M{x:.0f} {y:.0f}L{bx:.1f} {by:.1f}")
        heads.append(
            f"M{x + right:.1f} {y + down:.1f}L{bx - uy * wing:.1f} {by + ux * wing:.1f}"
            f"L{bx + uy * wing:.1f} {by - ux * wing:.1f}Z"
        )
    dots = "".join(f"M{x:.0f} {y:.0f}h0" for y, x in starts)
    shaft, point, dot = "".join(lines), "".join(heads), 2.2 * thick
    height, width = offsets.size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" fill="none" stroke-linejoin="round">'
        f'<g stroke="{HALO}" stroke-opacity=".75"><path d="{shaft}" stroke-width="{2.4 * thick:.2f}"/>'
        f'<path d="{point}" stroke-width="{1.6 * thick:.2f}"/>'
        f'<path d="{dots}" stroke-width="{dot + 1.2 * thick:.2f}" stroke-linecap="round"/></g>'
        f'<path d="{shaft}" stroke="{INK}" stroke-width="{thick:.2f}"/><path d="{point}" fill="{INK}"/>'
        f'<path d="{dots}" stroke="{INK}" stroke-width="{dot:.2f}" stroke-linecap="round"/></svg>'
    )


def _arrows(offsets: Offsets, kernel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return starts and ends ``(A, 2)`` as (row, column) in image pixels; about `MAX_ARROWS` at most."""
    taps, _, height, width = offsets.offsets.shape
    side = kernel if taps % (kernel * kernel) == 0 else 1
    # The taps of adjacent elements overlap: with one element per kernel, each position is drawn once.
    stride = side
    while taps * -(-height // stride) * -(-width // stride) > MAX_ARROWS and stride < max(height, width):
        stride += 1
    first = stride // 2
    grid = np.meshgrid(
        np.arange(min(first, height - 1), height, stride),
        np.arange(min(first, width - 1), width, stride),
        indexing="ij",
    )
    rows, columns = (axis.ravel() for axis in grid)
    starts, ends = [], []
    for tap in range(min(taps, MAX_ARROWS)):
        down, right = divmod(tap % (side * side), side)
        start = np.stack([rows + down - side // 2, columns + right - side // 2], 1).astype(np.float64)
        starts.append(start * offsets.stride + offsets.origin)
        ends.append((start + offsets.offsets[tap][:, rows, columns].T) * offsets.stride + offsets.origin)
    return np.concatenate(starts), np.concatenate(ends)


def _cam_stage_of(step: StageRecord, records: Sequence[StageRecord], images: Sequence[str]) -> StageRecord | None:
    """Return the first cam stage with maps of some of the images from this checkpoint."""
    cam_stages = (record for record in records if record.has_cams and step.id in record.needs)
    return next(
        (record for record in cam_stages if any(cam_path(record.path, image).is_file() for image in images)), None
    )


def _make_row(
    sample: Sample, chain: Chain, cam_stages: Sequence[StageRecord | None], classes: Classes, detail: Detail
) -> Row | UnreadableImage:
    """Return the row of an image: per checkpoint its sampling, and its class maps, if any."""
    try:
        image = read_image(*sample.source)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return UnreadableImage(sample.id, error.message)
    size = (image.shape[0], image.shape[1])
    cells = []
    for step, cam_stage in zip(chain.steps, cam_stages, strict=True):
        cells.append(tiles_or_error(step.id, sample, _arrow_tiles(step, chain, sample.id, size)))
        if cam_stage is not None:
            has_maps = cam_path(cam_stage.path, sample.id).is_file()
            maps = map_tiles(cam_stage, sample, classes, size, detail) if has_maps else ()
            cells.append(tiles_or_error(cam_stage.id, sample, maps))
    labels, photo = label_names(sample, classes), photo_uri(image, detail)
    return Row(sample.id, "sampling", labels, size[1], size[0], photo, tuple(cells))


def _arrow_tiles(step: StageRecord, chain: Chain, image_id: str, size: tuple[int, int]) -> Iterator[Tile]:
    """Draw the offsets of a checkpoint; without a sampler, the regular grid of the later ones."""
    path = offsets_path(step.path, image_id)
    if path.is_file():
        offsets = read_offsets(path)
        note = f"mean |offset| {np.abs(offsets.offsets).mean():.2f}"
        unit = " feature pixels"
    else:
        paths = (offsets_path(other.path, image_id) for other in chain.steps)
        later = read_offsets(next(path for path in paths if path.is_file()))
        offsets = Offsets(np.zeros_like(later.offsets[:1]), later.stride, size, later.origin)
        note, unit = "regular grid", ""
    sampler = step.config.get("sampler")
    kernel = int(sampler.get("kernel_size", 1)) if isinstance(sampler, Mapping) else 1
    svg = arrows_svg(Offsets(offsets.offsets, offsets.stride, size, offsets.origin), kernel)
    alt = f"{step.id}: sampling positions on {image_id}; {note}{unit}"
    yield Tile("offsets", step.id, note, data_uri("image/svg+xml", svg.encode()), alt)
