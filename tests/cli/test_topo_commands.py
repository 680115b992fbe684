"""``wsss topo`` on files: the numbers of the references, the JSON, the picture, and what is refused."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from wsss.cli.main import cli
from wsss.errors import InvalidInput
from wsss.topology import betti_matching, betti_numbers
from wsss.viz.drawing.matched_regions import UNMATCHED, features_of, most_telling, pair_colour

SHARED = os.environ.get("WSSS_SHARED_DATA")
needs_data = pytest.mark.skipif(SHARED is None, reason="WSSS_SHARED_DATA is not set: no reference values at hand")


def call(*arguments: Any) -> Result:
    result = CliRunner().invoke(cli, ["topo", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def document(*arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(*arguments, "--json").stdout)
    return found


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """A ring and a speck, and the ring with a gap, as 0/255 PNGs."""
    gt = np.zeros((30, 40), np.uint8)
    gt[5:25, 5:25] = 255
    gt[10:20, 10:20] = 0
    pred = gt.copy()
    pred[14:16, 5:10] = 0
    pred[20:22, 34:36] = 255
    for name, mask in (("pred", pred), ("gt", gt)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    return tmp_path / "pred.png", tmp_path / "gt.png"


def test_masks_are_matched_and_listed(masks: tuple[Path, Path]) -> None:
    found = document("match", *masks)
    assert found["betti_matching_error"] == 2 and found["loss"] == 2
    assert found["dim0"]["unmatched_pred"] == [[1, 0]] and found["dim0"]["unmatched_gt"] == []
    assert found["dim1"]["unmatched_gt"] == [[1, 0]] and found["dim1"]["matched"] == []
    [[birth, _]] = found["dim0"]["unmatched_pred_pixels"]
    assert 20 <= birth[0] < 22 and 34 <= birth[1] < 36
    assert found["shape"] == [30, 40] and found["frame"] == "none" and found["essential"] == "omit"
    framed = document("match", *masks, "--frame", "own-max", "--essential", "match")
    assert framed["dim0"]["matched"][-1] == [1, 0, 1, 0] and framed["frame"] == "own-max"


def test_the_text_says_the_same(masks: tuple[Path, Path]) -> None:
    lines = call("match", *masks).stdout.splitlines()
    assert lines[0].split() == ["matched", "only", "in", "PRED", "only", "in", "GT", "loss"]
    assert [line.split() for line in lines[1:3]] == [["components", "0", "1", "0", "1"], ["holes", "0", "0", "1", "1"]]
    assert lines[3] == "Betti matching error 2, loss 2"


def test_json_lists_every_interval_of_the_matching_in_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pred, gt = random.random((2, 12, 13))
    np.save(tmp_path / "pred.npy", pred)
    np.save(tmp_path / "gt.npy", gt)
    for options in ([], ["--frame", "zero"], ["--filtration", "sublevel", "--essential", "match"]):
        found = document("match", tmp_path / "pred.npy", tmp_path / "gt.npy", *options)
        keys = dict(zip((option.strip("-") for option in options[::2]), options[1::2], strict=True))
        expected = betti_matching(pred, gt, **keys)
        assert found["loss"] == pytest.approx(expected.loss()) and found["betti_matching_error"] == expected.error
        for key, part in (("dim0", expected.dim0), ("dim1", expected.dim1)):
            assert found[key]["matched"] == sorted(part.matched.tolist())
            assert found[key]["unmatched_pred"] == sorted(part.unmatched_pred.values.tolist())
            assert found[key]["unmatched_gt"] == sorted(part.unmatched_gt.values.tolist())
            for values, pixels in zip(found[key]["unmatched_pred"], found[key]["unmatched_pred_pixels"], strict=True):
                assert [pred[tuple(pixel)] if pixel[0] >= 0 else 0 for pixel in pixels] == values
            assert found[key]["error"] == part.error


def test_thresholds(tmp_path: Path) -> None:
    grey = np.array([[255, 100, 150]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "p.png")
    np.save(tmp_path / "p.npy", grey / np.float32(255))

    def bars(name: str, *options: str) -> list[list[float]]:
        found: list[list[float]] = document("match", tmp_path / name, tmp_path / name, *options)["dim0"]["matched"]
        return found

    assert bars("p.png") == [[1, 0, 1, 0]]
    assert bars("p.png", "--threshold", "0.6") == []
    values = [pytest.approx(150 / 255), pytest.approx(100 / 255)] * 2
    assert bars("p.png", "--threshold", "none") == bars("p.npy") == [values]
    assert bars("p.npy", "--threshold", "0.5") == [[1, 0, 1, 0]]
    result = CliRunner().invoke(cli, ["topo", "match", "a", "b", "--threshold", "half"])
    assert result.exit_code == 2 and "'half' is neither a number nor none" in result.output


def test_a_class_of_a_mask_of_several(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1, 2, 1, 0, 2]], np.uint8)).save(tmp_path / "m.png")
    assert document("betti", tmp_path / "m.png", "--class", "1")["betti0"] == 2
    assert document("betti", tmp_path / "m.png", "--class", "0")["betti0"] == 1
    found = document("match", tmp_path / "m.png", tmp_path / "m.png", "--class", "2")
    assert len(found["dim0"]["matched"]) == 1 and found["betti_matching_error"] == 0


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("m.png", 256, "0 to 255; found 0, 1, 2"),
        ("m.png", -1, "0 to 255"),
        ("bits.png", 255, "0 to 1; found 0, 1"),
        ("deep.png", 65536, "0 to 65535; found 0, 300"),
        ("a.npy", 40_000, "-32768 to 32767; found 0, 300"),
    ],
)
def test_a_class_that_no_pixel_can_have_is_refused(tmp_path: Path, name: str, value: int, allowed: str) -> None:
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "m.png")
    Image.fromarray(np.array([[0, 1, 0]], bool)).save(tmp_path / "bits.png")
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "deep.png")
    np.save(tmp_path / "a.npy", np.array([[0, 300]], np.int16))
    path = str(tmp_path / name)
    for arguments in (["betti", path], ["match", path, path]):
        result = CliRunner().invoke(cli, ["topo", *arguments, "--class", str(value)])
        assert isinstance(result.exception, InvalidInput)
        assert f"{name}: class {value} is no value of this mask, whose pixels can be {allowed}" in str(result.exception)


def test_a_class_that_no_pixel_has_comes_with_a_note(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "m.png")
    result = call("betti", tmp_path / "m.png", "--class", "7")
    assert result.stdout == "components 0, holes 0\n" and "m.png has no pixel of class 7" in result.stderr


def test_betti_numbers(masks: tuple[Path, Path]) -> None:
    assert call("betti", masks[1]).stdout == "components 1, holes 1\n"
    found = document("betti", masks[0])
    assert (found["betti0"], found["betti1"], found["connectivity"]) == (2, 0, 8)
    diagonal = masks[0].with_name("diagonal.png")
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(diagonal)
    assert document("betti", diagonal)["betti0"] == 1
    assert document("betti", diagonal, "--connectivity", "4")["betti0"] == 4


def test_warmup_compiles_and_says_how_long_it_took() -> None:
    assert document("warmup")["seconds"] > 0
    assert "ready" in call("warmup").stdout


def test_an_empty_mask_comes_with_a_note(masks: tuple[Path, Path]) -> None:
    empty = masks[0].with_name("empty.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(empty)
    result = call("match", empty, masks[1])
    assert "empty.png has no foreground" in result.stderr
    assert "note" not in call("match", *masks).stderr + call("match", empty, empty).stderr


def test_what_is_wrong_is_refused(masks: tuple[Path, Path]) -> None:
    small = masks[0].with_name("small.png")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(small)
    for arguments, message in (
        ([masks[0], small], r"pred.png is 40×30 \(width×height\), .*small.png is 4×3"),
        ([masks[0], masks[1], "--plot", "x.jpg"], "--plot: unsupported format"),
        ([masks[0], masks[1], "--plot", "x"], "expected a file name ending with .png or .svg, got x"),
        ([masks[0], "nowhere.png"], "nowhere.png: no such file"),
    ):
        with pytest.raises(InvalidInput, match=message):
            CliRunner().invoke(cli, ["topo", "match", *map(str, arguments)], catch_exceptions=False)


def test_the_picture_paints_pairs_alike_and_is_the_same_again(masks: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        call("match", masks[1], masks[1], "--plot", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert picture.shape[1] > 2 * 600
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert (213, 94, 0) not in colours
    call("match", *masks, "--plot", tmp_path / "c.png")
    wrong = np.asarray(Image.open(tmp_path / "c.png").convert("RGB")).astype(int)
    vermilion = (wrong == (213, 94, 0)).all(-1)
    half = wrong.shape[1] // 2
    assert vermilion[:, :half].any() and vermilion[:, half:].any()  # the speck on the left, the hole on the right


def test_an_svg_shows_the_same_as_the_png(masks: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.svg", "b.SVG", "c.png"):
        call("match", *masks, "--plot", tmp_path / name)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.SVG").read_text(encoding="utf-8")
    root, space = ElementTree.fromstring(text), "{http://www.w3.org/2000/svg}"
    assert [one.text for one in root.iter(f"{space}text")] == [
        "prediction: 1 + 0 unmatched",
        "label: 0 + 1 unmatched",
    ]
    ellipses = [len(list(panel.iter(f"{space}ellipse"))) for panel in root.findall(f"{space}svg")]
    assert ellipses == [1, 1]
    picture = Image.open(tmp_path / "c.png").convert("RGB")
    for panel, left in zip(root.findall(f"{space}svg"), (8, None), strict=True):
        [image] = panel.iter(f"{space}image")
        wide, high = int(image.attrib["width"]), int(image.attrib["height"])
        pixels = Image.open(io.BytesIO(base64.b64decode(image.attrib["href"].partition(",")[2])))
        assert pixels.size == (40, 30) and wide % 40 == 0 and high % 30 == 0
        shown = np.asarray(pixels.resize((wide, high), Image.Resampling.NEAREST)).astype(int)
        left = picture.width - 8 - wide if left is None else left
        drawn = np.asarray(picture.crop((left, picture.height - 8 - high, left + wide, picture.height - 8)))
        differs = (shown != drawn).any(-1)
        assert 0 < differs.mean() < 0.02 and (drawn[differs] == 255).all()  # the circles


@needs_data
def test_full_size_labels_give_the_references_numbers() -> None:
    train = Path(SHARED or "") / "topomortar" / "dataset" / "train"
    with (Path(SHARED or "") / "fixtures" / "topomortar_train_betti_matching_error.csv").open() as file:
        rows = list(csv.DictReader(file))[:8]
    for row in rows:
        frame = "own-max" if row["frame"] == "1" else "none"
        paths = [train / kind / f"{row['id']}.png" for kind in (row["weak"], "accurate")]
        found = document("match", *paths, "--frame", frame)
        assert found["betti_matching_error"] == int(row["bm_error0"]) + int(row["bm_error1"])
        assert len(found["dim1"]["matched"]) == int(row["matched1"])
        numbers = document("betti", paths[1])
        assert (numbers["betti0"], numbers["betti1"]) == betti_numbers(np.asarray(Image.open(paths[1])))


def coloured(path: Path, colour: tuple[int, int, int]) -> Any:
    return (np.asarray(Image.open(path).convert("RGB")) == colour).all(-1)


def test_what_has_no_partner_is_drawn_before_hundreds_that_have_one(tmp_path: Path) -> None:
    both = np.zeros((80, 80), np.uint8)
    both[::4, ::4] = 1
    pred, gt = both.copy(), both.copy()
    pred[78, 78] = gt[2, 78] = 1
    Image.fromarray(pred).save(tmp_path / "pred.png")
    Image.fromarray(gt).save(tmp_path / "gt.png")
    found = call("match", tmp_path / "pred.png", tmp_path / "gt.png", "--plot", tmp_path / "x.png")
    assert "399" in found.stdout
    wrong = coloured(tmp_path / "x.png", UNMATCHED)
    half = wrong.shape[1] // 2
    assert wrong[:, :half].sum() == wrong[:, half:].sum() == 8 * 8
    call("match", tmp_path / "pred.png", tmp_path / "gt.png", "--plot", tmp_path / "x.svg")
    assert "prediction: 1 + 0 unmatched (300/400 drawn)" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_pairs_of_images_without_levels_are_drawn_on_both_sides_or_not_at_all() -> None:
    random = np.random.default_rng(0)
    gt = random.random((60, 60))
    matching = betti_matching(gt + 0.02 * random.random((60, 60)), gt)
    sides = [list(features_of(matching, side)) for side in (0, 1)]
    assert min(map(len, sides)) > 300
    for most in (5, 300, 10_000):
        first, second = most_telling(sides, most)
        assert {one.pair for one in first if one.pair is not None} == {
            one.pair for one in second if one.pair is not None
        }
        assert max(len(first), len(second)) <= most
        alone = [sum(one.pair is None for one in side) for side in sides]
        assert [sum(one.pair is None for one in side) for side in (first, second)] == [min(n, most) for n in alone]
    assert len(most_telling(sides, 10_000)[0]) == len(sides[0])


@pytest.mark.parametrize("row", [3, 4, 5])
def test_a_hole_of_one_pixel_is_painted(row: int, tmp_path: Path) -> None:
    mask = np.zeros((12, 9), np.uint8)
    mask[row : row + 3, 3:6] = 1
    mask[row + 1, 4] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    call("match", tmp_path / "m.png", tmp_path / "m.png", "--plot", tmp_path / "x.png")
    assert coloured(tmp_path / "x.png", pair_colour(0)).sum() == 2 * 53**2


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3000, 2), (5, 300)])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures_of_odd_shapes_stay_small(shape: tuple[int, int], ending: str, tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random(shape) > 0.5
    np.save(tmp_path / "m.npy", mask)
    plot = tmp_path / f"x.{ending}"
    call("match", tmp_path / "m.npy", tmp_path / "m.npy", "--plot", plot)
    if ending == "png":
        width, height = Image.open(plot).size
    else:
        root = ElementTree.fromstring(plot.read_text(encoding="utf-8"))
        width, height = int(root.attrib["width"]), int(root.attrib["height"])
    assert 2 * 640 <= width <= 2 * 720 and height <= max(720, shape[0] + 100)


def test_values_that_are_not_finite_are_refused_with_their_place(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((6, 7))
    np.save(tmp_path / "good.NPY", image)
    (tmp_path / "good.NPY.npy").rename(tmp_path / "good.NPY")
    image[2, 3] = np.nan
    np.save(tmp_path / "bad.npy", image)
    good, bad = str(tmp_path / "good.NPY"), str(tmp_path / "bad.npy")
    for arguments in (["betti", bad], ["match", bad, good, "--threshold", "0.5"], ["match", good, bad]):
        with pytest.raises(InvalidInput, match=r"bad.npy: found nan at row 2, column 3; all values must be finite"):
            CliRunner().invoke(cli, ["topo", *arguments], catch_exceptions=False)
    for arguments in (["betti", good], ["match", good, good]):
        assert call(*arguments).stdout
        refused = CliRunner().invoke(cli, ["topo", *arguments, "--threshold", "nan"])
        assert refused.exit_code == 2 and "'nan' separates nothing" in refused.output


def test_an_array_of_zeros_and_ones_needs_no_threshold(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.array([[5, 0, 5]]))
    assert document("betti", tmp_path / "m.npy", "--threshold", "none")["betti0"] == 2
    assert document("betti", tmp_path / "m.npy", "--threshold", "7")["betti0"] == 0


def test_an_empty_mask_in_its_own_frame_comes_with_a_note(masks: tuple[Path, Path]) -> None:
    empty = masks[0].with_name("empty.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(empty)
    result = call("match", empty, masks[1], "--frame", "own-max")
    assert "empty.png has no foreground. Its own maximum, and so its frame, is 0: it is matched" in result.stderr
    assert "note" not in call("match", *masks, "--frame", "own-max").stderr
