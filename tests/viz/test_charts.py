from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.viz.drawing.charts import Chart, Series, line_chart, nice_ticks, read_history
from wsss.viz.drawing.formatting import duration, number, plain

finite = st.floats(-1e6, 1e6, allow_nan=False)


def history(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "history.csv"
    path.write_text(text)
    return path


def test_history_is_grouped_into_charts(tmp_path: Path) -> None:
    charts = read_history(
        history(
            tmp_path, "epoch,step,train_loss,val_loss,val_miou,lr,speed\n1,10,2,3,,0.1,90\n2,20,1,nan,0.5,0.05,95\n"
        )
    )
    assert [(chart.title, chart.unit) for chart in charts] == [
        ("Loss", "loss"),
        ("Scores", "score (0–1)"),
        ("Speed", "speed"),
        ("Learning rate", "learning rate"),
    ]
    assert charts[0].series == (Series("train loss", (2.0, 1.0)), Series("val loss", (3.0, None)))
    assert charts[1].series == (Series("val mIoU", (None, 0.5)),)
    assert charts[0].xs == (1.0, 2.0)


def test_history_without_a_row_gives_no_chart(tmp_path: Path) -> None:
    assert read_history(history(tmp_path, "epoch,train_loss\n")) == ()


@pytest.mark.parametrize(
    ("text", "place", "found"), [("step,loss\n1,2\n", "", ["step", "loss"]), ("epoch,loss\n1,high\n", ": loss", "high")]
)
def test_broken_history(tmp_path: Path, text: str, place: str, found: object) -> None:
    path = history(tmp_path, text)
    with pytest.raises(InvalidInput) as error:
        read_history(path)
    assert (error.value.subject, error.value.found) == (f"{path}{place}", found)


@given(finite, finite)
def test_ticks_enclose_the_values_and_are_few(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high), ticks[-1] - ticks[0])
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 12
    assert all(a < b for a, b in pairwise(ticks))


def test_chart_is_well_formed_and_inside_its_view_box() -> None:
    chart = Chart(
        "Loss", "loss <&>", (1.0, 2.0, 3.0), (Series('"train"', (3.0, None, 1.0)), Series("val", (2.0, 2.5, 2.0)))
    )
    root = ElementTree.fromstring(str(line_chart(chart)))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    lines = [element.attrib["points"] for element in root.iter("polyline")]
    assert [len(line.split()) for line in lines] == [2, 3]
    for line in lines:
        for x, y in (map(float, point.split(",")) for point in line.split()):
            assert 0 <= x <= width and 0 <= y <= height
    # A higher loss has a smaller y.
    heights = [float(point.split(",")[1]) for point in lines[0].split()]
    assert heights[0] < heights[1]
    texts = [element.text for element in root.iter("text")]
    assert "epoch" in texts and "loss <&>" in texts
    assert '"train" from 3 to 1' in root.attrib["aria-label"]


def test_single_epoch_and_constant_values_can_be_drawn() -> None:
    drawn = str(line_chart(Chart("Loss", "loss", (1.0,), (Series("train", (0.0,)),))))
    assert ElementTree.fromstring(drawn).tag.endswith("svg") and "nan" not in drawn.lower()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.04, "0.0 s"), (9.9, "9.9 s"), (9.97, "10 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.48321, "0.483"), (1.0, "1.000"), (12.3456, "12.35"), (1234567, "1,234,567"), (1e-5, "1e-05"), (None, "–"),
     (True, "yes"), ("otsu", "otsu"), (float("nan"), "–")],
)  # fmt: skip
def test_number(value: object, text: str) -> None:
    assert number(value) == text


def test_plain_opens_nested_values() -> None:
    assert plain({"scales": [1.0, 0.5], "flip": True, "preset": None}) == "scales 1, 0.5, flip yes, preset –"
