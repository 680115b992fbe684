from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import coloured_dataset, contents
from walls import WALL_CLASSES, walls

from wsss.data.answers.answer_rows import HEADER, Answer, Item, answer_line
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.data.tiles.tile_folder import draw_tile_folder
from wsss.data.tiles.tile_table import Tile, read_tiles, write_tables
from wsss.data.tiles.tiling import Counts, TilesConfig, colour_statistics, draw_tiles, tiles_per_image
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.rasters.rgb_images import read_image, write_png


def draw(data: Dataset, out: Path, seed: int = 0, **config: Any) -> tuple[dict[str, Any], list[Tile]]:
    drawn = draw_tiles(
        data.split("train"),
        out,
        classes=data.classes,
        config=TilesConfig(**config),
        split="train",
        seed=seed,
        each=lambda work, items, description: [work(item) for item in items],
    )
    return drawn, read_tiles(out, data.classes)


def pixels_of(data: Dataset, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    sample = next(split for split in data.split("train") if split.id == tile.image)
    place = slice(tile.row, tile.row + tile.size), slice(tile.column, tile.column + tile.size)
    return read_image(sample.image)[place], read_sample_mask(sample, data.classes)[place]


@pytest.mark.parametrize(("size", "least"), [(6, 0.05), (9, 0.3)])
def test_labels_match_counted_pixels(tmp_path: Path, size: int, least: float) -> None:
    data = coloured_dataset(tmp_path / "data")
    drawn, tiles = draw(data, tmp_path / "tiles", count=60, size=size, min_class_fraction=least)
    for tile in tiles:
        image, mask = pixels_of(data, tile)
        shares = {index: float((mask == index).mean()) for index in (1, 2)}
        assert tile.labels == tuple(index for index, share in shares.items() if share >= least)
        assert all(share == 0 or share >= least for share in shares.values())  # no doubtful tiles
        np.testing.assert_array_equal(read_image(tile.path(tmp_path / "tiles")), image)
    assert len({(tile.image, tile.row, tile.column) for tile in tiles}) == drawn["tiles"] == 60
    assert drawn["without_any_class"] == sum(not tile.labels for tile in tiles) == 30


def test_images_have_equal_numbers_of_tiles(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")
    _, tiles = draw(data, tmp_path / "tiles", count=26, size=6, negative_fraction=0.25)
    counts = Counter(tile.image for tile in tiles)
    assert set(counts) == {"w0", "w1", "w2", "w3"} and max(counts.values()) - min(counts.values()) <= 2
    assert sum(not tile.labels for tile in tiles) == 6


def test_other_images_make_up_for_images_with_few_positions() -> None:
    possible = [Counts(1, 100), Counts(50, 0), Counts(50, 3)]
    quotas = tiles_per_image(possible, TilesConfig(count=20), seed=0)
    assert sum(quota.negative for quota in quotas) == sum(quota.positive for quota in quotas) == 10
    assert quotas[0].negative == 1 and quotas[1].positive == 0 and quotas[2].positive == 3
    with pytest.raises(InvalidInput) as error:
        tiles_per_image(possible, TilesConfig(count=250, negative_fraction=0.4), seed=0)
    assert error.value.found == 103


def test_tiles_on_ignored_pixels_are_not_drawn(tmp_path: Path) -> None:
    data = walls(tmp_path / "data", count=1)
    sample = data.split("train")[0]
    assert sample.mask is not None
    mask = read_sample_mask(sample, data.classes)
    mask[:, 40:] = 255
    write_mask(sample.mask, mask)
    _, tiles = draw(data, tmp_path / "tiles", count=40, size=6)
    assert max(tile.column for tile in tiles) + 6 <= 40


@pytest.mark.slow
def test_noise_inverts_a_fraction_of_the_labels(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")
    _, clean = draw(data, tmp_path / "clean", count=400, size=5)
    drawn, noisy = draw(data, tmp_path / "noisy", count=400, size=5, label_noise=0.25)
    wrong = 0
    for tile in noisy:
        _, mask = pixels_of(data, tile)
        wrong += (1 in tile.labels) != bool(mask.any())
    assert all((1 in tile.labels) == bool(pixels_of(data, tile)[1].any()) for tile in clean)
    assert 70 <= wrong <= 130  # four standard deviations around 100
    assert drawn["label_noise"] == 0.25


def test_the_seed_decides_the_tiles(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")
    draw(data, tmp_path / "a", count=12, size=6, seed=5)
    draw(data, tmp_path / "b", count=12, size=6, seed=5)
    draw(data, tmp_path / "c", count=12, size=6, seed=6)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_the_colour_statistics_are_those_of_the_whole_image(tmp_path: Path) -> None:
    data = walls(tmp_path / "data", count=1)
    _, tiles = draw(data, tmp_path / "tiles", count=2, size=6)
    pixels = read_image(data.split("train")[0].image).reshape(-1, 3) / 255
    for tile in tiles:
        np.testing.assert_allclose(tile.mean, pixels.mean(0), rtol=1e-8)
        np.testing.assert_allclose(tile.std, np.sqrt(((pixels - pixels.mean(0)) ** 2).mean(0)), rtol=1e-8)
    assert colour_statistics(np.full((2, 2, 3), 51, np.uint8)) == (pytest.approx((0.2,) * 3), pytest.approx((0.0,) * 3))


def test_a_folder_of_tiles_is_a_dataset_without_masks(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")
    _, tiles = draw(data, tmp_path / "tiles", count=10, size=6)
    names = {path.name for path in (tmp_path / "tiles").iterdir()}
    assert names == {"images", "labels.csv", "classes.txt", "tiles.csv", "tiles.json"}
    read = open_dataset({"root": tmp_path / "tiles"}, work=tmp_path / "work")
    assert {sample.id: sample.labels for sample in read.split("train")} == {tile.id: tile.labels for tile in tiles}
    assert read.classes.names == WALL_CLASSES.names and all(sample.mask is None for sample in read.split("train"))


SPACED = Classes(("background", "brick", "brick wall", "wall", "old|new"), tuple((value,) for value in range(5)))


@pytest.mark.parametrize("labels", [(), (1,), (2,), (3,), (1, 3), (1, 2), (2, 3), (1, 2, 3), (4,), (2, 4)])
def test_class_names_with_spaces_are_read_back(tmp_path: Path, labels: tuple[int, ...]) -> None:
    written = Tile("w0", 3, 4, 6, labels, (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))
    write_png(written.path(tmp_path), np.zeros((6, 6, 3), np.uint8))
    write_tables(tmp_path, [written], classes=SPACED, drawn={})
    assert read_tiles(tmp_path, SPACED) == [written]
    read = open_dataset({"root": tmp_path}, work=tmp_path / "work")
    assert [sample.labels for sample in read.split("train")] == [labels] and read.classes.names == SPACED.names


@pytest.mark.parametrize(
    ("cell", "labels"),
    [("wall", (3,)), ("wall brick", (1, 3)), ("brick wall", None), ("old|new wall", (3, 4)), ("brick wall moss", None)],
)
def test_tables_of_earlier_versions(tmp_path: Path, cell: str, labels: tuple[int, ...] | None) -> None:
    """All names were separated by spaces."""
    written = Tile("w0", 3, 4, 6, (3,), (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))
    write_png(written.path(tmp_path), np.zeros((6, 6, 3), np.uint8))
    write_tables(tmp_path, [written], classes=SPACED, drawn={})
    table = tmp_path / "tiles.csv"
    table.write_text(table.read_text().replace("wall;", cell))
    if labels is None:
        with pytest.raises(InvalidInput):
            read_tiles(tmp_path, SPACED)
    else:
        assert read_tiles(tmp_path, SPACED)[0].labels == labels
    two = Classes(("background", "brick wall", "moss"), ((0,), (1,), (2,)))
    if cell == "brick wall moss":  # the only reading without a class "brick"
        assert read_tiles(tmp_path, two)[0].labels == (1, 2)


def test_names_without_spaces_are_separated_by_spaces(tmp_path: Path) -> None:
    classes = Classes(("background", "mortar", "moss"), ((0,), (1,), (2,)))
    tiles = [Tile("w0", row, 0, 6, labels, (0.5,) * 3, (0.1,) * 3) for row, labels in enumerate([(1,), (1, 2), ()])]
    write_tables(tmp_path, tiles, classes=classes, drawn={})
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["labels", "mortar", "mortar moss", ""]


def test_invalid_tables(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")
    _, tiles = draw(data, tmp_path / "tiles", count=4, size=6)
    table = tmp_path / "tiles" / "tiles.csv"
    text = table.read_text()
    for invalid, words in (
        (text.replace("mortar", "plaster"), "plaster"),
        (text.replace(",w0,", ",../w0,"), "../w0"),
        (text.replace("mean_red", "red"), "mean_red"),
        (text.splitlines()[0], str(table)),
    ):
        table.write_text(invalid)
        with pytest.raises(InvalidInput) as error:
            read_tiles(tmp_path / "tiles", data.classes)
        assert words in error.value.message
    table.write_text(text)
    tiles[0].path(tmp_path / "tiles").unlink()
    for folder, subject in ((tmp_path / "tiles", tmp_path / "tiles"), (tmp_path, tmp_path / "tiles.csv")):
        with pytest.raises(InvalidInput) as error:
            read_tiles(folder, data.classes)
        assert error.value.subject == str(subject)


def test_a_folder_with_other_files_is_not_changed(tmp_path: Path) -> None:
    data = walls(tmp_path / "data")

    def start(total: int) -> Any:
        return lambda steps: None

    def into(out: Path, **config: Any) -> dict[str, Any]:
        return draw_tile_folder(out, data, config=TilesConfig(**config), split="train", seed=0, start=start)

    first = into(tmp_path / "out", count=4, size=6)
    before = contents(tmp_path / "out")
    assert into(tmp_path / "out", count=4, size=6) == first and contents(tmp_path / "out") == before
    for folder, count in (("out", 6), ("data", 4)):
        with pytest.raises(InvalidInput) as error:
            into(tmp_path / folder, count=count, size=6)
        assert error.value.subject == str(tmp_path / folder)
    assert contents(tmp_path / "out") == before
    assert json.loads((tmp_path / "out" / "tiles.json").read_text())["tiles"] == 4


def test_tiles_of_other_data_are_not_mixed(tmp_path: Path) -> None:
    """Tiles of an earlier call were kept if they had the same ids, beside the tables of this one."""
    data, out = walls(tmp_path / "data"), tmp_path / "out"
    sample, other = data.split("train")[:2]
    assert sample.mask is not None and other.mask is not None
    answers = tmp_path / "answers.csv"
    item = Item("w0", 1, 1, 6)
    answers.write_text(HEADER + answer_line(Answer(item, "mortar", "yes", "annotator-1", "2026-11-29T10:00:00Z")))

    def into(dataset: Dataset, config: dict[str, Any]) -> None:
        settings = TilesConfig(**config)
        draw_tile_folder(out, dataset, config=settings, split="train", seed=0, start=lambda total: lambda steps: None)

    def refused(dataset: Dataset, config: dict[str, Any]) -> Any:
        before = contents(out)
        with pytest.raises(InvalidInput) as error:
            into(dataset, config)
        assert error.value.subject == str(out) and contents(out) == before
        return error.value.found

    drawn, answered = {"count": 4, "size": 6}, {"answers": answers}
    for config in (drawn, answered):
        shutil.rmtree(out, ignore_errors=True)
        into(data, config)
        assert refused(data.read_with(Reading(scaling="full")), config) == "images"
        fewer = Dataset(data.name, data.root, data.classes, {"train": data.split("train")[:3]})
        assert "images" in refused(fewer, config)
        kept = sample.image.read_bytes()
        shutil.copyfile(other.image, sample.image)
        assert refused(data, config) == "images"
        sample.image.write_bytes(kept)
        into(data, config)
    shutil.rmtree(out)
    into(data, drawn)
    shutil.copyfile(other.mask, sample.mask)
    assert refused(data, drawn) == "masks"
    assert refused(data, {"count": 6, "size": 6}) == "count, masks"


def test_images_smaller_than_a_tile_have_no_positions(tmp_path: Path) -> None:
    data = walls(tmp_path / "data", count=2)
    with pytest.raises(InvalidInput) as error:
        draw(data, tmp_path / "tiles", count=4, size=200)
    assert error.value.found == 0


def test_a_sample_without_a_mask_is_refused(tmp_path: Path) -> None:
    data = walls(tmp_path / "data", count=1)
    bare = tuple(Sample(split.id, split.image, split.labels) for split in data.split("train"))
    with pytest.raises(InvalidInput):
        draw(Dataset(data.name, data.root, data.classes, {"train": bare}), tmp_path / "tiles", count=2, size=6)
