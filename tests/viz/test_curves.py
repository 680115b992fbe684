from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from wsss.viz.drawing.curves import COLOURS, HEIGHT, WIDTH, Curve, CurveChart, describe, draw, standalone

SVG = "{http://www.w3.org/2000/svg}"


def curve(name: str, shift: float = 0.0, seeds: int = 3) -> Curve:
    levels = tuple(place / 20 for place in range(20))
    recall = tuple(max(0.0, 1 - level - shift) for level in levels)
    precision = tuple(0.2 + 0.7 * level - shift / 2 for level in levels)
    return Curve(name, levels, recall, precision, (recall[8], precision[8]), seeds)


def chart(count: int) -> CurveChart:
    return CurveChart("seed", "val", tuple(curve(f"<v{place}>", place / 60) for place in range(count)), "<v1>")


@pytest.mark.parametrize("count", [1, 11, 23])
def test_every_variant_has_a_curve_a_mark_and_a_name_inside_the_picture(count: int) -> None:
    root = ElementTree.fromstring(standalone(chart(count)))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert width == WIDTH and height >= HEIGHT
    lines = root.findall(f".//{SVG}polyline")
    assert len(lines) == count
    for line in lines:
        for x, y in (map(float, pair.split(",")) for pair in line.attrib["points"].split()):
            assert 0 <= x <= width and 0 <= y <= height
    texts = ["".join(text.itertext()) for text in root.findall(f".//{SVG}text")]
    assert all(f"<v{place}>" in texts for place in range(count))
    assert all(float(text.attrib["y"]) < height for text in root.findall(f".//{SVG}text") if "y" in text.attrib)


def test_variants_differ_by_more_than_colour_where_colours_repeat() -> None:
    root = ElementTree.fromstring(standalone(chart(4 * COLOURS)))
    looks = [
        (group.attrib["class"], group.find(f"{SVG}polyline").attrib["class"].replace(" reference", ""), group[-1].tag)
        for group in root.iter(f"{SVG}g")
        if group.attrib.get("class", "").startswith("curve")
    ]
    assert len(looks) == len(set(looks)) == 4 * COLOURS


def test_it_says_in_words_and_in_the_picture_that_it_is_an_oracles() -> None:
    one = chart(2)
    assert describe(one).startswith("ORACLE") and "<v0> 0.480 and 0.600" in describe(one)
    root = ElementTree.fromstring(str(draw(one)))
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == describe(one)
    assert any("ORACLE" in "".join(text.itertext()) for text in root.iter("text"))


def test_a_file_of_its_own_knows_both_colour_schemes_and_loads_nothing() -> None:
    text = standalone(chart(3))
    assert "prefers-color-scheme: dark" in text and "<script" not in text
    assert "href" not in text and text.count("http") == 1  # the namespace


def test_recall_of_next_to_nothing_is_not_drawn_and_the_reference_is_bold() -> None:
    root = ElementTree.fromstring(standalone(CurveChart("s", "val", (curve("a", 0.3), curve("b")), "b")))
    first, second = root.findall(f".//{SVG}polyline")
    assert len(first.attrib["points"].split()) < len(second.attrib["points"].split()) == 20
    assert "reference" in second.attrib["class"] and "reference" not in first.attrib["class"]
