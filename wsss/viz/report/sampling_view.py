"""Where a sampler looks: arrows from the regular grid to the sampled points, beside the maps that come of it.

A row is an image, a column is a checkpoint: the classifier before any sampler, after expansion, after shrinkage. Each
shows the sampling of that checkpoint, and the class maps made from it where a cam stage made some.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.artifacts import read_maps
from wsss.errors import DamagedFile, InvalidInput
from wsss.io.files.stage_files import cam_path, offsets_path
from wsss.io.rasters.offsets import Offsets, read_offsets
from wsss.io.rasters.rgb_images import read_image
from wsss.viz.report.gallery import Row, Section, Tile, Unread, missing_image
from wsss.viz.report.run_overview import StageRecord
from wsss.viz.report.thumbnails import Detail, heat_uri, photo_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Classes, Dataset, Sample

MOST_ARROWS = 260
"""More can't be told apart in a thumbnail; of a finer grid every n-th element is drawn."""

INK, HALO = "#ffe45c", "#10131a"


@dataclass(frozen=True)
class Chain:
    """Checkpoints in the order of their training; the last one has offsets that no later one builds on."""

    steps: tuple[StageRecord, ...]
    images: tuple[str, ...]


def sampling_sections(
    data: Dataset, records: Sequence[StageRecord], *, count: int, detail: Detail
) -> tuple[Section, ...]:
    """Return a section per chain of checkpoints with offsets, ``count`` rows in all; ``ranked_by`` names the chain.

    Images whose photograph is missing or broken are in ``unread``.

    Args:
        data: the dataset.
        records: the stages in pipeline order.
        count: how many rows, at most, shared out over the chains.
        detail: how fine the pictures are.
    """
    found = list(chains(records))[:count]
    splits = reversed(list(data.splits.items()))  # of several splits with one image the first is named
    samples = {sample.id: (sample, split) for split, several in splits for sample in several}
    sections = []
    for place, chain in enumerate(found):
        share = count // len(found) + (place < count % len(found))
        there = [one for one in chain.images if one in samples and one not in data.missing]
        known = [samples[one] for one in there][:share]
        makers = [_maker(step, records, [sample.id for sample, _ in known]) for step in chain.steps]
        made = [_row_or_why(sample, chain, makers, data.classes, detail) for sample, _ in known]
        unread = [missing_image(samples[one][0]) for one in chain.images if one in data.missing & samples.keys()]
        unread += [one for one in made if isinstance(one, Unread)]
        rows = tuple(one for one in made if isinstance(one, Row))
        if rows or unread:
            pairs = zip(chain.steps, makers, strict=True)
            columns = tuple(one.id for pair in pairs for one in pair if one is not None)
            named = ", ".join(dict.fromkeys(split for _, split in known))
            chained = " → ".join(step.id for step in chain.steps)
            sections.append(Section(named, len(chain.images), chained, columns, rows, tuple(unread)))
    return tuple(sections)


def _maker(step: StageRecord, records: Sequence[StageRecord], images: Sequence[str]) -> StageRecord | None:
    """Return the first cam stage that made maps of some of the images from this checkpoint."""
    makers = (record for record in records if record.has_cams and step.id in record.needs)
    return next((one for one in makers if any(cam_path(one.path, image).is_file() for image in images)), None)


def chains(records: Sequence[StageRecord]) -> Iterator[Chain]:
    """Yield the chains of networks that end in a stage with offsets on which no other such stage builds."""
    by_id = {record.id: record for record in records}
    sampled = [record for record in records if record.has_offsets]
    built_on = {need for record in sampled for need in record.needs}
    for last in sampled:
        if last.id in built_on:
            continue
        steps = [last]
        while parent := next((by_id[need] for need in steps[0].needs if need in by_id and by_id[need].has_model), None):
            if parent in steps:
                break  # a circle can't come from the engine; don't hang on one
            steps.insert(0, parent)
        images = sorted({path.stem for step in steps for path in (step.path / "offsets").glob("*.npz")})
        yield Chain(tuple(steps), tuple(images))


def arrows_svg(offsets: Offsets, kernel: int = 1) -> str:
    """Draw arrows from the regular places of the taps to where they sample, as an SVG of the image's size.

    Args:
        offsets: of one image. Where all are 0 the grid alone is drawn.
        kernel: taps per side; those of a kernel stand one feature pixel apart.
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
    shaft, point, grid = "".join(lines), "".join(heads), 2.2 * thick
    return _svg(
        offsets.size,
        f'<g stroke="{HALO}" stroke-opacity=".75"><path d="{shaft}" stroke-width="{2.4 * thick:.2f}"/>'
        f'<path d="{point}" stroke-width="{1.6 * thick:.2f}"/>'
        f'<path d="{dots}" stroke-width="{grid + 1.2 * thick:.2f}" stroke-linecap="round"/></g>'
        f'<path d="{shaft}" stroke="{INK}" stroke-width="{thick:.2f}"/><path d="{point}" fill="{INK}"/>'
        f'<path d="{dots}" stroke="{INK}" stroke-width="{grid:.2f}" stroke-linecap="round"/>',
    )


def _arrows(offsets: Offsets, kernel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return starts and ends ``(A, 2)`` as (row, column) in image pixels; about `MOST_ARROWS` at most."""
    taps, _, height, width = offsets.offsets.shape
    side = kernel if taps % (kernel * kernel) == 0 else 1
    # Neighbouring elements share the places of their taps: one element per kernel draws each place once.
    apart = side
    while taps * -(-height // apart) * -(-width // apart) > MOST_ARROWS and apart < max(height, width):
        apart += 1
    first = apart // 2
    grid = np.meshgrid(
        np.arange(min(first, height - 1), height, apart), np.arange(min(first, width - 1), width, apart), indexing="ij"
    )
    rows, columns = (one.ravel() for one in grid)
    starts, ends = [], []
    for tap in range(min(taps, MOST_ARROWS)):
        down, right = divmod(tap % (side * side), side)
        start = np.stack([rows + down - side // 2, columns + right - side // 2], 1).astype(np.float64)
        starts.append(start * offsets.stride)
        ends.append((start + offsets.offsets[tap][:, rows, columns].T) * offsets.stride)
    return np.concatenate(starts), np.concatenate(ends)


def _row_or_why(
    sample: Sample, chain: Chain, makers: Sequence[StageRecord | None], classes: Classes, detail: Detail
) -> Row | Unread:
    """Return an image's row; a photograph that is broken or gone costs its row, and not the whole report."""
    try:
        return _row(sample, chain, makers, classes, detail)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return Unread(sample.id, error.message)


def _row(sample: Sample, chain: Chain, makers: Sequence[StageRecord | None], classes: Classes, detail: Detail) -> Row:
    """Return an image's row: per checkpoint its sampling, and the maps of its maker where it has one."""
    image = read_image(sample.image)
    size = (image.shape[0], image.shape[1])
    cells = []
    for step, maker in zip(chain.steps, makers, strict=True):
        cells.append(_or_why(step, sample.id, size, partial(_arrow_tiles, step, chain, sample.id, size)))
        if maker is not None:
            cells.append(_or_why(maker, sample.id, size, partial(_map_tiles, maker, sample, classes, size, detail)))
    labels = None if sample.labels is None else tuple(classes.names[index] for index in sample.labels)
    return Row(sample.id, "sampling", labels, size[1], size[0], photo_uri(image, detail), tuple(cells))


def _or_why(
    record: StageRecord, image_id: str, size: tuple[int, int], make: Callable[[], Iterator[Tile]]
) -> tuple[Tile, ...]:
    """Return the tiles of one picture; a broken file is said in its place, and doesn't cost the whole report."""
    try:
        return tuple(make())
    except DamagedFile:
        raise
    except InvalidInput as error:
        why = f"can't be shown: {error.message}"
        return (Tile("offsets", record.id, why, _uri(_svg(size, "")), f"{record.id} of {image_id} {why}"),)


def _arrow_tiles(step: StageRecord, chain: Chain, image_id: str, size: tuple[int, int]) -> Iterator[Tile]:
    """Draw the checkpoint's own offsets; one without a sampler has the regular grid of those after it."""
    path = offsets_path(step.path, image_id)
    if path.is_file():
        offsets = read_offsets(path)
        note = f"mean |offset| {np.abs(offsets.offsets).mean():.2f}"
        unit = " feature pixels"
    else:
        paths = (offsets_path(other.path, image_id) for other in chain.steps)
        later = read_offsets(next(path for path in paths if path.is_file()))
        offsets = Offsets(np.zeros_like(later.offsets[:1]), later.stride, size)
        note, unit = "regular grid", ""
    sampler = step.config.get("sampler")
    kernel = int(sampler.get("kernel_size", 1)) if isinstance(sampler, Mapping) else 1
    svg = arrows_svg(Offsets(offsets.offsets, offsets.stride, size), kernel)
    yield Tile("offsets", step.id, note, _uri(svg), f"{step.id}: where it samples {image_id}; {note}{unit}")


def _map_tiles(
    maker: StageRecord, sample: Sample, classes: Classes, size: tuple[int, int], detail: Detail
) -> Iterator[Tile]:
    if not cam_path(maker.path, sample.id).is_file():
        return
    cams = read_maps(maker.path, sample, classes, size=size)
    for index, values in zip(cams.classes, cams.maps, strict=True):
        name = classes.names[index]
        alt = f"{maker.id}: heat map of {name} on {sample.id}, {np.mean(values >= 0.5):.0%} of it above 0.5"
        yield Tile("heat", maker.id, name, heat_uri(values, size, detail), alt)


def _svg(size: tuple[int, int], content: str) -> str:
    height, width = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" fill="none" stroke-linejoin="round">{content}</svg>'
    )


def _uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
