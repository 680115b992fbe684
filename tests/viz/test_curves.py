"""Precision–recall plots: every variant is drawn and named, and distinguishable without colour."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from wsss.viz.drawing.curves import COLOURS, Curve, CurveChart, describe, draw, embedded, standalone

SVG = "{http://www.w3.org/2000/svg}"


def curve(name: str, shift: float = 0.0, seeds: int = 3) -> Curve:
    levels = tuple(index / 20 for index in range(20))
    recall = tuple(max(0.0, 1 - level - shift) for level in levels)
    precision = tuple(0.2 + 0.7 * level - shift / 2 for level in levels)
    return Curve(name, levels, recall, precision, (recall[8], precision[8]), seeds)


def chart(count: int) -> CurveChart:
    return CurveChart("seed", "val", tuple(curve(f"<v{index}>", index / 60) for index in range(count)), "<v1>")


def lines_and_marks(one: CurveChart) -> tuple[list[Any], list[Any]]:
    """Return the curves and the marks, without the line at the standard precision."""
    lines = draw(one).axes[0].lines
    curves = [line for line in lines if len(line.get_xdata()) > 2]
    return curves, [line for line in lines if len(line.get_xdata()) == 1]


@pytest.mark.parametrize("count", [1, 11, 23])
def test_every_variant_has_a_curve_a_mark_and_a_name_inside_the_figure(count: int) -> None:
    one = chart(count)
    curves, marks = lines_and_marks(one)
    assert len(curves) == len(marks) == count
    root = ElementTree.fromstring(standalone(one))
    height = float(root.attrib["viewBox"].split()[-1])
    texts = {text.text: float(text.attrib["y"]) for text in root.iter(f"{SVG}text") if "y" in text.attrib}
    assert all(0 < texts[f"<v{index}>"] < height for index in range(count))


def test_repeated_colours_differ_in_dashes_and_markers() -> None:
    curves, marks = lines_and_marks(chart(4 * len(COLOURS)))
    dashes = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in curves}
    markers = {(mark.get_color(), mark.get_marker()) for mark in marks}
    assert len(dashes) == len(markers) == 4 * len(COLOURS)


def test_the_oracle_is_stated_in_the_figure_and_in_its_description() -> None:
    one = chart(2)
    assert describe(one).startswith("ORACLE") and "<v0> 0.480 and 0.600" in describe(one)
    root = ElementTree.fromstring(standalone(one))
    assert root.findtext(f"{SVG}title") == describe(one) == embedded(one).alt
    assert any("ORACLE" in (text.text or "") for text in root.iter(f"{SVG}text"))


def test_the_file_is_reproducible_and_self_contained() -> None:
    text = standalone(chart(3))
    assert text == standalone(chart(3))
    assert "<script" not in text and 'href="http' not in text and "url(http" not in text


def test_recall_near_zero_is_omitted_and_the_reference_bold() -> None:
    (first, second), _ = lines_and_marks(CurveChart("s", "val", (curve("a", 0.3), curve("b")), "b"))
    assert len(first.get_xdata()) < len(second.get_xdata()) == 20
    assert first.get_linewidth() < second.get_linewidth()
