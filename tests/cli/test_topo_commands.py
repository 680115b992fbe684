"""``wsss topo``: reference numbers, JSON, plots and errors."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import inprocess
import numpy as np
import pytest
from inprocess import error_of, refused, succeed
from PIL import Image
from shareddata import SHARED_DATA, needs_shared_data

from wsss.topology import betti_matching, betti_numbers
from wsss.viz.drawing.matched_regions import UNMATCHED, features_of, pair_colour, select_features


def call(*arguments: Any) -> Any:
    return succeed("topo", *arguments)


def document(*arguments: Any) -> Any:
    return inprocess.document("topo", *arguments)


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """PNGs of 0 and 255: a ring with a gap and a speck, and the ring."""
    gt = np.zeros((30, 40), np.uint8)
    gt[5:25, 5:25] = 255
    gt[10:20, 10:20] = 0
    pred = gt.copy()
    pred[14:16, 5:10] = 0
    pred[20:22, 34:36] = 255
    for name, mask in (("pred", pred), ("gt", gt)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    return tmp_path / "pred.png", tmp_path / "gt.png"


def test_match(masks: tuple[Path, Path]) -> None:
    result = document("match", *masks)
    assert result["betti_matching_error"] == 2 and result["loss"] == 2
    assert result["dim0"]["unmatched_pred"] == [[1, 0]] and result["dim0"]["unmatched_gt"] == []
    assert result["dim1"]["unmatched_gt"] == [[1, 0]] and result["dim1"]["matched"] == []
    [[birth, _]] = result["dim0"]["unmatched_pred_pixels"]
    assert 20 <= birth[0] < 22 and 34 <= birth[1] < 36
    assert result["shape"] == [30, 40] and result["frame"] == "none" and result["essential"] == "omit"
    framed = document("match", *masks, "--frame", "own-max", "--essential", "match")
    assert framed["dim0"]["matched"][-1] == [1, 0, 1, 0] and framed["frame"] == "own-max"
    lines = call("match", *masks).stdout.splitlines()
    assert lines[0].split() == ["matched", "only", "in", "PRED", "only", "in", "GT", "loss"]
    assert [line.split() for line in lines[1:3]] == [["components", "0", "1", "0", "1"], ["holes", "0", "0", "1", "1"]]
    assert lines[3] == "Betti matching error 2, loss 2"


def test_json_lists_all_intervals_in_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pred, gt = random.random((2, 12, 13))
    np.save(tmp_path / "pred.npy", pred)
    np.save(tmp_path / "gt.npy", gt)
    for options in ([], ["--frame", "zero"], ["--filtration", "sublevel", "--essential", "match"]):
        result = document("match", tmp_path / "pred.npy", tmp_path / "gt.npy", *options)
        keys = dict(zip((option.strip("-") for option in options[::2]), options[1::2], strict=True))
        expected = betti_matching(pred, gt, **keys)
        assert result["loss"] == pytest.approx(expected.loss()) and result["betti_matching_error"] == expected.error
        for key, part in (("dim0", expected.dim0), ("dim1", expected.dim1)):
            assert result[key]["matched"] == sorted(part.matched.tolist())
            assert result[key]["unmatched_pred"] == sorted(part.unmatched_pred.values.tolist())
            assert result[key]["unmatched_gt"] == sorted(part.unmatched_gt.values.tolist())
            for values, pixels in zip(result[key]["unmatched_pred"], result[key]["unmatched_pred_pixels"], strict=True):
                assert [pred[tuple(pixel)] if pixel[0] >= 0 else 0 for pixel in pixels] == values
            assert result[key]["error"] == part.error


def test_thresholds(tmp_path: Path) -> None:
    grey = np.array([[255, 100, 150]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "p.png")
    np.save(tmp_path / "p.npy", grey / np.float32(255))

    def bars(name: str, *options: str) -> list[list[float]]:
        found: list[list[float]] = document("match", tmp_path / name, tmp_path / name, *options)["dim0"]["matched"]
        return found

    assert bars("p.png", "--threshold", "0.5") == [[1, 0, 1, 0]]
    assert bars("p.png", "--threshold", "0.6") == []
    values = [pytest.approx(150 / 255), pytest.approx(100 / 255)] * 2
    assert bars("p.png", "--threshold", "none") == bars("p.npy") == [values]
    assert bars("p.npy", "--threshold", "0.5") == [[1, 0, 1, 0]]
    for value in ("half", "nan"):
        assert f"got '{value}'" in refused("topo", "match", "a", "b", "--threshold", value)
    np.save(tmp_path / "m.npy", np.array([[5, 0, 5]]))
    assert document("betti", tmp_path / "m.npy")["betti0"] == 2
    assert document("betti", tmp_path / "m.npy", "--threshold", "none")["betti0"] == 2
    assert document("betti", tmp_path / "m.npy", "--threshold", "7")["betti0"] == 0
    assert document("betti", tmp_path / "p.npy", "--threshold", "none")["betti0"] == 1


def test_label_masks_are_not_thresholded_as_probabilities(tmp_path: Path) -> None:
    first, second = np.zeros((2, 30, 40), np.uint8)
    first[5:10, 5:10], first[20:25, 5:10] = 1, 2
    second[12:20, 20:30] = 2
    for name, mask in (("a.png", first), ("b.png", second)):
        Image.fromarray(mask).save(tmp_path / name)
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    for arguments in (["match", a, b], ["betti", a]):
        message = refused("topo", *arguments)
        assert "a.png" in message and "--class VALUE" in message and "--threshold" in message
    assert document("match", a, b, "--class", "2", "--essential", "match")["dim0"]["matched"] == [[1, 0, 1, 0]]
    assert document("betti", a, "--threshold", "none")["betti0"] == 2
    assert document("betti", a, "--threshold", "0.005")["betti0"] == 1  # 2/255


def test_a_threshold_is_applied_or_refused(masks: tuple[Path, Path], tmp_path: Path) -> None:
    faint = tmp_path / "faint.png"
    Image.fromarray(np.array([[0, 1, 0, 1]], np.uint8)).save(faint)
    for arguments in (["match", faint, faint], ["betti", faint]):
        assert "faint.png" in refused("topo", *arguments, "--threshold", "0.5")
    bits = tmp_path / "bits.png"
    Image.fromarray(np.array([[False, True, False]])).save(bits)
    for path in (masks[0], bits):
        for number in ("128", "1", "-0.5"):
            for arguments in (["match", path, path], ["betti", path]):
                assert f"got {float(number)}" in refused("topo", *arguments, "--threshold", number)
    assert document("betti", bits, "--threshold", "0.9")["betti0"] == 1
    for arguments in (["match", *masks], ["betti", masks[0]]):
        assert "mutually exclusive" in refused("topo", *arguments, "--class", "255", "--threshold", "0.5")


def test_the_threshold_of_a_prediction_does_not_change_a_binary_mask(tmp_path: Path) -> None:
    soft, mask = np.zeros((2, 20, 30), np.uint8)
    soft[5:10, 5:10], mask[5:10, 5:10] = np.arange(100, 125).reshape(5, 5), 1
    for name, values in (("p.png", soft), ("m.png", mask)):
        Image.fromarray(values).save(tmp_path / name)
    matched = document("match", tmp_path / "p.png", tmp_path / "m.png", "--threshold", "0.3", "--essential", "match")
    assert matched["dim0"]["matched"] == [[1, 0, 1, 0]]
    assert "m.png" in refused("topo", "match", tmp_path / "m.png", tmp_path / "p.png", "--threshold", "0.3")


def test_class_of_a_mask(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.array([[1, 2, 1, 0, 2]], np.uint8)).save(path)
    assert [document("betti", path, "--class", value)["betti0"] for value in (0, 1, 7)] == [1, 2, 0]
    assert "m.png" in call("betti", path, "--class", "7").stderr
    result = document("match", path, path, "--class", "2")
    assert len(result["dim0"]["matched"]) == 1 and result["betti_matching_error"] == 0


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("m.png", 256, "0 to 255"),
        ("m.png", -1, "0 to 255"),
        ("bits.png", 255, "0 to 1"),
        ("deep.png", 65536, "0 to 65535"),
        ("a.npy", 40_000, "-32768 to 32767"),
    ],
)
def test_class_out_of_range_is_refused(tmp_path: Path, name: str, value: int, allowed: str) -> None:
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "m.png")
    Image.fromarray(np.array([[0, 1, 0]], bool)).save(tmp_path / "bits.png")
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "deep.png")
    np.save(tmp_path / "a.npy", np.array([[0, 300]], np.int16))
    path = tmp_path / name
    for arguments in (["betti", path], ["match", path, path]):
        error = error_of("topo", *arguments, "--class", value)
        assert (error.subject, error.found) == (str(path), value) and str(error.allowed).endswith(f" {allowed}")


def test_betti_numbers(masks: tuple[Path, Path]) -> None:
    assert call("betti", masks[1]).stdout == "components 1, holes 1\n"
    result = document("betti", masks[0])
    assert (result["betti0"], result["betti1"], result["connectivity"]) == (2, 0, 8)
    diagonal = masks[0].with_name("diagonal.png")
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(diagonal)
    assert document("betti", diagonal)["betti0"] == 1
    assert document("betti", diagonal, "--connectivity", "4")["betti0"] == 4


def test_warmup() -> None:
    assert document("warmup")["seconds"] > 0
    assert "ready" in call("warmup").stdout


@pytest.mark.parametrize("options", [(), ("--frame", "own-max")])
def test_note_on_an_empty_mask(masks: tuple[Path, Path], options: tuple[str, ...]) -> None:
    empty = masks[0].with_name("empty.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(empty)
    assert "empty.png has no foreground" in call("match", empty, masks[1], *options).stderr
    assert not call("match", *masks, *options).stderr
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(empty.with_name("none.png"))
    both = call("match", empty, empty.with_name("none.png"), *options).stderr
    assert "empty.png and " in both and "none.png have no foreground" in both


def test_invalid_files_are_refused(masks: tuple[Path, Path], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "small.png")
    for arguments, subject, found in (
        ([masks[0], tmp_path / "small.png"], str(masks[0]), "40×30"),
        ([masks[0], masks[1], "--plot", "x.jpg"], "--plot", "x.jpg"),
        ([masks[0], masks[1], "--plot", "x"], "--plot", "x"),
        ([masks[0], "nowhere.png"], "nowhere.png", "None"),
    ):
        error = error_of("topo", "match", *arguments)
        assert (error.subject, str(error.found)) == (subject, found)


def test_plot_is_deterministic_and_colours_unmatched_features(masks: tuple[Path, Path], tmp_path: Path) -> None:
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
    assert vermilion[:, :half].any() and vermilion[:, half:].any()  # speck left, hole right


def test_svg_equals_png(masks: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.svg", "b.SVG", "c.png"):
        call("match", *masks, "--plot", tmp_path / name)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.SVG").read_text(encoding="utf-8")
    root, space = ElementTree.fromstring(text), "{http://www.w3.org/2000/svg}"
    assert [one.text for one in root.iter(f"{space}text")] == [
        "prediction: 1 component, 0 holes unmatched",
        "label: 0 components, 1 hole unmatched",
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


@needs_shared_data
def test_reference_numbers_of_full_size_labels() -> None:
    train = SHARED_DATA / "topomortar" / "dataset" / "train"
    with (SHARED_DATA / "fixtures" / "topomortar_train_betti_matching_error.csv").open() as file:
        rows = list(csv.DictReader(file))[:8]
    for row in rows:
        frame = "own-max" if row["frame"] == "1" else "none"
        paths = [train / kind / f"{row['id']}.png" for kind in (row["weak"], "accurate")]
        result = document("match", *paths, "--frame", frame)
        assert result["betti_matching_error"] == int(row["bm_error0"]) + int(row["bm_error1"])
        assert len(result["dim1"]["matched"]) == int(row["matched1"])
        numbers = document("betti", paths[1])
        assert (numbers["betti0"], numbers["betti1"]) == betti_numbers(np.asarray(Image.open(paths[1])))


def coloured(path: Path, colour: tuple[int, int, int]) -> Any:
    return (np.asarray(Image.open(path).convert("RGB")) == colour).all(-1)


def test_unmatched_features_are_drawn_first(tmp_path: Path) -> None:
    both = np.zeros((80, 80), np.uint8)
    both[::4, ::4] = 1
    pred, gt = both.copy(), both.copy()
    pred[78, 78] = gt[2, 78] = 1
    Image.fromarray(pred).save(tmp_path / "pred.png")
    Image.fromarray(gt).save(tmp_path / "gt.png")
    result = call("match", tmp_path / "pred.png", tmp_path / "gt.png", "--plot", tmp_path / "x.png")
    assert "399" in result.stdout
    wrong = coloured(tmp_path / "x.png", UNMATCHED)
    half = wrong.shape[1] // 2
    assert wrong[:, :half].sum() == wrong[:, half:].sum() == 8 * 8
    call("match", tmp_path / "pred.png", tmp_path / "gt.png", "--plot", tmp_path / "x.svg")
    assert "prediction: 1 component, 0 holes unmatched (300/400 drawn)" in (tmp_path / "x.svg").read_text(
        encoding="utf-8"
    )


def test_pairs_are_drawn_on_both_sides_or_not_at_all() -> None:
    random = np.random.default_rng(0)
    gt = random.random((60, 60))
    matching = betti_matching(gt + 0.02 * random.random((60, 60)), gt)
    sides = [list(features_of(matching, side)) for side in (0, 1)]
    assert min(map(len, sides)) > 300
    for most in (5, 300, 10_000):
        first, second = select_features(sides, most)
        pairs = [{one.pair for one in side if one.pair is not None} for side in (first, second)]
        assert pairs[0] == pairs[1]
        assert max(len(first), len(second)) <= most
        alone = [sum(one.pair is None for one in side) for side in sides]
        assert [sum(one.pair is None for one in side) for side in (first, second)] == [min(n, most) for n in alone]
    assert len(select_features(sides, 10_000)[0]) == len(sides[0])


@pytest.mark.parametrize("row", [3, 4, 5])
def test_hole_of_one_pixel_is_drawn(row: int, tmp_path: Path) -> None:
    mask = np.zeros((12, 9), np.uint8)
    mask[row : row + 3, 3:6] = 1
    mask[row + 1, 4] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    call("match", tmp_path / "m.png", tmp_path / "m.png", "--plot", tmp_path / "x.png")
    assert coloured(tmp_path / "x.png", pair_colour(0)).sum() == 2 * 53**2


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3000, 2), (5, 300)])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plots_of_elongated_images_stay_small(shape: tuple[int, int], ending: str, tmp_path: Path) -> None:
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


def test_non_finite_values_are_refused(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((6, 7))
    np.save(tmp_path / "good.NPY", image)
    (tmp_path / "good.NPY.npy").rename(tmp_path / "good.NPY")
    image[2, 3] = np.nan
    np.save(tmp_path / "bad.npy", image)
    good, bad = tmp_path / "good.NPY", tmp_path / "bad.npy"
    for arguments in (["betti", bad], ["match", bad, good, "--threshold", "0.5"], ["match", good, bad]):
        assert "bad.npy: row 2, column 3: " in refused("topo", *arguments)
    for arguments in (["betti", good], ["match", good, good]):
        assert call(*arguments).stdout
