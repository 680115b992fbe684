"""GeoTIFF and GeoJSON: georeference, values, holes, scaled masks, and images without a georeference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inprocess import refused, succeed
from PIL import Image

from wsss.data.classes import Classes
from wsss.data.corrections.formats.outline_files import read_files
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.export.geo.georeference import Georeference
from wsss.io.rasters.label_masks import voc_palette, write_mask
from wsss.io.rasters.pixel_values import stored_pixels
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.rasters.rgb_images import read_image, write_png

rasterio = pytest.importorskip("rasterio")

CLASSES = Classes(("background", "field", "lake"), ((0,), (3,), (8,)))
UTM = "EPSG:32633"
NORTH_UP = rasterio.Affine(10, 0, 389_000, 0, -10, 5_820_000)
"""Pixels of 10 m near Berlin."""

TURNED = NORTH_UP * rasterio.Affine.rotation(30)


def mask_of_regions() -> np.ndarray:
    """Two classes: a square with a hole that holds a pixel, two pixels that touch at a corner; and ignored pixels."""
    mask = np.zeros((30, 40), np.uint8)
    mask[4:14, 5:17] = 1
    mask[6:12, 7:13] = 0
    mask[8, 9] = 1
    mask[20, 20] = mask[21, 21] = 2
    mask[25:28, 30:36] = 2
    mask[0, :5] = 255
    return mask


def geotiff(path: Path, size: tuple[int, int] = (30, 40), **profile: Any) -> Path:
    settings = {"crs": UTM, "transform": NORTH_UP, "count": 3, "dtype": "uint8", **profile}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", height=size[0], width=size[1], **settings):
        return path


def masks_of(folder: Path, *images: Path, mask: np.ndarray | None = None, reading: Reading | None = None) -> Masks:
    """Return a mask per image."""
    values = CLASSES.decode(mask_of_regions() if mask is None else mask)
    items = []
    for image in images:
        write_mask(folder / "masks" / f"{image.stem}.png", values)
        items.append(Item(image.stem, folder / "masks" / f"{image.stem}.png", image, file=image.name))
        if reading is not None:
            items[-1] = Item(**{**vars(items[-1]), "reading": reading})
    return Masks("m", CLASSES, tuple(items))


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north-up", "turned"])
def test_geotiff(transform: Any, tmp_path: Path) -> None:
    image = geotiff(tmp_path / "i" / "a.tif", transform=transform)
    written = export_masks(masks_of(tmp_path, image), "geotiff", Options(), tmp_path / "o")
    assert written["images"] == 1 and "failed" not in written
    with rasterio.open(tmp_path / "o" / "a.tif") as data, rasterio.open(image) as source:
        assert data.crs == source.crs == rasterio.crs.CRS.from_string(UTM)
        assert data.transform == source.transform and data.bounds == source.bounds
        assert (data.dtypes, data.nodata, data.compression.name) == (("uint8",), 255, "deflate")
        assert np.array_equal(data.read(1), np.array([0, 3, 8] + [255] * 253)[mask_of_regions()])
        assert data.colormap(1)[8][:3] == tuple(voc_palette()[8].tolist())
        assert {key: name for key, name in data.tags(1).items() if key.startswith("CLASS")} == {
            "CLASS_0": "background",
            "CLASS_3": "field",
            "CLASS_8": "lake",
        }
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["a.tif", "export.json"]
    with Image.open(tmp_path / "o" / "a.tif") as opened:
        assert opened.mode == "P"


def test_masks_of_another_size(tmp_path: Path) -> None:
    image = geotiff(tmp_path / "i" / "a.tif", (60, 80))
    export_masks(masks_of(tmp_path, image), "geotiff", Options(), tmp_path / "o")
    with rasterio.open(tmp_path / "o" / "a.tif") as data, rasterio.open(image) as source:
        assert (data.height, data.width) == (30, 40)
        assert data.bounds == source.bounds and data.res == (20, 20)
    image = geotiff(tmp_path / "i" / "b.tif", (31, 60))
    with pytest.raises(InvalidInput) as error:
        export_masks(masks_of(tmp_path, image), "geotiff", Options(), tmp_path / "p")
    assert error.value.found == "40×30" and "60×31" in str(error.value.allowed)
    assert not (tmp_path / "p").exists()


def features_of(path: Path) -> dict[str, dict[str, Any]]:
    document = json.loads(path.read_text())
    assert document["type"] == "FeatureCollection" and "crs" not in document
    return {feature["properties"]["class"]: feature for feature in document["features"]}


def back_in_metres(geometry: dict[str, Any]) -> list[list[np.ndarray]]:
    """Project rings back by another function of rasterio than the export uses."""
    from rasterio.warp import transform_geom

    projected = transform_geom("EPSG:4326", UTM, geometry)
    return [[np.array(ring) for ring in rings] for rings in projected["coordinates"]]


def shoelace(ring: np.ndarray) -> float:
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north-up", "turned"])
def test_geojson(transform: Any, tmp_path: Path) -> None:
    image = geotiff(tmp_path / "i" / "a.tif", transform=transform)
    written = export_masks(masks_of(tmp_path, image), "geojson", Options(tolerance=0), tmp_path / "o")
    features = features_of(tmp_path / "o" / "a.geojson")
    mask = mask_of_regions()
    assert set(features) == {"field", "lake", "ignore"} and written["corners"] == 8 + 4 + 4 * 3 + 4
    for name, index in (("field", 1), ("lake", 2), ("ignore", 255)):
        properties, geometry = features[name]["properties"], features[name]["geometry"]
        assert geometry["type"] == "MultiPolygon"
        assert properties["image_id"] == "a" and properties["pixels"] == (mask == index).sum()
        polygons = back_in_metres(geometry)
        degrees = [[np.array(ring) for ring in rings] for rings in geometry["coordinates"]]
        for outer, *holes in degrees:
            assert np.array_equal(outer[0], outer[-1])
            assert shoelace(outer) > 0 and all(shoelace(hole) < 0 for hole in holes)
            assert (np.abs(outer - [13.37, 52.52]) < 0.02).all()  # longitude first
        area = sum(shoelace(ring) for rings in polygons for ring in rings)
        np.testing.assert_allclose(abs(area), (mask == index).sum() * 100, rtol=1e-5)  # 10 m × 10 m
    assert [len(rings) for rings in features["field"]["geometry"]["coordinates"]] == [2, 1]
    assert len(features["lake"]["geometry"]["coordinates"]) == 3


def test_geojson_is_rasterised_to_the_mask(tmp_path: Path) -> None:
    """GDAL burns the polygons, projected back, into the grid of the image."""
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    image = geotiff(tmp_path / "i" / "a.tif")
    export_masks(masks_of(tmp_path, image), "geojson", Options(tolerance=0, components=True), tmp_path / "o")
    document = json.loads((tmp_path / "o" / "a.geojson").read_text())
    shapes = [
        (transform_geom("EPSG:4326", UTM, one["geometry"]), one["properties"]["value"]) for one in document["features"]
    ]
    assert len(shapes) == 5  # lake: the pixels that touch at a corner are one region
    burnt = rasterize(shapes, out_shape=(30, 40), transform=NORTH_UP, dtype="uint8")
    assert np.array_equal(burnt, CLASSES.decode(mask_of_regions()))
    assert document["georeference"] == {"crs": UTM, "transform": list(NORTH_UP)[:6]}
    with pytest.raises(InvalidInput) as error:
        list(read_files([tmp_path / "o" / "a.geojson"]))
    assert "not pixels" in error.value.problem


@pytest.mark.parametrize("format_name", ["geotiff", "geojson"])
def test_images_without_a_georeference(format_name: str, tmp_path: Path) -> None:
    good = geotiff(tmp_path / "i" / "good.tif")
    plain = tmp_path / "i" / "plain.tif"
    Image.new("RGB", (40, 30)).save(plain)
    photograph = tmp_path / "i" / "photograph.png"
    write_png(photograph, np.zeros((30, 40, 3), np.uint8))
    all_masks = masks_of(tmp_path, good, plain, photograph)
    written = export_masks(all_masks, format_name, Options(), tmp_path / "o", workers=2)
    assert set(written["failed"]) == {"plain", "photograph"} and written["images"] == 1
    assert "no georeference" in written["failed"]["plain"] and "not a GeoTIFF" in written["failed"]["photograph"]
    with pytest.raises(InvalidInput) as error:
        export_masks(masks_of(tmp_path, plain), format_name, Options(), tmp_path / "p")
    assert error.value.subject == str(plain) and not (tmp_path / "p").exists()


def test_geojson_needs_a_reference_system(tmp_path: Path) -> None:
    image = geotiff(tmp_path / "i" / "a.tif", crs=None)
    export_masks(masks_of(tmp_path, image), "geotiff", Options(), tmp_path / "o")
    with rasterio.open(tmp_path / "o" / "a.tif") as data:
        assert data.crs is None and data.transform == NORTH_UP
    with pytest.raises(InvalidInput) as error:
        export_masks(masks_of(tmp_path, image), "geojson", Options(), tmp_path / "p")
    assert "coordinate reference system" in error.value.problem
    local = rasterio.crs.CRS.from_wkt('LOCAL_CS["hall",UNIT["metre",1]]')
    for crs, corner in ((local, 0.0), (rasterio.crs.CRS.from_string(UTM), 1e30)):
        with pytest.raises(InvalidInput) as error:
            Georeference(crs, (1, 0, corner, 0, 1, 0)).in_degrees(np.array([[1.0, 2.0], [3.0, 4.0]]), subject="a.tif")
        assert error.value.subject == "a.tif"


def test_the_antimeridian(tmp_path: Path) -> None:
    transform = rasterio.Affine(0.1, 0, 178, 0, -0.1, 10)
    image = geotiff(tmp_path / "i" / "a.tif", crs="EPSG:3832", transform=rasterio.Affine(9e4, 0, 2e6, 0, -9e4, 1e6))
    with pytest.raises(InvalidInput) as error:  # a Mercator projection around 150° east
        export_masks(masks_of(tmp_path, image), "geojson", Options(), tmp_path / "o")
    assert "antimeridian" in error.value.problem
    image = geotiff(tmp_path / "i" / "b.tif", crs="EPSG:4326", transform=transform)
    mask = mask_of_regions()
    mask[:, 20:] = 0  # up to 180°
    export_masks(masks_of(tmp_path, image, mask=mask), "geojson", Options(tolerance=0), tmp_path / "o")
    (ring, *_), *_ = features_of(tmp_path / "o" / "b.geojson")["field"]["geometry"]["coordinates"]
    assert np.array(ring).max(0).round(9).tolist() == [179.7, 9.6]


def exported_ring(folder: Path, mask: np.ndarray, crs: str, transform: Any) -> np.ndarray:
    """Return the outer ring of the only polygon of a mask in GeoJSON."""
    image = geotiff(folder / "i" / "a.tif", mask.shape, crs=crs, transform=transform)
    export_masks(masks_of(folder, image, mask=mask), "geojson", Options(tolerance=0), folder / "o")
    [feature] = features_of(folder / "o" / "a.geojson").values()
    [[ring]] = feature["geometry"]["coordinates"]
    return np.array(ring)


@pytest.mark.parametrize(
    ("first", "longitudes"), [(0, (20, 60)), (180, (-160, -120)), (360, (20, 60)), (-180, (-160, -120))]
)
def test_longitudes_from_0_to_360(first: float, longitudes: tuple[float, float], tmp_path: Path) -> None:
    """Grids of climate and ocean data begin at Greenwich; GeoJSON ends at the antimeridian."""
    mask = np.zeros((18, 36), np.uint8)
    mask[4:8, 2:6] = 1
    ring = exported_ring(tmp_path, mask, "EPSG:4326", rasterio.Affine(10, 0, first, 0, -10, 90))
    assert (ring[:, 0].min(), ring[:, 0].max()) == longitudes and (ring[:, 1].min(), ring[:, 1].max()) == (10, 50)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [("EPSG:4326", (10, 0, -180, 0, -10, 90)), ("EPSG:3857", (1113194.9079, 0, -20037508.342, 0, -1e6, 9e6))],
)
def test_a_polygon_of_more_than_half_the_earth(crs: str, transform: tuple[float, ...], tmp_path: Path) -> None:
    mask = np.zeros((18, 36), np.uint8)
    mask[4:8, 3:33] = 1
    ring = exported_ring(tmp_path, mask, crs, rasterio.Affine(*transform))
    np.testing.assert_allclose([ring[:, 0].min(), ring[:, 0].max()], [-150, 150], atol=1e-4)


@pytest.mark.parametrize(
    ("crs", "transform", "columns"),
    [
        ("EPSG:4326", (10, 0, 0, 0, -10, 90), slice(10, 30)),  # 100° to 300° of 0° to 360°
        ("EPSG:4326", (10, 0, 0, 0, -10, 90), slice(17, 20)),
        ("EPSG:3031", (2e5, 0, -36e5, 0, -2e5, 18e5), slice(10, 26)),  # around the South Pole
    ],
)
def test_polygons_across_the_antimeridian(
    crs: str, transform: tuple[float, ...], columns: slice, tmp_path: Path
) -> None:
    mask = np.zeros((18, 36), np.uint8)
    mask[4:14, columns] = 1
    with pytest.raises(InvalidInput) as error:
        exported_ring(tmp_path, mask, crs, rasterio.Affine(*transform))
    assert "antimeridian" in error.value.problem


def test_world_file_and_deep_image(tmp_path: Path) -> None:
    image = geotiff(tmp_path / "i" / "a.tif", crs=None, transform=None, count=5, dtype="uint16")
    (tmp_path / "i" / "a.tfw").write_text("10\n0\n0\n-10\n389005\n5819995\n")  # of the centre of the first pixel
    export_masks(masks_of(tmp_path, image), "geotiff", Options(), tmp_path / "o")
    with rasterio.open(tmp_path / "o" / "a.tif") as data:
        assert data.transform == NORTH_UP


@pytest.mark.parametrize("format_name", ["geotiff", "geojson"])
def test_equal_masks_give_equal_bytes(format_name: str, tmp_path: Path) -> None:
    images = [geotiff(tmp_path / "i" / f"{name}.tif") for name in "abcd"]
    contents = []
    for workers in (1, 3):
        export_masks(masks_of(tmp_path, *images), format_name, Options(), tmp_path / f"o{workers}", workers=workers)
        files = sorted((tmp_path / f"o{workers}").iterdir())
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1] and len(contents[0]) == 5


@pytest.mark.parametrize("format_name", ["geotiff", "geojson"])
def test_without_rasterio(format_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = geotiff(tmp_path / "i" / "a.tif")
    monkeypatch.setattr(stored_pixels, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput) as error:
        export_masks(masks_of(tmp_path, image), format_name, Options(), tmp_path / "o")
    assert error.value.subject == f"--format {format_name}" and "wsss[geo]" in str(error.value.hint)
    assert not (tmp_path / "o").exists()


def test_deep_images_of_masks_without_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.full((2, 30, 40), 1000, np.uint16)
    values[1] = 3000
    with rasterio.open(geotiff(tmp_path / "i" / "a.tif", count=2, dtype="uint16"), "r+") as data:
        data.write(values)
    masks_of(tmp_path, tmp_path / "i" / "a.tif", mask=np.zeros((30, 40), np.uint8))
    command = ("export", "masks", "--data.mask_values", "{0: background, 3: field}", "--images", "i")
    assert "data.bands" in refused(*command, "--format", "overlay", "--out", "o")
    stated = ("--data.bands", "[2]", "--data.scaling", "[0, 4000]")
    succeed(*command, "--format", "overlay", "--no-legend", *stated, "--out", "o")
    assert (read_image(tmp_path / "o" / "a.png") == 191).all()  # 3000 / 4000 · 255
    succeed(*command, "--format", "geotiff", "--out", "t")
    with rasterio.open(tmp_path / "t" / "a.tif") as data:
        assert data.transform == NORTH_UP
    assert "data.bands" in refused(*command, "--format", "overlay", "--data.bands", "[0]", "--out", "p")
